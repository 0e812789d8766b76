"""Hints: stored, merged, delivered, expired, bounded, and there again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

import kvnode.replication.hints as hints_module
from kvnode.config import BATCH_BYTES_MAX, FRAME_BYTES_MAX, HINT_AGE_MS_MAX
from kvnode.messages import KV, StoreMany
from kvnode.operations import Get, Put
from kvnode.records.checksum import checksum
from kvnode.records.records import KVS, encode_state
from kvnode.replication.hints import Hint
from kvnode.runtime import Row
from kvnode.versions import Context, Dot, Siblings

Play = Callable[..., None]


def record(counter: int, size: int = 1, *, blind: bool = True) -> bytes:
    """A key's state with one version of so many bytes."""
    state, _ = Siblings().write(
        Dot("node-9.1", counter), b"1" * size, context=Context(), timestamp=float(counter)
    )
    return encode_state(state)


def test_what_a_dead_replica_missed_is_delivered_when_it_is_back(play: Play) -> None:
    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        node = components.nodes["node-1"]
        await components.until(lambda: node.members.state("node-3") == "dead")
        node.exchange._is_alive = lambda peer: False
        components.nodes["node-2"].exchange._is_alive = lambda peer: False
        for number in range(20):
            assert (await components.ask("node-1", Put(f"k{number}", b"1")))[0] == 200
        assert node.hints.pending() == {"node-3": 20}
        assert node.hints.oldest_ms("node-3") > 0.0
        components.heal()
        await components.until(lambda: node.hints.pending() == {})
        assert all(components.nodes["node-3"].records.durable(KV, f"k{number}") for number in range(20))
        assert node.hints.delivered_count == 20
        assert list(components.disks["node-1"].checksums("hints")) == []

    play(scenario)


def test_there_is_one_hint_for_a_replica_and_a_key_and_records_merge_in_it(play: Play) -> None:
    async def scenario(components: Any) -> None:
        hints = components.nodes["node-1"].hints
        hints._is_alive = lambda peer: False
        for counter in (1, 2):
            state, _ = Siblings().write(
                Dot(f"node-9.{counter}", 1), b"1", context=Context(), timestamp=float(counter)
            )
            assert hints.add("node-3", KV, "k", encode_state(state))
        assert hints.pending() == {"node-3": 1}
        (hint,) = hints._pending["node-3"].values()
        assert len(KVS.decode(hint.record).versions) == 2

    play(scenario)


def test_hints_are_there_again_after_a_restart_and_a_corrupt_one_is_reported_and_dropped(play: Play) -> None:
    """1. A hint's row is damaged. 2. `Hints.open` could not decode it, and every start ended with a traceback."""

    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        node, disk = components.nodes["node-1"], components.disks["node-1"]
        await components.until(lambda: node.members.state("node-3") == "dead")
        for number in range(3):
            await components.ask("node-1", Put(f"k{number}", b"1"))
        components.stop("node-1")
        partition, key, known = next(iter(disk.checksums("hints")))
        disk.apply([Row("hints", partition, key, b"\xff garbage", known)])
        await components.start("node-1")
        assert components.nodes["node-1"].hints.pending() == {"node-3": 2}
        assert [event for name, event, _ in components.events if name == "node-1" and event == "hint_corrupt"]
        assert len(list(disk.checksums("hints"))) == 2
        components.heal()
        await components.until(lambda: components.nodes["node-1"].hints.pending() == {})

    play(scenario)


def test_old_hints_expire(play: Play) -> None:
    async def scenario(components: Any) -> None:
        hints = components.nodes["node-1"].hints
        hints._is_alive = lambda peer: False
        hints.add("node-3", KV, "k", record(1))
        old = hints._pending["node-3"][KV, "k"]
        since_ms = old.since_ms - HINT_AGE_MS_MAX - 1.0
        hints._pending["node-3"][KV, "k"] = Hint(old.peer, old.kind, old.key, old.record, since_ms)
        await components.until(lambda: hints.expired_count == 1, 1.0)
        assert hints.pending() == {}
        assert list(components.disks["node-1"].checksums("hints")) == []

    play(scenario)


