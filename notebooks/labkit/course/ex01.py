"""The exercises of 01, the ring. Each judge is pure: an answer and data in, a judgement out.

Invariant: no hint gives the answer away, and data that cannot tell is inconclusive, never "not yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvnode.errors import KvError
from labkit.course.exercise import Exercise, Judgement
from labkit.course.placing import PARTITIONS, fullest_over_mean, partition_of
from labkit.course.questions import Choice, Number
from labkit.errors import LabError
from labkit.growth import Change, Growth

# --- 01.1 -----------------------------------------------------------------------------------------------------

TWEET, LEAVER = "tweet/alice", "node-4"
FIVE = tuple(f"node-{number}" for number in range(1, 6))
BEFORE = frozenset({"node-3", "node-4", "node-5"})
"""Who holds it among five; a test compares this with the ring."""
TWO_ARE_LEFT = "node-3 and node-5 only"
HOLDERS: dict[str, frozenset[str]] = {
    "node-1, node-3, node-5": frozenset({"node-1", "node-3", "node-5"}),
    "node-2, node-3, node-5": frozenset({"node-2", "node-3", "node-5"}),
    "node-1, node-2, node-3": frozenset({"node-1", "node-2", "node-3"}),
    "node-1, node-2, node-5": frozenset({"node-1", "node-2", "node-5"}),
    TWO_ARE_LEFT: frozenset({"node-3", "node-5"}),
}
HOLDER_HINTS = {
    "node-1, node-3, node-5": "It is not the next one around the circle. Two nodes have no copy yet: which of them "
    "claims this partition more?",
    "node-1, node-2, node-3": "A node that held a copy, and did not leave, has none in your answer. Who would gain by "
    "moving that copy?",
    "node-1, node-2, node-5": "The claim of each node that stays is as great as it was before. So whose copies have a "
    "reason to move?",
    TWO_ARE_LEFT: "Each key has three copies, also after somebody has left. Who makes the third one?",
}


@dataclass(frozen=True)
class Left:
    """Who held the tweet before and after the leave, by the ring; found: who answered with a copy afterwards."""

    before: frozenset[str]
    after: frozenset[str]
    found: frozenset[str]


def judge_holders(given: Mapping[str, Any], left: Left) -> Judgement:
    """The nodes of one tweet after node-4 has left."""
    if left.before != BEFORE or LEAVER in left.after or left.found != left.after:
        return Judgement.inconclusive(
            f"The leave did not come about as it should: before {_named(left.before)}; after {_named(left.after)}; "
            f"found on {_named(left.found)}."
        )
    answer = str(given["nodes"])
    if HOLDERS[answer] == left.after:
        return Judgement.right(
            f"{LEAVER} has left, and {TWEET} is on {_named(left.after)}. One copy was made; the other two stayed."
        )
    hint = HOLDER_HINTS.get(answer)
    if hint is None:
        return Judgement.inconclusive(
            f"The tweet is on {_named(left.after)}, which the claims do not explain."
        )
    misconception = "M4" if not HOLDERS[answer] >= left.before - {LEAVER} else ""
    return Judgement.not_yet(
        f"{LEAVER} has left, and the tweet is not where you said.", hint, misconception=misconception
    )


def _named(nodes: frozenset[str]) -> str:
    return ", ".join(sorted(nodes)) or "no node"


def _let_leave(course: Any, given: Mapping[str, Any]) -> Left:
    """Really: five nodes, one leaves; then back to three. What was seen once in a session is not done again."""
    session = course.session
    known: Left | None = course.kept.get("01.1")
    if known is not None:
        return known
    growth: Growth = session.growth
    try:
        growth.join(to=len(FIVE), slow_ms=0.0)
        client = session.cluster.client()
        client.put(TWEET, "hello")
        growth.begin_leave(LEAVER)
        change = growth.wait()
        if change is None or change.problem:
            raise LabError("The node did not leave.", why="" if change is None else change.problem)
        place, client = partition_of(TWEET), session.cluster.client()
        found = [one["node"] for one in client.replicas(TWEET)["replicas"] if one.get("digest")]
        left = Left(frozenset(change.before[place]), frozenset(change.after[place]), frozenset(found))
    except KvError as error:
        raise LabError("The tweet could not be looked for.", why=str(error)) from error
    finally:
        growth.leave(to=3)
    course.kept["01.1"] = left
    return left


# --- 01.2 -----------------------------------------------------------------------------------------------------

WITHIN = 1.5


def judge_moved(given: Mapping[str, Any], change: Change) -> Judgement:
    """The share of (partition, copy) slots that moved when the fifth node joined."""
    answer, truth = float(given["moved"]), change.moved_percent
    lists = (
        100.0
        * sum(set(old) != set(new) for old, new in zip(change.before, change.after, strict=True))
        / max(1, len(change.after))
    )
    if change.problem or not change.moved or len(change.after) != PARTITIONS:
        return Judgement.inconclusive(f"No join to count in: {change.problem or 'nothing moved'}.")
    if abs(answer - truth) <= WITHIN:
        return Judgement.right(f"{change.moved} of {change.slots} copies moved: {truth:.1f} %.")
    said = f"You said {answer:g} %; the two snapshots do not say that."
    if answer >= 95:
        return Judgement.not_yet(
            said,
            "Take any partition: how many of its three nodes are the same before and after?",
            misconception="M4",
        )
    if abs(answer - lists) <= 2.5:
        return Judgement.not_yet(
            said, "So many lists have changed, but not in all of their places. How many places has a list?"
        )
    if abs(answer - 2 * truth) <= 2.5:
        return Judgement.not_yet(
            said, "You counted each copy twice: where it is made and where it is deleted. What has to travel?"
        )
    if abs(answer - change.first_moved_percent) <= WITHIN:
        return Judgement.not_yet(said, "That is so of the first places alone. A list has more than one.")
    return Judgement.not_yet(
        said,
        f"Count the names in each list that were not in it before, and divide by all {change.slots} slots.",
    )


def _fifth(course: Any, given: Mapping[str, Any]) -> Change:
    """The join of this session; if there was none, one is made, and undone."""
    growth: Growth = course.session.growth
    for change in reversed(growth.changes):
        if (change.what, change.node, change.problem) == ("join", FIVE[-1], ""):
            return change
    try:
        return growth.join(to=len(FIVE), slow_ms=0.0)
    finally:
        growth.leave(to=3)


# --- 01.3 -----------------------------------------------------------------------------------------------------

RATIO_MAX = 1.15
COUNTS = tuple(2**power for power in range(3, 11))


def judge_partitions(given: Mapping[str, Any], fullest: Mapping[int, float]) -> Judgement:
    """The smallest power of two with which chance alone leaves the fullest node at most 1.15 times the mean."""
    answer = int(given["partitions"])
    fit = [count for count, ratio in sorted(fullest.items()) if ratio <= RATIO_MAX]
    if not fit:
        return Judgement.inconclusive("No number of partitions was found to be enough.")
    if answer not in fullest:
        return Judgement.not_yet(
            f"{answer} was not tried.", f"Powers of two from {min(fullest)} to {max(fullest)} are meant: a key's "
            "partition is the top bits of its hash."
        )  # fmt: skip
    said = f"With {answer} partitions the fullest node holds {fullest[answer]:.2f} times the mean."
    if answer == fit[0]:
        return Judgement.right(said)
    if answer > fit[0]:
        return Judgement.not_yet(said, "That is enough. Is it the smallest that is?")
    if answer == COUNTS[2]:
        return Judgement.not_yet(
            said, "Close, and still too much. Does the next one do better, or is that luck too?"
        )
    if answer >= COUNTS[2]:
        return Judgement.not_yet(
            said, "More is not always better by chance, but this is not enough yet: go on."
        )
    return Judgement.not_yet(
        said,
        "So few pieces cannot be shared out evenly by chance. Throw a die ten times, and a thousand times.",
    )


def _fullest(course: Any, given: Mapping[str, Any]) -> dict[int, float]:
    return {count: fullest_over_mean(FIVE, count) for count in COUNTS}


EXERCISES = {
    one.name: one
    for one in (
        Exercise(
            name="01.1",
            title="Five nodes. tweet/alice lies on node-3, node-4 and node-5. node-4 leaves: who holds the tweet then?",
            task="Compute it with your function owners. Check lets five nodes be, node-4 leave, and asks the others; "
            "then it goes back to three. It takes about twenty seconds.",
            fields={"nodes": Choice(*HOLDERS)},
            measure=_let_leave,
            judge=judge_holders,
            answer=lambda course: "node-2, node-3, node-5",
            because="The claims of those that stay do not change. node-3 and node-5 keep their copies; of the two that "
            "had none, node-2 claims this partition more.",
            secrets=("node-2",),
        ),
        Exercise(
            name="01.2",
            title="The fifth node joined: which share of all (partition, copy) slots moved?",
            task="Act 2 has printed what the database says. Count it yourself, in a cell of your own: fifth.before and "
            "fifth.after hold the owners of each partition, 256 lists of three names. One and a half points either way "
            "are right.",
            fields={"moved": Number("% of all slots", 0, 100)},
            measure=_fifth,
            judge=judge_moved,
            answer=lambda course: "19.8 %",
            because="sum(len(set(new) - set(old)) for old, new in zip(fifth.before, fifth.after)) / 768. One fifth: "
            "the newcomer's even share, and nothing else.",
            secrets=("19.8", "20 %", "one fifth", "a fifth"),
        ),
        Exercise(
            name="01.3",
            title="Five nodes, three copies, chance alone: how few partitions leave the fullest node at most 1.15 "
            "times the mean?",
            task="Write a loop over powers of two: count with your function owners how many partitions each node "
            "holds, and divide the most by the mean.",
            fields={"partitions": Number("partitions", 1, 1_000_000, whole=True)},
            measure=_fullest,
            judge=judge_partitions,
            answer=lambda course: "128",
            because="With 64 it is 1.22, with 128 it is 1.08. The database takes 256 and passes a full node over.",
            secrets=("128",),
        ),
    )
}  # fmt: skip
