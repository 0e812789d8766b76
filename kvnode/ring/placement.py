"""Placement: who holds what now, as this node knows it. All components of a node look at the same one.

While a change is under way each partition has its owners, who are read from, and *pending* owners, who will hold it
afterwards and are written to already.

Must not live here: how the change comes about (handoff/).
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.ring.ring import Ring
from kvnode.ring.state import RingState

Lists = tuple[tuple[str, ...], ...]


class Placement:
    """The ring of the newest state that this node knows.

    known: the members and the node that is joining.
    preference_lists: the owners of each partition. pending_lists: its pending owners; None while nothing changes.
    settled_epoch: the greatest epoch that this node remembers durably, with everything written before it.
    Invariant: the epoch never goes back; settled_epoch <= epoch.
    """

    def __init__(self, state: RingState, *, node: str, replicas: int, partitions: int) -> None:
        self._node = node
        self.replicas = replicas
        self.partitions = partitions
        self.settled_epoch = state.epoch
        self._followers: list[Callable[[], None]] = []
        self.adopt(state)

    def adopt(self, state: RingState) -> None:
        """Make this the state; the caller sees to it that it is newer."""
        ring = self._build(state.names)
        self.state = state
        self.epoch = state.epoch
        self.nodes = state.names
        self.is_member = self._node in state.names
        self.known = frozenset(node.name for node in state.everybody)
        self.preference_lists: Lists = ring.preference_lists
        self.next: Ring | None = None if state.next is None else self._build(state.next_names)
        self.pending_lists: Lists | None = None
        if self.next is not None:
            pairs = zip(ring.preference_lists, self.next.preference_lists, strict=True)
            self.pending_lists = tuple(
                tuple(node for node in after if node not in before) for before, after in pairs
            )
        self.ring = ring

    def subscribe(self, follow: Callable[[], None]) -> None:
        """From now on `follow` is called whenever the ring has changed, after those that subscribed before."""
        self._followers.append(follow)

    def announce(self) -> None:
        """The ring has changed: tell all who subscribed."""
        for follow in self._followers:
            follow()

    def _build(self, names: tuple[str, ...]) -> Ring:
        return Ring.build(names, replicas=self.replicas, partitions=self.partitions)

    # --- keys ---------------------------------------------------------------------------------------------

    def partition_of(self, key: str) -> int:
        """The partition that `key` falls into: the same in every epoch."""
        return self.ring.partition_of(key)

    def preference_list(self, key: str) -> tuple[str, ...]:
        """The owners of `key`, the preferred coordinator first."""
        return self.ring.preference_list(key)

    def walk(self, key: str) -> tuple[str, ...]:
        """The owners of `key`, then the others in the order in which they stand in for them."""
        return self.ring.walk(key)

    def pending(self, key: str) -> tuple[str, ...]:
        """Who will own `key` after this change and does not yet."""
        return () if self.pending_lists is None else self.pending_lists[self.partition_of(key)]

    def next_owners(self, key: str) -> tuple[str, ...]:
        """The owners of `key` after this change; the present ones while nothing changes."""
        return (self.ring if self.next is None else self.next).preference_list(key)

    def holders(self, partition: int) -> tuple[str, ...]:
        """The owners and the pending owners of a partition."""
        pending = () if self.pending_lists is None else self.pending_lists[partition]
        return self.preference_lists[partition] + pending

    # --- nodes --------------------------------------------------------------------------------------------

    def slots(self) -> dict[str, int]:
        """How many (partition, replica) slots each member holds."""
        return self.ring.slots()

    def pending_slots(self) -> dict[str, int]:
        """How many partitions each pending owner takes over; empty while nothing changes."""
        taken: dict[str, int] = {}
        for pending in self.pending_lists or ():
            for node in pending:
                taken[node] = taken.get(node, 0) + 1
        return dict(sorted(taken.items()))

    def pending_partitions(self, node: str) -> tuple[int, ...]:
        """The partitions that `node` takes over in this change, in order."""
        return tuple(p for p, pending in enumerate(self.pending_lists or ()) if node in pending)

    def moved(self) -> dict[str, float] | None:
        """The slots that the change under way moves, or the last one moved, against the ideal; None: no change yet.

        Ideal: the share of one node, as a node that comes or goes takes no less with it.
        """
        if self.next is not None:
            before, after = self.ring, self.next
        elif self.state.before:
            before, after = self._build(self.state.before), self.ring
        else:
            return None
        slots = before.slots_moved_to(after)
        total = sum(len(owners) for owners in after.preference_lists)
        ideal = 1.0 / max(len(before.nodes), len(after.nodes))
        share = slots / total
        return {
            "slots": slots,
            "share": round(share, 4),
            "ideal_share": round(ideal, 4),
            "times_ideal": round(share / ideal, 3),
        }
