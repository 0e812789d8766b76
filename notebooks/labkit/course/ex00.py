"""The exercises of 00, start here. Each judge is pure: an answer and data in, a judgement out.

Invariant: no hint gives the answer away, and data that cannot tell is inconclusive, never "not yet".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from labkit.causality import Version, relation
from labkit.course import trials
from labkit.course.exercise import Exercise, Judgement
from labkit.course.questions import Choice, Number
from labkit.course.scene import Scene
from labkit.course.scenes import nobody_to_ask
from labkit.course.trials import Refused, Waits

# --- 00.1 -----------------------------------------------------------------------------------------------------

OF, WAITS_MIN, PER_MILLE, APART_MAX = 1000, 200, 10.0, 0.6
NEAR = 0.2
WAIT_HINTS = {
    990: "You counted those who waited less. Who is left of the thousand?",
    99: "99 is the number in the name. Of which side of the line does it tell, and how many are on the other?",
    1: "That would be right for a hundred users. How many users does the question ask about?",
    500: "Half of the users: that is the line called p50. Which share lies above this one?",
    0: "The p99 is not the longest wait. Somebody is above every such line; how many, says its name.",
}
HOW_LONG = "That is how long they waited, in milliseconds. The question asks how many they are."
COUNT_THEM = (
    "The name of the line tells which share of the users lies below it. Count the others, of a thousand."
)


def judge_waits(given: Mapping[str, Any], waits: Waits) -> Judgement:
    """Of 1,000 users, how many waited longer than the p99."""
    guess = float(given["users"])
    if len(waits.took_ms) < WAITS_MIN:
        return Judgement.inconclusive(f"Only {len(waits.took_ms)} reads were answered.")
    counted = OF * waits.longer / len(waits.took_ms)
    if abs(counted - PER_MILLE) > 2:
        return Judgement.inconclusive("Too many reads took equally long to tell them apart.")
    said = f"Of {len(waits.took_ms)} reads {waits.longer} took longer than their p99 of {waits.p99_ms:.1f} ms"
    if abs(guess - counted) <= APART_MAX:
        return Judgement.right(f"{said}: {counted:.0f} of {OF:,}.".replace(",", " "))
    if any(_is_near(guess, to_ms=one) for one in (waits.p99_ms, waits.shown_ms)) and guess not in WAIT_HINTS:
        return Judgement.not_yet(f"You said {guess:g}.", HOW_LONG, misconception="M12")
    return Judgement.not_yet(
        f"You said {guess:g}.", WAIT_HINTS.get(int(guess), COUNT_THEM), misconception="M12"
    )


def _is_near(guess: float, *, to_ms: float) -> bool:
    return math.isfinite(to_ms) and abs(guess - to_ms) <= NEAR * to_ms


def _time_reads(course: Any, given: Mapping[str, Any]) -> Waits:
    return trials.time_reads(course.session)


# --- 00.2 -----------------------------------------------------------------------------------------------------

FIRST, HIS, HERS = "lunch?", "lunch at 12", "lunch at 1"
PAIRS = ((HIS, FIRST), (HERS, HIS), (FIRST, HERS))
LEFT, RIGHT, NEITHER = (
    "the left",
    "the right",
    "neither",
)  # short: a form shows the pair beside short answers alone
WORDS = {">": LEFT, "<": RIGHT, "∥": NEITHER}
OPPOSITE = {LEFT: RIGHT, RIGHT: LEFT, NEITHER: NEITHER}


def pair_name(one: str, other: str) -> str:
    """How a pair stands in the form."""
    return f"“{one}” and “{other}”"


def judge_clocks(given: Mapping[str, Any], versions: Sequence[Version]) -> Judgement:
    """Which of two clocks has seen the other, for three pairs of the student's own run."""
    by_value = {str(version.get("value")): version for version in versions}
    if not {FIRST, HIS, HERS} <= set(by_value):
        return Judgement.inconclusive("This session has no run with all three tweets.")
    pairs = {pair_name(*pair): (by_value[pair[0]], by_value[pair[1]]) for pair in PAIRS}
    truth = {name: WORDS[relation(*pair)] for name, pair in pairs.items()}
    right = sum(given[name] == one for name, one in truth.items())
    said = f"{right} of {len(truth)} agree with the clocks of your run."
    if right == len(truth):
        return Judgement.right(
            "All three. Of the two answers neither has seen the other: each has an entry that is larger."
        )
    if all(given[name] == _larger(*map(_sum_of, pair)) for name, pair in pairs.items()):
        hint = "You have compared sums. May a large entry of one disk make up for a smaller entry of another?"
    elif all(given[name] == _larger(*map(_time_of, pair)) for name, pair in pairs.items()):
        hint = "You have sorted by time. What was on the writer's screen when the later one was written?"
    elif all(given[name] == NEITHER for name in pairs):
        hint = (
            "An answer is written under a tweet that was read. Compare the clocks entry by entry once more."
        )
    elif all(given[name] == OPPOSITE[one] for name, one in truth.items()):
        hint = "The other way round: whoever has seen more has the larger entries."
    else:
        wrong = next(name for name, one in truth.items() if given[name] != one)
        hint = f"Look at {wrong}, entry by entry. A missing entry counts as zero."
    return Judgement.not_yet(said, hint, misconception="M7")


