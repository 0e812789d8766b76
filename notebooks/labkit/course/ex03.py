"""The exercises of 03, counting likes. Each judge is pure: an answer and data in, a judgement out.

Invariant: no hint gives the answer away, and a run that did not come about is inconclusive, never "not yet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.course.counting import merged_value, replica_states
from labkit.course.exercise import Exercise, Judgement
from labkit.course.operations import Operation
from labkit.course.people import Person
from labkit.course.questions import Choice, Number
from labkit.course.scene import Scene
from labkit.course.scenes import a_smaller_total, split_likes
from labkit.errors import LabError

# --- 03.1 -----------------------------------------------------------------------------------------------------

Totals = Mapping[str, tuple[int, int]]


def judge_merge(given: Mapping[str, Any], scene: Scene | None) -> Judgement:
    """The value after two real replica states were merged."""
    if scene is None or not scene.conclusive:
        return Judgement.inconclusive("There is no conclusive run of split_likes in this session.")
    states = list(replica_states(scene).values())
    value, answer = merged_value(scene), int(given["value"])
    evidence = tuple(one.sentence() for one in scene.operations if one.verb == "count")
    if answer == value:
        return Judgement.right(f"After healing, a read of all replicas answered {value}.", *evidence)
    said = f"After healing, a read of all replicas did not answer {answer}."
    return Judgement.not_yet(said, merge_hint(answer, states), misconception="M5", evidence=evidence[:-1])


def merge_hint(answer: int, states: Sequence[Totals]) -> str:
    """The belief behind a wrong sum, as far as the number shows it."""
    values = [sum(given - taken for given, taken in state.values()) for state in states]
    given_alone: dict[str, int] = {}
    for state in states:
        for actor, (given, _) in state.items():
            given_alone[actor] = max(given, given_alone.get(actor, 0))
    if answer == sum(values):
        return "You added what the replicas say. Some of Alice's likes stand at both: how often did she give these?"
    if answer in values:
        return "That is what one of the replicas said before they met. Does it know of what happened at the other one?"
    if answer == sum(given_alone.values()):
        return "All likes are in it. Look again at the row of what was taken back."
    return (
        "Take the picture row by row: which of the numbers in a row is the newer one, if both only ever grow?"
    )


def _split(course: Any, given: Mapping[str, Any]) -> Scene | None:
    found: Scene | None = course.last_scene(split_likes)
    return found


def _merge_answer(course: Any) -> str:
    scene = _split(course, {})
    if scene is None:
        raise LabError(
            "There is no conclusive run of split_likes in this session.", do="run the cell above it"
        )
    return str(merged_value(scene))


# --- 03.2 -----------------------------------------------------------------------------------------------------

MERGED = "of two totals the larger one stays; the smaller looks like old news"
REFUSED = "the database refuses to count down"
SLOW = "the replicas have not heard of it yet"
LAST = "the last message wins"
SHOWS_HINTS = {
    "4": "You let the message that came last decide. How should a replica know which of two totals is the newer one?",
    "an error": "Look at the outcome of each of her messages in the evidence. Was anything refused?",
    "9": "The totals of one actor are not added up. A total says how many likes she has given so far, in all.",
}
WHY_HINTS = {
    REFUSED: "Look at the outcome of her second message in the evidence. Was it refused?",
    SLOW: "Her second message was acknowledged with W=3. How many replicas are left that could be behind?",
    LAST: "Compare that with the number which the read showed. Is it the one that came last?",
}


def judge_smaller(given: Mapping[str, Any], scene: Scene) -> Judgement:
    """What a read shows after an actor sent a smaller total than before, and why."""
    if not scene.conclusive:
        return Judgement.inconclusive(f"The scene did not come about as it should ({scene.status}).")
    evidence = tuple(one.sentence() for one in scene.operations)
    shown = str(scene.of("Alice")[-1].number)
    shows, because = str(given["a read shows"]), str(given["because"])
    if shows != shown:
        said = f"The read did not show {shows}."
        hint = SHOWS_HINTS.get(shows, WHY_HINTS[LAST])
        return Judgement.not_yet(
            said, hint, misconception="M8" if shows == "4" else "", evidence=evidence[:-1]
        )
    if because != MERGED:
        said = f"The read showed {shown}, as you said. The reason is another one."
        return Judgement.not_yet(said, WHY_HINTS[because], evidence=evidence)
    return Judgement.right(
        f"The read showed {shown}: her like cannot be taken back this way. That is why a counter keeps a second number "
        "for what was taken back, which only grows, too.", *evidence,
    )  # fmt: skip


def _smaller(course: Any, given: Mapping[str, Any]) -> Scene:
    scene: Scene = course.play(a_smaller_total)
    return scene


# --- 03.3 -----------------------------------------------------------------------------------------------------

LIKES = 2
TRIES_MAX = 8


@dataclass(frozen=True)
class Sent:
    """What a student's function did for each of two likes, the first of which met an error, and the final count."""

    likes: tuple[tuple[Operation, ...], ...]
    final: Operation | None


