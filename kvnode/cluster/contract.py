"""What others may read and ask of a local cluster: its state, as in state.json, and the one table of its commands.

Every command is a struct. As JSON, with its name under "command", it is a line on the supervisor's socket; its fields
are the words of the command line (`Word` says how) and the arguments of the method of LocalCluster (`FaultVerbs`). So
another fault needs its struct and its line here, and the place that does it: faults/rules.py for what is wrong with
links, clocks and disks, processes/manager.py for processes.

Invariant: a field that state.json once had keeps its name and its kind.
Must not live here: where the files are (paths.py), what becomes of a command (processes/manager.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, update_wrapper
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, ParamSpec, Protocol, Self, TypeVar, Union, cast, overload

import msgspec
from msgspec import Struct

from kvnode.cluster.errors import BadCommand
from kvnode.faults import DELAY_MS_MAX, DISTRIBUTIONS, NO_FAULT, Distribution, LinkRule

P = ParamSpec("P")
S = TypeVar("S", bound=Struct)
NodeName = str | int
"""A node by its name, "node-2", or by its number, 2 or "2"."""

# --- the state ------------------------------------------------------------------------------------------

NodeState = Literal["starting", "running", "paused", "dead", "failed"]
"""dead: killed, crashed or stopped. failed: did not start; the reason says why."""

Rules = dict[str, dict[str, Any]]
"""The outgoing rules of one node, by peer, as in kvnode.faults.LinkRule; what is no fault is left out."""


class NodeInfo(Struct, kw_only=True, omit_defaults=True):
    """One node as its supervisor sees it. since_ms: wall clock of the last change of state.

    process_start: with its pid it names the process for ever. killed: by a command, and it has not run since; wiped: so
    was its data deleted.
    clock_skew_ms: its wall clock is so far ahead. disk_delay_ms: each sync of its disk takes so much longer.
    """

    name: str
    host: str
    http_port: int
    peer_port: int
    url: str
    pid: int | None
    process_start: str
    state: NodeState
    reason: str
    since_ms: int
    restarts: int
    data_dir: Path
    log_file: Path
    rules: Rules
    killed: bool = False
    wiped: bool = False
    clock_skew_ms: float = 0.0
    disk_delay_ms: float = 0.0


NodeStatus = NodeInfo


class SidecarInfo(Struct, kw_only=True):
    """One other process that lives as long as the cluster. ready_line: what it printed when it was ready."""

    name: str
    pid: int | None
    process_start: str
    state: NodeState
    reason: str
    argv: list[str]
    ready_line: str
    log_file: Path


class MembershipChange(Struct):
    """The last join or leave, finished or not. done of total partitions have arrived. error: why it came to nothing.

    step: what is waited for now, in words; empty once it is finished.
    """

    what: Literal["join", "leave"]
    node: str
    done: int = 0
    total: int = 0
    finished: bool = False
    error: str = ""
    step: str = ""


class LeaseInfo(Struct):
    """Somebody on whose account things are wrong. faults: how many things. stopped: nodes that run again at its end."""

    holder: str
    pid: int
    faults: int
    stopped: list[str]


class TopologyInfo(Struct):
    """The named topology that is set, and in which region each node lies."""

    name: str
    factor: float
    regions: dict[str, str]


class ClusterState(Struct, kw_only=True):
    """All of a cluster at one moment. trouble: why state.json is older than this; empty if it is not."""

    cluster: str
    cluster_id: str
    supervisor_pid: int
    detached: bool
    socket: str
    replicas: int
    created_at: int
    phase: Literal["starting", "running"]
    trouble: str
    topology: TopologyInfo | None
    nodes: list[NodeInfo]
    change: MembershipChange | None = msgspec.field(default=None, name="move")
    leases: list[LeaseInfo]
    sidecars: list[SidecarInfo]


class Answer(Struct, omit_defaults=True):
    """What the supervisor says of a command, or of its start. kind and error: of the ClusterError, if it refused.

    notes: what people should be told of the start, a sentence each.
    """

    ok: bool
    state: ClusterState | None = None
    kind: str = ""
    error: str = ""
    notes: list[str] = []

    @classmethod
    def refusal(cls, error: Exception) -> Answer:
        """Of this error."""
        return cls(False, kind=type(error).__name__, error=str(error))


def to_json(what: Struct) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(what, enc_hook=str) + b"\n"


def from_json(line: bytes, kind: type[S]) -> S:
    """What `to_json` made. ValueError if it is no such thing."""
    return msgspec.json.decode(line, type=kind, dec_hook=lambda wanted, value: wanted(value))


# --- the table of commands ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """How one field is said on the command line: as an option, or as what `name` stands for.

    nargs, choices, metavar: as in argparse. flag: what an option without a value means. parse: all the words at once.
    """

    name: str
    help: str = ""
    nargs: str | None = None
    choices: Sequence[str] | None = None
    metavar: str | None = None
    flag: bool | None = None
    parse: Callable[[Sequence[str]], Any] | None = None


def groups_of(words: Sequence[str]) -> list[list[str]]:
    """Groups from a command line: "node-1,node-2 / node-3", with or without spaces around the slash."""
    return [group.replace(",", " ").split() for group in " ".join(words).split("/")]


ANode = Annotated[NodeName, Word("NODE")]
NodeOrAll = Annotated[NodeName | None, Word("NODE", nargs="?")]
NodesOfALink = Annotated[
    tuple[NodeName, NodeName] | None,
    Word("NODE", "none, or a pair", nargs="*", parse=lambda words: tuple(words) or None),
]
Ms = Annotated[float, Word("MS")]


class Command(Struct, tag_field="command", forbid_unknown_fields=True):
    """Something that a supervisor can be told. Nodes that were given by number have their names afterwards."""

    def __post_init__(self) -> None:
        for name in ("node", "sender", "receiver"):
            if (node := getattr(self, name, None)) is not None:
                setattr(self, name, node_name(node))
        if (nodes := getattr(self, "nodes", None)) is not None:
            setattr(self, "nodes", [node_name(node) for node in nodes])  # noqa: B010 - only some have it


def node_name(node: NodeName) -> str:
    """Its name, also if a number was given."""
    text = str(node).strip()
    return f"node-{text}" if text.isdigit() else text


class _OfNodes(Command):
    nodes: Annotated[Sequence[NodeName], Word("NODE", nargs="+")]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.nodes:
            raise BadCommand("name at least one node, such as node-2")

    @classmethod
    def of(cls, *nodes: NodeName) -> Self:
        """The same with the nodes one after the other."""
        return cls(nodes)


class Kill(_OfNodes, tag="kill"):
    """Kill -9 nodes: gone at once, and dead until `restart`. Their disks stay."""


class Pause(_OfNodes, tag="pause"):
    """Freeze nodes (SIGSTOP): connections stay open and nobody answers."""


class Resume(_OfNodes, tag="resume"):
    """Let paused nodes go on (SIGCONT)."""


class Restart(_OfNodes, tag="restart"):
    """Start nodes again, on the same ports and data, whether dead, paused or running; wait until they are ready.

    Raises NodeFailed with the reason if one does not come up.
    """


class Wipe(_OfNodes, tag="wipe"):
    """Kill nodes and delete their data, as when a disk is lost; they stay dead until `restart`."""


class Partition(Command, tag="partition"):
    """Cut the links between groups of nodes: 1,2 / 3. Replaces earlier cuts; one group is cut off from the rest."""

    groups: Annotated[
        Sequence[Sequence[NodeName]], Word("GROUP", "NODE,NODE,… with / between", nargs="+", parse=groups_of)
    ]

    def __post_init__(self) -> None:
        self.groups = [[node_name(node) for node in group] for group in self.groups]


class Isolate(Command, tag="isolate"):
    """Cut a node off from all others; clients still reach it. Earlier cuts stay."""

    node: ANode


class Cut(Command, tag="cut"):
    """Cut the link between two nodes, both ways or only what the first sends to the second."""

    sender: ANode
    receiver: ANode
    both_ways: Annotated[bool, Word("--one-way", "only what the first sends to the second", flag=False)] = (
        True
    )


class Heal(Command, tag="heal"):
    """Undo all faults of the network, of all links or of those of one node. Clocks and disks stay as they are."""

    node: NodeOrAll = None


class Reconnect(Command, tag="reconnect"):
    """Undo cuts alone, all or those that touch one node; delays and loss stay."""

    node: NodeOrAll = None


class Delay(Command, tag="delay"):
    """Slow the links between all nodes, or between two, by `ms` each way; 0 undoes it. Cuts stay.

    distribution: "fixed", "exponential" or "long-tailed", with `ms` as the mean (kvnode.faults.LinkRule).
    """

    ms: Annotated[float, Word("MS", "milliseconds each way")]
    jitter_ms: Annotated[float, Word("--jitter", "plus or minus so much", metavar="MS")] = 0.0
    loss: Annotated[float, Word("--loss", "messages lost, 0 to 1", metavar="SHARE")] = 0.0
    distribution: Annotated[
        Distribution, Word("--distribution", "how delays scatter (default: fixed)", choices=DISTRIBUTIONS)
    ] = "fixed"
    nodes: NodesOfALink = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_pair(self)

    def told(self) -> dict[str, Any]:
        """The parts of a rule of kvnode.faults that are a fault. BadCommand says what is out of bounds."""
        if not 0 <= self.ms <= DELAY_MS_MAX or not 0 <= self.jitter_ms <= DELAY_MS_MAX:
            raise BadCommand(f"delay and jitter must be from 0 to {DELAY_MS_MAX:.0f} ms")
        if not 0 <= self.loss <= 1:
            raise BadCommand(f"loss {self.loss}: expected a share from 0 to 1")
        if self.distribution not in DISTRIBUTIONS:
            raise BadCommand(f"distribution {self.distribution!r}: expected {', '.join(DISTRIBUTIONS)}")
        distribution = self.distribution if self.ms else "fixed"
        return parts_of(LinkRule(self.ms, self.jitter_ms, self.loss, distribution=distribution))


class Bandwidth(Command, tag="bandwidth"):
    """Let the links between all nodes, or between two, carry so many bytes a second each way; 0 undoes it.

    A message waits behind those before it, and then takes its delay.
    """

    bytes_per_s: Annotated[float, Word("BYTES_PER_S", "bytes a second each way")]
    nodes: NodesOfALink = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_pair(self)

    def told(self) -> dict[str, Any]:
        """As of a delay."""
        rule = LinkRule(bytes_per_s=self.bytes_per_s)
        try:
            rule.check()
        except ValueError as error:
            raise BadCommand(str(error)) from error
        return parts_of(rule)


OF_LINKS: dict[str, dict[str, str]] = {
    "delay": {"delay_ms": "ms", "jitter_ms": "jitter_ms", "loss": "loss", "distribution": "distribution"},
    "bandwidth": {"bytes_per_s": "bytes_per_s"},
}
"""Command -> which parts of a rule it sets, and by which of its fields, the first of which undoes it when it is 0."""


def parts_of(rule: LinkRule) -> dict[str, Any]:
    """What of a rule is a fault."""
    whole = msgspec.structs.asdict(NO_FAULT)
    return {name: value for name, value in msgspec.structs.asdict(rule).items() if value != whole[name]}


def _check_pair(command: Delay | Bandwidth) -> None:
    count = len(command.nodes or ())
    if count not in (0, 2):
        raise BadCommand(f"{name_of(command)}: expected no node or a pair, got {count}")


class Skew(Command, tag="skew"):
    """Set a node's clock `ms` ahead, or behind (-5000); 0 sets it right. `mode=lww` trusts it."""

    node: ANode
    ms: Ms