def _larger(one: float, other: float) -> str:
    return LEFT if one > other else RIGHT


def _sum_of(version: Version) -> float:
    return float(sum(version["vector_clock"].values()))


def _time_of(version: Version) -> float:
    return float(version["timestamp"])


def _tweets(course: Any, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    scene: Scene = course.last_scene(nobody_to_ask) or course.play(nobody_to_ask)
    return scene.versions(scene.about) if scene.conclusive else []


# --- 00.3 -----------------------------------------------------------------------------------------------------

CERTAINLY_NOT = "no, and that is certain"
MAYBE = "maybe: nobody knows"
ONE_HAS_IT = "yes: the node that is left has it"
AS_HINTS = "yes: as a hint for the dead nodes"
REFUSED_HINTS = {
    MAYBE: "Silence would leave it open, but you were answered. Read the answer again: what does its field definite "
    "say?",
    ONE_HAS_IT: "A node that knows beforehand that it cannot keep a promise need not begin. When did this one know "
    "that the others were dead?",
    AS_HINTS: "Hints are kept for a write that was made. What was the user told about this one?",
}


def judge_refused(given: Mapping[str, Any], refused: Refused) -> Judgement:
    """May a write that was refused while two of three nodes were dead be there later?"""
    if refused.definite is None:
        return Judgement.inconclusive(f"The write was acknowledged: {refused.killed} should have been dead.")
    if not refused.definite:
        return Judgement.inconclusive("The write was sent before the node knew that the others were dead.")
    if refused.found_later:
        return Judgement.inconclusive(
            "The write was there later, which its answer rules out: look at the nodes."
        )
    evidence = (
        f"the answer: {refused.status}, {refused.detail}, definite: true",
        "later: no replica has the key",
    )
    if given["later"] == CERTAINLY_NOT:
        return Judgement.right(
            f"{refused.killed} were dead, the answer said definite, and no replica had it when they were back.",
            *evidence,
        )
    return Judgement.not_yet(
        f"It was refused while {refused.killed} were dead, and not there when they were back.",
        REFUSED_HINTS[str(given["later"])], misconception="M10", evidence=evidence[:1],
    )  # fmt: skip


def _write_with_two_dead(course: Any, given: Mapping[str, Any]) -> Refused:
    return trials.write_with_two_dead(course.session.cluster)


EXERCISES = {
    one.name: one
    for one in (
        Exercise(
            name="00.1",
            title="Of 1 000 users, how many wait longer than the p99?",
            task="Look at the line p99 in “How long does a user wait?”. Check sends 400 reads and counts those that "
            "took longer than 99 of 100 others.",
            fields={"users": Number("users", 0, OF, whole=True)},
            measure=_time_reads,
            judge=judge_waits,
            answer=lambda course: "10 users",
            because="p99 says that 99 of 100 waited no longer. One of 100 did, which makes ten of a thousand. How long "
            "they waited is the height of the line.",
            secrets=("10 users", "ten", "10 of"),
        ),
        Exercise(
            name="00.2",
            title="Of each two tweets: which one has seen the other?",
            task="Decide by the clocks above alone. One clock has seen another if none of its entries is smaller.",
            fields={pair_name(*pair): Choice(LEFT, RIGHT, NEITHER) for pair in PAIRS},
            measure=_tweets,
            judge=judge_clocks,
            answer=lambda course: "; ".join(
                f"{pair_name(*pair)}: {word}" for pair, word in zip(PAIRS, (LEFT, NEITHER, RIGHT), strict=True)
            ),
            because="Each answer has the entry of the question and one of its own. Of the two answers each has an "
            "entry that is larger than the other's.",
            secrets=(LEFT, RIGHT, NEITHER),
        ),
        Exercise(
            name="00.3",
            title="Two of three nodes are dead, and a write with W = 2 is refused. May it be there later?",
            task="Check kills node-2 and node-3, waits until node-1 knows, writes through it, and brings both back. It "
            "takes about five seconds.",
            fields={"later": Choice(CERTAINLY_NOT, MAYBE, ONE_HAS_IT, AS_HINTS)},
            measure=_write_with_two_dead,
            judge=judge_refused,
            answer=lambda course: CERTAINLY_NOT,
            because="An answer with definite: true says that nothing was stored. Without it (a timeout, or "
            "definite: false) the write may come back: then read before you write again.",
            secrets=("certain", "nothing was stored"),
        ),
    )
}  # fmt: skip
