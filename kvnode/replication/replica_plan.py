"""Whom a request concerns: the owners of its key, which of them are worth asking, and who will own it soon.

While the ring changes, a write needs w of the owners and all pending ones; a read needs r of the owners and r, or a
majority, of the next owners: one of them knows if the change is over.

Must not live here: asking them (write.py, read.py), counting their answers (quorum.py), who stands in (fallback.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kvnode.config import REQUESTS_IN_FLIGHT_MAX, RING_CHANGES_MAX
from kvnode.context import NodeContext
from kvnode.errors import BadRequest, QuorumUnmet, TooBusy
from kvnode.membership import Member
from kvnode.replication.fallback import fallbacks_of
from kvnode.replication.quorum import JointQuorum, Quorum, next_need


class ReplicaPlan(NamedTuple):
    """The replicas of one request in one epoch, as one node sees them.

    need of n replicas must answer. here: this node is one of them, or a pending owner. asked: the others that are worth
    asking, and the fallbacks; unreachable: owners that are dead, and nobody stands in. pending: who takes the partition
    over, and must acknowledge a write too; of a read they are among the asked and the unreachable. next_owners: of a
    read, who will own the partition, if that is anybody new. fallbacks: of a sloppy request, {who stands in: for which
    owner}; this node may be one of them.
    """

    epoch: int
    need: int
    n: int
    here: bool
    asked: list[str]
    unreachable: list[str]
    pending: tuple[str, ...]
    fallbacks: dict[str, str]
    next_owners: tuple[str, ...] = ()

    def write_quorum(self) -> Quorum:
        """Who must acknowledge a write, those that are not asked already missed."""
        quorum = Quorum(self.need, self.n, self.pending)
        quorum.fail(len(self.unreachable))
        return quorum

    def read_quorum(self) -> Quorum:
        """Who must answer a read, those that are not asked already missed."""
        quorum = Quorum(self.need, self.n)
        if self.next_owners:
            quorum = JointQuorum(self.need, self.n, self.pending, self.next_owners)
        quorum.miss(self.unreachable)
        return quorum

    def unsent(self, why: str) -> QuorumUnmet:
        """The refusal of a write of which nothing was sent."""
        return QuorumUnmet("W", need=self.need, got=0, n=self.n, definite=True, why=why)

    def restless(self, letter: str) -> QuorumUnmet:
        """The refusal of a request during which the ring changed again and again."""
        why = f"the ring changed {RING_CHANGES_MAX} times meanwhile"
        return QuorumUnmet(letter, need=self.need, got=0, n=self.n, definite=letter == "R", why=why)


class ReplicaPlans:
    """Finds the plan of each request of one node.

    That of an ordinary request is the same for all keys of a partition until a member's state or the ring changes, so
    it is remembered until then.
    """

    def __init__(self, node: NodeContext) -> None:
        self._ring = node.ring
        self._node = node.name
        self._rpc = node.rpc
        self._is_dead = node.members.is_dead
        self._is_alive = node.members.is_alive
        self._known: dict[tuple[str, int, int | None], ReplicaPlan] = {}
        node.members.subscribe(self._member_changed)

    def _member_changed(self, before: Member, after: Member) -> None:
        self._known.clear()

    def find(
        self, letter: str, key: str, asked: int | None, *, begun: bool = False, sloppy: bool = False
    ) -> ReplicaPlan:
        """Whom to ask about `key`, to read (letter R) or to write (W) at `asked` replicas.

        sloppy: others stand in for the owners that are not alive. Raises QuorumUnmet at once if that cannot succeed:
        definitely, unless it was `begun` in an older ring; BadRequest; TooBusy.
        """
        if len(self._rpc) >= REQUESTS_IN_FLIGHT_MAX and not begun:
            raise TooBusy(f"{REQUESTS_IN_FLIGHT_MAX} requests are on their way; try again later")
        if sloppy:
            return self._find(letter, key, asked, begun, self._is_alive)
        place = (letter, self._ring.partition_of(key), asked)
        known = self._known.get(place)
        if known is None or known.epoch != self._ring.epoch:
            known = self._known[place] = self._find(letter, key, asked, begun, None)
        return known

    def _find(
        self, letter: str, key: str, asked: int | None, begun: bool, is_alive: Callable[[str], bool] | None
    ) -> ReplicaPlan:
        ring, node, is_dead = self._ring, self._node, self._is_dead
        replicas = ring.preference_list(key)
        n = len(replicas)
        need = min(2, n) if asked is None else asked
        if not 1 <= need <= n:
            raise BadRequest(f"{letter.lower()}={need}: expected 1 to {n}, the number of replicas")
        here = node in replicas
        fallbacks = {} if is_alive is None else fallbacks_of(ring, key, node, is_alive)
        gone = fallbacks.values()
        live = [each for each in replicas if each != node and each not in gone and not is_dead(each)]
        dead = [each for each in replicas if each != node and each not in live]
        is_sloppy_read = letter == "R" and is_alive is not None  # it promises nothing
        pending = () if is_sloppy_read else ring.pending(key)
        gone_next = [each for each in pending if each != node and is_dead(each)]
        next_owners = ring.next_owners(key) if letter == "R" and pending else ()
        lost = [each for each in next_owners if each in dead or each in gone_next]
        why = ""
        if len(live) + len(fallbacks) + here < need:
            why = f"{', '.join(dead)} known to be dead"
        elif letter == "W" and gone_next:
            must = f"takes the partition over and must have it too: {ring.state.change}"
            why = f"{', '.join(gone_next)}, known to be dead, {must}"
        elif next_owners and len(next_owners) - len(lost) < next_need(need, len(next_owners)):
            why = f"{', '.join(lost)} known to be dead, and the next owners count too: {ring.state.change}"
        if why:
            raise QuorumUnmet(letter, need=need, got=0, n=n, definite=not begun, why=why)
        live_next = [each for each in pending if each != node and each not in gone_next]
        asked_peers = [*live, *live_next, *(each for each in fallbacks if each != node)]
        unreachable = [each for each in (*dead, *gone_next) if each not in gone]
        here = here or node in pending
        return ReplicaPlan(
            ring.epoch, need, n, here, asked_peers, unreachable, pending, fallbacks, next_owners
        )