class SlowDisk(Command, tag="slow-disk"):
    """Let each sync of a node's disk take `ms` longer; 0 undoes it."""

    node: ANode
    ms: Ms


class Spread(Command, tag="topology"):
    """Put nodes into regions of the world, by published round trips.

    Delays every link by half of a round trip, times the factor; replaces all delays. Undone as they are: by `delay(0)`,
    `heal` and `reset`. Cuts stay. The figures: faults/topologies.py.
    """

    name: Annotated[
        str, Word("NAME", "three-regions or five-regions", choices=("three-regions", "five-regions"))
    ]
    factor: Annotated[float, Word("--factor", "times so much (default: 1)")] = 1.0


class Reset(Command, tag="reset"):
    """All faults gone, everybody running."""


class Join(Command, tag="join"):
    """Start one more node and let it take its share over. delay_ms: its links take so much longer, one way."""

    delay_ms: float = 0.0


class Leave(Command, tag="leave"):
    """Let a node hand its data over, then end it."""

    node: ANode
    force: Annotated[bool, Word("--force", "it is dead: the others rebuild what it held", flag=True)] = False


class Status(Command, tag="status"):
    """Say the state."""


class Stop(Command, tag="stop"):
    """End the cluster."""


class TakeLease(Command, tag="lease"):
    """Undo what is done over this connection when it ends, or when this process does (faults/leases.py)."""

    pid: int
    holder: str = ""


