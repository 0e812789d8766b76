"""Flows: stories in steps, one operation an arrival, replies that find their story."""

from __future__ import annotations

from typing import Any

import pytest

from traffic.operations import Add, Operation
from traffic.stores.base import CounterReply
from traffic.workloads.inventory.flows import Flow, Flows, Later, OperationFailed, Who

ADA = Who("ada", "London", "s-1")
BOB = Who("bob", "Tokyo", "s-2")


def errand(who: Who, told: list[object], *, pause_s: float = 0) -> Flow[None]:
    told.append((yield who.count("look", "stock/london/mug")))
    if pause_s:
        yield Later(pause_s)
    try:
        told.append((yield who.add("shipment", "stock/london/mug", -1)))
    except OperationFailed as failure:
        told.append(failure.definite)


def answer(flows: Flows, operation: Operation | None, value: int, now_s: float) -> None:
    assert operation is not None
    flows.answered(operation, CounterReply(operation.key, value, "node-1"), now_s)


def failed(flows: Flows, operation: Operation | None, *, definite: bool) -> None:
    assert operation is not None
    flows.failed(operation, definite=definite, now_s=1)


def test_a_step_follows_from_the_answer_to_the_one_before() -> None:
    flows, told = Flows(), list[Any]()
    flows.start(errand(ADA, told), 0)
    look = flows.next_due(0)
    assert look == ADA.count("look", "stock/london/mug")
    assert flows.next_due(100) is None  # unanswered: it waits, for ever
    answer(flows, look, 7, 100)
    shipment = flows.next_due(100)
    assert isinstance(shipment, Add)
    assert shipment.amount == -1
    answer(flows, shipment, 6, 101)
    assert [reply.value for reply in told] == [7, 6]
    assert len(flows) == 0


def test_a_pause_is_waited_for() -> None:
    flows, told = Flows(), list[Any]()
    flows.start(errand(ADA, told, pause_s=2.5), 0)
    answer(flows, flows.next_due(0), 7, 1.0)
    assert flows.next_due(3.4) is None
    assert flows.next_due(3.5) is not None


def test_what_has_been_due_for_longest_comes_first() -> None:
    flows = Flows()
    flows.start(errand(ADA, [], pause_s=5), 0)
    answer(flows, flows.next_due(0), 7, 0)
    flows.start(errand(BOB, []), 6)
    due = [flows.next_due(7), flows.next_due(7)]
    assert [operation and operation.persona for operation in due] == ["ada", "bob"]


def test_a_failure_reaches_the_story() -> None:
    flows, told = Flows(), list[Any]()
    flows.start(errand(ADA, told), 0)
    answer(flows, flows.next_due(0), 7, 0)
    failed(flows, flows.next_due(0), definite=True)
    assert told[1] is True
    assert len(flows) == 0


def test_a_failure_that_nobody_handles_ends_the_story() -> None:
    flows, told = Flows(), list[Any]()
    flows.start(errand(ADA, told), 0)
    failed(flows, flows.next_due(0), definite=False)
    assert (told, len(flows), flows.next_due(9)) == ([], 0, None)


def test_the_answer_to_a_stranger_is_ignored() -> None:
    flows = Flows()
    flows.answered(ADA.count("look", "stock/london/mug"), None, 0)
    flows.failed(Add(kind="like", persona="eve", key="tweet/1/likes"), definite=True, now_s=0)
    assert len(flows) == 0


def test_stories_are_bounded() -> None:
    flows = Flows(flows_max=1)
    flows.start(errand(ADA, []), 0)
    assert not flows.has_room
    with pytest.raises(RuntimeError, match="1 flows are going on"):
        flows.start(errand(BOB, []), 0)
