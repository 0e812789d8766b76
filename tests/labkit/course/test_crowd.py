"""A crowd acts at once, and nobody in it goes on before all are done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.errors import QuorumUnmet
from labkit.course.crowd import Crowd
from labkit.course.operations import Operation
from labkit.course.people import Person
from labkit.errors import LabError

FRIENDS = 5


class Notebook:
    """Writes down when operations end."""

    def __init__(self) -> None:
        self.ended_operations: list[Operation] = []
        self._ticks = iter(range(10_000))
        self._lock = threading.Lock()

    def now_ms(self) -> float:
        with self._lock:
            return float(next(self._ticks))

    def begin(self) -> None: ...

    def ended(self, operation: Operation) -> None:
        self.ended_operations.append(operation)


class Client:
    """A database that answers nobody before everybody has asked: a crowd that did not act at once would stand still."""

    def __init__(self, together: int) -> None:
        self._barrier = threading.Barrier(together, timeout=5.0)
        self.calls: list[tuple[Any, ...]] = []

    def get(self, key: str, **options: Any) -> dict[str, Any]:
        self._barrier.wait()
        self.calls.append(("get", key))
        return {"value": 0}

    def put(self, key: str, value: Any, **options: Any) -> dict[str, Any]:
        self._barrier.wait()
        self.calls.append(("put", value))
        return {}

    def increment(self, *given: Any, **options: Any) -> dict[str, Any]:
        self._barrier.wait()
        self.calls.append((*given, options["w"]))
        return {"value": 1, "trace_id": "t"}


def crowd_of(count: int) -> tuple[Crowd, Client]:
    client, notebook = Client(count), Notebook()
    people = [Person(f"friend {number}", "node-1", client, notebook) for number in range(count)]  # type: ignore[arg-type]
    return Crowd(people), client


def test_all_act_at_once_and_all_have_been_answered_before_it_goes_on() -> None:
    crowd, client = crowd_of(FRIENDS)
    read = crowd.get("likes")
    written = crowd.put("likes", [one.number + 1 for one in read])
    assert [one.value for one in written] == [1] * FRIENDS
    assert max(one.end_ms for one in read) < min(one.sent_ms for one in written)
    assert [name for name, _ in client.calls] == ["get"] * FRIENDS + ["put"] * FRIENDS
    assert [one.who for one in read] == [f"friend {number}" for number in range(FRIENDS)]


def test_as_many_values_as_people() -> None:
    crowd, client = crowd_of(2)
    with pytest.raises(LabError, match="2 people, and 3 values"):
        crowd.put("likes", [1, 2, 3])
    assert client.calls == [] and len(crowd) == 2


def test_a_like_without_an_actor_is_one_step_and_with_one_it_is_a_total() -> None:
    crowd, client = crowd_of(1)
    step = crowd.increment("likes", w=2)[0]
    total = crowd.people[0].increment("likes", actor="alice", total=6, taken_back=2)
    assert client.calls == [("likes", None, 1, 0, 2), ("likes", "alice", 6, 2, None)]
    assert (step.value, step.options) == (1, {"w": 2})
    assert "adds 1 to likes" in step.sentence() and "tells alice's total 6 to likes" in total.sentence()


def test_a_count_that_was_refused_is_an_outcome_and_no_error() -> None:
    crowd, client = crowd_of(1)

    def unmet(*given: Any, **options: Any) -> Any:
        raise QuorumUnmet("W", need=2, got=1, n=3, definite=False)

    client.increment = unmet  # type: ignore[method-assign]
    assert crowd.increment("likes")[0].outcome == "unknown"


def test_what_a_program_that_counts_reads_where_nothing_or_words_stand_is_0(
    operation: Callable[..., Operation],
) -> None:
    assert [operation("Bob", "get", value).number for value in (7, None, "seven", [1, 1])] == [7, 0, 0, 0]
    counted = operation("Bob", "count", 3, answer={"actors": {"bob": {"increments": 5, "decrements": 2}}})
    assert counted.totals == {"bob": (5, 2)}
    assert operation("Bob", "get", 3).totals == {}
