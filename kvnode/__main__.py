"""python -m kvnode: arguments -> one running node.

Prints one line when it serves, logs to its data directory, ends on SIGTERM or SIGINT. Exit codes: 0 ended as asked,
2 arguments or configuration, 3 a port is busy, 4 the data directory cannot be used, 70 a fault in the node itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import signal
import stat
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvnode.config import ClusterConfig, ConfigError, NodeAddress, read_cluster_file
from kvnode.net.clock import WallClock
from kvnode.net.log import JsonLog
from kvnode.net.parse import FaultsBody
from kvnode.runtime import Row, Runtime
from kvnode.storage import SqliteDisk, StorageError

if TYPE_CHECKING:
    import socket

    from kvnode.net.peers import PeerNetwork
    from kvnode.node import Node

EXIT_CONFIG, EXIT_PORT, EXIT_DATA, EXIT_FAULT = 2, 3, 4, 70


class Stop(Exception):
    """The node cannot start: an exit code and one line for people."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def main(argv: list[str] | None = None) -> int:
    """Run a node until it is told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kvnode", description="Run one node of a Quorum Lab cluster."
    )
    parser.add_argument(
        "--cluster-file", type=Path, required=True, help="cluster.json: the members and their addresses"
    )
    parser.add_argument("--name", required=True, help="which of them this is, such as node-1")
    parser.add_argument("--data-dir", type=Path, required=True, help="where its data and its log live")
    parser.add_argument("--exit-with-stdin", action="store_true", help="stop when standard input closes")
    arguments = parser.parse_args(argv)
    try:
        config = read_cluster_file(arguments.cluster_file)
        address = config.address(arguments.name)
        if arguments.exit_with_stdin:
            _check_stdin()
        with contextlib.suppress(ImportError):
            import uvloop

            return uvloop.run(_run(config, address, arguments.data_dir, arguments.exit_with_stdin))
        return asyncio.run(_run(config, address, arguments.data_dir, arguments.exit_with_stdin))
    except ConfigError as error:
        print(f"kvnode: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except Stop as error:
        print(f"kvnode: {error}", file=sys.stderr)
        return error.code
    except StorageError as error:
        print(f"kvnode: {error}", file=sys.stderr)
        return EXIT_DATA


async def _run(config: ClusterConfig, address: NodeAddress, data_dir: Path, exit_with_stdin: bool) -> int:
    from kvnode.net.http import Api
    from kvnode.net.loop_watch import LoopWatch
    from kvnode.net.peers import PeerNetwork
    from kvnode.net.server import HttpServer, connections_max
    from kvnode.net.views import Views
    from kvnode.node import Node

    sys.setswitchinterval(0.0005)  # the sync thread must not wait long for the interpreter
    disk_delay_ms = 0.0
    log: JsonLog | None = None

    def begin_anew(why: str) -> None:
        """The data file cannot be used: a fresh process in place of this one sets it aside; its peers rebuild it."""
        if log is not None:
            log.write("data_file_unusable", level="error", why=why)
        os.execv(sys.executable, sys.orig_argv)

    disk = SqliteDisk(data_dir, delay_ms=lambda: disk_delay_ms, on_corruption=begin_anew)
    log = _begin_log(disk, data_dir, address.name)
    clock, chance = WallClock(), random.Random()
    network = PeerNetwork(config, address.name, chance, log.write)
    runtime = Runtime(clock, network, disk, chance, _spawner(log), log.write, disk.give_up)
    node = Node(runtime, config, address.name)
    network.on_message = node.on_message
    node.ring.subscribe(lambda: network.set_peers(node.ring.state.everybody))

    def set_faults(faults: FaultsBody) -> dict[str, Any]:
        nonlocal disk_delay_ms
        network.set_rules(faults.rules)
        clock.skew_ms, disk_delay_ms = faults.clock_skew_ms, faults.disk_delay_ms
        of_node: dict[str, Any] = {"clock_skew_ms": clock.skew_ms, "disk_delay_ms": disk_delay_ms}
        log.write("faults", rules=sorted(faults.rules), **of_node)
        return {"node": address.name, "rules": faults.rules, **of_node}

    listener = await _listen(network, address)
    await open_node(node, disk)
    views, watch = Views(node, network), LoopWatch()
    server = HttpServer(Api(node, views, set_faults).answer, listener, count_max=connections_max())
    views.more = {"http": server.describe, "loop": watch.describe}
    await server.start()
    watch.start()
    stop = asyncio.Event()
    _end_when_told(stop, exit_with_stdin)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    log.write("ready", pid=os.getpid(), store=node.dots.store)
    ports = f"http={address.host}:{address.http_port} peer={address.host}:{address.peer_port}"
    print(f"ready {address.name} {ports}", flush=True)
    await stop.wait()
    watch.stop()
    await server.stop()
    await network.stop()
    await node.close()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # work that is cut off now may complain
    await disk.close()
    log.write("stopped")
    return 0


def _begin_log(disk: SqliteDisk, data_dir: Path, name: str) -> JsonLog:
    """The node's log, with what was found when the disk was opened."""
    try:
        log = JsonLog(data_dir / "log.jsonl", name)
    except OSError as error:
        raise StorageError(f"cannot write to {data_dir / 'log.jsonl'}: {error.strerror}") from error
    if disk.no_room:
        log.write("disk_full", level="error", why=disk.no_room)
        print(f"kvnode: the disk of {data_dir} is full: reads are served, writes refused", file=sys.stderr)
    if disk.corruption is not None:
        why, kept = disk.corruption
        log.write("data_file_set_aside", level="error", why=why, kept=kept.name)
    for what in disk.dropped:
        log.write("row_dropped", level="error", what=what)
    return log


