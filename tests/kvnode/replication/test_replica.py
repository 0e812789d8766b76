"""A replica tells what a crash would leave, whoever asks it, and not what is still on its way to its disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.messages import COUNTER, KV, Fetch, Fetched
from kvnode.operations import Add, Put

Play = Callable[..., None]


@pytest.mark.parametrize(
    ("kind", "older", "newer"),
    [
        (KV, Put("k", b"1", w=3), Put("k", b"2", w=1)),
        (COUNTER, Add("k", "a", 1, 0, 3), Add("k", "a", 2, 0, 1)),
    ],
)
def test_a_peer_is_told_what_is_durable_and_no_more(play: Play, kind: str, older: Any, newer: Any) -> None:
    """1. node-2 was sent a write and has not synced it. 2. A reader was shown it, node-2 crashed, and it was gone."""

    async def scenario(components: Any) -> None:
        await components.ask("node-1", older)
        records, disk = components.nodes["node-2"].records, components.disks["node-2"]
        before = records.durable(kind, "k")
        disk.held = True
        assert (await components.ask("node-1", newer))[0] == 200
        await components.until(lambda: records.latest(kind, "k") != before, 1.0)

        async def told() -> bytes | None:
            answer = await components.nodes["node-3"].rpc.ask(
                "node-2", lambda id_: Fetch(id_, 1, kind, "k", 1)
            )
            assert isinstance(answer, Fetched)
            return answer.record

        assert await told() == before
        disk.release()
        await asyncio.sleep(0.1)
        assert await told() == records.latest(kind, "k") != before

    play(scenario)
