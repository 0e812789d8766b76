"""Rows that are not what was written are found without being read, dropped, and rebuilt by the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvnode.config import SCRUB_ROWS
from kvnode.messages import KV
from kvnode.records.records import encode_state
from kvnode.runtime import Row
from kvnode.versions import Context, Dot, Siblings

Play = Callable[..., None]
KEY_COUNT = 3 * SCRUB_ROWS


def fill(components: Any) -> None:
    for number in range(KEY_COUNT):
        state, _ = Siblings().write(Dot("node-1.1", number + 1), b'"v"', context=Context(), timestamp=1.0)
        for node in components.nodes.values():
            node.records.merge_in(KV, f"k{number}", encode_state(state), lambda ok: None)


def agree(components: Any) -> bool:
    digests = [list(disk.checksums("records")) for disk in components.disks.values()]
    return all(digest == digests[0] for digest in digests) and len(digests[0]) == KEY_COUNT


async def restart(components: Any, name: str, *, damaged: list[Row]) -> None:
    components.stop(name)
    components.disks[name].apply(damaged)
    await components.start(name)


def test_damaged_rows_that_nobody_reads_are_rebuilt(play: Play) -> None:
    async def scenario(components: Any) -> None:
        fill(components)
        await components.until(lambda: agree(components))
        disk, ring = components.disks["node-2"], components.nodes["node-2"].ring
        damaged = []
        for number in range(0, KEY_COUNT, 50):
            partition = ring.partition_of(f"k{number}")
            record, known = disk.get("records", partition, f"kv/k{number}")
            damaged.append(Row("records", partition, f"kv/k{number}", record[:-2] + b"??", known))
        await restart(components, "node-2", damaged=damaged)
        node = components.nodes["node-2"]
        assert node.records.forest.root(damaged[0].partition) == components.nodes[
            "node-1"
        ].records.forest.root(damaged[0].partition), "anti-entropy alone cannot see it"
        await components.until(lambda: node.scrub.round_count == 1)
        assert node.records.corrupt_count == len(damaged)
        assert node.scrub.checked_count >= KEY_COUNT
        reported = {facts["key"] for name, event, facts in components.events if event == "record_corrupt"}
        assert reported == {row.key for row in damaged}
        await components.until(lambda: all(disk.get("records", row.partition, row.key) for row in damaged))
        for row in damaged:
            assert disk.get("records", row.partition, row.key)[0] != row.record
        assert agree(components)

    play(scenario)


def test_a_row_that_strayed_into_another_partition_is_dropped(play: Play) -> None:
    """Its checksum is right. There it would differ from the other replicas for ever: they file it elsewhere."""

    async def scenario(components: Any) -> None:
        fill(components)
        await components.until(lambda: agree(components))
        disk, ring = components.disks["node-2"], components.nodes["node-2"].ring
        home = ring.partition_of("k7")
        record, known = disk.get("records", home, "kv/k7")
        astray = Row("records", (home + 1) % ring.partitions, "kv/k7", record, known)
        await restart(components, "node-2", damaged=[Row("records", home, "kv/k7", None), astray])
        await components.until(lambda: agree(components))

    play(scenario)
