"""Counting answers: how many are needed, how many came, whether it can still be enough; and who waits for that.

A quorum is a pure accumulator (Riak's get core is built the same way): it sends nothing and knows no time.
Paper: Ongaro, "Consensus: Bridging Theory and Practice", 2014, section 4.3, for the joint quorum.
Must not live here: who is asked (replica_plan.py), and what an answer says (write.py, read.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kvnode.config import REQUEST_TIMEOUT_MS
from kvnode.errors import QuorumUnmet
from kvnode.rpc import Round


class Quorum:
    """`need` of `n` replicas must answer, and every pending owner as well.

    pending: who takes the partition over and has not acknowledged yet. They count towards no quorum.
    Invariant: len(got) + failed_count <= n.
    """

    __slots__ = ("failed_count", "got", "n", "need", "pending", "pending_lost")

    def __init__(self, need: int, n: int, pending: tuple[str, ...] = ()) -> None:
        assert 1 <= need <= n, f"a quorum of {need} out of {n}"
        self.pending = pending
        self.pending_lost = False
        self.need = need
        self.n = n
        self.got: list[str] = []
        self.failed_count = 0

    def add(self, replica: str) -> None:
        """One more replica answered as hoped."""
        if replica in self.pending:
            self.pending = tuple(each for each in self.pending if each != replica)
            return
        assert replica not in self.got, f"{replica} answered twice"
        self.got.append(replica)

    def fail(self, count: int = 1) -> None:
        """So many replicas will not answer any more."""
        self.failed_count += count

    def fail_pending(self) -> None:
        """A pending owner will not answer any more."""
        self.pending_lost = True

    def miss(self, peers: Sequence[str]) -> None:
        """These will not answer any more. (Who is no pending owner is an owner, or stands in for one.)"""
        owners = [peer for peer in peers if peer not in self.pending]
        self.fail(len(owners))
        if len(owners) < len(peers):
            self.fail_pending()

    @property
    def met(self) -> bool:
        """Enough have answered."""
        return len(self.got) >= self.need and not self.pending

    @property
    def lost(self) -> bool:
        """Even if all others answer, it cannot be enough any more."""
        return self.n - self.failed_count < self.need or self.pending_lost


class JointQuorum(Quorum):
    """Of a read while the ring changes: `need` of the owners must answer, and enough of the next owners.

    The change may be over without this node having heard of it. Then a write is on w of the next owners: a majority of
    them meets any w that is at least half of them, and r of them any that r + w > N allows. Whoever is met holds the
    write, or says that the ring is another one. An owner that stays counts on both sides, so a read needs a pending
    owner only where too few of those answer.
    """

    __slots__ = ("_next", "_next_owners")

    def __init__(self, need: int, n: int, pending: tuple[str, ...], next_owners: tuple[str, ...]) -> None:
        super().__init__(need, n, pending)
        self._next_owners = next_owners
        self._next = Quorum(next_need(need, len(next_owners)), len(next_owners))

    def add(self, replica: str) -> None:
        """See Quorum."""
        if replica in self._next_owners:
            self._next.add(replica)
        if replica not in self.pending:
            super().add(replica)

    def miss(self, peers: Sequence[str]) -> None:
        """See Quorum."""
        self._next.fail(len([peer for peer in peers if peer in self._next_owners]))
        self.fail(len([peer for peer in peers if peer not in self.pending]))

    @property
    def met(self) -> bool:
        """See Quorum."""
        return len(self.got) >= self.need and self._next.met

    @property
    def lost(self) -> bool:
        """See Quorum."""
        return self.n - self.failed_count < self.need or self._next.lost


def next_need(need: int, n: int) -> int:
    """How many of the n next owners must answer a read of which `need` owners must."""
    return min(need, n // 2 + 1)


class RingChanged(Exception):
    """A replica knows a newer ring (and this node does by now): the request goes to its owners instead."""


class QuorumRound(Round):
    """A round of which a client waits for the first `need` answers.

    `future` resolves, or raises QuorumUnmet, or RingChanged. refilling: replicas that answered and do not count.
    """

    __slots__ = ("future", "letter", "quorum", "refilling")

    def __init__(self, letter: str, quorum: Quorum, peers: list[str], started_ms: float) -> None:
        super().__init__(peers, started_ms)
        self.letter = letter
        self.quorum = quorum
        self.refilling: list[str] = []
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def count(self, replica: str) -> None:
        self.quorum.add(replica)
        if self.quorum.met and not self.future.done():
            self.future.set_result(None)

    def ring_changed(self) -> None:
        """Stop here: whoever waits begins again with the new ring."""
        if not self.future.done():
            self.future.set_exception(RingChanged())

    def fail(self, why: str, peers: list[str]) -> None:
        """These will not answer as hoped. (An asked peer is an owner or a pending one.)"""
        self.quorum.miss(peers)
        if any(peer in self.quorum.pending for peer in peers):
            must = "must have it too" if self.letter == "W" else "counts too, while the ring changes"
            why += f"; a node that takes the partition over {must}"
        if self.quorum.lost and not self.future.done():
            quorum = self.quorum
            if others := [each for each in self.refilling if each not in why]:
                why += f"; {', '.join(others)} being refilled"
            self.future.set_exception(
                QuorumUnmet(
                    self.letter,
                    need=quorum.need,
                    got=len(quorum.got),
                    n=quorum.n,
                    definite=self.letter == "R",
                    why=why,
                )
            )

    def ended(self, missing: list[str]) -> None:
        """See Round."""
        if missing:
            self.fail(f"no answer from {', '.join(missing)} within {REQUEST_TIMEOUT_MS:.0f} ms", missing)
