"""The exercises of 02, quorums and staleness. Each judge is pure: an answer and data in, a judgement out.

Invariant: no hint gives the answer away, and a run whose fault did not bite is inconclusive, never "not yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.course import trials
from labkit.course.exercise import Exercise, Judgement
from labkit.course.questions import Choice, Number
from labkit.course.scene import Scene
from labkit.course.scenes import alice_tells_bob
from labkit.course.trials import FreshTrial, QuorumTrial

# --- 02.1 -----------------------------------------------------------------------------------------------------

N = 3
ROUND_TRIP_MS_MIN = 60.0
READS_MIN = 30
SIZES = Choice("1", "2", "3")
FRESH_HINTS = {
    (
        1,
        1,
    ): "A write that one replica has taken is often met by nobody. Draw the three replicas: how many must a write "
    "and a read cover together, so that they cannot miss each other?",
    (
        1,
        2,
    ): "Somebody read from the one replica that the write had not reached yet. Is there such a replica left with "
    "your R and W?",
    (
        2,
        1,
    ): "The write was acknowledged by its own node alone, and the read met the others. Draw both sets: can they "
    "be apart?",
}
DEAD_HINTS = {
    (1, 3): "Reads are never stale now. But whom does each write wait for, when one node is dead?",
    (3, 1): "Writes go on. But whom does each read wait for, when one node is dead?",
    (
        2,
        3,
    ): "Stale reads are gone, and writes pay for it: they wait for everybody, also for the dead. How many replicas "
    "does a write need, so that this read meets it?",
    (
        3,
        2,
    ): "Stale reads are gone, and reads pay for it: they wait for everybody, also for the dead. How many replicas "
    "does a read need, so that it meets this write?",
    (
        3,
        3,
    ): "The safest sizes are the first to stop: everybody waits for everybody. How small can both become, and "
    "still overlap?",
}


def judge_quorum(given: Mapping[str, Any], trial: QuorumTrial) -> Judgement:
    """R and W that are never stale, and go on while any one node is dead."""
    r, w = int(given["R"]), int(given["W"])
    if trial.round_trip_ms < ROUND_TRIP_MS_MIN or trial.reads < READS_MIN:
        return Judgement.inconclusive(
            f"The links were not slow enough to tell: a write to all took {trial.round_trip_ms:.0f} ms, "
            f"and {trial.reads} reads were answered."
        )
    stale = f"{trial.stale} of {trial.reads} reads missed a write that had been acknowledged"
    if r + w <= N:
        if not trial.stale:
            return Judgement.inconclusive("Luck: no read was stale in this run, though nothing prevents it.")
        return Judgement.not_yet(f"{stale}.", FRESH_HINTS[r, w], misconception="M3")
    if trial.stale:
        return Judgement.inconclusive(
            f"{stale}, which your sizes rule out: look at the nodes, then run it again."
        )
    refused = ", ".join(f"{count} {kind}" for kind, count in trial.refused_by.items() if count)
    if r == N or w == N:
        if not trial.refused:
            return Judgement.inconclusive(
                f"Nothing was refused, though {trial.killed} should have been dead."
            )
        return Judgement.not_yet(
            f"No read was stale, but {refused} were refused while {trial.killed} was dead.", DEAD_HINTS[r, w]
        )
    if trial.refused:
        return Judgement.inconclusive(f"{refused} were refused: more than {trial.killed} did not answer.")
    return Judgement.right(
        f"0 of {trial.reads} reads were stale, and nothing was refused in {trial.tried_while_dead} requests "
        f"while {trial.killed} was dead."
    )


def _measure_quorum(course: Any, given: Mapping[str, Any]) -> QuorumTrial:
    return trials.try_quorum(course.session.cluster, r=int(given["R"]), w=int(given["W"]))


# --- 02.2 -----------------------------------------------------------------------------------------------------

CHANGES: dict[str, dict[str, Any]] = {
    "W = 3: the write waits for all replicas": {"w": 3},
    "R = 3: Bob asks all replicas": {"r": 3},
    "R = 1: Bob asks his own replica alone": {"r": 1},
    "Read repair on: whoever finds an old replica mends it": {"repair": True},
    "Bob asks once the write is acknowledged": {"bob_waits": True},
}
CHANGE_HINTS = {
    "W = 3: the write waits for all replicas": "A larger W changes when the writer hears back: was that "
    "before or after Bob asked?",
    "R = 1: Bob asks his own replica alone": "Bob hears of fewer replicas now. Which of the replicas had the new value "
    "at that moment, and did he ask it?",
    "Read repair on: whoever finds an old replica mends it": "Repair begins when every replica has answered the read. "
    "How long does the slowest answer take here, and when did Bob ask?",
}


def judge_change(given: Mapping[str, Any], scene: Scene) -> Judgement:
    """One change after which Bob sees what Alice has seen."""
    change = str(given["change"])
    if not scene.conclusive:
        return Judgement.inconclusive(f"The scene did not come about as it should ({scene.status}).")
    bob = scene.of("Bob")[-1]
    evidence = tuple(operation.sentence() for operation in scene.operations)
    if bob.value == "new":
        return Judgement.right(f"Bob saw new, {bob.took_ms or 0:.0f} ms after he asked.", *evidence)
    if not bob.ok:
        return Judgement.inconclusive(f"Bob was not answered: {bob.detail}.")
    hint = CHANGE_HINTS.get(change, "Something slowed the nodes down: compare Bob's time with the write's.")
    if change not in CHANGE_HINTS:
        return Judgement.inconclusive(f"Bob saw {bob.value!r}. {hint}")
    return Judgement.not_yet(f"Bob still saw {bob.value!r}.", hint, misconception="M2", evidence=evidence)


def _measure_change(course: Any, given: Mapping[str, Any]) -> Scene:
    scene: Scene = course.play(alice_tells_bob, **CHANGES[str(given["change"])])
    return scene


# --- 02.3 -----------------------------------------------------------------------------------------------------

AT_MS, MEAN_MS, WITHIN = 200.0, 100.0, 5.0
FRESH_READS_MIN, APART_MAX = 150, 12.0


def judge_fresh(given: Mapping[str, Any], trial: FreshTrial) -> Judgement:
    """The share of fresh reads 200 ms after the acknowledgement, on links with a mean delay of 100 ms."""
    guess = float(given["fresh"])
    if trial.reads < FRESH_READS_MIN:
        return Judgement.inconclusive(f"Only {trial.reads} reads were answered.")
    if trial.predicted is not None and abs(trial.predicted - trial.percent) > APART_MAX:
        return Judgement.inconclusive(
            "Something disturbed this run: the measurement and its own delays do not fit."
        )
    said = f"{trial.percent:.0f} % of {trial.reads} reads were fresh ({trial.low:.0f} to {trial.high:.0f} %)"
    near = min(abs(guess - one) for one in (trial.percent, trial.predicted or trial.percent))
    if near <= WITHIN:
        return Judgement.right(f"{said}; you said {guess:g} %.")
    return Judgement.not_yet(
        f"You said {guess:g} %, which is not what was measured.", *_fresh_hint(guess, trial)
    )


def _fresh_hint(guess: float, trial: FreshTrial) -> tuple[str]:
    if guess > 99.2:
        return ("Eventually is not soon: what share of exponential delays is longer than twice their mean?",)
    if guess > trial.percent:
        return (
            "That fits links as fast as before. How many means is the time t on your old curve, and how many here?",
        )
    if 58 <= guess <= 68:
        return ("That is the share after one mean delay. How many mean delays have passed here?",)
    if guess <= 55:
        return (
            "Twice the delay does not halve the freshness: the curve depends on t divided by the mean. Read it there.",
        )
    return ("A little low. Read your curve at the same number of mean delays.",)


def _measure_fresh(course: Any, given: Mapping[str, Any]) -> FreshTrial:
    return trials.fresh_at(course.session, t_ms=AT_MS, mean_ms=MEAN_MS)


EXERCISES = {
    one.name: one
    for one in (
        Exercise(
            name="02.1",
            title="Choose R and W: never a stale read, and nothing refused while any one node is dead.",
            task="Check writes and reads through different nodes on slow links with your sizes, then kills a node and "
            "goes on. It takes about eight seconds.",
            fields={"R": SIZES, "W": SIZES},
            measure=_measure_quorum,
            judge=judge_quorum,
            answer=lambda course: "R = 2 and W = 2",
            because="Together they are more than three, so every read meets every acknowledged write; and neither "
            "needs all three, so one may be dead.",
            secrets=("R = 2", "W = 2", "2 and 2", "R=2", "W=2", "two and two"),
        ),
        Exercise(
            name="02.2",
            title="Change one thing in Alice tells Bob, so that Bob sees new.",
            task="Check plays the scene again on the cluster with your change. More than one answer is right.",
            fields={"change": Choice(*CHANGES)},
            measure=_measure_change,
            judge=judge_change,
            answer=lambda course: "R = 3 for Bob, or let him ask once the write is acknowledged",
            because="With R = 3 he must hear node-1, which has the new value (he pays with 1.4 s). And what was "
            "acknowledged before he asks, R + W > N does promise him.",
            secrets=("R = 3", "ask all", "acknowledged"),
        ),
        Exercise(
            name="02.3",
            title="R = W = 1, and links with a mean delay of 100 ms now: how many reads are fresh after 200 ms?",
            task="Use your own curve, which was measured at a mean of 50 ms. Check measures for eight seconds; five "
            "points either way are right.",
            fields={"fresh": Number("% of the reads", 0, 100)},
            measure=_measure_fresh,
            judge=judge_fresh,
            answer=lambda course: "about 86 %: what your curve says at 100 ms",
            because="An exponential delay is longer than t with probability exp(−t / mean). 200 ms are two means, as "
            "100 ms were before: 1 − exp(−2) = 86 %.",
            secrets=("86", "87", "exp(−2)", "at 100 ms"),
        ),
    )
}  # fmt: skip
