"""Deciding what follows an epoch: Paxos among its members, with promises that are on disk before they are sent.

One instance an epoch. Ballots are named by store ids, so that a node whose disk was wiped never reuses one of its
earlier life; and a proposer promises its own ballot first, so that after a crash it begins a greater one.

A wiped node has forgotten its promises, and must not break them: its votes do not count on the epoch that it finds,
nor on the next (some other node may be that far already). The neighbours then decide a renewal of the ring in its
favour (changes.py), and it votes again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from kvnode.config import VOTE_ATTEMPTS_MAX, VOTE_BACKOFF_MS, VOTE_TIMEOUT_MS
from kvnode.context import NodeContext
from kvnode.errors import QuorumUnmet
from kvnode.handoff.dissemination import Dissemination
from kvnode.handoff.paxos import Acceptor, Proposer
from kvnode.messages import UNDECODABLE, Accept, Answer, Ballot, Prepare, Refused, Stale, Vote
from kvnode.ring import RingState
from kvnode.rpc import Round
from kvnode.runtime import Handlers, Row
from kvnode.versions.bounds import ROUND_JUMP_MAX, Count, is_jump

_META, _KEY = "meta", "ring-votes"


class Ballots(msgspec.Struct, frozen=True, array_like=True):
    """What is on disk. votes_from: the first epoch on which this store's votes count."""

    acceptor: Acceptor
    votes_from: Count


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ballots).decode


