"""People like posts, then every like is looked for: what is told to the service, what is made of its verdicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.course import counting
from labkit.course.counted_card import CountedCard
from labkit.course.counting import Likes, like_together, merged_value, replica_states, way
from labkit.course.operations import Operation
from labkit.errors import LabError
from traffic.workloads.likes import CLAIM, MODIFY_S
from traffic.workloads.twitter import Twitter


def verdict(claim: str, status: str, acknowledged: int, lost: int, *evidence: str) -> dict[str, Any]:
    return {
        "claim": claim, "status": status, "acknowledged": acknowledged, "lost": lost, "evidence": list(evidence),
    }  # fmt: skip


LEDGER = verdict("no acknowledged write was lost", "ok", 589, 0)
WRONG = verdict(
    CLAIM, "violated", 239, 124, "'tweet/<1>/likes-rmw': 5 likes were acknowledged, the count is 4"
)


class Service:
    """A double of the traffic service: `verdicts` is what its check answers."""

    def __init__(self, *verdicts: dict[str, Any]) -> None:
        self.verdicts = list(verdicts)
        self.calls: list[Any] = []
        self.breaks = False
        self.since = 1000.0

    def stop(self, world: str) -> None:
        self.calls.append("stop")

    def start(self, world: str) -> None:
        self.calls.append("start")

    def reset(self) -> None:
        self.calls.append("reset")

    def configure(self, *, world: str, **settings: Any) -> None:
        self.calls.append(settings)

    def stats(self) -> dict[str, Any]:
        if self.breaks:
            raise LabError("The traffic service does not answer.")
        told = {"counts": {"like": 41}, "achieved_rate": 99.6, "world": {"viral_tweets": 1, "likes_lost": 7}}
        return {"workloads": {"twitter": told}, "counting_since": self.since}

    def check(self) -> dict[str, Any]:
        self.calls.append("check")
        return {"verdicts": self.verdicts}


class Lab:
    """What `like_together` needs of a session."""

    def __init__(self, *verdicts: dict[str, Any]) -> None:
        self.traffic: Any = Service(*verdicts)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "STEP_S", 0.001)


def test_the_wrong_way_is_switched_on_for_so_long_and_off_again_before_it_is_counted() -> None:
    lab, said = Lab(LEDGER, WRONG), list[str]()
    likes = like_together(lab, seconds=0.01, read_add_write=True, say=said.append)
    assert lab.traffic.calls == [
        "stop", "reset", {"preset": "viral", "bug": "rmw-likes"}, "start", "stop", {"rate": 50.0, "bug": None}, "check",
    ]  # fmt: skip
    assert (likes.acknowledged, likes.counted, likes.missing) == (239, 115, 124)
    assert likes.missing_percent == pytest.approx(51.9, abs=0.05)
    assert "239 likes acknowledged" in repr(likes) and "115 counted" in repr(likes)
    *while_it_ran, end = said
    assert while_it_ran and all("41 likes acknowledged" in one and "7" not in one for one in while_it_ran)
    assert "239 likes acknowledged" in end, "the last line says what the picture below it says"
    assert "115" not in end and "124" not in end, "what is missing is covered until the guess is locked"


def test_the_words_are_those_of_the_world() -> None:
    assert counting.CLAIM == CLAIM
    assert counting.KNOWN_MISTAKE in Twitter.bugs_known


def test_the_prose_says_how_long_the_wrong_way_takes_between_reading_and_writing() -> None:
    prose = (Path(__file__).resolve().parents[3] / "notebooks" / "03-counting-likes.ipynb").read_text()
    assert "at most a fifth of a second between the two" in prose
    assert max(MODIFY_S) <= 0.2


def test_with_counters_no_mistake_is_asked_for() -> None:
    lab = Lab(LEDGER, verdict(CLAIM, "ok", 265, 0))
    assert like_together(lab, seconds=0.005).missing == 0
    assert lab.traffic.calls[2] == {"preset": "viral", "bug": None}


def test_the_mistake_is_off_again_also_after_an_error() -> None:
    lab = Lab(LEDGER, WRONG)
    lab.traffic.breaks = True
    with pytest.raises(LabError):
        like_together(lab, seconds=0.005, read_add_write=True)
    assert lab.traffic.calls[-1] == {"rate": 50.0, "bug": None}


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [((LEDGER,), "Nobody has liked"), ((LEDGER, verdict(CLAIM, "ok", 3, 0)), "Too few likes")],
)
def test_what_can_tell_nothing_is_said(verdicts: tuple[dict[str, Any], ...], says: str) -> None:
    with pytest.raises(LabError, match=says):
        like_together(Lab(*verdicts), seconds=0.001)


def test_the_card_shows_both_verdicts_in_words_and_counts_again_when_it_is_asked(lab: Any) -> None:
    lab.traffic = Service(LEDGER, WRONG)
    card = CountedCard(lab, Likes(20.0, True, LEDGER, WRONG, since=1000.0))
    text = card._verdicts.value
    assert "✓ ok" in text and "✗ violated" in text
    assert "589 acknowledged writes" in text and "0 lost" in text
    assert "239 acknowledged likes" in text and "124 missing" in text
    assert "tweet/&lt;1&gt;" in text  # what the database holds is no HTML
    assert "Counted again" not in text
    lab.traffic.verdicts[1] = verdict(CLAIM, "ok", 239, 0)
    card.count_button.click()
    assert card.likes.missing == 0 and "✗" not in card._verdicts.value
    assert "Counted again" in card._verdicts.value
    assert lab.traffic.calls == ["check"]


def test_the_card_of_one_run_never_shows_the_likes_of_the_next(lab: Any) -> None:
    """1. The wrong way. 2. The right way: a new ledger. 3. *Count now* on the card of the first run."""
    lab.traffic = Service(LEDGER, verdict(CLAIM, "ok", 183, 0))
    lab.traffic.since = 2000.0
    card = CountedCard(lab, Likes(20.0, True, LEDGER, WRONG, since=1000.0))
    card.count_button.click()
    assert card.likes.missing == 124 and "124 missing" in card._verdicts.value
    assert "Another run has begun" in card._verdicts.value


def test_a_way_of_counting_is_what_was_acknowledged_and_what_the_last_read_showed(
    operation: Callable[..., Operation], scene_of: Callable[..., Any]
) -> None:
    refused = operation("friend 2", "put", 1, outcome="refused")
    scene = scene_of(operation("friend 1", "put", 1), refused, operation("Alice", "get", 1))
    assert way("read, add, write", scene) == ("read, add, write", 1, 1)
    assert way("read, add, write", Likes(20.0, True, LEDGER, WRONG)) == ("read, add, write", 239, 115)


def test_states_are_those_of_single_replicas_and_the_last_read_of_all_is_the_merged_value(
    operation: Callable[..., Operation], scene_of: Callable[..., Any]
) -> None:
    def count(node: str, r: int, value: int, **actors: int) -> Operation:
        told = {actor: {"increments": number, "decrements": 0} for actor, number in actors.items()}
        return operation("Alice", "count", value, node=node, answer={"r": r, "actors": told})

    scene = scene_of(
        count("node-1", 1, 5, alice=5),
        count("node-2", 1, 7, alice=3, bob=4),
        count("node-1", 3, 9, alice=5, bob=4),
    )
    assert replica_states(scene) == {"node-1": {"alice": (5, 0)}, "node-2": {"alice": (3, 0), "bob": (4, 0)}}
    assert merged_value(scene) == 9
