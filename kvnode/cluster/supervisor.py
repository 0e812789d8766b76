"""The supervisor process: python -m kvnode.cluster.supervisor, started by LocalCluster and by nobody else.

One process, one thread, in a session of its own. Whoever holds the flock of a cluster's folder is its
supervisor; the kernel releases it however the supervisor dies, so a stale state.json or socket never decides
anything.

It ends in two cases:
- its owner ends (unless it was started detached): its stdin is a pipe from the owner, which ends with it however it
  dies. A forked child of the owner can keep the pipe open, so the parent process id is watched too;
- it is told to: the stop command, SIGTERM or SIGINT.
At its owner's end it kills everything at once; when told to stop, it lets nodes close their files first.

It reports to who started it with one JSON line on stdout, once all nodes are ready or the start has failed.
Must not live here: what the commands do (processes/manager.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import structs

from kvnode.cluster import control
from kvnode.cluster.contract import Answer, Status, from_json, to_json
from kvnode.cluster.errors import AlreadyRunning, BadCommand, ClusterError, NotRunning, StartFailed
from kvnode.cluster.paths import Paths, make_private, try_lock
from kvnode.cluster.ports import (
    BASE_PORT_DEFAULT,
    HOST,
    PEER_OFFSET,
    check_base_port,
    ephemeral_range,
    peer_port_of,
    warn_of_ephemeral,
)
from kvnode.cluster.processes.manager import ProcessManager
from kvnode.cluster.processes.starting import StartOptions
from kvnode.cluster.processes.watchdog import kill_leftover
from kvnode.cluster.state import ClusterFile, new_cluster_id, read_left_state, set_aside
from kvnode.config import NODE_COUNT_MAX, ConfigError, MaintenanceConfig, NodeAddress

LOCK_WAIT_S = 4.0  # a supervisor that is just stopping needs that long at most
OWNER_POLL_S = 0.25
NODES_DEFAULT = REPLICAS_DEFAULT = 3


def log(text: str) -> None:
    """One line in supervisor.log."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    with contextlib.suppress(OSError):  # a full disk costs the line, nothing else
        print(f"{stamp} {os.getpid()} {text}", file=sys.stderr, flush=True)


def main(folder: str, told: str) -> int:
    """Run one cluster until its end. told: its StartOptions."""
    try:
        options = from_json(told.encode(), StartOptions)
    except ValueError as error:
        return _report_failure(BadCommand(str(error)))
    if options.detach and os.fork() > 0:
        os._exit(0)  # so that the starter can wait for its child, and init for this one
    paths, lock = Paths(Path(folder).name, Path(folder)), None
    try:
        make_private(paths.folder)
        lock = _lock(paths)
        return asyncio.run(_run(paths, options))
    except (ClusterError, OSError) as error:
        return _report_failure(error)
    finally:
        if lock is not None:
            with contextlib.suppress(OSError):
                paths.state_file.unlink(missing_ok=True)
                paths.socket_path().unlink(missing_ok=True)
            os.close(lock)


async def _run(paths: Paths, options: StartOptions) -> int:
    notes = _clean_up_after_the_dead(paths)
    if options.fresh:
        _forget(paths)
    manager = ProcessManager(
        paths,
        _plan_cluster(paths, options),
        node_command=options.node_command,
        detached=options.detach,
        log=log,
    )
    ports = [node.http_port for node in manager.cluster.nodes]
    if options.base_port is not None:
        ports = [options.base_port + index for index in range(len(ports))]
    manager.choose_ports(ports)
    notes += _warn_of_ports(manager.cluster)
    for note in notes:
        log(note)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def end_at_once(why: str) -> None:
        log(f"{why}: everything is killed")
        manager.kill_all_now()
        ended.set()

    loop.add_signal_handler(signal.SIGCHLD, manager.reap)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end_at_once, f"got {number.name}")
    if not options.detach:
        _watch_owner(loop, end_at_once)
    server = await control.serve(paths.socket_path(), manager.handle, manager.leases.end)
    started = loop.time()
    starting = loop.create_task(manager.start_all())
    ending = loop.create_task(ended.wait())
    try:
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.is_set():
            await starting
            log(f"{len(manager.cluster.nodes)} nodes are ready after {loop.time() - started:.2f} s")
            _report(Answer(ok=True, notes=notes))
            stopping = loop.create_task(manager.stop_asked.wait())
            await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.is_set():
            log("told to stop")
            await manager.stop_all()
    finally:
        server.close()
        starting.cancel()
        manager.kill_all_now()
        paths.state_file.unlink(missing_ok=True)
    return 0


def _watch_owner(loop: asyncio.AbstractEventLoop, end_at_once: Callable[[str], None]) -> None:
    owner = os.getppid()

    def on_stdin() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            end_at_once("the owner is gone")

    def look() -> None:
        if os.getppid() != owner:
            end_at_once("the owner is gone (a child of it holds the pipe open)")
        else:
            loop.call_later(OWNER_POLL_S, look)

    loop.add_reader(0, on_stdin)
    look()


# --- before the start -----------------------------------------------------------------------------------


