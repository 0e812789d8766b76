"""When a tombstone may go, and that nothing it covered can come back afterwards: whole nodes in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvnode.errors import Conflict
from kvnode.messages import KV, Refused, StoreMany, StoreRecord
from kvnode.messages.tombstones import AskReapable, DropTombstones, ReapableAnswer
from kvnode.operations import Get, Put
from kvnode.sim.loop import run
from kvnode.sim.world import World
from kvnode.tombstones.quiescence import Quiescence

Play = Callable[..., None]
AGE_S = 30.0  # config.MaintenanceConfig.message_age_s_max


async def delete(components: Any, key: str, via: str = "node-1") -> None:
    assert (await components.ask(via, Put(key, b'"old"')))[0] == 200
    assert (await components.ask(via, Put(key, None)))[0] == 200
    await asyncio.sleep(1.0)


async def reaper(components: Any) -> dict[str, dict[str, Any]]:
    """One round at every node at once, as in the background."""
    nodes = {name: node for name, node in components.nodes.items() if name in components.wire.receivers}
    results = await asyncio.gather(*(node.reaper.once() for node in nodes.values()))
    return dict(zip(nodes, results, strict=True))


def reaped(results: dict[str, dict[str, Any]]) -> int:
    return sum(result["swept"] for result in results.values())


def reasons(results: dict[str, dict[str, Any]]) -> str:
    return "; ".join(reason for result in results.values() for reason in result["reasons"])


def holders(components: Any, key: str) -> list[str]:
    return [name for name, node in components.nodes.items() if node.records.durable(KV, key) is not None]


def roots_are_equal(components: Any) -> bool:
    forests = [node.records.forest for node in components.nodes.values()]
    return all(len({forest.root(p) for forest in forests}) == 1 for p in range(64))


@pytest.mark.parametrize("node_count", [1, 2, 3])
def test_a_tombstone_that_everybody_holds_goes_everywhere_and_the_roots_stay_equal(
    play: Play, node_count: int
) -> None:
    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("alive", b"1"))
        await delete(components, "k")
        assert len(holders(components, "k")) == node_count
        began_s = asyncio.get_running_loop().time()
        assert reaped(await reaper(components)) == 1
        assert asyncio.get_running_loop().time() - began_s > AGE_S
        assert holders(components, "k") == []
        assert roots_are_equal(components)
        status, gone = await components.ask("node-1", Get("k"))
        assert (status, "siblings" in gone) == (404, False)
        assert (await components.ask("node-1", Get("alive")))[1]["value"] == 1

    play(scenario, node_count)


def test_a_tombstone_stays_while_an_owner_is_away_and_the_reason_says_so(play: Play) -> None:
    """1. node-3 is cut off with the old value. 2. The key is deleted. Were the tombstone forgotten now, node-3 would
    bring the value back."""

    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"old"'))
        await asyncio.sleep(1.0)
        components.isolate("node-3")
        await components.until(lambda: components.nodes["node-1"].members.state("node-3") == "dead")
        assert (await components.ask("node-1", Put("k", None)))[0] == 200
        results = await reaper(components)
        assert reaped(results) == 0
        assert "node-3 is not alive" in reasons(results)
        components.heal()
        await components.until(lambda: not any(node.hints.pending() for node in components.nodes.values()))
        await asyncio.sleep(AGE_S + 5.0)
        await reaper(components)
        assert holders(components, "k") == []
        await asyncio.sleep(30.0)
        assert (await components.ask("node-3", Get("k", r=3)))[0] == 404

    play(scenario)


def test_a_tombstone_stays_while_anybody_keeps_a_hint_for_its_partition(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"old"'))
        old = components.nodes["node-1"].records.durable(KV, "k")
        await delete(components, "k")
        components.wire.drops = lambda sender, receiver, message: isinstance(message, StoreMany)
        components.nodes["node-2"].hints.add("node-3", KV, "k", old)
        results = await reaper(components)
        assert reaped(results) == 0
        assert "a hint" in reasons(results)
        components.heal()
        await components.until(lambda: not components.nodes["node-2"].hints.pending())
        assert reaped(await reaper(components)) == 1, "the hint was delivered before this sweep began"
        assert (await components.ask("node-3", Get("k", r=3)))[0] == 404

    play(scenario)


def test_a_hint_that_comes_and_goes_within_the_silence_breaks_it(play: Play) -> None:
    """Copies of what it carried may be under way still when the last question is asked."""

    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"old"'))
        old = components.nodes["node-1"].records.durable(KV, "k")
        await delete(components, "k")
        sweeping = asyncio.ensure_future(reaper(components))
        await asyncio.sleep(AGE_S / 2)
        components.nodes["node-2"].hints.add("node-3", KV, "k", old)
        await components.until(lambda: not components.nodes["node-2"].hints.pending())
        results = await sweeping
        assert (reaped(results), len(holders(components, "k"))) == (0, 3)
        assert "a hint" in reasons(results)

    play(scenario)


def test_a_tombstone_that_is_written_over_during_the_silence_stays(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await delete(components, "k")
        sweeping = asyncio.ensure_future(reaper(components))
        await asyncio.sleep(AGE_S / 2)
        await components.ask("node-2", Put("k", b'"new"'))
        assert reaped(await sweeping) == 0
        assert (await components.ask("node-3", Get("k", r=3)))[1]["value"] == "new"

    play(scenario)


def test_an_owner_that_misses_the_drop_gives_the_tombstone_back_and_all_drop_it_later(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await delete(components, "k")
        first = components.nodes["node-1"].ring.preference_list("k")[0]
        misses = next(name for name in components.config.names if name != first)
        components.wire.drops = lambda sender, receiver, message: (
            isinstance(message, DropTombstones) and receiver == misses
        )
        results = await reaper(components)
        assert f"{misses} did not drop what it was told to" in reasons(results)
        assert misses in holders(components, "k")
        components.heal()
        await components.until(lambda: len(holders(components, "k")) == 3)
        assert reaped(await reaper(components)) == 1
        await asyncio.sleep(30.0)
        assert holders(components, "k") == []
        assert roots_are_equal(components)

    play(scenario)


def test_a_context_from_before_the_sweep_is_safe_after_it(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await components.ask("node-1", Put("k", b'"old"'))
        _, gone = await components.ask("node-2", Put("k", None))
        await asyncio.sleep(1.0)
        assert reaped(await reaper(components)) == 1
        status, again = await components.ask(
            "node-3", Put("k", b'"again"', components.contexts.read("k", gone["context"]))
        )
        assert status == 200
        _, got = await components.ask("node-1", Get("k", r=3))
        assert (got["value"], got["conflict"], len(got["siblings"])) == ("again", False, 1)
        status, _ = await components.ask(
            "node-1", Put("k", None, components.contexts.read("k", again["context"]))
        )
        assert status == 200

    play(scenario)


def test_an_older_request_that_is_still_under_way_holds_the_sweep_up(play: Play) -> None:
    """1. A write of node-2 is under way that node-1 has not acknowledged. 2. It may yet become a hint."""

    async def scenario(components: Any) -> None:
        await delete(components, "k")
        components.wire.drops = lambda sender, receiver, message: (
            isinstance(message, StoreRecord) and receiver == "node-1"
        )
        components.begin(components.ask("node-2", Put("k2", b"1")))
        await asyncio.sleep(0.01)
        node = components.nodes["node-1"]
        epoch, asked = node.ring.epoch, ((node.ring.partition_of("k"), "kv/k", 0),)
        answer = await node.rpc.ask("node-2", lambda id_: AskReapable(id_, epoch, asked))
        assert isinstance(answer, ReapableAnswer)
        assert answer.oldest_ms > 5.0

    play(scenario)


def test_no_tombstone_goes_while_a_change_of_the_ring_is_under_way(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await delete(components, "k")
        for node in components.nodes.values():
            node.bootstrap.run = None
        state = components.nodes["node-1"].ring.state
        moving = state.join(type(state.members[0])("node-9", "127.0.0.1", 2, 2))
        for node in components.nodes.values():
            node.dissemination.adopt(moving)
        results = await reaper(components)
        assert reaped(results) == 0
        assert "node-9 is joining" in reasons(results)

    play(scenario)


def test_what_a_member_says_is_on_its_disk_first(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await delete(components, "k")
        node = components.nodes["node-1"]
        epoch, asked = node.ring.epoch, ((node.ring.partition_of("k"), "kv/k", 0),)
        for disk in components.disks.values():
            disk.held = True
        asking = asyncio.ensure_future(node.rpc.ask("node-2", lambda id_: AskReapable(id_, epoch, asked)))
        own = asyncio.ensure_future(node.reaper.once())
        await asyncio.sleep(1.0)
        assert not asking.done()
        components.disks["node-2"].release()
        assert isinstance(await asking, ReapableAnswer)
        await asyncio.sleep(AGE_S + 5.0)
        assert not own.done() or own.result()["swept"] == 0, "nor does a node believe itself earlier"
        components.disks["node-1"].release()

    play(scenario)


def test_nonsense_from_a_peer_is_answered_and_drops_nothing(play: Play) -> None:
    async def scenario(components: Any) -> None:
        await delete(components, "k")
        await components.ask("node-1", Put("alive", b"1"))
        node = components.nodes["node-2"]
        epoch = node.ring.epoch
        asked = ((9998, "kv/k", 0), (9999, "kv/k", 0), (node.ring.partition_of("alive"), "kv/alive", 1))
        rpc = components.nodes["node-1"].rpc
        answer = await rpc.ask("node-2", lambda id_: AskReapable(id_, epoch, asked))
        assert isinstance(answer, ReapableAnswer)
        assert answer.lacking == (0, 1, 2)
        await rpc.ask("node-2", lambda id_: DropTombstones(id_, epoch, asked))
        assert len(holders(components, "k")) == len(holders(components, "alive")) == 3
        refused = await rpc.ask("node-2", lambda id_: AskReapable(id_, epoch + 5, asked))
        assert isinstance(refused, Refused)

    play(scenario)


def test_standing_still_begins_the_silence_anew() -> None:
    async def scenario() -> None:
        now_s = [0.0]

        class Clock:
            def now_ms(self) -> float:
                return now_s[0] * 1000.0

        quiescence = Quiescence(Clock())  # type: ignore[arg-type]
        now_s[0] = 0.5
        assert quiescence.quiet_ms(3) == 500.0
        quiescence.disturb(3)
        assert (quiescence.quiet_ms(3), quiescence.quiet_ms(4)) == (0.0, 500.0)
        now_s[0] = 10.0
        assert quiescence.quiet_ms(4) == 0.0, (
            "it has not run for a while: what was under way may wake up only now"
        )

    run(scenario())


# --- nodes that come and go ---------------------------------------------------------------------------------


def play_world(scenario: Callable[[World], Coroutine[Any, Any, None]], node_count: int) -> None:
    async def whole() -> None:
        world = World(11, node_count=node_count)
        await world.start()
        await scenario(world)
        assert not world.failures

    run(whole())


async def until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    end_s = asyncio.get_running_loop().time() + limit_s
    while not condition():
        await asyncio.sleep(0.05)
        assert asyncio.get_running_loop().time() < end_s, "it did not come to hold in time"


async def removed_and_swept(world: World) -> str:
    """node-4 dies with a value and is removed; the value is deleted and its tombstone swept. Returns the key."""
    ring = world.node("node-1").ring
    key = next(f"k{n}" for n in range(1000) if "node-4" in ring.preference_list(f"k{n}"))
    await world.ask("node-1", Put(key, b'"old"'))
    await until(lambda: world.node("node-4").records.durable(KV, key) is not None)
    world.crash("node-4")
    await until(lambda: world.node("node-1").members.state("node-4") == "dead")
    await world.command("node-1", lambda node: node.changes.leave("node-4", force=True))
    await until(lambda: world.node("node-1").ring.state.phase == "stable" and world.members[-1] == "node-3")
    answer = await world.ask("node-1", Put(key, None))
    assert answer is not None
    assert answer[0] == 200
    names = ("node-1", "node-2", "node-3")
    await until(lambda: all(world.node(name).records.durable(KV, key) is None for name in names))
    return key


def test_a_removed_node_that_comes_back_after_the_sweep_is_not_listened_to() -> None:
    async def scenario(world: World) -> None:
        key = await removed_and_swept(world)
        await world.start("node-4")
        assert world.node("node-4").records.row_count > 0
        await until(lambda: world.node("node-4").records.row_count == 0)
        for name in ("node-1", "node-2", "node-3"):
            answer = await world.ask(name, Get(key, r=3))
            assert answer is not None
            assert answer[0] == 404
        assert world.counts["former member came back too late"]

    play_world(scenario, 4)


def test_who_still_holds_something_of_an_earlier_membership_cannot_join() -> None:
    async def scenario(world: World) -> None:
        key = await removed_and_swept(world)
        await world.start("node-4")
        address = world.config.address("node-4")
        with pytest.raises(Conflict, match="still holds 1 records and 0 hints of an earlier membership"):
            await world.command("node-1", lambda node: node.changes.join(address))
        await until(lambda: world.node("node-4").records.row_count == 0)
        await world.command("node-1", lambda node: node.changes.join(address))
        await until(lambda: "node-4" in world.members)
        answer = await world.ask("node-4", Get(key))
        assert answer is not None
        assert answer[0] == 404

    play_world(scenario, 4)


def test_a_hint_that_is_not_yet_gone_from_disk_holds_the_sweep_up() -> None:
    """1. node-x, no owner of the key, keeps an older value as a hint. It delivers and deletes it; its disk hangs, and
    that it is deleted is not durable. 2. The tombstone was swept: the hint was gone for long, node-x had said.
    3. node-x crashed, and delivered the hint that it found on its disk: the deleted value was back.
    """

    async def scenario(world: World) -> None:
        key, ring = "k", world.node("node-1").ring
        owner, *others = ring.preference_list(key)
        (keeper,) = set(world.names) - {owner, *others}
        await world.ask(owner, Put(key, b'"old"'))
        await until(lambda: world.node(owner).records.durable(KV, key) is not None)
        old = world.node(owner).records.durable(KV, key)
        assert old is not None
        await world.ask(owner, Put(key, None))
        life = world.lives[keeper]
        life.node.hints.add(owner, KV, key, old)
        await until(lambda: not life.disk.unsynced_count)
        world.slow_disk(keeper, 300_000.0)
        await until(lambda: not life.node.hints.pending())
        await asyncio.sleep(150.0)
        assert life.disk.unsynced_count, "it hangs still"
        world.crash(keeper)
        await world.start(keeper)
        await asyncio.sleep(10.0)
        answer = await world.ask(owner, Get(key, r=3))
        assert answer is not None
        assert answer[0] == 404

    play_world(scenario, 4)


def test_a_ring_that_changes_while_owners_are_told_calls_this_sweep_off_and_ends_nothing(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. All members were told to drop. 2. One of them left meanwhile, and the answers were counted by the new ring."""

    async def scenario(components: Any) -> None:
        await delete(components, "k")
        await asyncio.sleep(3 * AGE_S)

        async def tell(member: str, epoch: int, batch: Any) -> bool:
            for node in components.nodes.values():
                node.ring.nodes = ("node-1", "node-2")
            return False

        for node in components.nodes.values():
            monkeypatch.setattr(node.reaper, "_tell", tell)
        assert "node-1, node-2, node-3 did not drop" in reasons(await reaper(components))

    play(scenario)
