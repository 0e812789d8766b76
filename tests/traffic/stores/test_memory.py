"""The store in memory keeps siblings as a database does: writers who did not see each other are both kept."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from traffic.stores.base import GetReply
from traffic.stores.memory import MemoryStore


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def store() -> MemoryStore:
    return MemoryStore(latency_s=0)


def values(reply: GetReply) -> set[Any]:
    return {sibling.value for sibling in reply.siblings}


def test_a_plain_put_replaces() -> None:
    async def main() -> None:
        made = store()
        for value in ("one", "two"):
            await made.put("node-1", "k", value, w=2)
        assert values(await made.get("node-2", "k", r=2)) == {"two"}

    run(main())


def test_two_writers_with_the_same_context_leave_siblings_and_a_third_resolves_them() -> None:
    async def main() -> None:
        made = store()
        await made.put("node-1", "k", "base", w=2)
        seen = (await made.get("node-1", "k", r=2)).context
        for value in ("ada", "alan"):
            await made.put("node-1", "k", value, w=2, context=seen)
        conflict = await made.get("node-1", "k", r=2)
        assert conflict.conflict
        assert values(conflict) == {"ada", "alan"}
        await made.put("node-1", "k", "both", w=2, context=conflict.context)
        assert values(await made.get("node-1", "k", r=2)) == {"both"}

    run(main())


def test_the_context_of_a_put_does_not_cover_what_its_writer_never_saw() -> None:
    async def main() -> None:
        made = store()
        seen = (await made.put("node-1", "k", "base", w=2)).context
        await made.put("node-1", "k", "unseen", w=2, context=seen)
        mine = await made.put("node-1", "k", "mine", w=2, context=seen)
        await made.put("node-1", "k", "mine again", w=2, context=mine.context)
        assert values(await made.get("node-1", "k", r=2)) == {"unseen", "mine again"}

    run(main())


def test_blind_puts_stay_and_the_last_writer_wins() -> None:
    async def main() -> None:
        made = store()
        for value in ("one", "two"):
            await made.put("node-1", "blind", value, w=2, mode="siblings")
            await made.put("node-1", "lww", value, w=2, mode="lww")
        assert values(await made.get("node-1", "blind", r=2)) == {"one", "two"}
        assert values(await made.get("node-1", "lww", r=2)) == {"two"}

    run(main())


def test_a_counter_keeps_the_greatest_totals_of_each_actor() -> None:
    async def main() -> None:
        made = store()
        await made.add("node-1", "c", actor="a", increments=5, decrements=2, w=2)
        await made.add("node-1", "c", actor="a", increments=3, decrements=1, w=2)  # late: changes nothing
        reply = await made.add("node-1", "c", actor="b", increments=10, w=2)
        assert reply.value == 13
        assert (await made.counter("node-3", "c", r=2)).value == 13
        assert (await made.counter("node-3", "nobody", r=2)).value == 0

    run(main())
