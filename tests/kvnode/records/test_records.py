"""What a replica holds: latest and durable, failed commits, corrupt rows, listing, and the Merkle forest that fits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.messages import COUNTER, KV
from kvnode.records.checksum import checksum
from kvnode.records.listing import list_keys
from kvnode.records.merkle import MerkleForest
from kvnode.records.records import Records, encode_state, merge_records
from kvnode.ring import Ring
from kvnode.runtime import Row, Runtime
from kvnode.storage import MemoryDisk, SqliteDisk
from kvnode.throttle import Throttle
from kvnode.versions import Context, Dot, PnCounter, Siblings

FullDisk = Callable[..., AbstractContextManager[None]]
RING = Ring.build(["node-1"], replicas=1, partitions=16)


class WallOnly:
    def wall_ms(self) -> float:
        return 1_700_000_000_000.0

    now_ms = wall_ms


def records_on(disk: Any, events: list[str] | None = None) -> Records:
    def log(event: str, **facts: Any) -> None:
        if events is not None:
            events.append(event)

    runtime = Runtime(WallOnly(), None, disk, random.Random(1), None, log)  # type: ignore[arg-type]
    records = Records(runtime, RING)
    records.open()
    return records


def value(counter: int, text: bytes = b'"x"', *, deleted: bool = False, past: Context | None = None) -> bytes:
    dot = Dot("node-1.1", counter)
    state, _ = Siblings().write(dot, text, context=past or Context(), timestamp=1.0, deleted=deleted)
    return encode_state(state)


async def listed(records: Records, kind: str, *, prefix: str, after: str, limit: int) -> list[str]:
    throttle = Throttle(_Unhurried(), 1000)  # type: ignore[arg-type]
    return await list_keys(records, kind, prefix=prefix, after=after, limit=limit, throttle=throttle)


class _Unhurried:
    """A clock on which nothing takes time."""

    def now_ms(self) -> float:
        return 0.0

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(0)


def put(records: Records, key: str, record: bytes, *, kind: str = KV) -> list[bool]:
    """Merge it in; the list says when it is durable (True) or could not be stored (False)."""
    done: list[bool] = []
    records.merge_in(kind, key, record, done.append)
    return done


async def all_told(*writes: list[bool]) -> None:
    """Wait until it is known of each of these whether it is durable."""
    async with asyncio.timeout(5.0):
        while not all(writes):  # noqa: ASYNC110 records tell whoever asked, and nobody else
            await asyncio.sleep(0.001)


async def put_and_damage(records: Records, disk: MemoryDisk) -> None:
    """Store a value of "k"; on disk it is not what was written, in memory it is."""
    done = put(records, "k", value(1))
    await disk.commit([])
    await asyncio.sleep(0)
    assert done == [True]
    partition = RING.partition_of("k")
    record, known = disk.get("records", partition, "kv/k") or (b"", 0)
    disk.apply([Row("records", partition, "kv/k", record.replace(b"x", b"y"), known)])


def assert_forest_is_true(records: Records, disk: Any) -> None:
    forest, count = MerkleForest(RING.partitions), 0
    for partition, _, known in disk.checksums("records"):
        forest.change(partition, 0, known)
        count += 1
    assert [forest.root(p) for p in range(RING.partitions)] == [
        records.forest.root(p) for p in range(RING.partitions)
    ]
    assert records.row_count == count


def on_sqlite(directory: Path, scenario: Callable[[SqliteDisk], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        disk = SqliteDisk(directory)
        await scenario(disk)
        await disk.close()

    asyncio.run(whole())


def test_a_failed_commit_leaves_state_and_forest_as_they_were_and_later_writes_are_fine(
    tmp_path: Path, full_disk: FullDisk
) -> None:
    async def scenario(disk: SqliteDisk) -> None:
        records = records_on(disk)
        put(records, "old", value(1))
        await disk.commit([])
        with full_disk(room_bytes=8000):
            before = records.durable(KV, "old")
            large = b"x" * 50_000
            failed = [put(records, "old", value(2, large)), put(records, "new", value(3, large))]
            await all_told(*failed)
            assert failed == [[False], [False]]
            assert records.durable(KV, "old") == records.latest(KV, "old") == before
            assert records.durable(KV, "new") is None
            assert_forest_is_true(records, disk)
        done = put(records, "new", value(4))
        await disk.commit([])
        await asyncio.sleep(0)
        assert done == [True]
        assert_forest_is_true(records, disk)

    on_sqlite(tmp_path, scenario)


def test_a_write_that_waits_for_a_failed_one_is_not_acknowledged_by_the_sync_of_another(
    tmp_path: Path, full_disk: FullDisk
) -> None:
    """1. The disk is full: the write of a large record fails. 2. In the same turn a small record of another key fits.

    3. In the same turn the large record arrives again (a retry), changes nothing in memory, and was told with the
    small one's sync: acknowledged, and on no disk.
    """

    async def scenario(disk: SqliteDisk) -> None:
        records = records_on(disk)
        large = value(1, b"x" * 50_000)
        with full_disk(room_bytes=8000):
            first = put(records, "large", large)
            small = put(records, "small", value(2))
            again = put(records, "large", large)
            await all_told(first, small, again)
        assert first == again == [False]
        assert small == [True] or records.durable(KV, "small") is None
        assert records.durable(KV, "large") is None
        assert_forest_is_true(records, disk)

    on_sqlite(tmp_path, scenario)


def test_a_corrupt_row_is_reported_dropped_and_can_be_written_anew() -> None:
    async def scenario() -> None:
        disk, events = MemoryDisk(), list[str]()
        records = records_on(disk, events)
        await put_and_damage(records, disk)
        records._cache.discard("kv/k")  # not read from memory
        assert await listed(records, KV, prefix="", after="", limit=10) == []
        assert records.durable(KV, "k") is None
        assert (records.corrupt_count, events) == (1, ["record_corrupt"])
        assert_forest_is_true(records, disk)
        put(records, "k", value(1))
        await asyncio.sleep(0.001)
        assert records.durable(KV, "k") == value(1)
        assert_forest_is_true(records, disk)

    asyncio.run(scenario())


def test_a_row_that_is_damaged_while_its_record_is_in_memory_is_found_by_the_scrub_and_forgotten() -> None:
    async def scenario() -> None:
        disk, events = MemoryDisk(), list[str]()
        records = records_on(disk, events)
        await put_and_damage(records, disk)
        assert records.durable(KV, "k") == value(1)
        records.verify(RING.partition_of("k"), "", 10)
        assert events == ["record_corrupt"]
        assert records.durable(KV, "k") is None
        assert_forest_is_true(records, disk)

    asyncio.run(scenario())


def test_what_was_made_from_what_is_held_replaces_it_and_anything_else_is_merged() -> None:
    async def scenario() -> None:
        disk = MemoryDisk()
        records = records_on(disk)
        first = value(1)
        put(records, "k", first)
        held = checksum("kv/k", first)
        newer = value(
            2, past=Siblings().write(Dot("node-1.1", 1), b"", context=Context(), timestamp=1)[1].seen
        )
        records.merge_in(KV, "k", newer, lambda ok: None, base_checksum=held)
        assert records.latest(KV, "k") == newer
        stray = encode_state(Siblings().write(Dot("node-2.1", 1), b"1", context=Context(), timestamp=1)[0])
        records.merge_in(KV, "k", stray, lambda ok: None, base_checksum=held)  # no longer what is held
        assert records.latest(KV, "k") == merge_records(KV, newer, stray) != stray
        await asyncio.sleep(0.001)
        assert_forest_is_true(records, disk)

    asyncio.run(scenario())


def test_a_corrupt_row_that_cannot_be_deleted_is_counted_once_and_the_forest_stays_true(
    tmp_path: Path, full_disk: FullDisk
) -> None:
    """1. The disk is full, and a row is corrupt.

    2. Dropping it failed; every read dropped it from the forest again, which put it back the second time.
    """

    async def scenario(disk: SqliteDisk) -> None:
        records = records_on(disk)
        put(records, "k", value(1))
        await disk.commit([])
        await asyncio.sleep(0)
        partition = RING.partition_of("k")
        await disk.checkpoint()
        disk._tables._writer.execute("update records set record=x'00'")
        await disk.checkpoint()
        records._cache.discard("kv/k")
        root = MerkleForest(1).root(0)
        with full_disk():
            for _ in range(3):
                assert records.durable(KV, "k") is None
                await asyncio.sleep(0.01)
        assert records.corrupt_count == 1
        assert records.forest.root(partition) == root
        assert records.row_count == 0
        put(records, "k", value(2))
        await disk.commit([])
        await asyncio.sleep(0)
        assert_forest_is_true(records, disk)

    on_sqlite(tmp_path, scenario)


def test_a_corrupt_row_that_could_not_be_deleted_goes_with_the_partition_that_is_let_go(
    tmp_path: Path, full_disk: FullDisk
) -> None:
    """1. The disk is full, and a row is corrupt: it leaves the forest and stays on disk. 2. Its partition is let go.

    3. The row left the forest a second time, which put it back: the partition was left over for ever, and empty.
    """

    async def scenario(disk: SqliteDisk) -> None:
        records = records_on(disk)
        for key in ("k", "elsewhere"):
            put(records, key, value(1))
        await disk.commit([])
        await asyncio.sleep(0)
        partition = RING.partition_of("k")
        await disk.checkpoint()
        disk._tables._writer.execute("update records set record=x'00' where key='kv/k'")
        await disk.checkpoint()
        records._cache.discard("kv/k")
        known = checksum("kv/k", value(1))
        with full_disk():
            assert records.durable(KV, "k") is None
            await asyncio.sleep(0.01)
            assert records.held_in(partition)["kv/k"] == known, "it is on the disk"
            assert not records.holds(partition, "kv/k", known), "but it is no record"
            with pytest.raises(OSError):
                await records.drop(partition, records.held_in(partition))
            await asyncio.sleep(0.01)
        assert records.row_count == 1 and records.forest.is_empty(partition)
        await records.drop(partition, records.held_in(partition))
        await asyncio.sleep(0)
        assert records.held_in(partition) == {}
        assert records.forest.is_empty(partition)
        assert_forest_is_true(records, disk)

    on_sqlite(tmp_path, scenario)


@pytest.mark.parametrize(
    ("kind", "record"), [(KV, b"\xff\xff"), (COUNTER, b"{}"), ("cow", b"\x90"), (KV, b"")]
)
def test_a_record_that_is_none_of_its_kind_is_refused_also_when_the_key_is_new(
    kind: str, record: bytes
) -> None:
    """1. A record was decoded only if the key was known.

    2. Anything else was stored as it came, acknowledged, and ended the request of everybody who read it.
    """

    async def scenario() -> None:
        disk = MemoryDisk()
        records = records_on(disk)
        with pytest.raises(msgspec.MsgspecError):
            put(records, "k", record, kind=kind)
        assert list(disk.checksums("records")) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("is_built_before", [False, True])
def test_the_forest_is_the_same_after_a_restart_and_on_another_replica_in_another_order(
    is_built_before: bool,
) -> None:
    async def scenario() -> None:
        writes = [(f"k{number % 20}", value(number + 1)) for number in range(60)]
        disks = [MemoryDisk(), MemoryDisk()]
        forests = []
        for disk, order in zip(disks, (writes, list(reversed(writes))), strict=True):
            records = records_on(disk)
            if is_built_before:  # then each write must note what it changes
                await records.build_forest(is_asked=True)
            for key, record in order:
                put(records, key, record)
            put(records, "c", encode_state(PnCounter.of("a", 1)), kind=COUNTER)
            await asyncio.sleep(0)
            assert_forest_is_true(records, disk)
            forests.append([records.forest.root(p) for p in range(RING.partitions)])
            again = records_on(disk)
            assert [again.forest.root(p) for p in range(RING.partitions)] == forests[-1]
        assert forests[0] == forests[1]

    asyncio.run(scenario())


names = st.text(st.sampled_from("ab/é"), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(names, st.booleans(), max_size=25),
    names | st.just(""),
    names | st.just(""),
    st.integers(1, 6),
)
def test_listing_pages_through_exactly_the_keys_that_are_not_deleted(
    held: dict[str, bool], prefix: str, after: str, limit: int
) -> None:
    async def scenario() -> None:
        records = records_on(MemoryDisk())
        for number, (key, deleted) in enumerate(held.items()):
            put(records, key, value(number + 1, deleted=deleted))
            put(records, f"counter of {key}", encode_state(PnCounter.of("a", 1)), kind=COUNTER)
        expected = sorted(
            (key for key, deleted in held.items() if not deleted and key.startswith(prefix) and key > after),
            key=str.encode,
        )
        assert await listed(records, KV, prefix=prefix, after=after, limit=limit) == expected[:limit]
        found, last = list[str](), after
        while page := await listed(records, KV, prefix=prefix, after=last, limit=limit):
            found, last = found + page, page[-1]
        assert found == expected

    asyncio.run(scenario())


def test_a_page_of_keys_reads_little_more_than_it_shows() -> None:
    """1. Each partition gave a whole page before they were merged: every page of 1000 keys read all records."""

    async def scenario() -> None:
        disk = MemoryDisk()
        records = records_on(disk)
        for number in range(2000):
            put(records, f"k{number:04}", value(number + 1))
        read, scan = list[Row](), disk.scan
        disk.scan = lambda *args, **named: (read.extend(rows := scan(*args, **named)), rows)[1]  # type: ignore
        assert len(await listed(records, KV, prefix="", after="", limit=100)) == 100
        assert len(read) < 500

    asyncio.run(scenario())
