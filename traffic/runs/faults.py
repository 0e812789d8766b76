"""What was done to a cluster, read from what its supervisor says, and how to have it done again.

Here: from two states to the fault actions between them, from an action to the command that repeats it, and repeating
those of a recording at their times.
Must not live here: the supervisor (nodes/supervisor.py), the file (recording.py).

Two kinds of events are in a recording. *Seen* are those that nodes show to anybody who asks them: one that is dead,
or suspect. *Done* are their causes, and only those can be repeated: kill, wipe, pause, resume, restart, cut,
cut-one-way, heal, reconnect, delay, bandwidth, skew, slow-disk. A node that died by itself was killed, for all that
the traffic knows; a node that was killed and restarted between two looks was restarted. A file may come from anybody:
what it says is taken for one of these actions or for nothing, never for a command.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from kvnode.cluster.contract import OF_LINKS, Command, command_from
from kvnode.cluster.errors import BadCommand
from traffic.clock import Clock, monotonic
from traffic.nodes.supervisor import NodeState, Refused, State, Supervisor
from traffic.runs.recording import Fault

OF_PROCESSES = ("kill", "wipe", "pause", "resume", "restart")
OF_CUTS = ("cut", "cut-one-way", "heal", "reconnect")
OF_NODES = ("skew", "slow-disk")
FAULT_ACTIONS = (*OF_PROCESSES, *OF_CUTS, *OF_LINKS, *OF_NODES)
_DOWN = ("dead", "failed")

Link = tuple[str, str]
Figures = dict[str, float | str]


def fault_actions(before: State | None, now: State, *, at_s: float) -> list[Fault]:
    """What was done between two looks; before the first one everything was well."""
    known = {node.name: node for node in before.nodes} if before else {}
    found: list[Fault] = []

    def did(what: str, *nodes: str, **figures: float | str) -> None:
        found.append(Fault(t_s=at_s, what=what, nodes=list(nodes), source="done", figures=figures))

    for node in now.nodes:
        was = known.get(node.name) or NodeState(node.name, node.url, restarts=node.restarts)
        for what in _to_process(was, node):
            did(what, node.name)
        if node.clock_skew_ms != was.clock_skew_ms:
            did("skew", node.name, ms=node.clock_skew_ms)
        if node.disk_delay_ms != was.disk_delay_ms:
            did("slow-disk", node.name, ms=node.disk_delay_ms)
    cuts_before, cuts = _cuts(before), _cuts(now)
    slow_before, slow = _slow(before), _slow(now)
    if cuts_before - cuts:
        did("reconnect" if slow else "heal")
        cuts_before = set()
    for sender, receiver in sorted(cuts - cuts_before):
        if (receiver, sender) not in cuts - cuts_before:
            did("cut-one-way", sender, receiver)
        elif sender < receiver:
            did("cut", sender, receiver)
    for key in sorted(slow_before.keys() | slow.keys()):
        what, one, other = key
        if slow.get(key) != slow_before.get(key):
            did(what, one, other, **slow.get(key, {next(iter(OF_LINKS[what])): 0.0}))
    return found


def seen(before: Mapping[str, str], now: Mapping[str, str], at_s: float) -> list[Fault]:
    """What has become of each node, as their answers show it."""
    news = {
        name: state if name in before else "joined"
        for name, state in now.items()
        if state != before.get(name)
    }
    news |= {name: "left" for name in before if name not in now}
    return [Fault(t_s=at_s, what=what, nodes=[name], source="seen") for name, what in news.items()]


def command_of(fault: Fault) -> Command | None:
    """What the supervisor must be told to have it done again; None if that cannot be repeated."""
    nodes, figures = fault.nodes, fault.figures
    words: dict[str, Any] | None = None
    if fault.source != "done":
        return None
    if fault.what in OF_PROCESSES:
        words = {"command": fault.what, "nodes": nodes}
    elif fault.what in ("cut", "cut-one-way") and len(nodes) == 2:
        both_ways = fault.what == "cut"
        words = {"command": "cut", "sender": nodes[0], "receiver": nodes[1], "both_ways": both_ways}
    elif fault.what in ("heal", "reconnect"):
        # Recordings name each delay that went as an action of its own, and older ones call both of these "heal".
        words = {"command": "reconnect"}
    elif fault.what in OF_LINKS and len(nodes) == 2:
        fields = OF_LINKS[fault.what]
        words = {"command": fault.what, next(iter(fields.values())): 0.0, "nodes": nodes}
        words |= {fields.get(name, name): value for name, value in figures.items()}
    elif fault.what in OF_NODES and len(nodes) == 1:
        words = {"command": fault.what, "node": nodes[0], "ms": figures.get("ms", 0.0)}
    try:
        return None if words is None else command_from(msgspec.json.encode(words))
    except BadCommand:
        return None


class Repeating:
    """The fault actions of a recording, done again `speed` times as fast. One that is refused is told on stderr."""

    def __init__(
        self, faults: Sequence[Fault], supervisor: Supervisor, *, speed: float = 1.0, clock: Clock = monotonic
    ) -> None:
        self._due = sorted(
            ((fault.t_s / speed, fault, command) for fault in faults if (command := command_of(fault))),
            key=lambda one: one[0],
        )
        self._supervisor = supervisor
        self._clock = clock
        self.left = len(self._due)

    async def run(self) -> None:
        """From the beginning of the run. No action waits for the one before to be answered: a restart takes a while."""
        began_s = self._clock()
        try:
            async with asyncio.TaskGroup() as group:
                for due_s, fault, command in self._due:
                    await asyncio.sleep(max(began_s + due_s - self._clock(), 0.0))
                    group.create_task(self._repeat(fault, command))
        finally:
            self.left = 0  # whatever ended it: nobody waits for more

    async def _repeat(self, fault: Fault, command: Command) -> None:
        try:
            await self._supervisor.tell(command)
        except Refused as error:
            what = " ".join((fault.what, *fault.nodes))
            print(f"traffic: {what}, recorded at {fault.t_s:g} s, was not repeated: {error}", file=sys.stderr)
        finally:
            self.left -= 1


def _to_process(was: NodeState, node: NodeState) -> Iterator[str]:
    state = was.state
    if node.restarts > was.restarts:
        yield "restart"
        state = "running"
    if node.state in _DOWN:
        if node.wiped and (state not in _DOWN or not was.wiped):
            yield "wipe"
        elif state not in _DOWN:
            yield "kill"
    elif node.state == "paused" != state:
        yield "pause"
    elif state == "paused" != node.state:
        yield "resume"


def _cuts(state: State | None) -> set[Link]:
    nodes = state.nodes if state else []
    return {(node.name, peer) for node in nodes for peer, rule in node.rules.items() if rule.get("cut")}


def _slow(state: State | None) -> dict[tuple[str, str, str], Figures]:
    """By command and pair: the supervisor delays and narrows both ways alike."""
    found: dict[tuple[str, str, str], Figures] = {}
    for node in state.nodes if state else []:
        for peer, rule in node.rules.items():
            for what, parts in OF_LINKS.items():
                figures: Figures = {name: value for name, value in rule.items() if name in parts}
                if figures:
                    found[what, min(node.name, peer), max(node.name, peer)] = figures
    return found
