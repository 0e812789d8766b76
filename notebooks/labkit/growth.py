"""Nodes that come and go while users go on: begin a change, follow it, and write down what it cost them.

A join is slowed on the newcomer's links, so that people can watch the data arrive; that is undone when it is over, and
by the cluster if this kernel dies (a lease). Every change that begins here becomes a record: what moved, what users
were answered meanwhile, and the longest time in which nobody was.
Invariant: one change at a time; a refusal is one sentence with a way on.
Must not live here: what a change is (kvnode.cluster, kvnode/handoff), and how it looks (panels/ring.py).
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kvnode.client import Client
from kvnode.cluster import ClusterError, LocalCluster, NodeFailed
from kvnode.cluster.contract import MembershipChange
from kvnode.errors import KvError
from labkit import extra_nodes
from labkit.errors import LabError
from labkit.launch.service import TrafficService
from labkit.ringside import Lists, lists_of, newest_ring
from labkit.samples import Load, load_of
from labkit.waiting import wait_until

SLOW_MS = 30.0
"""One way, on the newcomer's links: its share then takes about six seconds to arrive."""
CHANGE_S_MAX = 150.0
POLL_S = 0.05
WORLD = "twitter"


@dataclass(frozen=True)
class Change:
    """A join or a leave that is over. problem: why it came to nothing, or "".

    before, after: the owners of each partition. acknowledged, failed: users' operations meanwhile. gap_ms: the longest
    time without an acknowledged operation since the traffic's count began, and gap_before_ms what it was before.
    """

    what: str
    node: str
    seconds: float
    before: Lists
    after: Lists
    acknowledged: float
    failed: float
    gap_before_ms: float
    gap_ms: float
    problem: str = ""

    @property
    def moved(self) -> int:
        """How many (partition, copy) slots have another owner now."""
        pairs = zip(self.before, self.after, strict=True)
        return sum(len(set(new) - set(old)) for old, new in pairs)

    @property
    def slots(self) -> int:
        """How many there are."""
        return sum(map(len, self.after))

    @property
    def moved_percent(self) -> float:
        """Of all slots."""
        return 100.0 * self.moved / self.slots if self.slots else math.nan

    @property
    def first_moved_percent(self) -> float:
        """Of all partitions: those whose first owner is another one now."""
        changed = sum(new[0] != old[0] for old, new in zip(self.before, self.after, strict=True))
        return 100.0 * changed / len(self.after) if self.after else math.nan

    def __repr__(self) -> str:
        if self.problem:
            done = "join" if self.what == "join" else "leave"
            return f"{self.node} did not {done}: {self.problem}. Its data is where it was."
        done = "joined" if self.what == "join" else "left"
        return (
            f"{self.node} {done} in {self.seconds:.1f} s: {self.moved} of {self.slots} copies moved "
            f"({self.moved_percent:.0f} %). Meanwhile {_whole(self.acknowledged)} operations were acknowledged and "
            f"{_whole(self.failed)} failed; longest gap {_whole(self.gap_ms)} ms "
            f"(before: {_whole(self.gap_before_ms)} ms)."
        )


class Lab(Protocol):
    """What is needed of the session."""

    cluster: LocalCluster
    traffic: TrafficService


