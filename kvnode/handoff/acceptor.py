"""An acceptor of the ring's next state whose promises are on disk before anybody is told: Paxos's stable storage.

Invariant: nobody is told of a promise or an acceptance that is not on disk.
Invariant: a store that has lost its promises never breaks them. A wiped node's votes do not count on the epoch that it
finds, nor on the next (some other node may be that far already). The neighbours then decide a renewal of the ring in
its favour (changes.py), and it votes again.
Paper: Lamport, "Paxos Made Simple", 2001, section 2.5.
Must not live here: the rules of promising and accepting (paxos.py), and proposals of this node's own (proposer.py).
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from kvnode.config import VOTE_TIMEOUT_MS
from kvnode.context import NodeContext
from kvnode.handoff.paxos import Acceptor
from kvnode.messages import UNDECODABLE, Accept, Accepted, Ballot, Prepare, Promise, Refused
from kvnode.ring import RingState
from kvnode.runtime import Handlers, Row
from kvnode.versions.bounds import ROUND_JUMP_MAX, Count, is_jump

_META, _KEY = "meta", "ring-votes"


class Ballots(msgspec.Struct, frozen=True, array_like=True):
    """What is on disk. votes_from: the first epoch on which this store's votes count."""

    acceptor: Acceptor
    votes_from: Count


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ballots).decode


class DurableAcceptor:
    """What this node has promised and accepted, and whether its votes count.

    implausible_count: ballots that cannot be.
    """

    def __init__(self, context: NodeContext) -> None:
        self._runtime = context.runtime
        self._ring = context.ring
        self._epochs = context.epochs
        self._acceptor = Acceptor()
        self._votes_from = 0
        self.implausible_count = 0

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {Prepare: self.on_prepare, Accept: self.on_accept}

    async def open(self, *, lost_disk: bool) -> None:
        """Read the promises; lost_disk: there were some, and they are gone."""
        known = self._runtime.disk.get(_META, 0, _KEY)
        ballots = None if known is None else self._stored(known[0])
        if ballots is not None:
            self._acceptor, self._votes_from = ballots.acceptor, ballots.votes_from
        elif lost_disk or known is not None:
            await self.lose_right()

    def _stored(self, row: bytes) -> Ballots | None:
        """What a row says; None if that cannot be: then the promises are as good as lost."""
        try:
            return _decode(row)
        except UNDECODABLE as error:
            self._runtime.log("promises_refused", level="error", why=str(error))
            return None

    # --- the right to vote --------------------------------------------------------------------------------

    @property
    def knows_its_right(self) -> bool:
        """False: this store has replaced a lost one, and has not heard yet how far the others are."""
        return self._votes_from < 2**53

    @property
    def may_vote(self) -> bool:
        """Whether this store's votes count on the present epoch."""
        return self._ring.epoch >= self._votes_from

    @property
    def vote_counts(self) -> bool:
        """Whether a vote given now counts: this node is a member and may vote."""
        return self.may_vote and self._ring.is_member

    async def lose_right(self) -> None:
        """This store has replaced one whose promises are lost: its votes count again when it is told from when on.

        OSError: the disk takes no writes. This life does not vote all the same; the next one would.
        """
        self._votes_from = 2**53
        await self._store_ballots()

    async def lose_right_for_good(self) -> None:
        """The same, again and again until it is on disk."""
        while True:
            with contextlib.suppress(OSError):
                await self.lose_right()
                return
            await self._runtime.clock.sleep_ms(VOTE_TIMEOUT_MS)

    async def grant_from(self, epoch: int) -> None:
        """From this epoch on its votes count. OSError: the disk takes no writes, and nothing is granted yet."""
        before = self._votes_from
        if epoch < before:
            self._votes_from = epoch
            try:
                await self._store_ballots()
            except OSError:
                self._votes_from = before  # to be granted again
                raise

    # --- what proposers ask -----------------------------------------------------------------------------

    def on_prepare(self, peer: str, question: Prepare) -> None:
        """Promise, or tell what was promised already."""
        if self._is_present(peer, question) and not self._is_jump(peer, question):
            self._become(self._present().prepare(question.ballot), peer, question.id, Promise)

    def on_accept(self, peer: str, question: Accept) -> None:
        """Accept, or tell what was promised already."""
        value = question.value
        if not value.is_whole or value.epoch != question.epoch + 1:
            self._runtime.network.send(peer, Refused(question.id, "that cannot follow this epoch"))
        elif self._is_present(peer, question) and not self._is_jump(peer, question):
            self._become(self._present().accept(question.ballot, value), peer, question.id, Accepted)

    def _is_present(self, peer: str, question: Prepare | Accept) -> bool:
        if question.epoch == self._ring.epoch:
            return True
        if not self._epochs.refuses_epoch(peer, question):
            self._runtime.network.send(peer, Refused(question.id, "this node does not know that epoch yet"))
        return False

    def _is_jump(self, peer: str, question: Prepare | Accept) -> bool:
        """Refuse a ballot that nobody can have come to by trying: who promised it could never vote for another."""
        if not is_jump(question.ballot[0], self._present().promised[0], ROUND_JUMP_MAX):
            return False
        self.implausible_count += 1
        self._runtime.network.send(peer, Refused(question.id, "no proposer can have tried so often"))
        return True

    def _become(
        self, acceptor: Acceptor, peer: str, id_: int, answer: type[Promise] | type[Accepted]
    ) -> None:
        self._acceptor = acceptor
        counts = self.vote_counts

        def stored(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                told = answer(id_, acceptor.promised, acceptor.accepted, counts)
                self._runtime.network.send(peer, told)

        self._store_ballots().add_done_callback(stored)

    # --- what this node's own proposer asks ---------------------------------------------------------------

    @property
    def promised(self) -> Ballot:
        """The greatest ballot promised on the present epoch."""
        return self._present().promised

    async def prepare(self, ballot: Ballot) -> Acceptor:
        """Promise, and tell what is promised once that is on disk. OSError: the disk takes no writes."""
        return await self._become_durably(self._present().prepare(ballot))

    async def accept(self, ballot: Ballot, value: RingState) -> Acceptor:
        """Accept, and tell what is accepted once that is on disk. OSError: the disk takes no writes."""
        return await self._become_durably(self._present().accept(ballot, value))

    async def _become_durably(self, acceptor: Acceptor) -> Acceptor:
        self._acceptor = acceptor
        await self._store_ballots()
        return acceptor

    # --- what is on disk ----------------------------------------------------------------------------------

    def _present(self) -> Acceptor:
        if self._acceptor.epoch != self._ring.epoch:
            self._acceptor = Acceptor(self._ring.epoch)
        return self._acceptor

    def _store_ballots(self) -> asyncio.Future[None]:
        row = _encode(Ballots(self._acceptor, self._votes_from))
        return self._runtime.disk.commit([Row(_META, 0, _KEY, row)])
