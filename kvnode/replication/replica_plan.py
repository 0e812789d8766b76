"""Whom a request concerns: the owners of its key, which of them are worth asking, and who will own it soon.

Not here: asking them (coordinator.py) and counting their answers (quorum.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kvnode.errors import BadRequest, QuorumUnmet
from kvnode.replication.quorum import JointQuorum, Quorum, next_need
from kvnode.ring import Placement


class ReplicaPlan(NamedTuple):
    """The audience of one request in one epoch.

    need of n replicas must answer. here: this node is one of them. live: the others that are worth asking; dead: the
    others that are not. pending: who takes the partition over, and must acknowledge a write too; of a read they are
    among the live and the dead. next_owners: of a read, who will own the partition, if that is anybody new.
    stand_ins: of a sloppy request, {who stands in: for which owner}; this node may be one of them.
    """

    epoch: int
    need: int
    n: int
    here: bool
    live: list[str]
    dead: list[str]
    pending: tuple[str, ...]
    fallbacks: dict[str, str]
    next_owners: tuple[str, ...] = ()

    def read_quorum(self) -> Quorum:
        """Who must answer a read, those that are not asked already missed."""
        quorum = Quorum(self.need, self.n)
        if self.next_owners:
            quorum = JointQuorum(self.need, self.n, self.pending, self.next_owners)
        quorum.miss([each for each in self.dead if each not in self.fallbacks.values()])
        return quorum


class ReplicaPlans:
    """Finds the audience of each request of `node`.

    That of an ordinary request is the same for all keys of a partition until a member's state or the ring changes, so
    it is remembered until then.
    """

    def __init__(
        self,
        ring: Placement,
        node: str,
        *,
        is_dead: Callable[[str], bool],
        is_alive: Callable[[str], bool],
    ) -> None:
        self._ring = ring
        self._node = node
        self._is_dead = is_dead
        self._is_alive = is_alive
        self._known: dict[tuple[str, int, int | None], ReplicaPlan] = {}

    def forget(self) -> None:
        """Somebody is alive, suspect or dead who was not before."""
        self._known.clear()

    def find(
        self, letter: str, key: str, asked: int | None, *, begun: bool = False, sloppy: bool = False
    ) -> ReplicaPlan:
        """Whom to ask about `key`, to read (letter R) or to write (W) at `asked` replicas.

        sloppy: others stand in for the owners that are not alive. Raises QuorumUnmet at once if that cannot succeed:
        definitely, unless it was `begun` in an older ring.
        """
        place = (letter, self._ring.partition_of(key), asked)
        known = None if sloppy else self._known.get(place)
        if known is None or known.epoch != self._ring.epoch:
            known = self._find(letter, key, asked, begun, self._is_alive if sloppy else None)
            if not sloppy:
                self._known[place] = known
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
        fallbacks: dict[str, str] = {}
        if is_alive is not None:
            if len(ring.nodes) <= n:
                raise BadRequest(
                    f"sloppy=true needs more than N={n} nodes, so that others can stand in for owners; "
                    f"this cluster has {len(ring.nodes)}"
                )
            away = [replica for replica in replicas if replica != node and not is_alive(replica)]
            pending_now = ring.pending(key)
            others = [
                other
                for other in ring.walk(key)[n:]
                if (other == node or is_alive(other)) and other not in pending_now
            ]
            fallbacks = dict(zip(others, away, strict=False))
        gone = fallbacks.values()
        live = [r for r in replicas if r != node and r not in gone and not is_dead(r)]
        dead = [replica for replica in replicas if replica != node and replica not in live]
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
        if next_owners:
            live += [each for each in pending if each != node and each not in gone_next]
            dead += gone_next
        return ReplicaPlan(ring.epoch, need, n, here, live, dead, pending, fallbacks, next_owners)
