"""Single-decree Paxos: whatever order messages come in, however often, whoever crashes: one value is decided."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.config import NodeAddress
from kvnode.handoff.paxos import NO_BALLOT, Acceptor, Proposer
from kvnode.ring import RingState

MEMBERS = tuple(NodeAddress(f"node-{n}", "127.0.0.1", n, 10_000 + n) for n in range(1, 6))


def value(note: str) -> RingState:
    return RingState(2, MEMBERS, note=note)


class Council:
    """Acceptors, proposers and the messages between them, delivered as a test likes."""

    def __init__(self, size: int) -> None:
        self.names = [f"node-{n}" for n in range(1, size + 1)]
        self.acceptors = dict.fromkeys(self.names, Acceptor(1))
        self.proposers: list[Proposer] = []
        self.in_flight: list[tuple[str, int, str]] = []  # (phase, proposer, acceptor)
        self.decided: set[str] = set()
        self.rounds = 0

    def stand(self, proposer: int) -> None:
        """A proposer begins a new ballot; its earlier ones are as good as dead, but their messages may still come."""
        self.rounds += 1
        ballot = (self.rounds if proposer % 2 else self.rounds // 2 + 1, f"store-{proposer}-{self.rounds}")
        number = len(self.proposers)
        self.proposers.append(Proposer(ballot, value(f"of {proposer} in {self.rounds}"), self.names))
        self.in_flight += [("prepare", number, name) for name in self.names]

    def deliver(self, index: int, *, again: bool) -> None:
        """One message arrives and is answered; `again`: the network keeps a copy."""
        phase, number, name = self.in_flight[index]
        if not again:
            del self.in_flight[index]
        proposer, acceptor = self.proposers[number], self.acceptors[name]
        if phase == "prepare":
            acceptor = self.acceptors[name] = acceptor.prepare(proposer.ballot)
            could = proposer.may_propose
            proposer.promised(name, acceptor.promised, acceptor.accepted)
            if proposer.may_propose and not could:
                self.in_flight += [("accept", number, each) for each in self.names]
        else:
            acceptor = self.acceptors[name] = acceptor.accept(proposer.ballot, proposer.value)
            proposer.accepted(name, acceptor.promised)
            if proposer.is_decided:
                self.decided.add(proposer.value.note)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 5), st.data())
def test_any_interleaving_decides_at_most_one_value(size: int, data: Any) -> None:
    council = Council(size)
    council.stand(0)
    for _ in range(data.draw(st.integers(1, 120))):
        step = data.draw(st.integers(0, 19))
        if step < 2 and len(council.proposers) < 6:
            council.stand(data.draw(st.integers(0, 2)))
        elif council.in_flight:
            index = data.draw(st.integers(0, len(council.in_flight) - 1))
            if step == 2:
                del council.in_flight[index]  # lost
            else:
                council.deliver(index, again=step == 3)
        assert len(council.decided) <= 1
        for acceptor in council.acceptors.values():
            assert acceptor.accepted is None or acceptor.accepted[0] <= acceptor.promised


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.data())
def test_what_a_dead_proposer_has_begun_another_one_finishes(size: int, data: Any) -> None:
    council = Council(size)
    council.stand(1)
    for _ in range(data.draw(st.integers(0, 30))):
        if council.in_flight:
            council.deliver(data.draw(st.integers(0, len(council.in_flight) - 1)), again=False)
    before = set(council.decided)
    council.in_flight.clear()  # it dies; all it has sent is lost
    council.rounds += 10
    council.stand(1)
    while council.in_flight:
        council.deliver(0, again=False)
    assert len(council.decided) == 1
    assert before <= council.decided


def test_an_acceptor_keeps_its_promise_and_tells_what_beat_a_ballot() -> None:
    acceptor = Acceptor(1).prepare((2, "b"))
    assert acceptor.prepare((1, "a")) == acceptor
    assert acceptor.accept((1, "a"), value("old")) == acceptor
    assert acceptor.accept((2, "b"), value("new")).accepted == ((2, "b"), value("new"))
    proposer = Proposer((1, "a"), value("old"), ["node-1"])
    proposer.promised("node-1", acceptor.promised, None)
    assert (proposer.may_propose, proposer.beaten_by) == (False, (2, "b"))


def test_votes_of_strangers_do_not_count() -> None:
    proposer = Proposer((1, "a"), value("mine"), ["node-1", "node-2", "node-3"])
    for name in ("node-1", "node-4", "node-5", "node-1"):
        proposer.promised(name, (1, "a"), None)
    assert not proposer.may_propose


def test_the_check_notices_an_acceptor_that_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Acceptor, "prepare", lambda self, ballot: Acceptor(self.epoch, ballot, None))
    council = Council(3)
    for _ in range(2):
        council.stand(1)
        while council.in_flight:
            council.deliver(0, again=False)
    assert len(council.decided) == 2
    assert NO_BALLOT < (0, "a")
