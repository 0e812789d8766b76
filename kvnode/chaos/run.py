"""Does to a running cluster what a fault schedule says, and leaves it in peace.

Every fault is undone when its time is over; meanwhile others may begin. A lost disk is the exception, since the
promise is about fewer than w disks between full repairs: first everything is undone and every partition must have been
seen equal on all its replicas; then the disk goes; and nothing else begins until that is so again. The clock of the
schedule stands still for it. A disk that is lost in a storm goes at once, if no other store is lost: a store is lost
until its node says that it is complete (`refill` in GET /stats). Members come and go beside all that (Churn).

Must not live here: the schedule (schedule.py), load, and the verdict (scripts/chaos.py).
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count

from kvnode.chaos.convergence import Roots
from kvnode.chaos.schedule import ScheduledFault
from kvnode.cluster.errors import ClusterError
from kvnode.cluster.local import LocalCluster
from kvnode.config import NODE_COUNT_MAX
from kvnode.errors import KvError

AGREE_S_MAX = 20.0
REBUILD_S_MAX = 120.0
CHANGE_S_MAX = 90.0
NODES_NEEDED = {"one-way cut": 2, **dict.fromkeys(("kill", "pause", "partition", "leave"), 1)}
NODES_NEEDED |= {"lost disk": 1, "lost disk in a storm": 1}


class Chaos:
    """Carries out one schedule. counts: how often each kind happened. violations: promises that were not kept."""

    def __init__(self, cluster: LocalCluster, roots: Roots, tell: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._roots = roots
        self._tell = tell
        self._ends: list[tuple[float, int, ScheduledFault]] = []
        self._number = count()
        self._held_s = 0.0
        self._began_s = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._lost: set[str] = set()
        self._members = Churn(cluster, tell, self.counts)

    def work(self, schedule: Sequence[ScheduledFault], *, seconds: float) -> None:
        """Carry this schedule out for so many seconds, and those that lost disks take; then peace."""
        self._began_s = time.monotonic()
        for fault in schedule:
            self._wait_until(fault.at_s)
            self._find_unplanned_deaths()
            fault = self._of_who_is_there(fault)
            self._tell(f"{time.monotonic() - self._began_s:6.1f} s  {fault}")
            self._do(partial(self._begin, fault), fault.kind)
        self._wait_until(seconds)
        self._find_unplanned_deaths()
        self.make_peace()
        self._members.wait_until_over()

    def make_peace(self) -> None:
        """Everybody running, all links healed."""
        self._ends.clear()
        self._do(self._cluster.reset, "reset")

    def _of_who_is_there(self, fault: ScheduledFault) -> ScheduledFault:
        """The same fault, for others if it is of somebody who has left: those that joined meanwhile come first."""
        there = [node.name for node in self._cluster.nodes]
        if {*fault.nodes} <= {*there}:
            return fault
        busy = {node for _, _, other in self._ends for node in other.nodes} | self._members.moving
        spare = [name for name in reversed(there) if name not in busy and name not in fault.nodes]
        named = [name if name in there else spare.pop(0) if spare else "" for name in fault.nodes]
        return replace(fault, nodes=tuple(name for name in named if name))

    # --- one fault --------------------------------------------------------------------------------------

    def _begin(self, fault: ScheduledFault) -> None:
        nodes = fault.nodes
        if len(nodes) < NODES_NEEDED.get(fault.kind, 0):
            self.counts["of who has left"] += 1
            return
        if fault.kind == "lost disk":
            held_from_s = time.monotonic()
            self._lose_disk(nodes[0])
            self._held_s += time.monotonic() - held_from_s
            return
        if fault.kind in ("join", "leave"):
            self._members.begin(fault)
            return
        if fault.kind == "lost disk in a storm":
            if not self._may_lose_another():
                self._tell("          put off: a store is lost already, and not refilled yet")
                self.counts["lost disk in a storm, put off"] += 1
                return
            self._lost.add(nodes[0])
        for command in fault.commands():
            self._cluster.do(command)
        self.counts[fault.kind] += 1
        if fault.lasts_s:
            heapq.heappush(self._ends, (fault.at_s + fault.lasts_s, next(self._number), fault))

    def _end(self, fault: ScheduledFault) -> None:
        if {*fault.nodes} <= {node.name for node in self._cluster.nodes}:  # else it has left meanwhile
            self._cluster.do(fault.undoing())

    def _find_unplanned_deaths(self) -> None:
        """A node that ended though nobody killed it has a fault of its own."""
        kinds = ("kill", "lost disk in a storm")
        killed = {node for _, _, fault in self._ends if fault.kind in kinds for node in fault.nodes}
        for node in self._cluster.nodes:
            if node.state in ("dead", "failed") and node.name not in killed | self._members.moving:
                self.violations.append(f"{node.name} ended by itself: {node.reason}; see {node.log_file}")
                self._do(partial(self._cluster.restart, node.name), "restart")

    def _lose_disk(self, victim: str) -> None:
        self.make_peace()
        agreed_s = self._roots.wait_until_seen_equal(AGREE_S_MAX)
        if agreed_s is None:
            self._tell(f"          put off: the replicas did not agree within {AGREE_S_MAX:.0f} s")
            self.counts["lost disk, put off"] += 1
            return
        self.counts["lost disk"] += 1
        self._do(lambda: self._cluster.wipe(victim), "wipe")
        self._do(lambda: self._cluster.restart(victim), "restart")
        rebuilt_s = self._roots.wait_until_seen_equal(REBUILD_S_MAX)
        if rebuilt_s is None:
            self.violations.append(
                f"{victim} was not rebuilt within {REBUILD_S_MAX:.0f} s of losing its disk"
            )
        else:
            self._tell(
                f"          all equal after {agreed_s:.1f} s, rebuilt {rebuilt_s:.1f} s after the restart"
            )

    def _may_lose_another(self) -> bool:
        """Whether every store is complete that was lost in a storm before; what does not answer is not."""
        for name in sorted(self._lost):
            if any(node.name == name for node in self._cluster.nodes):
                try:
                    if self._cluster.client().stats(name)["refill"]["partitions"]:
                        return False
                except KvError:
                    return False
            self._lost.discard(name)
        return True

    # --- time ---------------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        """Seconds of the schedule."""
        return time.monotonic() - self._began_s - self._held_s

    def _wait_until(self, at_s: float) -> None:
        """Sleep, and end what ends meanwhile."""
        while self._ends and self._ends[0][0] <= at_s:
            ends_s, _, fault = heapq.heappop(self._ends)
            time.sleep(max(0.0, ends_s - self._now_s()))
            self._do(partial(self._end, fault), f"end of {fault.kind}")
        time.sleep(max(0.0, at_s - self._now_s()))

    def _do(self, action: Callable[[], None], what: str) -> None:
        """A node that does not come back is a broken promise, not the end of the run."""
        try:
            action()
        except ClusterError as error:
            self.violations.append(f"{what}: {error}")


class Churn:
    """Joins and leaves, one at a time, each in a thread of its own while other faults go on.

    Whatever becomes of one is allowed: it may be refused, or called off. moving: who is coming or going.
    """

    def __init__(self, cluster: LocalCluster, tell: Callable[[str], None], counts: Counter[str]) -> None:
        self._cluster = cluster
        self._tell = tell
        self._counts = counts
        self._thread: threading.Thread | None = None
        self._leaving: set[str] = set()

    @property
    def moving(self) -> set[str]:
        """Who may be dead as it comes or goes: nobody killed it."""
        if self._thread is None or not self._thread.is_alive():
            return set()
        change = self._cluster.change
        return self._leaving | ({change.node} if change else set())

    def begin(self, fault: ScheduledFault) -> None:
        """Begin one, unless one is under way or the ring would be too small or too large."""
        members = [node.name for node in self._cluster.nodes]
        is_join = fault.kind == "join"
        is_possible = len(members) < NODE_COUNT_MAX if is_join else len(members) > self._cluster.replicas + 1
        if (self._thread is not None and self._thread.is_alive()) or not is_possible:
            self._counts[f"{fault.kind}, put off"] += 1
            return
        self._leaving = set(fault.nodes)
        self._thread = threading.Thread(target=self._see_through, args=(fault,), daemon=True)
        self._thread.start()

    def _see_through(self, fault: ScheduledFault) -> None:
        cluster = self._cluster
        try:
            if fault.kind == "join":
                cluster.join(timeout_s=CHANGE_S_MAX)
            else:
                cluster.leave(fault.nodes[0], timeout_s=CHANGE_S_MAX)
            self._counts[fault.kind] += 1
        except ClusterError as error:
            self._counts[f"{fault.kind} refused or called off"] += 1
            self._tell(f"          {fault}: {error}")

    def wait_until_over(self) -> None:
        """In peace a change comes to its end."""
        if self._thread is not None:
            self._thread.join(CHANGE_S_MAX)
