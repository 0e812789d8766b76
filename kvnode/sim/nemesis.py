"""The nemesis: breaks things at random while clients work, within what the promises allow, and ends in peace.

Processes, links and clocks are broken here, disks in disk_faults.py; who comes and goes is membership_nemesis.py.
Fewer than w stores are lost between two moments at which all are complete (losses.py): one, with w=2. It is lost at any
moment, in the middle of whatever else goes wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kvnode.faults import DISTRIBUTIONS, LinkRule
from kvnode.messages import MemberNews, Message, Ping, Prepare, RingNews
from kvnode.ring import RingState
from kvnode.sim.disk_faults import DiskFaults
from kvnode.sim.losses import Losses
from kvnode.sim.membership_nemesis import MembershipNemesis
from kvnode.sim.world import World

Fault = Callable[[], Awaitable[None]]
LOSSES = (
    "lost disk",
    "lost disk in a storm",
    "lost disk when another is behind",
    "folder put back",
    "damaged rows",
)
"""The troubles that cost a store."""
CRASHES = ("crash", "crash in mid-sync", "crash of all", "stop in order", "rolling restart")
"""Those that end a node's life: it takes along what it has not yet kept a hint for."""
_SYNC_S = 0.0003
_SKEW_HOURS = (-24.0 * 40, -24.0 * 3, -24.0, -1.0 / 60.0, 1.0 / 60.0, 6.0, 24.0, 24.0 * 3, 24.0 * 40)


class Nemesis:
    """One run's troublemaker."""

    def __init__(self, world: World, *, losses_max: int = 1) -> None:
        self._world = world
        self.losses = Losses(world, count_max=losses_max)
        self.disks = disks = DiskFaults(world, self.losses, self.make_peace)
        self._faults: dict[str, tuple[Fault, int]] = {
            "crash": (self._crash, 4),
            "crash in mid-sync": (self._crash_in_mid_sync, 4),
            "crash of all": (self._crash_all, 2),
            "stop in order": (self._stop_in_order, 2),
            "rolling restart": (self._rolling_restart, 1),
            "pause": (self._pause, 3),
            "partition": (self._partition, 3),
            "partial partition": (self._partial_partition, 3),
            "one-way cut": (self._one_way_cut, 2),
            "loss": (self._bad_links, 3),
            "delay": (self._slow_links, 2),
            "skew": (self._skew, 4),
            "slow disk": (self._slow_disk, 1),
            "full disk": (disks.fill, 2),
            "failing writes": (disks.fail_writes, 2),
            "lie": (self._lie, 2),
            "damaged rows": (disks.corrupt_rows, 3),
            "lost disk": (disks.lose_in_peace, 1),
            "lost disk in a storm": (disks.lose_now, 3),
            "lost disk when another is behind": (disks.lose_at_the_worst_moment, 2),
            "folder put back": (disks.put_folder_back, 2),
        }
        self._alone = {disks.lose_in_peace, disks.lose_at_the_worst_moment, disks.put_folder_back}
        self._membership_nemesis: MembershipNemesis | None = None

    @property
    def violations(self) -> list[str]:
        """What was found broken on the way."""
        return self.disks.violations

    def move(self, weight: int, *, crashes: bool) -> None:
        """Let nodes come and go too, with this weight each; crashes: some in the middle of a handoff."""
        membership_nemesis = self._membership_nemesis = MembershipNemesis(
            self._world, self.losses, crashes=crashes
        )
        self.disks.leave = membership_nemesis.leave
        self._faults |= {
            "join": (membership_nemesis.join, weight),
            "leave": (membership_nemesis.leave, weight),
            "change over a partial partition": (self._change_over_a_partial_partition, weight),
        }
        if crashes:
            self._faults["remove"] = (membership_nemesis.remove, weight)

    def spare(self, *faults: str) -> None:
        """Leave these out."""
        for fault in faults:
            self._faults.pop(fault, None)

    async def work(self, until_s: float) -> None:
        """One fault after the other, some at the same time; then peace."""
        chance, loop = self._world.chance, self._world.loop
        faults = [fault for fault, _ in self._faults.values()]
        weights = [weight for _, weight in self._faults.values()]
        while loop.time() < until_s:
            await asyncio.sleep(chance.uniform(0.1, 1.5))
            [fault] = chance.choices(faults, weights)
            if chance.random() < 0.3:  # two at the same time
                [other] = chance.choices(faults, weights)
                if not self._alone & {fault, other}:
                    await asyncio.gather(fault(), other())
                    continue
            await fault()
        await self.make_peace()

    async def make_peace(self) -> None:
        """Heal the links, wake and restart everybody."""
        world = self._world
        world.heal()
        for name in world.names:
            world.resume(name)
            world.durable_states[name].is_full, world.durable_states[name].failing_share = False, 0.0
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
        world, found = self._world, self._world.loop.create_future()

        def look() -> None:
            if len(self._unsynced()) >= count and not found.done():
                found.set_result(None)

        world.commit_watchers.append(look)
        await asyncio.wait([found], timeout=1.0)
        world.commit_watchers.remove(look)
        found.cancel()
        await asyncio.sleep(world.chance.uniform(0.0, _SYNC_S))
        unsynced = self._unsynced()
        return unsynced if len(unsynced) >= count else []

    def _unsynced(self) -> list[str]:
        lives = self._world.lives
        return [
            name for name in sorted(lives) if lives[name].disk.unsynced_count and not lives[name].gate.paused
        ]

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

    async def _stop_in_order(self) -> None:
        """SIGTERM, and a new start: nothing is forgotten, not even the name of the store."""
        victim = self._pick()
        if victim is not None:
            await self._world.stop(victim)
            await self._for_a_while()
            if victim not in self._world.lives:
                await self._world.start(victim)

    async def _rolling_restart(self) -> None:
        """One node after the other, as for a new version of the program."""
        world = self._world
        for name in world.names:
            if name in world.lives and not world.lives[name].gate.paused:
                await world.stop(name)
                await asyncio.sleep(world.chance.uniform(0.0, 0.5))
            if name not in world.lives:
                await world.start(name)
        world.counts["rolling restart"] += 1

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

    def _cut_a_few_pairs(self, what: str) -> None:
        """Two nodes, or each of some pairs, cannot reach each other; both reach the others."""
        world = self._world
        for _ in range(world.chance.choice((1, 1, 2, 3))):
            one, other = world.chance.sample(world.names, 2)
            rule = LinkRule(cut=True)
            world.network.rules[one, other] = world.network.rules[other, one] = rule
            world.tell(f"links: {what} between {one} and {other}")
        world.counts[what] += 1

    async def _partial_partition(self) -> None:
        self._cut_a_few_pairs("partial partition")
        await self._for_a_while()
        self._world.heal()

    async def _change_over_a_partial_partition(self) -> None:
        """A member comes or goes, and some of those that must agree on it, or hand over, cannot reach each other."""
        assert self._membership_nemesis is not None
        self._cut_a_few_pairs("partial partition in a change of the ring")
        change = self._world.chance.choice((self._membership_nemesis.join, self._membership_nemesis.leave))
        if self._world.chance.random() < 0.5:
            await change()
        else:
            await asyncio.gather(change(), self._for_a_while_then_heal())
        self._world.heal()

    async def _for_a_while_then_heal(self) -> None:
        await self._for_a_while()
        self._world.heal()

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
            hours = self._world.chance.choice(_SKEW_HOURS)
            self._world.skew(victim, self._world.chance.uniform(0.6, 1.0) * hours * 3_600_000.0)
            self._world.counts["clock skew of days"] += abs(hours) > 24.0

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
