"""python -m kvnode.cluster: the command line of local clusters.

Thin: every command is one method of LocalCluster. Every error is one line that says what to do, and exit
code 1. Not here: what the commands do (local.py, processes/manager.py).
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from kvnode.cluster.errors import AlreadyRunning, BadCommand, ClusterError, NotRunning
from kvnode.cluster.faults.rules import parse_groups
from kvnode.cluster.faults.topologies import REGIONS
from kvnode.cluster.local import NODE_COMMAND, LocalCluster
from kvnode.cluster.paths import DEFAULT_NAME, state_root
from kvnode.cluster.progress import end_progress, show_progress
from kvnode.cluster.table import aligned, status_table, wrong_lines
from kvnode.config import MAINTENANCE_NAMES, MAINTENANCE_TASKS
from kvnode.faults import DISTRIBUTIONS

STOP = "python -m kvnode.cluster stop"
EPILOG = """\
A NODE is a name or a number: node-2 or 2. Examples:

  python -m kvnode.cluster start                  three nodes, until Ctrl-C
  python -m kvnode.cluster start --detach         three nodes, until `stop`
  python -m kvnode.cluster kill 2                 kill -9; stays dead until `restart 2`
  python -m kvnode.cluster partition 1,2 / 3      node-3 alone on its side
  python -m kvnode.cluster partition 3            the same
  python -m kvnode.cluster delay 50 --jitter 10   every link 50 ms slower, each way
  python -m kvnode.cluster delay 50 --distribution long-tailed    50 ms on average, some far more
  python -m kvnode.cluster topology three-regions --factor 0.5    half as far apart as in the world
  python -m kvnode.cluster skew 2 5000            node-2's clock runs 5 s ahead
  python -m kvnode.cluster slow-disk 3 100        every sync of node-3's disk takes 100 ms longer
  python -m kvnode.cluster join                   one more node, which takes its share over
  python -m kvnode.cluster leave 4                node-4 hands its data over and goes
  python -m kvnode.cluster sweep                  forget deleted keys, where nothing older can be left
  python -m kvnode.cluster upkeep repair          compare all replicas now, and mend what differs
  python -m kvnode.cluster reset                  all faults gone, everybody running
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 for an error that was explained, 2 for a bad command line."""
    options = parser().parse_args(argv)
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, (signal.SIGINT,)
    )  # held back until here by scripts/environment.sh
    try:
        run: Callable[[argparse.Namespace], None] = options.run
        run(options)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their help."""
    formatter = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="python -m kvnode.cluster",
        description="Start, watch and break a cluster of database nodes on this computer.",
        epilog=EPILOG,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    common = argparse.ArgumentParser(add_help=False)
    for parser_of_name, default in (
        (top, DEFAULT_NAME),
        (common, argparse.SUPPRESS),
    ):  # before the command, or after
        parser_of_name.add_argument(
            "--cluster",
            "--name",
            dest="name",
            metavar="NAME",
            default=default,
            help=f"which cluster (default: {DEFAULT_NAME}); --name is the same",
        )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[common], help=text, description=text, allow_abbrev=False)
        command.set_defaults(run=run)
        return command

    start = add("start", _start, "start a cluster; until Ctrl-C, or with --detach until `stop`")
    start.add_argument("--nodes", type=int, help="how many (default: as created, else 3)")
    start.add_argument("--replicas", type=int, help="copies of each key (default: as created, else 3)")
    start.add_argument("--base-port", type=int, help="HTTP port of node-1 (default: as last time, else 9999)")
    start.add_argument(
        "--host", help="listen here, such as 0.0.0.0; makes a secret for nodes and a token for clients"
    )
    start.add_argument(
        "--upkeep",
        nargs="+",
        metavar="NAME=SECONDS",
        help=f"how often each work begins, such as sweep_s=10; names: {', '.join(MAINTENANCE_NAMES)}",
    )
    start.add_argument("--token", action="store_true", help="demand a token of clients, on loopback too")
    start.add_argument("--detach", action="store_true", help="run in the background until `stop`")
    start.add_argument("--fresh", action="store_true", help="delete this cluster's data first")
    start.add_argument("--node-command", type=shlex.split, default=NODE_COMMAND, help=argparse.SUPPRESS)
    status = add("status", _status, "what runs where, and which links are faulty")
    status.add_argument("--json", action="store_true", help="the whole state, for programs")
    add("list", _list, "the clusters of this user, running or not")
    add("stop", _stop, "stop a cluster; its data stays")
    for name, text in (
        ("kill", "kill -9 nodes; they stay dead until `restart`"),
        ("pause", "freeze nodes (SIGSTOP)"),
        ("resume", "let paused nodes go on (SIGCONT)"),
        ("restart", "start nodes again, whether dead, paused or running"),
        ("wipe", "kill nodes and delete their data, as when a disk is lost"),
    ):
        add(name, _on_nodes(name), text).add_argument("nodes", nargs="+", metavar="NODE")
    add("join", _join, "start one more node and let it take its share over")
    leave = add("leave", _leave, "let a node hand its data over, then end it")
    leave.add_argument("node", metavar="NODE")
    leave.add_argument("--force", action="store_true", help="it is dead: the others rebuild what it held")
    partition = add("partition", _partition, "cut the links between groups of nodes: 1,2 / 3")
    partition.add_argument("groups", nargs="+", metavar="GROUP", help="NODE,NODE,… with / between")
    add("isolate", _isolate, "cut a node off from all others; clients still reach it").add_argument(
        "node", metavar="NODE"
    )
    cut = add("cut", _cut, "cut the link between two nodes")
    cut.add_argument("sender", metavar="NODE")
    cut.add_argument("receiver", metavar="NODE")
    cut.add_argument("--one-way", action="store_true", help="only what the first sends to the second")
    heal = add("heal", _heal, "undo cuts, delays and loss, of all links or of those of one node")
    heal.add_argument("node", nargs="?", metavar="NODE")
    reconnect = add("reconnect", _reconnect, "undo cuts alone; delays and loss stay")
    reconnect.add_argument("node", nargs="?", metavar="NODE")
    delay = add("delay", _delay, "slow the links between all nodes, or between two; 0 undoes it")
    delay.add_argument("ms", type=float, metavar="MS", help="milliseconds each way")
    delay.add_argument("nodes", nargs="*", metavar="NODE", help="none, or a pair")
    delay.add_argument("--jitter", type=float, default=0.0, metavar="MS", help="plus or minus so much")
    delay.add_argument("--loss", type=float, default=0.0, metavar="SHARE", help="messages lost, 0 to 1")
    delay.add_argument(
        "--distribution", choices=DISTRIBUTIONS, default="fixed", help="how delays scatter (default: fixed)"
    )
    skew = add("skew", _skew, "set a node's clock ahead, or behind (-5000); 0 sets it right")
    skew.add_argument("node", metavar="NODE")
    skew.add_argument("ms", type=float, metavar="MS")
    slow_disk = add("slow-disk", _slow_disk, "let each sync of a node's disk take longer; 0 undoes it")
    slow_disk.add_argument("node", metavar="NODE")
    slow_disk.add_argument("ms", type=float, metavar="MS")
    topology = add("topology", _topology, "nodes in regions of the world, by published round trips")
    topology.add_argument("topology", metavar="NAME", choices=REGIONS, help=" or ".join(REGIONS))
    topology.add_argument("--factor", type=float, default=1.0, help="times so much (default: 1)")
    upkeep = add("upkeep", _upkeep, "do works of upkeep at every running node now")
    upkeep.add_argument(
        "works", nargs="*", metavar="WORK", help=f"{', '.join(MAINTENANCE_TASKS)} (default: all)"
    )
    sweep = add("sweep", _upkeep, "forget the tombstones of deleted keys that can go: upkeep sweep")
    sweep.set_defaults(works=["sweep"])
    add("reset", _reset, "all faults gone, everybody running")
    return top