class Shaken:
    """Alice, whose first message goes out while two of three nodes stand still: an error answers it, which leaves open
    whether it counts. What follows goes well."""

    def __init__(self, scene: Scene, person: Person) -> None:
        self._scene, self._person = scene, person
        self.sent: list[Operation] = []

    def increment(self, key: str, **options: Any) -> Operation:
        """As a person's."""
        if len(self.sent) >= TRIES_MAX:
            raise LabError(
                f"Your function has sent more than {TRIES_MAX} messages.", why="it never comes to an end"
            )
        is_first = not self.sent
        if is_first:
            for node in (2, 3):
                self._scene.fault("pause", node)
        operation = self._person.increment(key, **options)
        self.sent.append(operation)
        if is_first:
            for node in (2, 3):
                self._scene.fault("resume", node)
        return operation


def judge_retry(given: Mapping[str, Any], sent: Sent) -> Judgement:
    """Two likes, the first of which met an error that leaves it open: are there two in the end?"""
    tries = [one for like in sent.likes for one in like]
    evidence = tuple(one.sentence() for one in tries)
    if not tries:
        return Judgement.not_yet("Your function sent nothing.", "Call alice.increment in it.")
    if tries[0].ok and tries[0].options.get("w") == 1:
        return Judgement.not_yet(
            "With w=1 a single disk acknowledged the like, and nothing had to be sent again.",
            "Leave W at 2: a like that one disk holds is gone with that disk.", evidence=evidence,
        )  # fmt: skip
    if tries[0].outcome != "unknown" or sent.final is None or not sent.final.ok:
        return Judgement.inconclusive("The first message did not meet the error that this is about.")
    if not all(like and like[-1].ok for like in sent.likes):
        return Judgement.not_yet(
            "Your function came back, and a like had not been acknowledged.",
            "An error that leaves it open is no answer. What must happen until somebody says yes?",
            misconception="M10", evidence=evidence,
        )  # fmt: skip
    found = sent.final.number
    if found == LIKES:
        return Judgement.right(
            f"{len(tries)} messages, {LIKES} likes, and the count is {found}: sending one again changes nothing.",
            *evidence,
        )
    said = f"Alice gave {LIKES} likes; the count is {found}."
    return Judgement.not_yet(said, retry_hint(sent, found), misconception="M6", evidence=evidence)


def retry_hint(sent: Sent, found: int) -> str:
    """What made the count wrong, as far as the messages show it."""
    if found < LIKES:
        return "Both likes said the same number. What is the sum of all that Alice has given, after the second one?"
    if any(one.options.get("actor") is None for like in sent.likes for one in like):
        return "Without a sender's name each message is one more. By what could a node know that it heard it before?"
    if any(len({one.options.get("actor") for one in like}) > 1 for like in sent.likes):
        return "Each try was signed by somebody new, so each one counts. Who is it that sends a like the second time?"
    if any(len({one.value for one in like}) > 1 for like in sent.likes):
        return "The number grew with each try. Has Alice given one more like because an answer was missing?"
    return "More was said than was given. Add up, sender by sender, how many likes your messages claim in the end."


def _run_retry(course: Any, given: Mapping[str, Any]) -> Sent:
    function = given["function"]
    likes: list[tuple[Operation, ...]] = []
    with course.scene("a like that is safe to send again") as scene:
        key = scene.key("likes")
        alice = Shaken(scene, scene.person("Alice", node=1))
        for number in range(LIKES):
            before = len(alice.sent)
            function(alice, key, number)
            likes.append(tuple(alice.sent[before:]))
        final = scene.person("Bob", node=2).count(key, r=3)
    return Sent(tuple(likes), final)


RETRY_ANSWER = """
def like(alice, key, likes_before):
    for _ in range(5):
        if alice.increment(key, actor="alice", total=likes_before + 1, w=2).ok:
            return"""


EXERCISES = {
    one.name: one
    for one in (
        Exercise(
            name="03.1",
            title="The link is healed, and the two replicas of the picture above merge. What is the value then?",
            task="Take both columns of the newest picture of split_likes; the cluster has already done it.",
            fields={"value": Number("likes", 0, 1000, whole=True)},
            measure=_split,
            judge=judge_merge,
            answer=_merge_answer,
            because="Of each number the larger one: it is the newer one, since none ever shrinks. Then what was given, "
            "minus what was taken back.",
            secrets=("the larger", "maximum", "minus"),
        ),
        Exercise(
            name="03.2",
            title="Alice has given 5 likes: total=5. She takes one back, and her program sends total=4. What does a "
            "read show, and why?",
            task="All three replicas acknowledge both messages. The check plays it on your cluster.",
            fields={
                "a read shows": Choice("4", "5", "9", "an error"),
                "because": Choice(LAST, REFUSED, SLOW, MERGED),
            },
            measure=_smaller,
            judge=judge_smaller,
            answer=lambda course: f"5: {MERGED}",
            because="A number that only grows can be merged without asking who was first; it can never go down. So a "
            "PN-counter is two of them.",
            secrets=("larger", "old news"),
        ),
        Exercise(
            name="03.3",
            title="Make the retry safe: after an error that leaves it open, send the like again, and count it once.",
            task="Change the function like above and run its cell. It is called twice, for Alice's first like "
            "(likes_before=0) and her second one; the very first message meets an error.",
            fields={},
            measure=_run_retry,
            judge=judge_retry,
            answer=lambda course: RETRY_ANSWER,
            because="The total of one actor says what is true, not what is to be done. Heard twice, it is still true.",
            secrets=("actor=", "total=", "running total", "idempotent"),
            takes_code=True,
        ),
    )
}  # fmt: skip
