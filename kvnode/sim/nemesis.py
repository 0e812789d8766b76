"""The nemesis: breaks things at random while clients work, within what the promises allow, and ends in peace.

Fewer than w stores are lost between two moments at which all are complete (losses.py): one, with w=2. It is lost at any
moment, in the middle of whatever else goes wrong. Now and then it is lost in peace, and then nothing else happens until
the node holds again what the others hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kvnode.config import START_GENERATION_MS
from kvnode.faults import DISTRIBUTIONS, LinkRule
from kvnode.messages import MemberNews, Message, Ping, Prepare, RingNews
from kvnode.ring import RingState
from kvnode.sim.agreement import differing_records, held_as_owner, held_by_others
from kvnode.sim.losses import Losses
from kvnode.sim.movers import Movers
from kvnode.sim.world import World

Trouble = Callable[[], Awaitable[None]]
_REBUILD_S_MAX = 40.0
LOSSES = ("lost disk", "lost disk in a storm", "lost disk when another is behind", "folder put back")
"""The troubles that cost a store."""


class Nemesis:
    """One run's troublemaker."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._troubles: dict[str, tuple[Trouble, int]] = {
            "crash": (self._crash, 4),
            "crash in mid-sync": (self._crash_in_mid_sync, 2),
            "crash of all": (self._crash_all, 1),
            "pause": (self._pause, 3),
            "partition": (self._partition, 3),
            "one-way cut": (self._one_way_cut, 2),
            "loss": (self._bad_links, 3),
            "delay": (self._slow_links, 2),
            "skew": (self._skew, 4),
            "slow disk": (self._slow_disk, 1),
            "lie": (self._lie, 1),
            "lost disk": (self._lose_disk, 1),
            "lost disk in a storm": (self._lose_disk_now, 3),
            "lost disk when another is behind": (self._lose_disk_at_the_worst_moment, 2),
            "folder put back": (self._put_folder_back, 1),
        }
        self._movers: Movers | None = None
        self.losses = Losses(world)
        self.violations: list[str] = []

    def move(self, weight: int, *, crashes: bool) -> None:
        """Let nodes come and go too, with this weight each; crashes: some in the middle of a hand-over."""
        movers = self._movers = Movers(self._world, self.losses, crashes=crashes)
        self._troubles |= {"join": (movers.join, weight), "leave": (movers.leave, weight)}
        if crashes:
            self._troubles["remove"] = (movers.remove, weight)

    def spare(self, *troubles: str) -> None:
        """Leave these out."""
        for trouble in troubles:
            self._troubles.pop(trouble, None)

    async def work(self, until_s: float) -> None:
        """One trouble after the other, some at the same time; then peace."""
        chance, loop = self._world.chance, self._world.loop
        troubles = [trouble for trouble, _ in self._troubles.values()]
        weights = [weight for _, weight in self._troubles.values()]
        while loop.time() < until_s:
            await asyncio.sleep(chance.uniform(0.1, 1.5))
            [trouble] = chance.choices(troubles, weights)
            if chance.random() < 0.3:  # two at the same time
                [other] = chance.choices(troubles, weights)
                if not {self._lose_disk, self._lose_disk_at_the_worst_moment, self._put_folder_back} & {
                    trouble,
                    other,
                }:
                    await asyncio.gather(trouble(), other())
                    continue
            await trouble()
        await self.make_peace()

    async def make_peace(self) -> None:
        """Heal the links, wake and restart everybody."""
        world = self._world
        world.heal()
        for name in world.names:
            world.resume(name)
            if name not in world.lives:
                await world.start(name)
            world.lives[name].disk.delay_ms = 0.0
        world.tell("peace")

    # --- troubles -----------------------------------------------------------------------------------------

    def _pick(self) -> str | None:
        awake = [name for name in self._world.running if not self._world.lives[name].gate.paused]
        return self._world.chance.choice(awake) if awake else None

    async def _for_a_while(self) -> None:
        await asyncio.sleep(self._world.chance.uniform(0.05, 4.0))

    async def _crash(self) -> None:
        victim = self._pick()
        if victim is not None:
            self._world.crash(victim)
            await self._for_a_while()
            if victim not in self._world.lives:
                await self._world.start(victim)

    async def _somebody_unsynced(self, count: int) -> list[str]:
        """Wait, at most a second, until so many nodes have written what is not yet on their disks; who they are."""
        world, end_s = self._world, self._world.loop.time() + 1.0
        while world.loop.time() < end_s:
            unsynced = [
                name
                for name, life in sorted(world.lives.items())
                if life.disk.unsynced_count and not life.gate.paused
            ]
            if len(unsynced) >= count:
                return unsynced
            await asyncio.sleep(0.0002)
        return []

    async def _crash_in_mid_sync(self) -> None:
        for name in (await self._somebody_unsynced(1))[:1]:
            self._world.crash(name)
            await self._for_a_while()
            if name not in self._world.lives:
                await self._world.start(name)

    async def _crash_all(self) -> None:
        """A power cut, preferably at the worst moment: while two nodes sync."""
        world = self._world
        await self._somebody_unsynced(2)
        for name in world.running:
            world.crash(name)
        world.counts["all crash at once"] += 1
        await asyncio.sleep(world.chance.uniform(0.0, 0.5))
        for name in world.names:
            if name not in world.lives:
                await world.start(name)

    async def _pause(self) -> None:
        victim = self._pick()
        if victim is not None:
            self._world.pause(victim)
            await self._for_a_while()
            self._world.resume(victim)

    async def _partition(self) -> None:
        world = self._world
        names = list(world.names)
        world.chance.shuffle(names)
        size = world.chance.randrange(1, len(names))
        world.set_rule(names[:size], names[size:], LinkRule(cut=True), "partition")
        world.set_rule(names[size:], names[:size], LinkRule(cut=True), "partition, the other way")
        await self._for_a_while()
        world.heal()

    async def _one_way_cut(self) -> None:
        world = self._world
        sender, receiver = world.chance.sample(world.names, 2)
        world.set_rule([sender], [receiver], LinkRule(cut=True), "one-way cut")
        await self._for_a_while()
        world.heal()

    async def _bad_links(self) -> None:
        world = self._world
        loss = world.chance.choice((0.02, 0.1, 0.4))
        world.set_rule(world.names, world.names, LinkRule(loss=loss, jitter_ms=20.0, delay_ms=20.0), "loss")
        await self._for_a_while()
        world.heal()

    async def _slow_links(self) -> None:
        world = self._world
        delay_ms, distribution = world.chance.choice((20.0, 100.0, 400.0)), world.chance.choice(DISTRIBUTIONS)
        rule = LinkRule(delay_ms=delay_ms, jitter_ms=10.0, distribution=distribution)
        world.set_rule([world.chance.choice(world.names)], world.names, rule, "delay")
        await self._for_a_while()
        world.heal()

    async def _somebody_with_hints(self) -> str | None:
        """Wait, at most three seconds, until a node keeps hints; who it is."""
        world, end_s = self._world, self._world.loop.time() + 3.0
        while world.loop.time() < end_s:
            keepers = [name for name in world.running if any(world.node(name).hints.pending().values())]
            if keepers:
                return world.chance.choice(keepers)
            await asyncio.sleep(0.05)
        return None

    async def _skew(self) -> None:
        """A wall clock is set, preferably that of a node that keeps hints."""
        victim = await self._somebody_with_hints() or self._pick()
        if victim is not None:
            hours = self._world.chance.choice((-24.0, -1.0 / 60.0, 1.0 / 60.0, 6.0, 24.0))
            self._world.skew(victim, self._world.chance.uniform(0.6, 1.0) * hours * 3_600_000.0)

    async def _slow_disk(self) -> None:
        victim = self._pick()
        if victim is not None:
            life = self._world.lives[victim]
            self._world.slow_disk(victim, self._world.chance.choice((20.0, 200.0)))
            await self._for_a_while()
            life.disk.delay_ms = 0.0

    async def _lie(self) -> None:
        """A message that looks right and says what cannot be: whoever believed it would be lost to the others."""
        world = self._world
        sender, receiver = world.chance.sample(world.names, 2)
        addresses = tuple(world.config.address(name) for name in sorted((sender, receiver)))
        epoch = 1 if world.ring is None else world.ring.epoch
        lies: tuple[tuple[str, Message], ...] = (
            ("an epoch without end", RingNews(RingState(2**53, addresses))),
            ("a ring of somebody else", RingNews(RingState(epoch + 1, addresses[:1]))),
            ("an epoch in a probe", Ping(sender, (), 2**53)),
            ("a death that cannot be refuted", Ping(sender, (MemberNews(receiver, "dead", 2**53),))),
            ("a ballot that cannot be beaten", Prepare(1, epoch, (2**53, f"{sender}.00"))),
        )
        what, lie = world.chance.choice(lies)
        world.tell(f"{sender} lies to {receiver}: {what}")
        world.counts["lie"] += 1
        world.network.send(sender, receiver, lie)

    async def _lose_disk(self) -> None:
        world = self._world
        await self.make_peace()
        if not await self._agreed(5.0) or not self.losses.may_lose_another():
            return
        victim = world.chance.choice(world.members)
        held = held_as_owner(world, victim)
        self.losses.lose(victim)
        world.crash(victim)
        world.wipe(victim)
        await world.start(victim)
        if not await self._rebuilt(victim, held):
            self.violations.append(
                f"{victim} was not rebuilt within {_REBUILD_S_MAX:.0f} s of losing its disk"
            )

    async def _lose_disk_now(self) -> None:
        """Whatever else is wrong: somebody is cut off, or dead, or a member comes or goes."""
        world = self._world
        if not self.losses.may_lose_another():
            return
        victim = world.chance.choice(world.members)
        self.losses.lose(victim)
        if victim in world.lives:
            world.crash(victim)
        world.wipe(victim)
        world.counts["lost disk in a storm"] += 1
        await asyncio.sleep(world.chance.choice((0.0, 0.1, 1.0, 3.0)) * world.chance.random())
        if victim not in world.lives:
            await world.start(victim)

    async def _lose_disk_at_the_worst_moment(self) -> None:
        """One member misses writes; another loses its disk, and cannot reach who holds them; who does may leave."""
        world, chance = self._world, self._world.chance
        if len(world.members) < 3 or len(world.lives) < len(world.names):
            return
        behind, lost, holder = chance.sample(world.members, 3)
        self.cut(behind, *world.names)
        await asyncio.sleep(chance.uniform(0.5, 3.0))
        if not self.losses.may_lose_another() or lost not in world.lives:
            world.heal()
            return
        self.losses.lose(lost)
        world.crash(lost)
        world.wipe(lost)
        world.counts["lost disk when another is behind"] += 1
        world.heal()
        self.cut(holder, behind, lost)
        await world.start(lost)
        if self._movers is not None and chance.random() < 0.5:
            await self._movers.leave(holder)
        await self._for_a_while()
        world.heal()

    def cut(self, one: str, *others: str) -> None:
        """No message between one node and these any more, either way."""
        self._world.set_rule([one], others, LinkRule(cut=True), "cut")
        self._world.set_rule(others, [one], LinkRule(cut=True), "cut")

    async def _put_folder_back(self) -> None:
        """An older copy of a member's folder takes its place. The others can be reached: else nobody could notice."""
        world = self._world
        await self.make_peace()
        members = world.members
        if not members or not await self._all_confirmed(5.0):
            return
        victim = world.chance.choice(members)
        in_order = world.chance.random() < 0.5
        if in_order:
            await world.stop(victim)
        older = world.copy_disk(victim)
        if in_order or world.chance.random() < 0.7:
            if victim in world.lives:
                world.crash(victim)
            await world.start(victim)
            await asyncio.sleep(world.chance.uniform(0.5, 2.0))
        else:
            await asyncio.sleep(START_GENERATION_MS / 1000.0 + 3.0)
        if not await self._all_confirmed(3.0) or not self.losses.may_lose_another():
            return
        self.losses.lose(victim)
        world.crash(victim)
        world.put_back(victim, older)
        await world.start(victim)
        for _ in range(100):  # it is set aside and refilled before anything else goes wrong
            if self.losses.may_lose_another():
                return
            await asyncio.sleep(0.1)

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
        """Wait until a wiped node holds again the keys that it held, but for those that were swept meanwhile."""
        end_s = self._world.loop.time() + _REBUILD_S_MAX
        while self._world.loop.time() < end_s:
            missing = held - held_as_owner(self._world, name)
            if not missing & held_by_others(self._world, name):
                return True
            await asyncio.sleep(0.1)
        return False