class Undo(Command, tag="undo"):
    """Undo what this lease has done so far."""


class StartSidecar(Command, tag="start_sidecar"):
    """Run any command as long as the cluster runs."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    ready_prefix: str | None = None
    timeout_s: float = 20.0


class StopSidecar(Command, tag="stop_sidecar"):
    """Ask a sidecar to end."""

    name: str


@cache
def commands() -> dict[str, type[Command]]:
    """All commands by name."""
    return {name_of(kind): kind for kind in _kinds(Command) if kind is not _OfNodes}


def _kinds(kind: type[Command]) -> Iterator[type[Command]]:
    for one in kind.__subclasses__():
        yield from (one, *_kinds(one))


def name_of(command: Command | type[Command]) -> str:
    """What it is called."""
    return str(command.__struct_config__.tag)


@cache
def _decoder() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(Union[tuple(commands().values())])  # noqa: UP007 - made of the table


def command_from(line: bytes) -> Command:
    """A command from a line of JSON. BadCommand if it is none."""
    try:
        return cast(Command, _decoder().decode(line))
    except ValueError as error:  # msgspec's errors are
        known = f"; there are {', '.join(sorted(commands()))}" if "$.command" in str(error) else ""
        raise BadCommand(f"this command makes no sense: {error}{known}") from error


# --- as methods -----------------------------------------------------------------------------------------


class Commanded(Protocol):
    """What can be told commands."""

    def do(self, command: Command, *, patience_s: float = 30.0) -> ClusterState: ...


class Does(Generic[P]):
    """A method that tells one command; it takes the arguments that make it."""

    def __init__(self, make: Callable[P, Command]) -> None:
        self._make = make
        self.kind: type[Command] = cast(type[Command], getattr(make, "__self__", make))
        """The command that it tells."""

    @overload
    def __get__(self, cluster: None, owner: type) -> Does[P]: ...

    @overload
    def __get__(self, cluster: Commanded, owner: type) -> Callable[P, None]: ...

    def __get__(self, cluster: Commanded | None, owner: type) -> Does[P] | Callable[P, None]:
        if cluster is None:
            return self

        def tell(*words: P.args, **named: P.kwargs) -> None:
            cluster.do(self._make(*words, **named))

        update_wrapper(tell, self._make, updated=())
        tell.__doc__ = self.kind.__doc__
        return tell


class FaultVerbs:
    """Breaks and mends: each command as a method."""

    kill = Does(Kill.of)
    pause = Does(Pause.of)
    resume = Does(Resume.of)
    restart = Does(Restart.of)
    wipe = Does(Wipe.of)
    partition = Does(Partition)
    isolate = Does(Isolate)
    cut = Does(Cut)
    heal = Does(Heal)
    reconnect = Does(Reconnect)
    delay = Does(Delay)
    bandwidth = Does(Bandwidth)
    topology = Does(Spread)
    skew = Does(Skew)
    slow_disk = Does(SlowDisk)
    reset = Does(Reset)
