"""The ring's state: its epoch, the members with their addresses, and the change that is under way, if any.

    stable e ──join, leave──> moving e+1 ──all data is there──> stable e+2 with the next members
                                   └──── an owner-to-be died ──> stable e+2 with the old members (called off)

Each arrow is one decision of the old members (handoff/). Pure values.

Must not live here: which node holds what (ring.py, placement.py), and how the members decide (handoff/paxos.py).
"""

from __future__ import annotations

import msgspec

from kvnode.config import NODE_COUNT_MAX, ClusterConfig, ConfigError, NodeAddress
from kvnode.versions.bounds import EPOCH_JUMP_MAX, Count

STABLE = "stable"
MOVING = "moving"
TEXT_MAX = 1_000
DEPARTED_COUNT_MAX = 2 * NODE_COUNT_MAX


class RingState(msgspec.Struct, frozen=True, array_like=True):
    """One epoch of the cluster.

    members: who decides, is read from and is written to. next: the members after the change; None while stable.
    forced: the leaving node is dead and cannot help. before: the names of the members before the last change that
    came about. note: what happened last, for people. departed: who was a member, and in which epoch it was none any
    more; those that left last, and came not back.
    Invariant: members are sorted by name; next differs from members by exactly one node; nobody departed is a member.
    """

    epoch: Count
    members: tuple[NodeAddress, ...]
    next: tuple[NodeAddress, ...] | None = None
    forced: bool = False
    before: tuple[str, ...] = ()
    note: str = ""
    departed: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, config: ClusterConfig) -> RingState:
        """What the cluster file says."""
        members = [node for node in config.nodes if node.name not in config.joining]
        return cls(config.epoch, _sorted(members))

    # --- what it says -------------------------------------------------------------------------------------

    @property
    def phase(self) -> str:
        """stable or moving."""
        return STABLE if self.next is None else MOVING

    @property
    def names(self) -> tuple[str, ...]:
        """The members' names, sorted."""
        return tuple(node.name for node in self.members)

    @property
    def next_names(self) -> tuple[str, ...]:
        """The names of the members-to-be; of the members while nothing changes."""
        return self.names if self.next is None else tuple(node.name for node in self.next)

    @property
    def is_whole(self) -> bool:
        """Whether the invariants hold: bytes from a peer may say anything."""
        changed = set(self.next_names) ^ set(self.names)
        distinct = all(list(names) == sorted(set(names)) for names in (self.names, self.next_names))
        one_at_a_time = len(changed) == (self.next is not None)
        gone = [name for name, epoch in self.departed if 0 < epoch <= self.epoch and name not in self.names]
        all_gone = len(gone) == len(self.departed) == len(set(gone)) <= DEPARTED_COUNT_MAX
        named = bool(self.names) and bool(self.next_names) and distinct
        return named and one_at_a_time and all_gone and self._is_bounded

    @property
    def _is_bounded(self) -> bool:
        """Whether so many nodes, and at such addresses, can be."""
        texts = (self.note, *self.before, *(node.host for node in self.everybody))
        few = len(self.everybody) <= NODE_COUNT_MAX + 1 and len(self.before) <= NODE_COUNT_MAX + 1
        try:
            return few and all(node.check() for node in self.everybody) and max(map(len, texts)) <= TEXT_MAX
        except ConfigError:
            return False

    def may_follow(self, known: RingState) -> bool:
        """Whether the cluster can have come from `known` to this: members come and go one at a time, in two epochs
        each. A node that believed more of one message could be told of nobody's ring, in an epoch without end."""
        epochs = self.epoch - known.epoch
        changed = set(self.names) ^ set(known.names)
        return 0 < epochs <= EPOCH_JUMP_MAX and len(changed) <= (epochs + 1) // 2

    def left_in(self, name: str) -> int | None:
        """The epoch from which on a former member was none any more; None: that is not remembered."""
        return dict(self.departed).get(name)

    @property
    def everybody(self) -> tuple[NodeAddress, ...]:
        """The members and the node that is joining, sorted by name."""
        known = {node.name: node for node in (*(self.next or ()), *self.members)}
        return _sorted(list(known.values()))

    @property
    def joining(self) -> str | None:
        """The node that this change adds."""
        return next((name for name in self.next_names if name not in self.names), None)

    @property
    def leaving(self) -> str | None:
        """The node that this change removes."""
        return next((name for name in self.names if name not in self.next_names), None)

    @property
    def change(self) -> str:
        """What is under way, in words; empty while nothing is."""
        if self.joining is not None:
            return f"{self.joining} is joining"
        if self.leaving is not None:
            return f"{self.leaving} is being removed" if self.forced else f"{self.leaving} is leaving"
        return ""

    def readdressed(self, config: ClusterConfig) -> RingState:
        """The same nodes at the addresses of the cluster file: ports may differ after a restart of the cluster."""
        known = {node.name: node for node in config.nodes}
        moved = [
            None if nodes is None else tuple(known.get(n.name, n) for n in nodes)
            for nodes in (self.members, self.next)
        ]
        return msgspec.structs.replace(self, members=moved[0], next=moved[1])

    def address(self, name: str) -> NodeAddress | None:
        """Where a member, or the node that is joining, listens."""
        return next((node for node in self.everybody if node.name == name), None)

    # --- the arrows ---------------------------------------------------------------------------------------

    def join(self, node: NodeAddress) -> RingState:
        """The state in which `node` takes its partitions over."""
        assert self.next is None and node.name not in self.names
        return self._moving_to(_sorted([*self.members, node]))

    def leave(self, name: str, *, forced: bool = False) -> RingState:
        """The state in which the others take over what `name` holds."""
        assert self.next is None and name in self.names
        return self._moving_to(tuple(node for node in self.members if node.name != name), forced=forced)

    def completed(self) -> RingState:
        """The state after the change."""
        assert self.next is not None
        note = f"{self.joining} has joined" if self.joining else f"{self.leaving} has left"
        departed = self._departed_too(self.leaving, back=self.joining)
        return RingState(self.epoch + 1, self.next, before=self.names, note=note, departed=departed)

    def called_off(self, why: str) -> RingState:
        """The state after a change that could not be brought to its end: the old members again."""
        assert self.next is not None
        kind = f"the join of {self.joining}" if self.joining else f"the leave of {self.leaving}"
        note = f"{kind} was called off: {why}"
        departed = self._departed_too(self.joining, back=None)
        return RingState(self.epoch + 1, self.members, before=self.before, note=note, departed=departed)

    def renewed(self, why: str) -> RingState:
        """The same members in a new epoch, for a member that may not vote in this one (handoff/acceptor.py)."""
        assert self.next is None
        return RingState(self.epoch + 1, self.members, before=self.before, note=why, departed=self.departed)

    def _departed_too(self, name: str | None, *, back: str | None) -> tuple[tuple[str, int], ...]:
        """Who has departed when `name` does so in the next epoch, and `back` is a member again."""
        others = [each for each in self.departed if each[0] not in (name, back)]
        departed = others if name is None else [*others, (name, self.epoch + 1)]
        return tuple(departed[-DEPARTED_COUNT_MAX:])

    def _moving_to(self, members: tuple[NodeAddress, ...], *, forced: bool = False) -> RingState:
        return RingState(self.epoch + 1, self.members, members, forced, self.before, self.note, self.departed)


def _sorted(nodes: list[NodeAddress]) -> tuple[NodeAddress, ...]:
    return tuple(sorted(nodes, key=lambda node: node.name))
