"""The schedule of upkeep: by itself, at once when asked, one round of a work at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from kvnode.config import ASKED_SHARE, UPKEEP_SHARE
from kvnode.operations import Put
from kvnode.throttle import Share

Play = Callable[..., None]


def test_every_work_begins_by_itself_about_a_period_apart(play: Play) -> None:
    async def story(rooms: Any) -> None:
        chores = rooms.nodes["node-1"].upkeep.chores
        await asyncio.sleep(6 * 60.0)
        assert 4 <= chores["checkpoint"].round_count <= 9, "every minute, give or take a half"
        assert chores["scrub"].round_count == 1, "at the start, then hourly"
        assert 0 < chores["scrub"].describe()["next_in_s"] < 5400.0

    play(story)


def test_what_is_asked_for_is_done_at_once_and_told(play: Play) -> None:
    async def story(rooms: Any) -> None:
        for number in range(20):
            await rooms.ask("node-1", Put(f"k{number}", b"1"))
        upkeep = rooms.nodes["node-1"].upkeep
        told = await upkeep.begin(("repair", "scrub"), patience_ms=5000.0)
        assert list(told) == ["repair", "scrub"]
        assert told["repair"]["result"] == {"differing_partitions": {"node-2": 0, "node-3": 0}}
        assert told["scrub"]["result"] == {"checked": 20, "corrupt": 0}
        assert told["scrub"]["running"] is False

    play(story)


def test_a_work_that_takes_long_is_told_as_running_and_is_not_begun_twice(play: Play) -> None:
    async def story(rooms: Any) -> None:
        await rooms.ask("node-1", Put("k", None))
        node = rooms.nodes[rooms.nodes["node-1"].ring.preference_list("k")[0]]
        await asyncio.sleep(2.0)
        told = await node.upkeep.begin(("sweep",), patience_ms=100.0)
        assert (told["sweep"]["running"], told["sweep"]["rounds_total"]) == (True, 0)
        again = await node.upkeep.begin(("sweep",), patience_ms=100_000.0)
        assert again["sweep"]["rounds_total"] == 1
        assert again["sweep"]["result"] == {"swept": 1, "remaining": 0, "reasons": {}}

    play(story)


def test_two_who_ask_in_one_moment_wait_for_the_same_round(play: Play) -> None:
    """1. Somebody asks for a work. 2. Before it begins somebody else does. 3. The first was told of no end, and waited
    for as long as it had patience.
    """

    async def story(rooms: Any) -> None:
        chore = rooms.nodes["node-1"].upkeep.chores["checkpoint"]
        await asyncio.sleep(1.0)
        endings = [chore.begin(), chore.begin()]
        await asyncio.wait_for(asyncio.gather(*(ending.wait() for ending in endings)), 1.0)
        assert chore.round_count == 1

    play(story)


def test_a_disk_that_takes_no_writes_fails_the_round_and_not_the_node(play: Play) -> None:
    async def story(rooms: Any) -> None:
        node = rooms.nodes["node-1"]

        async def full(share: Share) -> dict[str, Any]:
            raise OSError("database or disk is full")

        node.upkeep.chores["checkpoint"]._work = full
        told = await node.upkeep.begin(("checkpoint",), patience_ms=1000.0)
        assert told["checkpoint"]["error"] == "database or disk is full"
        node.upkeep.chores["checkpoint"]._work = lambda share: rooms.disks["node-1"].checkpoint()
        told = await node.upkeep.begin(("checkpoint",), patience_ms=1000.0)
        assert told["checkpoint"]["error"] == ""

    play(story)


def test_a_round_that_somebody_asked_for_is_not_slow_and_the_next_one_is(play: Play) -> None:
    async def story(rooms: Any) -> None:
        upkeep, shares = rooms.nodes["node-1"].upkeep, []

        async def work(share: Share) -> dict[str, Any]:
            shares.append(share())
            await asyncio.sleep(5.0)
            shares.append(share())
            return {}

        upkeep.chores["checkpoint"]._work = work
        await rooms.until(lambda: len(shares) == 1, limit_s=120.0)
        assert (await upkeep.begin(("checkpoint",), patience_ms=10_000.0))["checkpoint"]["rounds_total"] == 1
        assert shares == [UPKEEP_SHARE, ASKED_SHARE], "the round under way is hurried"
        await upkeep.begin(("checkpoint",), patience_ms=10_000.0)
        await rooms.until(lambda: len(shares) == 6, limit_s=300.0)
        assert shares[2:] == [ASKED_SHARE, ASKED_SHARE, UPKEEP_SHARE, UPKEEP_SHARE]

    play(story)