# --- start and stop -------------------------------------------------------------------------------------


def _start(options: argparse.Namespace) -> None:
    try:
        cluster = LocalCluster.start(
            options.name,
            options.nodes,
            base_port=options.base_port,
            replicas=options.replicas,
            detach=options.detach,
            fresh=options.fresh,
            node_command=options.node_command,
            host=options.host,
            token=options.token,
            upkeep=None if options.upkeep is None else _seconds(options.upkeep),
        )
    except AlreadyRunning as error:
        _find_instead(options, error)
        return
    _show(cluster)
    for note in cluster.notes:
        print(f"note: {note}")
    if cluster.token is not None:
        print(f"clients need the token; it stands in {cluster.folder / 'cluster.json'}")
    if options.detach:
        print(f"runs in the background; to stop it: {STOP}{_named(options.name)}")
        return
    signals = _note_signals()
    print("Ctrl-C stops it", flush=True)
    while not signals and not cluster.supervisor_ended(within_s=0.5):
        pass
    why = f"got {signals[0].name}" if signals else "stopped from outside"
    cluster.stop()
    print(f"\n{why}; cluster {cluster.name} is stopped, its data is in {cluster.folder}")


def _find_instead(options: argparse.Namespace, error: AlreadyRunning) -> None:
    """Somebody has started it, perhaps in the same instant: show it, unless something else was asked for."""
    running = LocalCluster.attach(options.name)
    running.wait_started()
    differs = options.nodes not in (None, len(running.nodes)) or options.replicas not in (
        None,
        running.replicas,
    )
    if options.fresh or differs or options.host is not None or options.upkeep is not None:
        raise AlreadyRunning(f"{error}  (it is at {', '.join(running.urls)})") from None
    _show(running)
    print(f"it was running already and is left as it is; to stop it: {STOP}{_named(options.name)}")


