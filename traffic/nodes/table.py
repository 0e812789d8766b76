"""What the generator believes about the nodes, and through which one the next operation goes.

Here: the table and the choice; time comes in as an argument.
Must not live here: asking the nodes (health.py).

Rule: a node is *believed* when its last /health answer is younger than HEALTH_AGE_S_MAX and no attempt
through it has failed since. The choice is random among the believed ones that have room; so a paused
node, whose connections fill up, loses its share before anybody calls it dead. When nobody is believed
every node is tried: a wrong belief must never stop the traffic.

Regions. If the nodes lie in regions, a client asks a believed node of its own region first; if there is
none, or it was tried already, any other. Geography is the cluster's business: without regions there is no
preference, and nowhere is a delay invented.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from traffic.measure.events import AttemptFailed, Events
from traffic.stores.base import NotAMember

HEALTH_AGE_S_MAX = 1.0
_RANK = {"alive": 0, "suspect": 1, "dead": 2}


@dataclass(slots=True)
class Node:
    """One node as seen from here. Times are monotonic seconds; -inf: never."""

    name: str
    region: str | None = None
    answered_s: float = float("-inf")  # the last good /health
    failed_s: float = float("-inf")  # the last attempt that got no answer
    members: Mapping[str, str] = field(default_factory=dict)  # what it believes of the others
    hints_pending: int | None = None
    keys: int | None = None
    replication_lag_ms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def healthy(self, now_s: float) -> bool:
        return now_s - self.answered_s < HEALTH_AGE_S_MAX

    def believed(self, now_s: float) -> bool:
        return self.healthy(now_s) and self.answered_s > self.failed_s


class NodeTable:
    """All nodes. Invariant: `_names` are those of `nodes`; `_believed` is what `believed` said at the last `refresh`;
    `_believed_in` agrees."""

    def __init__(self, names: Sequence[str], *, random: Random, has_room: Callable[[str], bool]) -> None:
        self.nodes = {name: Node(name) for name in names}
        self._random = random
        self._has_room = has_room
        self._believed: tuple[str, ...] = ()
        self._believed_in: dict[str, tuple[str, ...]] = {}  # the same, by region
        self._names = tuple(names)
        self.not_a_member_seen: Callable[[], None] = lambda: None  # hears that somebody was refused for it

    def refresh(self, now_s: float) -> None:
        believed = tuple(name for name, node in self.nodes.items() if node.believed(now_s))
        if believed != self._believed:
            self._believed = believed
            self._sort_by_region()

    def answered(self, name: str, members: Mapping[str, str], now_s: float) -> None:
        """`name` has answered /health."""
        node = self.nodes.get(name)
        if node is None:  # it has left meanwhile
            return
        node.answered_s = now_s
        node.members = members
        self.refresh(now_s)

    def no_answer(self, name: str, now_s: float) -> None:
        """An attempt through `name` ended without an answer: doubt it until its next good /health."""
        node = self.nodes.get(name)
        if node is None:
            return
        node.failed_s = now_s
        if name in self._believed:
            self.refresh(now_s)

    def listen(self, events: Events) -> None:
        events.subscribe(AttemptFailed, self._attempt_failed)

    def _attempt_failed(self, event: AttemptFailed) -> None:
        """What a failure tells about the node, whatever it tells about the operation."""
        if not event.error.status or isinstance(event.error, NotAMember):
            self.no_answer(event.node, event.at_s)
        if isinstance(event.error, NotAMember):
            self.not_a_member_seen()

    # --- who there is -------------------------------------------------------------------------------------

    def admit(self, name: str) -> None:
        """One more node; it is believed once it answers."""
        self.nodes.setdefault(name, Node(name))
        self._names = tuple(self.nodes)

    def dismiss(self, name: str) -> None:
        """That node has left."""
        self.nodes.pop(name, None)
        self._names = tuple(self.nodes)
        self._believed = tuple(one for one in self._believed if one != name)
        self._sort_by_region()

    def place(self, regions: Mapping[str, str]) -> None:
        """From now on the nodes lie in these regions; a node that is not named lies in none."""
        if regions == self.regions:
            return
        for name, node in self.nodes.items():
            node.region = regions.get(name)
        self._sort_by_region()

    @property
    def regions(self) -> Mapping[str, str]:
        """Where the nodes lie; empty if the cluster has no topology."""
        return {name: node.region for name, node in self.nodes.items() if node.region is not None}

    def choose(self, tried: Collection[str] = (), *, region: str | None = None) -> str | None:
        """A node that was not tried yet, one in `region` first; None when all were tried."""
        near = self._believed_in.get(region, ()) if region is not None else ()
        first = near or self._believed
        if first:
            name = first[int(self._random.random() * len(first))]
            if name not in tried and self._has_room(name):
                return name  # nearly always
        for names in (near, self._believed, self._names):
            left = [name for name in names if name not in tried]
            roomy = [name for name in left if self._has_room(name)]
            if left:
                return self._random.choice(roomy or left)
        return None

    def _sort_by_region(self) -> None:
        believed_in: dict[str, tuple[str, ...]] = {}
        for name in self._believed:
            region = self.nodes[name].region
            if region is not None:
                believed_in[region] = (*believed_in.get(region, ()), name)
        self._believed_in = believed_in

    def opinions(self, name: str, now_s: float) -> dict[str, str]:
        """What each other node that answers us believes of this one, and since it answers: by who says so."""
        return {
            other: node.members.get(name, "alive")
            for other, node in self.nodes.items()
            if other != name and node.healthy(now_s)
        }

    def state(self, name: str, now_s: float) -> str:
        """One word for what is known of a node: by our own questions first, then by the word of the others.

        A node that does not answer us is "dead" or "suspect" if anybody who answers says so, else "unreachable". One
        that does answer us is not dead: it is "cut off" if more than half of all nodes that answer call it dead,
        "suspect" if so many doubt it, else "alive". So the word of one node that is itself cut off, and takes all the
        others for dead, counts for no more than one opinion.
        """
        said = list(self.opinions(name, now_s).values())
        if not self.nodes[name].healthy(now_s):
            worst = max(said, key=lambda state: _RANK.get(state, 0), default="alive")
            return "unreachable" if worst == "alive" else worst
        half = (len(said) + 1) / 2
        if said.count("dead") > half:
            return "cut off"
        return "suspect" if sum(state != "alive" for state in said) > half else "alive"

    def replication_lag(self) -> dict[str, dict[str, float | None]]:
        """p50 and p95 per replica, the worst that any coordinator measured."""
        lag: dict[str, dict[str, float | None]] = {}
        for name in self._names:
            seen = [
                node.replication_lag_ms[name]
                for node in self.nodes.values()
                if name in node.replication_lag_ms
            ]
            lag[name] = {
                percentile: max(
                    (one[f"{percentile}_ms"] for one in seen if one.get(f"{percentile}_ms")), default=None
                )
                for percentile in ("p50", "p95")
            }
        return lag
