"""What goes wrong with disks: lost, full, failing, damaged, and folders that are put back. As much as is promised for.

A disk that is full or failing costs nothing that was acknowledged, and may happen to all at once. A lost disk, a
damaged row and an older folder cost a store: they happen only where the promise allows one more (losses.py). Most
happen in the middle of whatever else goes wrong. Two happen alone: a disk lost in peace, after which it is seen whether
the node comes to hold again what the others hold, and an older folder, which nobody could notice if nobody could be
asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kvnode.config import START_GENERATION_MS
from kvnode.faults import LinkRule
from kvnode.sim.agreement import differing_records, held_as_owner, held_by_others
from kvnode.sim.losses import Losses
from kvnode.sim.world import World
from kvnode.storage.memory import Tables

_REBUILD_S_MAX = 40.0
_CORRUPTED_COUNTS = (1, 1, 3, 20)


class DiskFaults:
    """The disks' part of a nemesis. violations: promises that it found broken on the way."""

    def __init__(self, world: World, losses: Losses, make_peace: Callable[[], Awaitable[None]]) -> None:
        self._world = world
        self._losses = losses
        self._make_peace = make_peace
        self.leave: Callable[[str], Awaitable[None]] | None = None
        self.violations: list[str] = []

    # --- no room, and failing writes: nothing is lost -----------------------------------------------------

    async def fill(self) -> None:
        """No room: on one disk, or on all, as where they stand on one computer; a node may restart meanwhile."""
        world, chance = self._world, self._world.chance
        are_all = chance.random() < 0.4
        names = world.names if are_all else (chance.choice(world.names),)
        for name in names:
            world.durable_states[name].is_full = True
        world.counts["full disk"] += 1
        world.counts["all disks full at once"] += are_all
        world.tell(f"no room on the disk of {', '.join(names)}")
        await asyncio.sleep(chance.uniform(0.05, 2.0))
        victim = chance.choice(names)
        if chance.random() < 0.3 and victim in world.lives and not world.lives[victim].gate.paused:
            world.crash(victim)
            await world.start(victim)
            world.counts["start on a full disk"] += 1
            await asyncio.sleep(chance.uniform(0.05, 2.0))
        refused = 0
        for name in names:
            world.durable_states[name].is_full = False
            refused += world.lives[name].disk.refused_count if name in world.lives else 0
        world.counts["write refused by a disk"] += refused
        world.tell(f"there is room again on the disk of {', '.join(names)}")

    async def fail_writes(self) -> None:
        """Now and then a write fails: a quota, or room that comes and goes."""
        world, chance = self._world, self._world.chance
        name = chance.choice(world.names)
        durable_state = world.durable_states[name]
        durable_state.failing_share = chance.choice((0.05, 0.3, 0.7))
        world.counts["failing writes"] += 1
        world.tell(f"{name}: of its writes {durable_state.failing_share:.0%} fail")
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        durable_state.failing_share = 0.0
        world.counts["write refused by a disk"] += (
            world.lives[name].disk.refused_count if name in world.lives else 0
        )

    # --- damage: one store may lack what was acknowledged --------------------------------------------------

    async def corrupt_rows(self) -> None:
        """Some rows of a member are not what was written any more; now and then it is restarted on them."""
        world, chance = self._world, self._world.chance
        victim = chance.choice(world.members)
        life = world.lives.get(victim)
        if life is None or not self._losses.may_lose(victim):
            return
        rows = [
            (partition, key) for partition, key, _ in world.durable_states[victim].tables.rows_of("records")
        ]
        few = chance.sample(rows, min(len(rows), chance.choice(_CORRUPTED_COUNTS)))
        damaged = [row for row in few if life.disk.damage(*row)]
        if not damaged:
            return
        self._losses.lose(victim)
        world.rows_gone(victim, damaged)
        world.counts["damaged row"] += len(damaged)
        world.tell(f"{victim}: damaged are {', '.join(key for _, key in damaged)}")
        if chance.random() < 0.3:
            await self._be_found_on_a_full_disk(victim)
        if chance.random() < 0.4:
            await asyncio.sleep(chance.uniform(0.0, 1.0))
            if victim in world.lives:
                world.crash(victim)
                self._drop_rows(victim, share=0.5)
                await asyncio.sleep(chance.uniform(0.0, 1.0))
            if victim not in world.lives:
                await world.start(victim)

    async def _be_found_on_a_full_disk(self, victim: str) -> None:
        """The node finds the damage while it can neither delete those rows nor take down that it has lost some."""
        world = self._world
        durable_state = world.durable_states[victim]
        durable_state.is_full = True
        world.counts["damaged row on a full disk"] += 1
        world.tell(f"no room on the disk of {victim}")
        patience_ms = world.chance.uniform(100.0, 1_000.0)
        await world.command(victim, lambda node: node.maintenance.begin(("scrub",), patience_ms=patience_ms))
        durable_state.is_full = False
        world.tell(f"there is room again on the disk of {victim}")
        await asyncio.sleep(world.chance.choice((0.0, 0.5)))

    def _drop_rows(self, victim: str, *, share: float) -> None:
        """Of some damaged rows not even the columns are what they were: the start finds no row there."""
        world = self._world
        gone = [row for row in world.durable_states[victim].corrupted_rows() if world.chance.random() < share]
        if gone:
            world.durable_states[victim].drop_rows(gone)
            world.rows_gone(victim, gone)
            world.counts["row dropped at a start"] += len(gone)
            world.tell(f"{victim}: the start drops {', '.join(key for _, key in gone)}")

    # --- lost disks ---------------------------------------------------------------------------------------

    async def lose_in_peace(self) -> None:
        """A disk is lost while all agree: the node must come to hold again what it held."""
        world = self._world
        await self._make_peace()
        if not await self._agreed(5.0) or not self._losses.may_lose_another():
            return
        victim = world.chance.choice(world.members)
        held = held_as_owner(world, victim)
        self._losses.lose(victim)
        world.crash(victim)
        world.wipe(victim)
        await world.start(victim)
        if not await self._rebuilt(victim, held):
            self.violations.append(
                f"{victim} was not rebuilt within {_REBUILD_S_MAX:.0f} s of losing its disk"
            )

    async def lose_now(self) -> None:
        """Whatever else is wrong: somebody is cut off, or dead, or being refilled, or a member comes or goes.

        Now and then the one that is lost already is lost again, and as many at once as the promise allows.
        """
        world, chance = self._world, self._world.chance
        again = [name for name in world.members if self._losses.is_lost(name)]
        victims = again if again and chance.random() < 0.5 else chance.sample(world.members, 2)
        lost = []
        for victim in victims:
            if self._losses.may_lose(victim):
                world.counts["lost disk of a store that was being refilled"] += self._losses.is_lost(victim)
                self._losses.lose(victim)
                if victim in world.lives:
                    world.crash(victim)
                world.wipe(victim)
                lost.append(victim)
        world.counts["lost disk in a storm"] += len(lost)
        await asyncio.sleep(chance.choice((0.0, 0.1, 1.0, 3.0)) * chance.random())
        for victim in lost:
            if victim not in world.lives:
                await world.start(victim)
            if chance.random() < 0.3 and len(lost) == 1:
                await asyncio.sleep(chance.uniform(0.0, 0.5))
                await self._lose_again(victim)

    async def _lose_again(self, victim: str) -> None:
        """It has just begun to be refilled: what was fetched is gone, and what it was sent and acknowledged since."""
        world = self._world
        if not self._losses.is_lost(victim) or victim not in world.lives:
            return
        world.counts["lost disk of a store that was being refilled"] += 1
        world.crash(victim)
        world.wipe(victim)
        await world.start(victim)

    async def lose_at_the_worst_moment(self) -> None:
        """One member misses writes; another loses its disk, and cannot reach who holds them; who does may leave."""
        world, chance = self._world, self._world.chance
        if len(world.members) < 3 or len(world.lives) < len(world.names):
            return
        behind, lost, holder = chance.sample(world.members, 3)
        self.cut(behind, *world.names)
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        if not self._losses.may_lose_another() or lost not in world.lives:
            world.heal()
            return
        self._losses.lose(lost)
        world.crash(lost)
        world.wipe(lost)
        world.counts["lost disk when another is behind"] += 1
        world.heal()
        self.cut(holder, behind, lost)
        await world.start(lost)
        if self.leave is not None and chance.random() < 0.5:
            await self.leave(holder)
        await asyncio.sleep(chance.uniform(0.05, 4.0))
        world.heal()

    def cut(self, one: str, *others: str) -> None:
        """No message between one node and these any more, either way."""
        self._world.set_rule([one], others, LinkRule(cut=True), "cut")
        self._world.set_rule(others, [one], LinkRule(cut=True), "cut")

    # --- folders that are put back ------------------------------------------------------------------------

    async def put_folder_back(self) -> None:
        """An older copy of a member's folder takes its place. One other may be away: the rest can be asked."""
        world, chance = self._world, self._world.chance
        await self._make_peace()
        members = world.members
        if len(members) < 3 or not await self._all_confirmed(5.0):
            return
        victim, away = chance.sample(members, 2)
        older = await self._copy_and_go_on(victim)
        if older is None or not await self._all_confirmed(3.0) or not self._losses.may_lose_another():
            return
        self._losses.lose(victim)
        is_alone = chance.random() < 0.5
        if not is_alone:
            self._send_away(away)
            world.counts["folder put back while another is away"] += 1
        world.crash(victim)
        world.put_back(victim, older)
        await world.start(victim)
        if not is_alone:
            await asyncio.sleep(chance.uniform(0.2, 3.0))
            await self._make_peace()
        for _ in range(100):  # it is set aside and refilled before anything else goes wrong
            if self._losses.may_lose_another():
                return
            await asyncio.sleep(0.1)

    async def _copy_and_go_on(self, victim: str) -> Tables | None:
        """An older state of a folder, beyond which its node has gone since."""
        world, chance = self._world, self._world.chance
        in_order = chance.random() < 0.5
        if in_order and not await world.stop(victim):
            return None
        older = world.copy_disk(victim)
        if in_order or chance.random() < 0.7:
            if victim in world.lives:
                world.crash(victim)
            await world.start(victim)
            await asyncio.sleep(chance.uniform(0.5, 2.0))
        else:
            await asyncio.sleep(START_GENERATION_MS / 1000.0 + 3.0)
        return older if victim in world.lives else None

    def _send_away(self, name: str) -> None:
        world = self._world
        how = world.chance.choice(("dead", "standing still", "cut off"))
        if how == "dead":
            world.crash(name)
        elif how == "standing still":
            world.pause(name)
        else:
            self.cut(name, *world.names)

    # --- waiting ------------------------------------------------------------------------------------------

    async def _all_confirmed(self, seconds: float) -> bool:
        """Wait until all members have heard of everybody's present generation."""
        world = self._world
        end_s = world.loop.time() + seconds
        while world.loop.time() < end_s:
            if all(name in world.lives and not world.node(name).starts.untold for name in world.members):
                return True
            await asyncio.sleep(0.1)
        return False

    async def _agreed(self, seconds: float) -> bool:
        """Wait until all replicas agree."""
        end_s = self._world.loop.time() + seconds
        while self._world.loop.time() < end_s:
            if not differing_records(self._world):
                return True
            await asyncio.sleep(0.1)
        return False

    async def _rebuilt(self, name: str, held: set[str]) -> bool:
        """Wait until a wiped node holds again the keys that it held, but for those that were reaped meanwhile."""
        end_s = self._world.loop.time() + _REBUILD_S_MAX
        while self._world.loop.time() < end_s:
            missing = held - held_as_owner(self._world, name)
            if not missing & held_by_others(self._world, name):
                return True
            await asyncio.sleep(0.1)
        return False
