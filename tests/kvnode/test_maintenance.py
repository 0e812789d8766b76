"""The schedule of maintenance: by itself, at once when asked, one round of a work at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kvnode.config import ASKED_SHARE, BACKGROUND_SHARE
from kvnode.operations import Put
from kvnode.throttle import Share

Play = Callable[..., None]


def test_every_work_begins_by_itself_about_a_period_apart(play: Play) -> None:
    async def scenario(components: Any) -> None:
        tasks = components.nodes["node-1"].maintenance.tasks
        await asyncio.sleep(6 * 60.0)
        assert 4 <= tasks["checkpoint"].round_count <= 9, "every minute, give or take a half"
        assert tasks["scrub"].round_count == 1, "at the start, then hourly"
        assert 0 < tasks["scrub"].describe().next_in_s < 5400.0

    play(scenario)


def test_what_is_asked_for_is_done_at_once_and_told(play: Play) -> None:
    async def scenario(components: Any) -> None:
        for number in range(20):
            await components.ask("node-1", Put(f"k{number}", b"1"))
        maintenance = components.nodes["node-1"].maintenance
        told = await maintenance.begin(("repair", "scrub"), patience_ms=5000.0)
        assert list(told) == ["repair", "scrub"]
        assert told["repair"].result == {"differing_partitions": {"node-2": 0, "node-3": 0}}
        assert told["scrub"].result == {"checked": 20, "corrupt": 0}
        assert told["scrub"].running is False

    play(scenario)


def test_a_work_that_takes_long_is_told_as_running_and_is_not_begun_twice(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", None))
        node = components.nodes[components.nodes["node-1"].ring.preference_list("k")[0]]
        await asyncio.sleep(2.0)
        told = await node.maintenance.begin(("sweep",), patience_ms=100.0)
        assert (told["sweep"].running, told["sweep"].rounds_total) == (True, 0)
        again = await node.maintenance.begin(("sweep",), patience_ms=100_000.0)
        assert again["sweep"].rounds_total == 1
        assert again["sweep"].result == {"swept": 1, "remaining": 0, "reasons": {}}

    play(scenario)


def test_two_who_ask_in_one_moment_wait_for_the_same_round(play: Play) -> None:
    """1. Somebody asks for a work. 2. Before it begins somebody else does. 3. The first was told of no end, and waited
    for as long as it had patience.
    """

    async def scenario(components: Any) -> None:
        task = components.nodes["node-1"].maintenance.tasks["checkpoint"]
        await asyncio.sleep(1.0)
        endings = [task.begin(), task.begin()]
        await asyncio.wait_for(asyncio.gather(*(ending.wait() for ending in endings)), 1.0)
        assert task.round_count == 1

    play(scenario)


def test_a_disk_that_takes_no_writes_fails_the_round_and_not_the_node(play: Play) -> None:
    async def scenario(components: Any) -> None:
        node = components.nodes["node-1"]

        async def full(share: Share) -> dict[str, Any]:
            raise OSError("database or disk is full")

        node.maintenance.tasks["checkpoint"]._work = full
        told = await node.maintenance.begin(("checkpoint",), patience_ms=1000.0)
        assert told["checkpoint"].error == "database or disk is full"
        node.maintenance.tasks["checkpoint"]._work = lambda share: components.disks["node-1"].checkpoint()
        told = await node.maintenance.begin(("checkpoint",), patience_ms=1000.0)
        assert told["checkpoint"].error == ""

    play(scenario)


def test_a_round_that_somebody_asked_for_is_not_slow_and_the_next_one_is(play: Play) -> None:
    async def scenario(components: Any) -> None:
        maintenance, shares = components.nodes["node-1"].maintenance, []

        async def work(share: Share) -> dict[str, Any]:
            shares.append(share())
            await asyncio.sleep(5.0)
            shares.append(share())
            return {}

        maintenance.tasks["checkpoint"]._work = work
        await components.until(lambda: len(shares) == 1, limit_s=120.0)
        told = await maintenance.begin(("checkpoint",), patience_ms=10_000.0)
        assert told["checkpoint"].rounds_total == 1
        assert shares == [BACKGROUND_SHARE, ASKED_SHARE], "the round under way is hurried"
        await maintenance.begin(("checkpoint",), patience_ms=10_000.0)
        await components.until(lambda: len(shares) == 6, limit_s=300.0)
        assert shares[2:] == [ASKED_SHARE, ASKED_SHARE, BACKGROUND_SHARE, BACKGROUND_SHARE]

    play(scenario)
