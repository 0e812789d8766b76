"""The exercises of 04, conflicts and causality. Each judge is pure: an answer and data in, a judgement out.

Invariant: no hint gives the answer away, and a run that did not come about is inconclusive, never "not yet".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.causality import Version, relation
from labkit.course.exercise import Exercise, Judgement
from labkit.course.operations import Operation
from labkit.course.questions import Choice
from labkit.course.scene import Scene
from labkit.course.scenes import lunch_break, slow_watch

# --- 04.1 -----------------------------------------------------------------------------------------------------

SOUP, SALAD, BREAD, PIZZA = "soup", "soup, salad", "soup, salad, bread", "soup, pizza"
PAIRS = ((SOUP, SALAD), (BREAD, SALAD), (SOUP, PIZZA), (SALAD, PIZZA), (BREAD, PIZZA), (BREAD, SOUP))
SIGNS = Choice("<", ">", "∥")
OPPOSITE = {"<": ">", ">": "<", "∥": "∥"}


def pair_name(one: str, other: str) -> str:
    """How a pair stands in the form."""
    return f"“{one}” … “{other}”"


def judge_pairs(given: Mapping[str, Any], versions: Sequence[Version]) -> Judgement:
    """Before, after or concurrent, for six pairs of versions of the student's own lunch break."""
    by_value = {str(version.get("value")): version for version in versions}
    if not {SOUP, SALAD, BREAD, PIZZA} <= set(by_value):
        return Judgement.inconclusive("The lunch break of this session does not have all four versions.")
    names = {pair_name(*pair): (by_value[pair[0]], by_value[pair[1]]) for pair in PAIRS}
    truth = {name: relation(*pair) for name, pair in names.items()}
    by_time = {
        name: "<" if one["timestamp"] < other["timestamp"] else ">" for name, (one, other) in names.items()
    }
    wrong = [name for name in names if given[name] != truth[name]]
    if not wrong:
        return Judgement.right(
            "All six. Two pairs are concurrent, with seconds between them: no writer had seen the other's version."
        )
    said = f"{len(names) - len(wrong)} of {len(names)} agree with the clocks of your run."
    if all(given[name] == by_time[name] for name in names):
        return Judgement.not_yet(
            said, "You have sorted by time. Bob wrote last, but whose text was on his screen when he wrote?",
            misconception="M7",
        )  # fmt: skip
    if all(given[name] == "∥" for name in names):
        return Judgement.not_yet(
            said, "Concurrent means that neither writer had seen the other's version. Is that so of a text that was "
            "written on top of another?", misconception="M7",
        )  # fmt: skip
    if all(given[name] == OPPOSITE[truth[name]] for name in names):
        return Judgement.not_yet(
            said, "The sign points to the later version, as < points to the greater number."
        )
    return Judgement.not_yet(
        said,
        f"Look at {wrong[0]}: does the past of either version hold the dot of the other? The table names both.",
    )


