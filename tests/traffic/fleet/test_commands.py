"""Commands: what a generator is told, what it refuses as a whole, and what a later one leaves of an earlier one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from traffic.control.generator import Generator
from traffic.fleet.commands import Change, Command, Time, added, obey, shared, without_rate
from traffic.load.driver import Settings
from traffic.stores.memory import MemoryStore
from traffic.workloads.inventory import Inventory

InVirtualTime = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


def told(*commands: Command) -> dict[str, Any]:
    """The stats of a generator that was told this and never began."""

    async def main() -> dict[str, Any]:
        generator = Generator(MemoryStore(), settings=Settings(rate=100), seed=1)
        for command in commands:
            await obey(generator, command)
        stats = generator.stats()
        await generator.close()
        return stats

    return asyncio.run(main())


def test_a_change_changes_what_it_names_and_nothing_else() -> None:
    twitter = told(Command("change", "twitter", Change(rate=300, w=3)))["workloads"]["twitter"]
    assert (twitter["target_rate"], twitter["w"], twitter["r"], twitter["pattern"]) == (300, 3, 2, "poisson")


def test_each_of_several_makes_its_share_of_a_rate() -> None:
    command = shared(Command("change", "twitter", Change(rate=300)), 4)
    assert told(command)["workloads"]["twitter"]["target_rate"] == 75


def test_the_loop_is_chosen_and_each_of_several_has_its_share_of_the_workers_and_at_least_one() -> None:
    closed = Command("change", "twitter", Change(loop="closed", workers=6))
    twitter = told(closed)["workloads"]["twitter"]
    assert (twitter["loop"], twitter["workers"]) == ("closed", 6)
    assert told(shared(closed, 4))["workloads"]["twitter"]["workers"] == 2
    assert told(shared(closed, 16))["workloads"]["twitter"]["workers"] == 1
    opened = told(closed, Command("change", "twitter", Change(loop="open")))["workloads"]["twitter"]
    assert (opened["loop"], opened["workers"]) == ("open", None)


def test_a_bug_is_switched_on_and_off_and_stays_when_it_is_not_named() -> None:
    on = Command("change", "inventory", Change(bug="unreserved"))
    assert told(on)["workloads"]["inventory"]["bug"] == "unreserved"
    assert told(on, Command("change", "inventory", Change(rate=5)))["workloads"]["inventory"]["bug"]
    assert told(on, Command("change", "inventory", Change(bug=None)))["workloads"]["inventory"]["bug"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (Change(rate=-1), "between 0 and 5000"),
        (Change(rate=200, w=4), "w must be between 1 and 3"),
        (Change(rate=200, bug="nonsense"), "no bug called 'nonsense'"),
        (Change(rate=200, read_share=1.5), "read_share must be between 0 and 1"),
        (Change(rate=200, personas={"trolls": 1}), "no personas 'trolls'; there are: casual, power, bot"),
        (Change(rate=200, personas={"bot": -1}), "0 to 1000 times as busy"),
        (
            Change(rate=200, personas=dict.fromkeys(("casual", "power", "bot", "influencer"), 0.0)),
            "somebody must",
        ),
        (Change(rate=200, loop="closed", workers=0), "workers must be between 1 and 256, got 0"),
        (Change(rate=200, workers=257), "workers must be between 1 and 256, got 257"),
        (Change(read_share=0.5, w=9), "w must be between 1 and 3"),
        (Change(preset="nonsense"), "preset must be one of"),
    ],
)
def test_what_is_refused_changes_nothing(change: Change, says: str) -> None:
    async def main() -> float:
        generator = Generator(MemoryStore(), settings=Settings(rate=100), seed=1)
        with pytest.raises(ValueError, match=says):
            await obey(generator, Command("change", "twitter", change))
        rate: float = generator.stats()["workloads"]["twitter"]["target_rate"]
        await generator.close()
        return rate

    assert asyncio.run(main()) == 100


def test_a_preset_sets_all_rates_and_the_clock() -> None:
    stats = told(Command("preset", change=Change(preset="classroom")))
    assert stats["workloads"]["twitter"]["target_rate"] == 20
    assert (stats["preset"], stats["clock"]["time"]) == ("classroom", "11:00")
    halves = told(shared(Command("preset", change=Change(preset="classroom")), 2))
    assert halves["workloads"]["twitter"]["target_rate"] == 10


def test_one_world_can_take_the_rate_of_a_preset() -> None:
    workloads = told(Command("change", "twitter", Change(preset="classroom")))["workloads"]
    assert (workloads["twitter"]["target_rate"], workloads["inventory"]["target_rate"]) == (20, 30)


@pytest.mark.parametrize("world", ["collab", "inventory"])
def test_worlds_without_such_habits_say_so(world: str) -> None:
    with pytest.raises(ValueError, match=f"{world} takes no read_share: "):
        told(Command("change", world, Change(read_share=0.5)))


@pytest.mark.parametrize(
    ("world", "kind"), [("twitter", "influencer"), ("collab", "fixer"), ("inventory", "bot")]
)
def test_in_every_world_some_people_can_be_made_busy(world: str, kind: str) -> None:
    async def main() -> list[dict[str, Any]]:
        generator = Generator(MemoryStore(), settings=Settings(rate=100), seed=1)
        await obey(generator, Command("change", world, Change(personas={kind: 5})))
        people = generator.drivers[world].workload.people()
        await generator.close()
        return people

    busy = {one["kind"]: one["busy"] for one in asyncio.run(main())}
    assert busy.pop(kind) == 5
    assert set(busy.values()) == {1.0}


def test_a_situation_of_one_world_brings_its_season_and_another_one_ends_it() -> None:
    async def main() -> list[str]:
        generator = Generator(MemoryStore(), settings=Settings(rate=100), seed=1)
        seasons: list[str] = []
        for change in (Change(preset="black-friday"), Change(rate=5), Change(preset="classroom")):
            await obey(generator, Command("change", "inventory", change))
            workload = generator.drivers["inventory"].workload
            assert isinstance(workload, Inventory)
            seasons.append(workload.season)
        await generator.close()
        return seasons

    assert asyncio.run(main()) == ["black-friday", "black-friday", "normal"]


def test_the_clock_can_be_set() -> None:
    assert told(Command("time", time=Time(hour=20.5, speed=0)))["clock"]["time"] == "20:30"


def test_of_two_changes_the_later_word_counts() -> None:
    first = Change(rate=100, w=3, bug="unreserved")
    assert added(first, Change(rate=5)) == Change(rate=5, w=3, bug="unreserved")
    assert added(first, Change(bug=None)) == Change(rate=100, w=3, bug=None)
    assert added(first, Change(loop="closed", workers=2)) == Change(
        rate=100, w=3, bug="unreserved", loop="closed", workers=2
    )
    assert without_rate(first) == Change(w=3, bug="unreserved")


@pytest.mark.parametrize(
    "command",
    [
        Command("start"),
        Command("change", "twitter", Change(rate=3, bug=None)),
        Command("change", "twitter", Change(pattern="even")),
        Command("change", "twitter", Change(loop="closed", workers=3)),
        Command("time", time=Time(hour=3)),
    ],
)
def test_a_command_survives_the_pipe(command: Command) -> None:
    assert msgspec.json.decode(msgspec.json.encode(command), type=Command) == command
