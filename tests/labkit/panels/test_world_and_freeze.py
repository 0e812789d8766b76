"""One world by hand, and a page that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from labkit.errors import LabError
from labkit.figures.staleness import staleness
from labkit.live.chart import LiveChart
from labkit.live.page import page
from labkit.panels.freeze import Freeze
from labkit.panels.world import PEOPLE_EVERY, World
from labkit.worlds import MISTAKES, TITLES
from traffic.load.registry import WORKLOADS


class Service:
    """A double of the traffic service."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.world: dict[str, Any] = {
            "running": False, "target_rate": 40.0, "achieved_rate": 0.0, "operations_total": 0, "bug": None,
        }  # fmt: skip
        self.silent = False
        self.busy = {"author": 1.0, "fixer": 1.0}

    def stats(self) -> dict[str, Any]:
        if self.silent:
            raise LabError("The traffic service does not answer.")
        worlds = {name: dict(self.world) for name in TITLES}
        return {"workloads": worlds, "clock": {"hour": 11.4}, "preset": None}

    recent_stats = stats

    def presets(self) -> list[dict[str, Any]]:
        evening = {"name": "evening-peak", "says": "…", "hour": 20.5, "weekday": "wednesday", "speed": 1.0}
        return [{"name": "viral", "says": "…"}, {"name": "classroom", "says": "…"}, evening]

    def people(self, world: str) -> list[dict[str, Any]]:
        return [{"kind": kind, "people": 20, "busy": busy, "actions": 3} for kind, busy in self.busy.items()]

    def set_clock(self, **settings: Any) -> None:
        self.calls.append(("clock", settings))

    def configure(self, **settings: Any) -> None:
        self.calls.append(("configure", settings))

    def set_hour(self, hour: int) -> None:
        self.calls.append(("hour", hour))

    def start(self, name: str) -> None:
        self.calls.append(("start", name))

    def stop(self, name: str) -> None:
        self.calls.append(("stop", name))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def world(lab: Any, service: Service) -> World:
    return World(lab, service, "collab")  # type: ignore[arg-type]


def test_its_controls_set_the_world_and_nothing_else(world: World, service: Service) -> None:
    world.rate.widget.value = 60
    world.hour.widget.value = 20
    world.mistake.widget.value = "lww"
    world.mistake.widget.value = "none"
    world.preset.value = "viral"
    world.start.click()
    assert service.calls == [
        ("configure", {"world": "collab", "rate": 60}),
        ("hour", 20),
        ("configure", {"world": "collab", "bug": "lww"}),
        ("configure", {"world": "collab", "bug": None}),
        ("configure", {"world": "collab", "preset": "viral"}),
        ("start", "collab"),
    ]


def test_a_situation_ends_by_the_menu_and_by_a_rate_and_the_menu_says_so(
    world: World, service: Service
) -> None:
    """1. A situation is chosen. 2. "rate by hand" is chosen: nothing happened. 3. A rate was set: the menu still named
    the situation."""
    world.preset.value = "viral"
    world.preset.value = "none"
    assert service.calls[1:] == [("configure", {"world": "collab", "rate": 40})]
    world.preset.value = "classroom"
    world.rate.widget.value = 60
    assert world.preset.value == "none"
    assert service.calls[3:] == [("configure", {"world": "collab", "rate": 60})]


def test_a_situation_is_its_hour_too(world: World, service: Service) -> None:
    """1. evening-peak is chosen at six in the morning. 2. The rate was that of six in the morning."""
    world.preset.value = "evening-peak"
    assert service.calls == [
        ("clock", {"hour": 20.5, "weekday": "wednesday", "speed": 1.0}),
        ("configure", {"world": "collab", "preset": "evening-peak"}),
    ]


def test_each_kind_of_people_can_stay_at_home_or_be_busy_and_is_followed(
    world: World, service: Service
) -> None:
    menu = world.people["fixer"].widget
    assert menu.words == ("20 × fixer: at home", "20 × fixer: as usual", "20 × fixer: 5 times as busy")
    menu.value = "5"
    assert service.calls == [("configure", {"world": "collab", "personas": {"fixer": 5.0}})]
    service.busy["author"] = 0.0
    for _ in range(PEOPLE_EVERY):
        world.refresh()
    assert world.people["author"].widget.value == "0"
    assert len(service.calls) == 1


@pytest.mark.parametrize("name", list(TITLES))
def test_every_world_has_a_panel_with_its_own_mistakes(lab: Any, service: Service, name: str) -> None:
    world = World(lab, service, name)  # type: ignore[arg-type]
    (mistake,) = MISTAKES[name]
    world.mistake.widget.value = mistake
    world.start.click()
    assert service.calls == [("configure", {"world": name, "bug": mistake}), ("start", name)]


def test_it_follows_what_somebody_else_sets_and_says_that_a_mistake_is_on(
    world: World, service: Service
) -> None:
    service.world.update(running=True, target_rate=75.0, achieved_rate=74.2, operations_total=1234, bug="lww")
    world.refresh()
    assert (world.rate.widget.value, world.mistake.widget.value) == (75, "lww")
    assert "74 op/s, 1 234 so far" in world._head.value
    assert "! the last writer wins" in world._head.value
    assert (world.start.disabled, world.stop.disabled) == (True, False)
    assert service.calls == []


def test_a_service_that_is_silent_is_said_so_and_nothing_raises(world: World, service: Service) -> None:
    service.silent = True
    world.refresh()
    assert "does not answer" in world._head.value


def test_closing_ends_following(lab: Any, world: World) -> None:
    count = len(lab.refreshers)
    world.close()
    assert len(lab.refreshers) == count - 1


def test_there_is_no_other_world(lab: Any, service: Service) -> None:
    with pytest.raises(ValueError, match="there are twitter, collab, inventory"):
        World(lab, service, "moon")  # type: ignore[arg-type]


def test_the_words_for_mistakes_are_those_of_the_worlds_that_there_are() -> None:
    assert set(TITLES) == set(WORKLOADS)
    for name, world in WORKLOADS.items():
        assert set(MISTAKES[name]) == set(world.make(Random(0), "test").bugs_known)


# --- standing still -----------------------------------------------------------------------------------------------


@pytest.fixture
def freeze() -> Iterator[Freeze]:
    made = Freeze()
    yield made
    made.close()


def test_while_the_page_stands_still_nothing_is_drawn_and_then_the_newest(freeze: Freeze) -> None:
    chart = LiveChart(staleness([]))
    before = chart.skeleton
    freeze.press()
    assert page().is_frozen
    assert freeze.button.description == "Go on"
    for reads in (10, 20, 30):
        chart.show(staleness([{"t_ms": 0, "reads": reads, "fresh": reads}]))
    assert chart.skeleton == before
    freeze.press()
    assert "Of 30 reads" in chart.summary
    assert freeze.button.description == "Freeze"


def test_a_page_never_stands_still_without_a_button_that_ends_it(freeze: Freeze) -> None:
    freeze.press()
    freeze.close()
    assert not page().is_frozen
    again = Freeze()
    assert again.button.description == "Freeze"


def test_a_second_button_knows_what_the_first_one_did(freeze: Freeze) -> None:
    freeze.press()
    assert Freeze().button.description == "Go on"