async def _listen(network: PeerNetwork, address: NodeAddress) -> socket.socket:
    """Listen to peers; the socket for clients, who are not served yet. Stop: a port is taken."""
    from kvnode.net.server import bind

    try:
        listener = bind(address.host, address.http_port)
        await network.start(address.host, address.peer_port)
    except OSError as error:
        ports = f"{address.http_port} or {address.peer_port}"
        raise Stop(EXIT_PORT, f"port {ports} of {address.host} cannot be used: {error.strerror}") from error
    return listener


async def open_node(node: Node, disk: SqliteDisk) -> None:
    """Open the node on what the disk holds. If that makes no sense to it, begin anew: no content may prevent a start.

    StorageError: the data directory belongs to somebody else.
    """
    is_fresh = not disk.count("meta")
    try:
        _check_owner(disk, node.config, node.name)
        await node.open()
    except OSError:
        raise
    except Exception as error:
        if is_fresh:
            raise  # it was not the content
        disk.give_up(f"what it holds makes no sense: {error!r}")


def _spawner(log: JsonLog) -> Any:
    """Background work whose failure ends the node loudly: a broken invariant is not to be survived."""
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def crash(context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(
            error, OSError
        ):  # a socket's trouble, or no file descriptor left to accept with: not ours
            log.write("os_error", level="error", message=context.get("message"), error=repr(error))
            return
        log.write("crashed", level="error", message=context.get("message"), error=repr(error))
        print(f"kvnode: stopping: {context.get('message')}: {error!r}", file=sys.stderr, flush=True)
        os._exit(EXIT_FAULT)

    def ended(task: asyncio.Task[None]) -> None:
        running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            crash({"message": f"background work {task.get_name()!r} failed", "exception": task.exception()})

    def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
        task = loop.create_task(work, name=name)
        running.add(task)
        task.add_done_callback(ended)

    loop.set_exception_handler(lambda _, context: crash(context) if "exception" in context else None)
    return spawn


def _check_stdin() -> None:
    """--exit-with-stdin watches a pipe, socket or terminal; the end of a file says nothing."""
    kind = os.fstat(0).st_mode
    if stat.S_ISREG(kind) or (stat.S_ISCHR(kind) and not os.isatty(0)):
        raise ConfigError(
            "--exit-with-stdin needs a pipe as standard input; a file or /dev/null never closes"
        )


def _end_when_told(stop: asyncio.Event, exit_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if exit_with_stdin:

        def read() -> None:
            if not os.read(0, 4096):
                loop.remove_reader(0)
                stop.set()

        loop.add_reader(0, read)


def _check_owner(disk: SqliteDisk, config: ClusterConfig, name: str) -> None:
    """A data directory belongs to one node of one cluster for ever: other versions must not mix in."""
    cluster_id, node = (disk.get("meta", 0, key) for key in ("cluster-id", "node"))
    if cluster_id is not None and cluster_id[0].decode() != config.cluster_id:
        raise StorageError(
            f"the data directory belongs to another cluster (id {cluster_id[0].decode()}), "
            f"and not to {config.cluster!r} (id {config.cluster_id})"
        )
    store = disk.get(
        "meta", 0, "store-id"
    )  # named after its node, also in folders that do not say whose they are
    owner = node[0].decode() if node is not None else store[0].decode().rpartition(".")[0] if store else name
    if owner != name:
        raise StorageError(
            f"the data directory belongs to {owner} of cluster {config.cluster!r}, and {name} was started on it: "
            "each node needs the directory that it wrote, or an empty one"
        )
    if cluster_id is None or node is None:
        rows = [("cluster-id", config.cluster_id), ("node", name)]
        disk.commit([Row("meta", 0, key, text.encode()) for key, text in rows])


if __name__ == "__main__":
    sys.exit(main())
