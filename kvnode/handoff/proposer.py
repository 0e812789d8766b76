"""Asking a majority of the members to decide what follows an epoch: one instance of Paxos an epoch.

Invariant: no ballot is used twice. It is named by the store id, so that a node whose disk was wiped never reuses one of
its earlier life; and a proposer promises its own ballot first, so that after a crash it begins a greater one.
Paper: Lamport, "Paxos Made Simple", 2001, section 2.5.
Must not live here: how answers are counted (paxos.py), and what is on disk (acceptor.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kvnode.config import VOTE_ATTEMPTS_MAX, VOTE_BACKOFF_MS, VOTE_TIMEOUT_MS
from kvnode.context import NodeContext
from kvnode.errors import QuorumUnmet
from kvnode.handoff.acceptor import DurableAcceptor
from kvnode.handoff.dissemination import Dissemination
from kvnode.handoff.paxos import Proposer
from kvnode.messages import Accept, Accepted, Answer, Ballot, Prepare, Promise, Stale
from kvnode.ring import RingState
from kvnode.rpc import Round
from kvnode.versions.bounds import ROUND_JUMP_MAX, is_jump


class _Phase(Round):
    """The answers to one phase of one ballot. `future` resolves when it is settled, one way or the other."""

    __slots__ = ("_is_accept", "_proposer", "future")

    def __init__(self, proposer: Proposer, is_accept: bool, peers: list[str], started_ms: float) -> None:
        super().__init__(peers, started_ms)
        self._proposer = proposer
        self._is_accept = is_accept
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(self, peer: str, answer: Answer) -> None:
        if isinstance(answer, Promise | Accepted) and answer.counts:
            if not is_jump(answer.promised[0], self._proposer.ballot[0], ROUND_JUMP_MAX):
                self.take(peer, answer.promised, answer.accepted)
        elif isinstance(answer, Stale):
            self._end()  # decided without us

    def take(self, acceptor: str, promised: Ballot, accepted: tuple[Ballot, RingState] | None) -> None:
        proposer = self._proposer
        if self._is_accept:
            proposer.accepted(acceptor, promised)
        else:
            proposer.promised(acceptor, promised, accepted)
        if proposer.is_decided if self._is_accept else proposer.may_propose:
            self._end()

    def ended(self, missing: list[str]) -> None:
        self._end()

    def _end(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class RingProposer:
    """Proposes what follows an epoch, one value at a time.

    store: tells the store id that names this node's ballots.
    """

    def __init__(
        self,
        context: NodeContext,
        acceptor: DurableAcceptor,
        dissemination: Dissemination,
        *,
        store: Callable[[], str],
    ) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._rpc = context.rpc
        self._acceptor = acceptor
        self._dissemination = dissemination
        self._store = store
        self._last_round = 0
        self._one_at_a_time = asyncio.Lock()

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
                proposer = Proposer(self._next_ballot(), value, self._ring.nodes)
                try:
                    await self._run(proposer, epoch, is_accept=False)
                    if proposer.may_propose:
                        await self._run(proposer, epoch, is_accept=True)
                except OSError as error:
                    why = f"{self._node} cannot store its own vote: {error}"
                if proposer.is_decided:
                    self._dissemination.decided(proposer.value)
                elif proposer.beaten_by is not None:
                    self._last_round = max(self._last_round, proposer.beaten_by[0])
            if self._ring.epoch != epoch:
                return self._ring.state
        got = max(proposer.promise_count, proposer.acceptance_count)
        raise QuorumUnmet(
            "majority",
            need=proposer.majority,
            got=got,
            n=len(proposer.acceptors),
            definite=False,
            why=why,
        )

    def _next_ballot(self) -> Ballot:
        self._last_round = 1 + max(self._last_round, self._acceptor.promised[0])
        return (self._last_round, self._store())

    async def _run(self, proposer: Proposer, epoch: int, *, is_accept: bool) -> None:
        """One phase: this node's own promise or acceptance first, on disk, then everybody's.

        Nothing if the epoch is over by now: a value must never be accepted in an instance that is not its own.
        """
        if self._ring.epoch != epoch:
            return
        ballot, value, mine = proposer.ballot, proposer.value, self._acceptor
        told = await (mine.accept(ballot, value) if is_accept else mine.prepare(ballot))
        if self._ring.epoch != epoch:
            return
        others = [name for name in self._ring.nodes if name != self._node]
        round_ = _Phase(proposer, is_accept, others, self._runtime.clock.now_ms())
        if mine.vote_counts:
            round_.take(self._node, told.promised, told.accepted)
        if others:
            id_ = self._rpc.begin(round_, VOTE_TIMEOUT_MS)
            for peer in others:
                question = Accept(id_, epoch, ballot, value) if is_accept else Prepare(id_, epoch, ballot)
                self._runtime.network.send(peer, question)
            await round_.future