@pytest.mark.parametrize("hours", [4.0, -4.0, 24.0 * 365])
def test_a_clock_that_is_set_wrong_deletes_no_hint(play: Play, hours: float) -> None:
    """1. node-3 misses a write, and node-1 keeps it. 2. Somebody sets node-1's clock. The hint is as old as before."""

    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        node, clock = components.nodes["node-1"], components.clocks["node-1"]
        await components.until(lambda: node.members.state("node-3") == "dead")
        await components.ask("node-1", Put("k", b"1"))
        right = clock.wall_ms
        clock.wall_ms = lambda: right() + hours * 3_600_000.0
        await asyncio.sleep(2.0)
        assert node.hints.pending() == {"node-3": 1}
        assert node.hints.expired_count == 0
        assert 1_000.0 < node.hints.oldest_ms("node-3") < 4_000.0
        components.stop("node-1")
        await components.start("node-1")
        await asyncio.sleep(1.0)
        assert components.nodes["node-1"].hints.pending() == {"node-3": 1}

    play(scenario)


def test_an_acknowledged_sloppy_write_outlives_a_clock_set_four_hours_forward(play: Play) -> None:
    """1. All owners of a key are cut off; stand-ins acknowledge, so that hints are the only copies. 2. The stand-ins'
    clocks are set forward. 3. The owners are back: the write must be handed over."""

    async def scenario(components: Any) -> None:
        key = components.key_of(without="node-5")
        owners = components.nodes["node-5"].ring.preference_list(key)
        components.isolate(*owners)
        reachable = [name for name in components.nodes if name not in owners]
        await components.until(
            lambda: all(components.nodes["node-5"].members.state(owner) == "dead" for owner in owners)
        )
        status, answer = await components.ask("node-5", Put(key, b'"kept"', sloppy=True))
        assert (status, sorted(answer["acknowledged_by"])) == (200, sorted(reachable))
        for name in reachable:
            clock = components.clocks[name]
            clock.wall_ms = lambda right=clock.wall_ms: right() + 4.0 * 3_600_000.0
        await asyncio.sleep(2.0)
        components.heal()
        await components.until(lambda: not any(node.hints.pending() for node in components.nodes.values()))
        status, answer = await components.ask(owners[0], Get(key))
        assert (status, answer.get("value")) == (200, "kept")

    play(scenario, node_count=5)


def test_the_age_of_a_hint_is_time_in_which_its_node_ran_and_survives_restarts(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints_module, "HINT_AGE_MS_MAX", 200_000.0)

    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        await components.until(lambda: components.nodes["node-1"].members.state("node-3") == "dead")
        await components.ask("node-1", Put("k", b"1"))
        for _ in range(2):  # each life is long enough for its length to be written down
            await asyncio.sleep(70.0)
            components.stop("node-1")
            await asyncio.sleep(1_000.0)  # off: nothing could be delivered in that time
            await components.start("node-1")
        hints = components.nodes["node-1"].hints
        assert hints.pending() == {"node-3": 1}
        assert 117_000.0 <= hints.oldest_ms("node-3") <= 141_000.0
        await asyncio.sleep(90.0)
        assert (hints.pending(), hints.expired_count) == ({}, 1)

    play(scenario)


def test_a_hint_that_says_the_date_ages_from_the_next_start_on(play: Play) -> None:
    """Hints once aged by the date. One that was kept so is not taken for older than all others, nor kept for ever."""

    async def scenario(components: Any) -> None:
        hint = msgspec.msgpack.encode(Hint("node-3", KV, "k", record(1), 1_700_000_000_000.0))
        partition = components.nodes["node-1"].ring.partition_of("k")
        components.isolate("node-3")
        components.stop("node-1")
        row = Row("hints", partition, "node-3/kv/k", hint, checksum("node-3/kv/k", hint))
        await components.disks["node-1"].commit([row])
        await components.start("node-1")
        await asyncio.sleep(3.0)
        assert components.nodes["node-1"].hints.pending() == {"node-3": 1}
        assert 2_000.0 < components.nodes["node-1"].hints.oldest_ms("node-3") < 4_000.0

    play(scenario)


@pytest.mark.parametrize("row", [b"", b"not a hint", b"\x95" * 5_000, msgspec.msgpack.encode(["node-3", 1])])
def test_a_row_that_is_no_hint_though_its_checksum_fits_is_reported_and_dropped(
    play: Play, row: bytes
) -> None:
    async def scenario(components: Any) -> None:
        components.stop("node-1")
        await components.disks["node-1"].commit([Row("hints", 0, "x", row, checksum("x", row))])
        await components.start("node-1")
        assert components.nodes["node-1"].hints.pending() == {}
        assert any(event == "hint_corrupt" for _, event, _ in components.events)

    play(scenario)


