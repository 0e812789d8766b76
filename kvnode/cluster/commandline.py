"""python -m kvnode.cluster: the command line of local clusters.

Thin: every command is one method of LocalCluster; those that break and mend are read from the table (contract.py).
Every error is one line that says what to do, and exit code 1.
Must not live here: what the commands do (local.py, processes/manager.py).
"""

from __future__ import annotations

import argparse
import inspect
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, get_type_hints

import msgspec

from kvnode.cluster.contract import Command, Does, FaultVerbs, Leave, Word, name_of, to_json
from kvnode.cluster.errors import AlreadyRunning, BadCommand, ClusterError, NotRunning
from kvnode.cluster.local import LocalCluster
from kvnode.cluster.paths import DEFAULT_NAME, state_root
from kvnode.cluster.processes.starting import NODE_COMMAND
from kvnode.cluster.progress import end_progress, show_progress
from kvnode.cluster.table import aligned, status_table, wrong_lines
from kvnode.config import MAINTENANCE_NAMES, MAINTENANCE_TASKS

Run = Callable[[argparse.Namespace], None]
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
  python -m kvnode.cluster bandwidth 50000 1 2    50,000 bytes/s between two, each way
  python -m kvnode.cluster topology three-regions --factor 0.5    half as far apart as in the world
  python -m kvnode.cluster skew 2 5000            node-2's clock runs 5 s ahead
  python -m kvnode.cluster slow-disk 3 100        every sync of node-3's disk takes 100 ms longer
  python -m kvnode.cluster join                   one more node, which takes its share over
  python -m kvnode.cluster leave 4                node-4 hands its data over and goes
  python -m kvnode.cluster sweep                  forget deleted keys, where nothing older can be left
  python -m kvnode.cluster maintenance repair     compare all replicas now, and mend what differs
  python -m kvnode.cluster reset                  all faults gone, everybody running
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 for an error that was explained, 2 for a bad command line."""
    options = parser().parse_args(argv)
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, (signal.SIGINT,)
    )  # held back until here by scripts/environment.sh
    try:
        run: Run = options.run
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
    top = argparse.ArgumentParser(
        prog="python -m kvnode.cluster",
        description="Start, watch and break a cluster of database nodes on this computer.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    common = argparse.ArgumentParser(add_help=False)
    for of_name, default in (
        (top, DEFAULT_NAME),
        (common, argparse.SUPPRESS),
    ):  # before the command, or after
        text = f"which cluster (default: {DEFAULT_NAME}); --name is the same"
        of_name.add_argument(
            "--cluster", "--name", dest="cluster", metavar="NAME", default=default, help=text
        )
    subparsers = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, run: Run, text: str, *earlier: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(
            name, aliases=earlier, parents=[common], help=text, description=text, allow_abbrev=False
        )
        command.set_defaults(run=run)
        return command

    _add_start(add("start", _start, "start a cluster; until Ctrl-C, or with --detach until `stop`"))
    status = add("status", _status, "what runs where, and which links are faulty")
    status.add_argument("--json", action="store_true", help="the whole state, for programs")
    add("list", _list, "the clusters of this user, running or not")
    add("stop", _stop, "stop a cluster; its data stays")
    for kind in _kinds_of_faults():
        _add_words(add(name_of(kind), partial(_tell, kind), _help_of(kind)), kind)
    add("join", _join, "start one more node and let it take its share over")
    _add_words(add("leave", _leave, _help_of(Leave)), Leave)
    maintenance = add("maintenance", _maintain, "do maintenance tasks at every running node now", "upkeep")
    maintenance.add_argument(
        "works", nargs="*", metavar="TASK", help=f"{', '.join(MAINTENANCE_TASKS)} (default: all)"
    )
    sweep = add("sweep", _maintain, "forget the tombstones of deleted keys that can go: maintenance sweep")
    sweep.set_defaults(works=["sweep"])
    return top


def _add_start(start: argparse.ArgumentParser) -> None:
    start.add_argument("--nodes", type=int, help="how many (default: as created, else 3)")
    start.add_argument("--replicas", type=int, help="copies of each key (default: as created, else 3)")
    start.add_argument("--base-port", type=int, help="HTTP port of node-1 (default: as last time, else 9999)")
    start.add_argument(
        "--host", help="listen here, such as 0.0.0.0; makes a secret for nodes and a token for clients"
    )
    start.add_argument(
        "--maintenance",
        "--upkeep",
        nargs="+",
        metavar="NAME=SECONDS",
        help=f"how often each task begins, such as sweep_s=10; names: {', '.join(MAINTENANCE_NAMES)}",
    )
    start.add_argument("--token", action="store_true", help="demand a token of clients, on loopback too")
    start.add_argument("--detach", action="store_true", help="run in the background until `stop`")
    start.add_argument("--fresh", action="store_true", help="delete this cluster's data first")
    start.add_argument("--node-command", type=shlex.split, default=NODE_COMMAND, help=argparse.SUPPRESS)


# --- the table of commands as words ------------------------------------------------------------------------


def _kinds_of_faults() -> list[type[Command]]:
    """The commands that are methods of FaultVerbs, in their order."""
    return [verb.kind for verb in vars(FaultVerbs).values() if isinstance(verb, Does)]


def _help_of(kind: type[Command]) -> str:
    """The first paragraph of what the table says of it."""
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split()).rstrip(".")
    return text[0].lower() + text[1:]


def _words_of(kind: type[Command]) -> Iterator[tuple[str, Word, msgspec.structs.FieldInfo]]:
    hints = get_type_hints(kind, include_extras=True)
    for info in msgspec.structs.fields(kind):
        for word in getattr(hints[info.name], "__metadata__", ()):
            yield info.name, word, info


def _add_words(command: argparse.ArgumentParser, kind: type[Command]) -> None:
    """Options and arguments for the fields of a command."""
    for name, word, info in _words_of(kind):
        is_option = word.name.startswith("-")
        traits: dict[str, Any] = {"help": word.help}
        if is_option:
            traits |= {"dest": name, "default": info.default}
        if word.flag is not None:
            command.add_argument(word.name, action=f"store_{str(word.flag).lower()}", **traits)
            continue
        traits |= {"nargs": word.nargs, "choices": word.choices}
        traits["metavar"] = word.metavar if is_option else word.name
        traits["type"] = float if float in (info.type, *getattr(info.type, "__args__", ())) else None
        command.add_argument(word.name if is_option else name, **traits)


def _command_of(kind: type[Command], options: argparse.Namespace) -> Command:
    """The command that was given as words."""
    given = {}
    for name, word, _ in _words_of(kind):
        said = getattr(options, name)
        given[name] = said if word.parse is None else word.parse(said)
    return kind(**given)


def _tell(kind: type[Command], options: argparse.Namespace) -> None:
    command = _command_of(kind, options)
    cluster = LocalCluster.attach(options.cluster)
    cluster.do(command)
    _show(cluster)


# --- start and stop -------------------------------------------------------------------------------------


def _start(options: argparse.Namespace) -> None:
    try:
        cluster = LocalCluster.start(
            options.cluster,
            options.nodes,
            base_port=options.base_port,
            replicas=options.replicas,
            detach=options.detach,
            fresh=options.fresh,
            node_command=options.node_command,
            host=options.host,
            token=options.token,
            maintenance=None if options.maintenance is None else _seconds(options.maintenance),
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
        print(f"runs in the background; to stop it: {STOP}{_named(options.cluster)}")
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
    running = LocalCluster.attach(options.cluster)
    running.wait_started()
    differs = options.nodes not in (None, len(running.nodes)) or options.replicas not in (
        None,
        running.replicas,
    )
    if options.fresh or differs or options.host is not None or options.maintenance is not None:
        raise AlreadyRunning(f"{error}  (it is at {', '.join(running.urls)})") from None
    _show(running)
    print(f"it was running already and is left as it is; to stop it: {STOP}{_named(options.cluster)}")


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
    cluster = LocalCluster.attach(options.cluster)
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
    cluster = LocalCluster.attach(options.cluster)
    if options.json:
        print(msgspec.json.format(to_json(cluster.state()), indent=1).decode())
    else:
        _show(cluster)


def _join(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.cluster)
    joined = cluster.join(on_progress=show_progress)
    end_progress()
    print(f"{joined.name} has joined at {joined.url}")
    _show(cluster)


def _leave(options: argparse.Namespace) -> None:
    cluster = LocalCluster.attach(options.cluster)
    name = cluster.node(options.node).name
    cluster.leave(name, force=options.force, on_progress=show_progress)
    end_progress()
    print(f"{name} has left")
    _show(cluster)


def _maintain(options: argparse.Namespace) -> None:
    from kvnode.cluster.maintenance import outcome_table

    cluster = LocalCluster.attach(options.cluster)
    print(outcome_table(cluster.maintain(*options.works)))


def _seconds(settings: list[str]) -> dict[str, float]:
    """From NAME=SECONDS to numbers; the supervisor checks them."""
    seconds = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        try:
            seconds[name] = float(text)
        except ValueError:
            raise BadCommand(f"maintenance: {setting!r}: expected NAME=SECONDS, such as sweep_s=10") from None
    return seconds


def _show(cluster: LocalCluster) -> None:
    state = cluster.state()
    print(status_table(state.nodes, state.sidecars))
    for line in wrong_lines(state):
        print(line)
    sys.stdout.flush()


def _named(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --cluster {name}"
