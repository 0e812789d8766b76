"""Asking peers: sends a question to some of them and hands each answer to whoever asked.

One id and one entry in one table serve a whole round, however many peers it asks: no task and no timer per message. A
round ends when every peer has answered or its time is over; then it is told which peers are missing.
Must not live here: how many answers are enough (replication/quorum.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from kvnode.config import REQUEST_TIMEOUT_MS
from kvnode.messages import Answer, Question
from kvnode.runtime import Runtime

_SWEEP_PERIOD_MS = 50.0


class Round:
    """One question on its way. Subclasses say what an answer means and what the end means."""

    __slots__ = ("deadline_ms", "started_ms", "waiting_for")

    def __init__(self, peers: Iterable[str], started_ms: float) -> None:
        self.waiting_for = list(peers)
        self.started_ms = self.deadline_ms = started_ms

    def answered(self, peer: str, answer: Answer) -> None:
        """A peer answered (each at most once)."""

    def ended(self, missing: list[str]) -> None:
        """All have answered, or time is over and `missing` have not."""

    def goes_on(self, id_: int) -> bool:
        """Its deadline has come: True if it has asked somebody else and has a later one now, else it ends."""
        return False


class _OneAnswer(Round):
    __slots__ = ("future",)

    def __init__(self, peers: Iterable[str], started_ms: float) -> None:
        super().__init__(peers, started_ms)
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def answered(self, peer: str, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def ended(self, missing: list[str]) -> None:
        if missing and not self.future.done():
            self.future.set_exception(TimeoutError(f"{', '.join(missing)} did not answer in time"))


class _InTurn(_OneAnswer):
    """Asks one peer after the other; see Calls.ask_in_turn. deadline_ms: when the next one is due, or the end."""

    __slots__ = ("ask", "end_ms", "left", "pause_ms")

    def __init__(
        self,
        peers: Iterable[str],
        started_ms: float,
        *,
        pause_ms: float,
        end_ms: float,
        ask: Callable[[str, int], None],
    ) -> None:
        super().__init__((), started_ms)
        self.left = list(peers)
        self.pause_ms = pause_ms
        self.end_ms = end_ms
        self.ask = ask

    def ask_next(self, id_: int) -> None:
        peer = self.left.pop(0)
        self.waiting_for.append(peer)
        self.deadline_ms = min(self.deadline_ms + self.pause_ms, self.end_ms) if self.left else self.end_ms
        self.ask(peer, id_)

    def goes_on(self, id_: int) -> bool:
        if self.future.done() or self.deadline_ms >= self.end_ms:
            return False
        self.ask_next(id_)
        return True


class Rpc:
    """The table of rounds on their way.

    Invariant: a round is in the table from `begin` until all its peers have answered or its time is over.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rounds: dict[int, Round] = {}
        self._last_id = runtime.random.getrandbits(
            52
        )  # a late answer to an earlier life of this node fits none
        self._sweeping = False

    def __len__(self) -> int:
        return len(self._rounds)

    @property
    def rounds(self) -> Iterable[Round]:
        """The rounds on their way, oldest first."""
        return self._rounds.values()

    def oldest_ms(self, kind: type[Round], peer: str) -> float:
        """How long the oldest round of this kind has been waiting for `peer`; 0 if none is."""
        for round_ in self._rounds.values():
            if isinstance(round_, kind) and peer in round_.waiting_for:
                return self._runtime.clock.now_ms() - round_.started_ms
        return 0.0

    def begin(self, round_: Round, timeout_ms: float = REQUEST_TIMEOUT_MS) -> int:
        """Enter a round; returns the id that its questions must carry. Nothing is sent here."""
        self._last_id += 1
        self._rounds[self._last_id] = round_
        round_.deadline_ms += timeout_ms
        if not self._sweeping:
            self._sweeping = True
            self._runtime.clock.call_later_ms(_SWEEP_PERIOD_MS, self._sweep)
        return self._last_id

    async def ask(
        self, peer: str, question: Callable[[int], Question], timeout_ms: float = REQUEST_TIMEOUT_MS
    ) -> Answer:
        """Ask one peer and wait for its answer; TimeoutError if none comes in time."""
        round_ = _OneAnswer((peer,), self._runtime.clock.now_ms())
        self._runtime.network.send(peer, question(self.begin(round_, timeout_ms)))
        return await round_.future

    async def ask_in_turn(
        self,
        peers: Sequence[str],
        question: Callable[[str, int], Question],
        *,
        pause_ms: float,
        timeout_ms: float,
    ) -> Answer:
        """Ask the first of these, and one more after every pause in which nobody has answered; the first answer.

        TimeoutError if none comes in time. (Dean and Barroso, "The Tail at Scale", 2013: hedged requests.)
        """
        now_ms, network = self._runtime.clock.now_ms(), self._runtime.network
        round_ = _InTurn(
            peers,
            now_ms,
            pause_ms=pause_ms,
            end_ms=now_ms + timeout_ms,
            ask=lambda peer, id_: network.send(peer, question(peer, id_)),
        )
        round_.ask_next(self.begin(round_, 0.0))
        return await round_.future

    def answer(self, peer: str, answer: Answer) -> None:
        """An answer arrived; it is dropped if nobody waits for it any more (late, or doubled by the network)."""
        round_ = self._rounds.get(answer.id)
        if round_ is None or peer not in round_.waiting_for:
            return
        round_.waiting_for.remove(peer)
        if not round_.waiting_for:
            del self._rounds[answer.id]
        round_.answered(peer, answer)
        if not round_.waiting_for:
            round_.ended([])

    def _sweep(self) -> None:
        """End what is overdue. One look at all rounds, now and then, costs less than keeping them in order."""
        now_ms = self._runtime.clock.now_ms()
        for id_ in [id_ for id_, round_ in self._rounds.items() if round_.deadline_ms <= now_ms]:
            round_ = self._rounds.get(id_)
            if round_ is not None and not round_.goes_on(id_):
                del self._rounds[id_]
                missing, round_.waiting_for = round_.waiting_for, []
                round_.ended(missing)
        self._sweeping = bool(self._rounds)
        if self._sweeping:
            self._runtime.clock.call_later_ms(_SWEEP_PERIOD_MS, self._sweep)