class Growth:
    """The joins and leaves of one session; `changes` are those that are over."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._lock = threading.Lock()
        self._under_way: _UnderWay | None = None
        self.changes: list[Change] = []

    # --- what buttons and cells ask for ---------------------------------------------------------------------

    def begin_join(self, *, slow_ms: float = SLOW_MS) -> str:
        """Start one more node and have it admitted; its name. LabError says why not."""
        return self._begin("join", "", slow_ms).node

    def begin_leave(self, node: str) -> str:
        """Let a node hand its data over and go. LabError says why not."""
        return self._begin("leave", node, 0.0).node

    def join(self, *, to: int, slow_ms: float = SLOW_MS) -> Change:
        """Let nodes join until there are so many; the record of the one that was last. LabError if one does not join.

        If there are so many already, nothing happens: that one may have been let in by hand.
        """
        self.wait()
        while len(self.members) < to:
            self.begin_join(slow_ms=slow_ms)
            self._came_about(self.wait())
        return self._last("join", f"node-{to}")

    def leave(self, *, to: int) -> list[str]:
        """Let those that came last leave until there are so many; who is left. LabError if one does not leave."""
        self.wait()
        while len(self.members) > to:
            self.begin_leave(self.members[-1])
            self._came_about(self.wait())
        return self.members

    def wait(self) -> Change | None:
        """Wait until no change is under way; the record of the last one."""
        self.follow()
        under_way = self._under_way
        if under_way is not None:
            under_way.over.wait(CHANGE_S_MAX)
        return self.changes[-1] if self.changes else None

    # --- how it goes ----------------------------------------------------------------------------------------

    @property
    def members(self) -> list[str]:
        """The names of the nodes that there are, by number."""
        return [info.name for info in self._lab.cluster.nodes]

    @property
    def is_under_way(self) -> bool:
        """Whether a change that began here is not over yet."""
        return self._under_way is not None

    def summary(self) -> str:
        """How the change goes, or how the last one went, in one sentence; "" if there was none."""
        if self._under_way is not None:
            return self._under_way.told(self._lab.cluster.change)
        return repr(self.changes[-1]) if self.changes else ""

    def follow(self) -> None:
        """See a change through that somebody else began: another page, a command line, an earlier kernel."""
        change = self._lab.cluster.change
        if change is not None and not change.finished and self._under_way is None:
            wait_until(
                lambda: self._lab.cluster.is_settled,
                what=f"the end of the {change.what} of {change.node}", timeout_s=CHANGE_S_MAX,
            )  # fmt: skip

    # --- inside ---------------------------------------------------------------------------------------------

    def _begin(self, what: str, node: str, slow_ms: float) -> _UnderWay:
        with self._lock:
            if self._under_way is not None:
                raise LabError(
                    f"One change at a time: {self.summary()}", do="Wait until it is over, then press again."
                )
            cluster = self._lab.cluster
            before, counts, began_s = self._lists(cluster.client()), self._counts(), time.monotonic()
            held = contextlib.ExitStack()
            try:
                lease = held.enter_context(cluster.lease(f"a {what}"))
                name = lease.begin_join(delay_ms=slow_ms) if what == "join" else cluster.begin_leave(node)
            except ClusterError as error:
                held.close()
                raise _refused(what, node, cluster, error) from error
            self._under_way = _UnderWay(what, name, before, counts, began_s)
        if what == "join":
            extra_nodes.note(cluster.folder, name)
        threading.Thread(
            target=self._see_through, args=(self._under_way, held), name="labkit-growth", daemon=True
        ).start()
        return self._under_way

    def _see_through(self, under_way: _UnderWay, held: contextlib.ExitStack) -> None:
        """On a thread of its own until it is over: then the record. held: the lease under which links are slow."""
        problem = ""
        try:
            with held:
                problem = _outcome(self._lab.cluster)
        except (ClusterError, LabError) as error:
            problem = " ".join(str(error).split())
        finally:
            self._write_down(under_way, problem)

    def _write_down(self, under_way: _UnderWay, problem: str) -> None:
        seconds = time.monotonic() - under_way.began_s
        after = under_way.before
        with contextlib.suppress(KvError, ClusterError, LabError):
            after = self._lists(self._lab.cluster.client())
        was, now = under_way.counts, self._counts()
        self.changes.append(
            Change(
                under_way.what, under_way.node, seconds, under_way.before, after,
                acknowledged=now.operations_total - was.operations_total,
                failed=now.errors_total - was.errors_total,
                gap_before_ms=1000.0 * was.longest_gap_s, gap_ms=1000.0 * now.longest_gap_s, problem=problem,
            )
        )  # fmt: skip
        with contextlib.suppress(ClusterError, OSError):
            if under_way.node not in self.members:
                extra_nodes.forget(self._lab.cluster.folder, [under_way.node])
        self._under_way = None
        under_way.over.set()

    def _lists(self, client: Client) -> Lists:
        try:
            return lists_of(newest_ring(client))
        except KvError as error:
            raise LabError("No node tells who holds what.", why=str(error)) from error

    def _counts(self) -> Load:
        told: Mapping[str, Any] = {}
        with contextlib.suppress(LabError):
            told = self._lab.traffic.stats().get("workloads", {}).get(WORLD, {})
        return load_of(told)

    def _last(self, what: str, node: str) -> Change:
        for change in reversed(self.changes):
            if (change.what, change.node, change.problem) == (what, node, ""):
                return change
        raise LabError(
            f"Nobody here has watched {node} join.",
            why="it was there before this lesson was opened",
            do="run the first cell again: it begins with three nodes",
        )

    def _came_about(self, change: Change | None) -> None:
        if change is None or change.problem:
            raise LabError(
                "The nodes are not as they should be." if change is None else repr(change),
                do="Run this cell again.",
            )


class _UnderWay:
    """A change that goes on. counts: of the traffic when it began."""

    def __init__(self, what: str, node: str, before: Lists, counts: Load, began_s: float) -> None:
        self.what, self.node, self.before, self.counts, self.began_s = what, node, before, counts, began_s
        self.over = threading.Event()

    def told(self, change: MembershipChange | None) -> str:
        """In a sentence."""
        goes = "is joining" if self.what == "join" else "is leaving"
        step = change.step if change is not None else ""
        return f"{self.node} {goes}{f' ({step})' if step else ''}."


def _refused(what: str, node: str, cluster: LocalCluster, error: ClusterError) -> LabError:
    """A refusal of the members or of the supervisor, and what to do about it."""
    why = str(error).removeprefix(f"{node} cannot leave: ")
    if isinstance(error, NodeFailed):
        return LabError("The new node did not come up; nothing has changed.", why=why, do="Press Join again.")
    if what == "join":
        return LabError("No node can join now.", why=why, do="Wait until no change is under way.")
    if len(cluster.nodes) <= cluster.replicas:
        return LabError(
            f"{node} cannot leave: each key has {cluster.replicas} copies, each on a node of its own.",
            why=why,
            do="Let a node join first.",
        )
    return LabError(f"{node} cannot leave now.", why=why)


def _outcome(cluster: LocalCluster) -> str:
    """Wait for the change's end; why it came to nothing, or ""."""
    deadline = time.monotonic() + CHANGE_S_MAX
    while time.monotonic() < deadline:
        change = cluster.change
        if change is None or change.finished:
            return "" if change is None else change.error
        time.sleep(POLL_S)
    return f"it goes on, but was not done within {CHANGE_S_MAX:.0f} s"


def _whole(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "–"