def test_hints_are_bounded_in_number_and_bytes_and_what_does_not_fit_is_counted(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Hints were bounded in number alone: 100,000 records of a megabyte would have filled memory and disk."""
    monkeypatch.setattr(hints_module, "HINT_COUNT_MAX", 3)
    monkeypatch.setattr(hints_module, "HINT_BYTES_MAX", 5000)

    async def scenario(components: Any) -> None:
        hints = components.nodes["node-1"].hints
        hints._is_alive = lambda peer: False
        assert [hints.add("node-3", KV, f"k{n}", record(n + 1)) for n in range(4)] == [
            True,
            True,
            True,
            False,
        ]
        assert hints.dropped_count == 1
        assert hints.add("node-3", KV, "k0", record(99)), "a known key merges, it takes no more room"
        hints._remove(list(hints._pending["node-3"].values()))
        assert hints._bytes == 0
        assert [hints.add("node-3", KV, f"k{n}", record(n + 1, 2400)) for n in range(3)] == [
            True,
            True,
            False,
        ]

    play(scenario)


def test_batches_of_large_hints_stay_below_a_frame_and_all_arrive(play: Play) -> None:
    """1. A batch was 256 hints, whatever their size: with megabyte values a frame of 256 MB.

    2. The peer refused the frame and cut the connection. 3. The same batch was sent again, for ever.
    """

    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        node = components.nodes["node-1"]
        await components.until(lambda: node.members.state("node-3") == "dead")
        for name in ("node-1", "node-2"):
            components.nodes[name].exchange._is_alive = lambda peer: False
        value = b'"' + b"x" * 900_000 + b'"'
        for number in range(12):
            await components.ask("node-1", Put(f"k{number}", value))
        components.heal()
        await components.until(lambda: node.hints.pending() == {})
        sent = [m for _, _, m in components.wire.carried if isinstance(m, StoreMany)]
        assert len(sent) == 6
        assert components.wire.frame_bytes_max < BATCH_BYTES_MAX + 100_000 < FRAME_BYTES_MAX

    play(scenario)


def test_a_hint_is_kept_for_three_hours_in_which_its_node_ran_and_no_longer(play: Play) -> None:
    """With a bound of seconds nothing else would have noticed: anti-entropy delivers what hints do not."""
    hour_ms = 3_600_000.0

    async def scenario(components: Any) -> None:
        components.isolate("node-3")
        hints = components.nodes["node-1"].hints
        hints.add("node-3", KV, "k", record(1))
        hints._uptime._counted_ms += 2.95 * hour_ms  # as if it had run for so long
        await asyncio.sleep(30.0)
        assert (hints.pending(), hints.expired_count) == ({"node-3": 1}, 0)
        hints._uptime._counted_ms += 0.05 * hour_ms
        await asyncio.sleep(1.0)
        assert (hints.pending(), hints.expired_count) == ({}, 1)

    play(scenario)


def test_hints_for_who_owns_the_key_no_more_are_kept_for_its_owners(play: Play) -> None:
    """1. node-1 keeps the only copy of a write, for node-4. 2. node-4 is removed by force.

    3. What node-1 kept for it was forgotten, though others own the key now. Here nothing but hints carries it."""

    async def scenario(components: Any) -> None:
        node = components.nodes["node-1"]
        key = next(
            f"k{n}"
            for n in range(1000)
            if set(node.ring.preference_list(f"k{n}")) == {"node-1", "node-2", "node-4"}
        )
        for each in components.nodes.values():
            each.exchange._is_alive = lambda peer: False
        node.hints._is_alive = lambda peer: False
        assert node.hints.add("node-4", KV, key, record(1))
        moving = node.ring.state.leave("node-4", forced=True)
        node.dissemination.adopt(moving)
        assert node.hints.pending() == {"node-4": 1}, "it owns the key until the change is over"
        node.dissemination.adopt(moving.completed())
        assert set(node.ring.preference_list(key)) == {"node-1", "node-2", "node-3"}
        assert node.hints.pending() == {"node-2": 1, "node-3": 1}
        assert node.hints.kept(KV, key) == record(1)
        assert node.records.latest(KV, key) == record(1), "this node owns the key itself"
        components.stop("node-1")
        await components.start("node-1")
        assert components.nodes["node-1"].hints.pending() == {"node-2": 1, "node-3": 1}, (
            "durable where they are aimed at"
        )

    play(scenario, node_count=4)