def _lock(paths: Paths) -> int:
    deadline = time.monotonic() + LOCK_WAIT_S
    while (lock := try_lock(paths.lock_file)) is None:
        with contextlib.suppress(NotRunning):
            control.ask(paths.socket_path(), Status(), timeout_s=LOCK_WAIT_S)
            raise AlreadyRunning(_already(paths))
        if time.monotonic() > deadline:
            raise AlreadyRunning(_already(paths))
        time.sleep(0.02)
    return lock


def _already(paths: Paths) -> str:
    named = "" if paths.name == "quorum-lab" else f" --cluster {paths.name}"
    return f"cluster {paths.name} runs already; stop it first: python -m kvnode.cluster stop{named}"


def _clean_up_after_the_dead(paths: Paths) -> list[str]:
    """We hold the lock, so whatever state.json says is of a supervisor that died without cleaning up.

    A file that no supervisor can have written is put aside: it decides nothing, least of all whether we can start.
    Returns what people should be told of it.
    """
    try:
        left = read_left_state(paths.state_file)
    except ClusterError as error:
        return [f"{error}; it was set aside as {set_aside(paths.state_file).name}"]
    for child in (*left.nodes, *left.sidecars):
        if child.pid and kill_leftover(child.pid, started=child.process_start):
            log(f"killed {child.name} (process {child.pid}), left behind by an earlier supervisor")
    paths.state_file.unlink(missing_ok=True)
    return []


def _warn_of_ports(cluster: ClusterFile) -> list[str]:
    """What to say of the ports of these nodes and of those that may join later."""
    ephemeral = ephemeral_range()
    ports = {port for node in cluster.nodes for port in (node.http_port, node.peer_port)}
    last = max(node.http_port for node in cluster.nodes)
    for http_port in range(last + 1, last + 1 + NODE_COUNT_MAX - len(cluster.nodes)):
        ports |= {http_port, peer_port_of(http_port, ephemeral[0])}
    warning = warn_of_ephemeral(ports, ephemeral)
    return [warning] if warning else []


def _forget(paths: Paths) -> None:
    for folder in paths.folder.glob("node-*/"):
        shutil.rmtree(folder)
    if paths.cluster_file.is_dir():
        shutil.rmtree(paths.cluster_file)
    paths.cluster_file.unlink(missing_ok=True)


def _plan_cluster(paths: Paths, options: StartOptions) -> ClusterFile:
    if options.base_port is not None:
        check_base_port(options.base_port)
    known = ClusterFile.read(paths.cluster_file)
    if known is not None:
        for what, asked, has in (
            ("nodes", options.nodes, len(known.nodes)),
            ("replicas", options.replicas, known.replicas),
        ):
            if asked is not None and asked != has:
                raise BadCommand(
                    f"cluster {paths.name} was created with {has} {what}, not {asked}; "
                    "--fresh deletes its data and creates it anew, --cluster NAME makes another one"
                )
        known = _with_maintenance(known, options.maintenance).with_secret()
        return _open_to(known, options)
    count = NODES_DEFAULT if options.nodes is None else options.nodes
    if not 1 <= count <= NODE_COUNT_MAX:
        raise BadCommand(f"{count} nodes: expected 1 to {NODE_COUNT_MAX}")
    replicas = min(REPLICAS_DEFAULT, count) if options.replicas is None else options.replicas
    if not 1 <= replicas <= count:
        raise BadCommand(f"{replicas} replicas: expected 1 to {count}, the number of nodes")
    first = BASE_PORT_DEFAULT if options.base_port is None else options.base_port
    nodes = tuple(
        NodeAddress(f"node-{index + 1}", HOST, first + index, first + index + PEER_OFFSET)
        for index in range(count)
    )
    cluster = ClusterFile(paths.name, new_cluster_id(), replicas, nodes).with_secret()
    cluster = _with_maintenance(cluster, options.maintenance)
    return _open_to(cluster, options)


def _open_to(cluster: ClusterFile, options: StartOptions) -> ClusterFile:
    """Where it listens, and what it demands of clients. What once was demanded is demanded from then on."""
    cluster = cluster.with_token() if options.token else cluster
    return cluster if options.host is None else cluster.at(options.host)


def _with_maintenance(cluster: ClusterFile, maintenance: Mapping[str, float] | None) -> ClusterFile:
    if maintenance is None:
        return cluster
    try:
        seconds = {**cluster.maintenance, **maintenance}
        msgspec.convert(seconds, MaintenanceConfig).check()
    except (ValueError, TypeError, msgspec.ValidationError, ConfigError) as error:
        raise BadCommand(f"maintenance: {str(error).removeprefix('maintenance: ')}") from error
    return structs.replace(cluster, maintenance=seconds)


# --- talking to who started us --------------------------------------------------------------------------


def _report(report: Answer) -> None:
    with contextlib.suppress(OSError):  # who started us may be gone; the pipe tells that soon enough
        os.write(1, to_json(report))
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # closes our end of the report pipe
    os.close(nothing)


def _report_failure(error: ClusterError | OSError) -> int:
    """Also when the computer refused something: which file, and why."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        error = StartFailed(f"{where}{error.strerror or error}")
    log(f"failed: {error}")
    _report(Answer.refusal(error))
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