def _lunch_versions(course: Any, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    scene: Scene = course.last_scene(lunch_break) or course.play(lunch_break, seconds=1)
    return scene.versions(scene.about) if scene.conclusive else []


def _pairs_answer(course: Any) -> str:
    by_value = {version["value"]: version for version in _lunch_versions(course, {})}
    return ", ".join(f"“{one}” {relation(by_value[one], by_value[other])} “{other}”" for one, other in PAIRS)


# --- 04.2 -----------------------------------------------------------------------------------------------------

THREE = 3


@dataclass(frozen=True)
class Made:
    """What a student's function did to one key: its operations, and what a read of all replicas finds afterwards."""

    key: str
    operations: tuple[Operation, ...]
    final: tuple[Mapping[str, Any], ...]
    problem: str = ""


def judge_three(given: Mapping[str, Any], made: Made) -> Judgement:
    """Exactly three siblings, then one version with all three texts."""
    if made.problem:
        return Judgement.not_yet(made.problem, "")
    reads = [one for one in made.operations if one.verb == "get" and one.ok]
    seen = max((len(one.values) for one in reads), default=0)
    if not reads:
        return Judgement.not_yet(
            "Your function wrote, and never read.",
            "Let somebody read before the merge: a reader sees what stands there.",
        )
    if seen < THREE:
        return Judgement.not_yet(
            f"The most that a read saw was {seen} version{'s' if seen != 1 else ''}.",
            "Whoever has seen a text replaces it. What must none of the writers have seen when they write?",
            misconception="M7",
        )
    if seen > THREE:
        return Judgement.not_yet(
            f"{seen} versions stood beside each other.", "One writer too many: count the writes."
        )
    texts = next(one.values for one in reversed(reads) if len(one.values) == THREE)
    final = [str(one.get("value")) for one in made.final if not one.get("deleted")]
    if len(final) > 1:
        return _still_siblings(made, final)
    missing = [text for text in texts if not final or str(text) not in final[0]]
    if missing:
        return Judgement.not_yet(
            f"One version is left, and {len(missing)} of the three texts are gone: {', '.join(map(repr, missing))}.",
            "The database lets you replace all that you have seen. Who has to put the texts together?",
            misconception="M8",
        )
    return Judgement.right(f"Three siblings, then one version that holds all three texts: {final[0]!r}.")


def _still_siblings(made: Made, final: Sequence[str]) -> Judgement:
    said = f"{len(final)} versions still stand beside each other: {', '.join(map(repr, final))}."
    puts = [one for one in made.operations if one.verb == "put" and one.ok]
    if puts and not puts[-1].options.get("context"):
        return Judgement.not_yet(
            said, "Your last write did not say what its writer had seen. Clocks find a conflict; they end none.",
            misconception="M8",
        )  # fmt: skip
    return Judgement.not_yet(
        said, "The last write named a past that holds some of the siblings alone. Whose answer tells of all of them?",
        misconception="M8",
    )  # fmt: skip


def _run_three(course: Any, given: Mapping[str, Any]) -> Made:
    function = given["function"]
    with course.scene("three siblings, then one") as scene:
        key = function(scene)
    if not isinstance(key, str):
        return Made(
            "", (), (), "Your function must return the key that it worked on: end it with return key."
        )
    operations = tuple(one for one in scene.operations if one.key == key)
    final = course.session.client.get(key, r=course.session.replicas)["siblings"]
    return Made(key, operations, tuple(final))


THREE_ANSWER = """
def three_then_one(scene):
    key = scene.key("shopping", "milk")
    seen = scene.person("Alice", node=1).get(key)
    for node, text in (1, "milk, eggs"), (2, "milk, rice"), (3, "milk, tea"):
        scene.person(f"Writer {node}", node=node).put(key, text, context=seen.context)
    all_three = scene.person("Alice", node=1).get(key, r=3)
    together = ", ".join(all_three.values)
    scene.person("Alice", node=1).put(key, together, context=all_three.context)
    return key"""

# --- 04.3 -----------------------------------------------------------------------------------------------------

NONE_LOST = "none: all were acknowledged"
TEXTS = ("at 8", "at 9", "at 10")
LOST_HINTS = {
    "at 8": "Somebody wrote after it, on purpose, at the same node. Is a text that was replaced by a later one lost?",
    "at 9": "That is the one which readers see. What was acknowledged, and is seen by nobody?",
    NONE_LOST: "Acknowledged says that it is on disk, not that anybody will read it. Compare the order of the "
    "acknowledgements with what the last read answered.",
}


def judge_lost(given: Mapping[str, Any], scene: Scene) -> Judgement:
    """Which acknowledged write is gone, although nobody wrote after it."""
    if not scene.conclusive:
        return Judgement.inconclusive(f"The scene did not come about as it should ({scene.status}).")
    writes = [one for one in scene.operations if one.verb == "put" and one.ok]
    seen = [one for one in scene.operations if one.verb == "get" and one.ok][-1].values
    if writes[-1].value in seen:
        return Judgement.inconclusive(f"In this run the last write was read: {seen}.")
    lost = str(writes[-1].value)
    evidence = tuple(
        f"{one.sentence()}; its node's clock said {one.timestamp:.0f}, version {one.dot}" for one in writes
    )
    if given["lost"] == lost:
        return Judgement.right(
            f"“{lost}” was acknowledged last, and the last read answered {seen[0]!r}: a clock that is behind lost it.",
            *evidence,
        )
    return Judgement.not_yet(
        "That is not the one.", LOST_HINTS[str(given["lost"])], misconception="M8", evidence=evidence
    )


def _slow_watch(course: Any, given: Mapping[str, Any]) -> Scene:
    scene: Scene = course.last_scene(slow_watch) or course.play(slow_watch)
    return scene


EXERCISES = {
    one.name: one
    for one in (
        Exercise(
            name="04.1",
            title="Before (<), after (>) or concurrent (∥)? Six pairs of versions from your own lunch break.",
            task="Decide by dots and pasts alone, which stand in the table below the version graph.",
            fields={pair_name(*pair): SIGNS for pair in PAIRS},
            measure=_lunch_versions,
            judge=judge_pairs,
            answer=_pairs_answer,
            because="One version is before another if its dot is in the other's past. Where neither is, they are "
            "concurrent, whatever the time of day.",
            secrets=("∥ “", "< “", "> “"),
        ),
        Exercise(
            name="04.2",
            title="Make exactly three siblings, then one version that holds all three texts.",
            task="Write a function of the scene that returns the key, and check it: "
            'session.exercise("04.2").check(three_then_one). A read in it must have seen the three.',
            fields={},
            measure=_run_three,
            judge=judge_three,
            answer=lambda course: THREE_ANSWER,
            because="Three writers under the same context have not seen each other. The merge is yours; with the "
            "context of the read that saw all three it replaces exactly these.",
            secrets=("same context", "context=all"),
            takes_code=True,
        ),
        Exercise(
            name="04.3",
            title="Slow watch: which acknowledged write is gone, although nobody wrote after it?",
            task="The evidence of your own run stands in the table: who wrote what, and when it was acknowledged.",
            fields={"lost": Choice(*TEXTS, NONE_LOST)},
            measure=_slow_watch,
            judge=judge_lost,
            answer=lambda course: "at 10",
            because="Bob's node took it five seconds in the past. Under “last writer wins” the last is whoever has the "
            "later clock, not who wrote last.",
            secrets=("at 10", "Bob"),
        ),
    )
}  # fmt: skip
