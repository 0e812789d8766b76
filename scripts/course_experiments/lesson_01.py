"""Lesson 01: the ring."""

from __future__ import annotations

import time

from course_experiments.experiment import Experiment, Found
from labkit import Session
from labkit.course import ex01
from labkit.course.reading import read_notes
from labkit.errors import LabError
from labkit.growth import Growth
from labkit.ringside import look

NOTES = [f"note/{number}" for number in range(300)]
GAP_MS_MAX = 1000.0
SEEN_MIN = 3
ACKNOWLEDGED_MIN = 50


def three_nodes_with_notes(session: Session) -> Growth:
    """As the lesson's first cells leave it."""
    session.growth.leave(to=3)
    if "bench/01" not in session.course.kept:
        for key in NOTES:
            session.client.put(key, "a short note")
        session.course.kept["bench/01"] = True
    return session.growth


def a_fourth_node_joins(session: Session) -> Found:
    """Its circle is seen to fill, a quarter of the slots moves, nobody waits, nothing fails."""
    growth = three_nodes_with_notes(session)
    client, seen = session.cluster.client(timeout_s=1.0), set()
    growth.begin_join()
    while growth.is_under_way:
        client = session.cluster.client(timeout_s=1.0)
        seen |= {len(parts) for parts in look(client).arrived.values()}
        time.sleep(0.3)
    change = growth.changes[-1]
    between = [count for count in seen if 0 < count < change.moved]
    bit = len(between) >= SEEN_MIN and change.acknowledged >= ACKNOWLEDGED_MIN
    effect = not change.problem and 24 <= change.moved_percent <= 26
    effect = effect and change.failed == 0 and change.gap_ms < GAP_MS_MAX
    growth.leave(to=3)
    return Found(bit, effect, f"{change}; seen on its way {len(between)} times")


def five_nodes_and_a_famous_note(session: Session) -> Found:
    """A fifth of the slots moves to the fifth node; data is balanced then, and work is not."""
    growth = three_nodes_with_notes(session)
    fifth = growth.join(to=5, slow_ms=0.0)
    client = session.cluster.client()
    alike, famous = read_notes(client, NOTES), read_notes(client, NOTES, famous=0.5)
    growth.leave(to=3)
    effect = 19 <= fifth.moved_percent <= 21 and alike.data_fullest <= 1.15 < 2 < famous.work_fullest
    return Found(sum(famous.reads.values()) >= 300, effect, f"{fifth}; {famous}")


def killed_while_it_joins(session: Session) -> Found:
    """The join is called off, the three others go on, and nothing that was acknowledged is lost."""
    growth = three_nodes_with_notes(session)
    session.traffic.reset()
    name = growth.begin_join()
    is_moving = bool(session.cluster.client().ring("node-1")["pending"])
    session.cluster.kill(name)
    change = growth.wait()
    verdict = session.check()
    effect = bool(change and change.problem) and growth.members == ["node-1", "node-2", "node-3"]
    said = f"{change}; {verdict['summary']}"
    return Found(is_moving and verdict["acknowledged"] > 0, effect and verdict["lost"] == 0, said)


def nobody_leaves_three(session: Session) -> Found:
    """Refused, in a sentence that says why and what to do."""
    growth = three_nodes_with_notes(session)
    try:
        growth.begin_leave("node-3")
    except LabError as refusal:
        said = str(refusal)
        return Found(True, "each key has 3 copies" in said and "Let a node join first" in said, said)
    growth.wait()
    return Found(True, False, "it left")


def exercise_judges_a_real_leave(session: Session) -> Found:
    """01.1: five nodes, one leaves, and the tweet is where the claims say."""
    three_nodes_with_notes(session)
    session.course.kept.pop("01.1", None)
    panel = session.exercise("01.1")
    right = panel.check("node-2, node-3, node-5")
    wrong = panel.check(next(iter(ex01.HOLDERS)))
    return Found(
        right.status != "inconclusive", (right.status, wrong.status) == ("right", "not yet"), str(right)
    )


EXPERIMENTS = (
    Experiment("01", "a fourth node joins", "circle fills, 25 % move, no gap", 14.0, a_fourth_node_joins),
    Experiment(
        "01", "five nodes, one famous note", "20 % move, work unbalanced", 16.0, five_nodes_and_a_famous_note
    ),
    Experiment("01", "node-4 killed while it joins", "called off, lost 0", 10.0, killed_while_it_joins),
    Experiment("01", "leave at three nodes", "refused in a sentence", 0.5, nobody_leaves_three),
    Experiment("01", "exercise 01.1", "right is right, wrong is not yet", 20.0, exercise_judges_a_real_leave),
)