def _note_signals() -> list[signal.Signals]:
    """From now on Ctrl-C, SIGTERM and a closed terminal do not end us but land in this list."""
    noted: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        noted.append(signal.Signals(number))

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, note)
    return noted


def _stop(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.stop(force=True)
    print(f"cluster {cluster.name} is stopped; its data is in {cluster.folder}")


def _list(options: argparse.Namespace) -> None:
    del options
    root = state_root()
    rows = [["NAME", "STATE", "URLS"]]
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if not (folder / "cluster.json").exists():
            continue
        try:
            cluster = LocalCluster.attach(folder.name)
            rows.append([folder.name, "running", " ".join(cluster.urls)])
        except NotRunning:
            rows.append([folder.name, "stopped", "-"])
        except ClusterError as error:
            rows.append([folder.name, "unknown", str(error)])
    print(aligned(rows) if len(rows) > 1 else f"no clusters in {root}")


# --- a running cluster ----------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    if options.json:
        print(json.dumps(cluster.state(), indent=1))
    else:
        _show(cluster)


def _on_nodes(name: str) -> Callable[[argparse.Namespace], None]:
    def run(options: argparse.Namespace) -> None:
        cluster = LocalCluster.attach(options.name)
        getattr(cluster, name)(*options.nodes)
        _show(cluster)

    return run


def _join(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    joined = cluster.join(on_progress=show_progress)
    end_progress()
    print(f"{joined.name} has joined at {joined.url}")
    _show(cluster)


def _leave(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    name = cluster.node(options.node).name
    cluster.leave(name, force=options.force, on_progress=show_progress)
    end_progress()
    print(f"{name} has left")
    _show(cluster)


def _partition(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.partition(parse_groups(options.groups))
    _show(cluster)


def _isolate(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.isolate(options.node)
    _show(cluster)


def _cut(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.cut(options.sender, options.receiver, both_ways=not options.one_way)
    _show(cluster)


def _heal(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.heal(options.node)
    _show(cluster)


def _reconnect(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.reconnect(options.node)
    _show(cluster)


def _delay(options: argparse.Namespace) -> None:
    if len(options.nodes) not in (0, 2):
        raise BadCommand(f"delay: expected no node or a pair, got {len(options.nodes)}")
    cluster = LocalCluster.attach(options.name)
    pair: Any = tuple(options.nodes) or None
    cluster.delay(
        options.ms,
        jitter_ms=options.jitter,
        loss=options.loss,
        distribution=options.distribution,
        nodes=pair,
    )
    _show(cluster)


def _skew(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.skew(options.node, options.ms)
    _show(cluster)


def _slow_disk(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.slow_disk(options.node, options.ms)
    _show(cluster)


def _topology(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.topology(options.topology, factor=options.factor)
    _show(cluster)


def _upkeep(options: argparse.Namespace) -> None:
    from kvnode.cluster.maintenance import outcome_table

    cluster = LocalCluster.attach(options.name)
    print(outcome_table(cluster.upkeep(*options.works)))


def _seconds(settings: list[str]) -> dict[str, float]:
    """From NAME=SECONDS to numbers; the supervisor checks them."""
    seconds = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        try:
            seconds[name] = float(text)
        except ValueError:
            raise BadCommand(f"upkeep: {setting!r}: expected NAME=SECONDS, such as sweep_s=10") from None
    return seconds


def _reset(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.name)
    cluster.reset()
    _show(cluster)


def _show(cluster: LocalCluster) -> None:
    print(status_table(cluster.nodes, cluster.sidecars))
    for line in wrong_lines(cluster.state(), cluster.faults(), cluster.nodes):
        print(line)
    sys.stdout.flush()


def _named(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --cluster {name}"
