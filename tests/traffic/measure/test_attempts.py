"""Failed attempts by message: counted, bounded, and added up over processes."""

from __future__ import annotations

from traffic.measure.attempts import MESSAGES_MAX, OTHERS, FailedAttempts, merged_rows

UNMET = "W=2 unmet: 1 of 3 replicas answered"


def test_messages_are_counted_by_kind_and_node_the_most_frequent_first() -> None:
    failed = FailedAttempts()
    for at_ms in (1, 2, 3):
        failed.note("connection refused", kind="like", node="node-2", at_ms=at_ms)
    failed.note(UNMET, kind="tweet", node="node-1", at_ms=9)
    assert failed.rows() == [
        {"message": "connection refused", "kind": "like", "node": "node-2", "count": 3, "last_at": 3},
        {"message": UNMET, "kind": "tweet", "node": "node-1", "count": 1, "last_at": 9},
    ]


def test_endless_messages_are_kept_apart_up_to_a_bound_and_none_is_lost() -> None:
    failed = FailedAttempts()
    for number in range(1000):
        failed.note(f"failure {number} " + "x" * 1000, kind="like", node="node-1", at_ms=number)
    rows = failed.rows()
    assert len(rows) == MESSAGES_MAX + 1
    assert sum(row["count"] for row in rows) == 1000
    assert rows[0]["message"] == OTHERS
    assert max(len(row["message"]) for row in rows) <= 200


def test_those_of_two_processes_are_one_table() -> None:
    one, other = FailedAttempts(), FailedAttempts()
    one.note("refused", kind="like", node="node-1", at_ms=5)
    other.note("refused", kind="like", node="node-1", at_ms=7)
    other.note("refused", kind="view", node="node-1", at_ms=6)
    rows = merged_rows([one.rows(), other.rows()])
    assert [(row["kind"], row["count"], row["last_at"]) for row in rows] == [("like", 2, 7), ("view", 1, 6)]