class _Ask(Round):
    """One phase of one candidacy. `future` resolves when it is settled, one way or the other."""

    __slots__ = ("_candidacy", "_is_accept", "future")

    def __init__(self, candidacy: Proposer, is_accept: bool, peers: list[str], started_ms: float) -> None:
        super().__init__(peers, started_ms)
        self._candidacy = candidacy
        self._is_accept = is_accept
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(self, peer: str, answer: Answer) -> None:
        if isinstance(answer, Vote) and answer.counts:
            if not is_jump(answer.promised[0], self._candidacy.ballot[0], ROUND_JUMP_MAX):
                self.take(peer, answer.promised, answer.accepted)
        elif isinstance(answer, Stale):
            self._end()  # decided without us

    def take(self, elector: str, promised: Ballot, accepted: tuple[Ballot, RingState] | None) -> None:
        candidacy = self._candidacy
        if self._is_accept:
            candidacy.accepted(elector, promised)
        else:
            candidacy.promised(elector, promised, accepted)
        if candidacy.is_decided if self._is_accept else candidacy.may_propose:
            self._end()

    def ended(self, missing: list[str]) -> None:
        self._end()

    def _end(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Voting:
    """Acceptor and proposer of one node.

    store: tells the store id that names this node's ballots. implausible_count: ballots that cannot be.
    Invariant: nobody is told of a promise or an acceptance that is not on disk.
    """

    def __init__(
        self, context: NodeContext, dissemination: Dissemination, *, store: Callable[[], str]
    ) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._rpc = context.rpc
        self._epochs = context.epochs
        self._dissemination = dissemination
        self._store = store
        self._acceptor = Acceptor()
        self._votes_from = 0
        self._last_round = 0
        self.implausible_count = 0
        self._one_at_a_time = asyncio.Lock()

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

    # --- the acceptor -------------------------------------------------------------------------------------

    def on_prepare(self, peer: str, question: Prepare) -> None:
        """Promise, or tell what was promised already."""
        if self._is_present(peer, question) and not self._is_jump(peer, question):
            self._become(self._present().prepare(question.ballot), peer, question.id)

    def on_accept(self, peer: str, question: Accept) -> None:
        """Accept, or tell what was promised already."""
        value = question.value
        if not value.is_whole or value.epoch != question.epoch + 1:
            self._runtime.network.send(peer, Refused(question.id, "that cannot follow this epoch"))
        elif self._is_present(peer, question) and not self._is_jump(peer, question):
            self._become(self._present().accept(question.ballot, question.value), peer, question.id)

    def _is_present(self, peer: str, question: Prepare | Accept) -> bool:
        id_, epoch = question.id, question.epoch
        if epoch == self._ring.epoch:
            return True
        if not self._epochs.refuses(peer, id_, epoch):
            self._runtime.network.send(peer, Refused(id_, "this node does not know that epoch yet"))
        return False

    def _is_jump(self, peer: str, question: Prepare | Accept) -> bool:
        """Refuse a ballot that nobody can have come to by trying: who promised it could never vote for another."""
        if not is_jump(question.ballot[0], self._present().promised[0], ROUND_JUMP_MAX):
            return False
        self.implausible_count += 1
        self._runtime.network.send(peer, Refused(question.id, "no proposer can have tried so often"))
        return True

    def _present(self) -> Acceptor:
        if self._acceptor.epoch != self._ring.epoch:
            self._acceptor = Acceptor(self._ring.epoch)
        return self._acceptor

    def _become(self, acceptor: Acceptor, peer: str, id_: int) -> None:
        self._acceptor = acceptor
        counts = self.may_vote and self._ring.is_member

        def stored(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                vote = Vote(id_, acceptor.promised, acceptor.accepted, counts)
                self._runtime.network.send(peer, vote)

        self._store_ballots().add_done_callback(stored)

    def _store_ballots(self) -> asyncio.Future[None]:
        row = _encode(Ballots(self._acceptor, self._votes_from))
        return self._runtime.disk.commit([Row(_META, 0, _KEY, row)])

    # --- the proposer -------------------------------------------------------------------------------------

    async def decide(self, value: RingState) -> RingState:
        """Have the members decide what follows their present epoch: `value`, or what another has proposed.

        Returns the newest state known then. Raises QuorumUnmet if too few vote (it may be decided later all the same),
        also if that is because this node's own disk takes no writes: nobody is asked before its own vote stands there.
        """
        epoch, why = value.epoch - 1, "so many members must agree to change the ring"
        async with self._one_at_a_time:
            for attempt in range(VOTE_ATTEMPTS_MAX):
                if attempt:
                    await self._runtime.clock.sleep_ms(
                        VOTE_BACKOFF_MS * (1 + 2 * self._runtime.random.random())
                    )
                if self._ring.epoch != epoch:
                    return self._ring.state
                candidacy = Proposer(self._next_ballot(), value, self._ring.nodes)
                try:
                    await self._run(candidacy, epoch, is_accept=False)
                    if candidacy.may_propose:
                        await self._run(candidacy, epoch, is_accept=True)
                except OSError as error:
                    why = f"{self._node} cannot store its own vote: {error}"
                if candidacy.is_decided:
                    self._dissemination.decided(candidacy.value)
                elif candidacy.beaten_by is not None:
                    self._last_round = max(self._last_round, candidacy.beaten_by[0])
            if self._ring.epoch != epoch:
                return self._ring.state
        got = max(candidacy.promise_count, candidacy.acceptance_count)
        raise QuorumUnmet(
            "majority",
            need=candidacy.majority,
            got=got,
            n=len(candidacy.acceptors),
            definite=False,
            why=why,
        )

    def _next_ballot(self) -> Ballot:
        self._last_round = 1 + max(self._last_round, self._present().promised[0])
        return (self._last_round, self._store())

    async def _run(self, candidacy: Proposer, epoch: int, *, is_accept: bool) -> None:
        """One phase: this node's own promise or acceptance first, on disk, then everybody's.

        Nothing if the epoch is over by now: a value must never be accepted in an instance that is not its own.
        """
        if self._ring.epoch != epoch:
            return
        mine = self._present()
        ballot, value = candidacy.ballot, candidacy.value
        self._acceptor = mine.accept(ballot, value) if is_accept else mine.prepare(ballot)
        told = self._acceptor
        await self._store_ballots()
        if self._ring.epoch != epoch:
            return
        others = [name for name in self._ring.nodes if name != self._node]
        round_ = _Ask(candidacy, is_accept, others, self._runtime.clock.now_ms())
        if self.may_vote and self._ring.is_member:
            round_.take(self._node, told.promised, told.accepted)
        if others:
            id_ = self._rpc.begin(round_, VOTE_TIMEOUT_MS)
            for peer in others:
                question = Accept(id_, epoch, ballot, value) if is_accept else Prepare(id_, epoch, ballot)
                self._runtime.network.send(peer, question)
            await round_.future
