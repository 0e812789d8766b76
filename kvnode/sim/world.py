"""A cluster in virtual time: starts, crashes, pauses, wipes and restarts nodes, and serves clients' requests."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from kvnode import operations
from kvnode.config import ClusterConfig, MaintenanceConfig, NodeAddress
from kvnode.errors import KvError
from kvnode.faults import LinkRule
from kvnode.messages import Message
from kvnode.node import Node
from kvnode.replication.context_tokens import ContextTokens
from kvnode.ring import Placement
from kvnode.runtime import Row, Runtime
from kvnode.sim.clock import SimClock
from kvnode.sim.disk import DurableState, SimDisk
from kvnode.sim.gate import Gate
from kvnode.sim.life import Life, last_word
from kvnode.sim.loop import keep_faults
from kvnode.sim.network import SimNetwork, Trace
from kvnode.sim.observer import Observer, Operation
from kvnode.sim.tally import count_logged
from kvnode.storage.memory import Tables

T = TypeVar("T")
_CLIENT_PATIENCE_S = 5.0
_STOP_LOOKS_MAX = 300  # each 10 ms: as long as a server waits for the requests under way
_SECRET = "the-same-in-each-simulation"
UPKEEP = MaintenanceConfig(repair_s=7.0, sweep_s=1.0, checkpoint_s=60.0, scrub_s=6.0, message_age_s_max=1.0)
"""Far more often than real nodes, so that a run of twenty seconds meets it."""
Answer = tuple[int, dict[str, Any]]
"""An HTTP status and a JSON body."""


class World:
    """Some nodes, one network, one disk each, one seeded generator.

    Everything random draws from `chance`, in an order fixed by the event loop: a run is a function of the seed.
    counts: how often each fault and each rare event happened. observers: told of every operation and durable row.
    """

    def __init__(
        self,
        seed: int,
        *,
        node_count: int = 3,
        replicas: int = 3,
        partitions: int = 16,
        maintenance: MaintenanceConfig = UPKEEP,
    ) -> None:
        self.chance = random.Random(seed)
        self.trace = Trace()
        self.loop = asyncio.get_running_loop()
        self.network = SimNetwork(self.chance, self.trace)
        self.network.on_send = self._on_send
        names = [f"node-{number}" for number in range(1, node_count + 1)]
        addresses = tuple(NodeAddress(name, "127.0.0.1", n, 10_000 + n) for n, name in enumerate(names, 1))
        config = ClusterConfig(
            "sim", "sim", addresses, replicas, partitions, secret=_SECRET, maintenance=maintenance
        )
        self.config = config.check()
        self.contexts = ContextTokens(config.secret, config.cluster_id)
        self.network.message_age_s_max = maintenance.message_age_s_max
        self._latecomers: tuple[str, ...] = ()
        self.durable_states = {name: DurableState() for name in names}
        self.lives: dict[str, Life] = {}
        self.failures: list[BaseException] = []
        keep_faults(self.loop, self.failures)
        self.counts: Counter[str] = Counter()
        self.observers: list[Observer] = []
        self.commit_watchers: list[Callable[[], None]] = []
        self.operation_count = 0
        self.acknowledges_early = False
        self.wall_step_ms = 0.0
        self.on_start: Callable[[Node], None] = lambda node: None

    @property
    def names(self) -> tuple[str, ...]:
        """All nodes, running or not, members or not."""
        return self.config.names

    @property
    def ring(self) -> Placement | None:
        """The newest ring that a running node knows; None if none runs."""
        rings = [self.node(name).ring for name in self.running]
        return max(rings, key=lambda ring: ring.epoch, default=None)

    @property
    def members(self) -> tuple[str, ...]:
        """Who holds data, by that ring."""
        return () if self.ring is None else self.ring.nodes

    def add(self) -> str:
        """One more node, not started yet, that is not a member; returns its name."""
        name = f"node-{len(self.names) + 1}"
        self._latecomers += (name,)
        nodes = (
            *self.config.nodes,
            NodeAddress(name, "127.0.0.1", len(self.names) + 1, 10_001 + len(self.names)),
        )
        self.config = msgspec.structs.replace(self.config, nodes=nodes, joining=self._latecomers)
        self.durable_states[name] = DurableState()
        return name

    @property
    def running(self) -> list[str]:
        """The nodes that have not crashed (some may be paused), sorted."""
        return sorted(self.lives)

    def node(self, name: str) -> Node:
        """A running node."""
        return self.lives[name].node

    def tell(self, what: str) -> None:
        """Put one event into the log."""
        self.trace.tell(self.loop.time(), what)

    # --- nodes --------------------------------------------------------------------------------------------

    async def start(self, *names: str) -> None:
        """Start these nodes (all if none is named) on whatever their disks hold."""
        for name in names or self.names:
            if name in self.lives:
                continue  # somebody else has started it meanwhile
            gate, door = Gate(), self.network.door(name)
            clock = SimClock(gate, wall_step_ms=self.wall_step_ms)
            disk = SimDisk(
                self.durable_states[name],
                self.chance,
                gate,
                commit_watchers=self.commit_watchers,
                on_durable=partial(self._on_durable, name),
                acknowledges_early=self.acknowledges_early,
            )
            tasks: dict[asyncio.Task[Any], None] = {}
            hooks = self._spawner(name, gate, tasks), self._logger(name), self._begin_anew(name)
            runtime = Runtime(clock, door, disk, self.chance, *hooks)
            life = Life(Node(runtime, self.config, name), clock, gate, disk, door, tasks)
            life.node.pruning.kept_max = 0  # a run of twenty seconds has few past stores
            self.on_start(life.node)
            self.lives[name] = life
            self.network.attach(name, gate, life.node.on_message)
            self.tell(f"{name} starts")
            await self._opened(life)
        self.config = msgspec.structs.replace(self.config, founded=True)

    async def _opened(self, life: Life) -> None:
        """Wait until a node serves, or has ended before it could: a new store needs a disk that takes writes."""
        opening = self.loop.create_task(life.node.open(), name="open")
        life.tasks[opening] = None
        await asyncio.wait([opening])
        life.tasks.pop(opening, None)
        error = None if opening.cancelled() else opening.exception()
        if isinstance(error, OSError):
            self.tell(f"{life.node.name} cannot start: {error}")
            self.counts["start refused by a disk"] += 1
            self._end(life.node.name)
        elif error is not None:
            raise error

    def crash(self, name: str) -> None:
        """kill -9 and a power cut at once: tasks, timers, messages and unsynced commits are gone."""
        lost = self.lives[name].disk.unsynced_count
        reached = self.lives[name].disk.crash()
        self._end(name)
        self.counts["crash"] += 1
        self.counts["crash that lost unsynced rows"] += lost > 0 and not reached
        self.counts["crash after a sync that nobody heard of"] += reached
        self.tell(f"{name} crashes, {lost} rows not yet synced{', the first group stands' * reached}")

    def _end(self, name: str) -> None:
        life = self.lives.pop(name)
        life.gate.close()
        life.door.open = False
        self.network.detach(name)
        for task in list(life.tasks):
            task.cancel()

    async def stop(self, name: str) -> bool:
        """SIGTERM: no more requests, an end to those under way, no more messages, the node's last word, a last sync.

        False if something else ended this life first, or it stands still: then it is killed, as a supervisor does.
        """
        life = self.lives[name]
        self.tell(f"{name} is told to stop")
        life.is_ending = True
        for _ in range(_STOP_LOOKS_MAX):
            if not life.request_count or self.lives.get(name) is not life:
                break
            await asyncio.sleep(0.01)
        if self.lives.get(name) is life:
            life.door.open = False
            self.network.detach(name)
            await self.command(name, lambda node: last_word(node, life.disk))
        if self.lives.get(name) is not life:
            return False
        if life.disk.unsynced_count or life.gate.paused:
            self.crash(name)
            return False
        self._end(name)
        self.counts["stop in order"] += 1
        self.tell(f"{name} has stopped in order")
        return True

    def copy_disk(self, name: str) -> Tables:
        """A backup of what a crash would leave at this moment."""
        return self.durable_states[name].tables.copy()

    def put_back(self, name: str, older: Tables) -> None:
        """A dead node's folder is replaced by an older copy of it."""
        assert name not in self.lives, f"{name} is running"
        self._take_new_disk(name)
        self.durable_states[name].tables = older.copy()
        self.counts["folder put back"] += 1
        self.tell(f"{name} finds an older folder")

    def wipe(self, name: str) -> None:
        """A dead node's disk is lost."""
        assert name not in self.lives, f"{name} is running"
        self._take_new_disk(name)
        self.counts["lost disk"] += 1
        self.tell(f"{name} loses its disk")

    def rows_gone(self, name: str, rows: Sequence[tuple[int, str]]) -> None:
        """Observers hear that these records, (partition, disk key) each, are not what was written any more."""
        self._on_durable(name, [Row("records", partition, key, None) for partition, key in rows])

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.lives[name].gate.pause()
        self.counts["pause"] += 1
        self.tell(f"{name} is paused")

    def resume(self, name: str) -> None:
        """SIGCONT; nothing if it is dead or was not paused."""
        life = self.lives.get(name)
        if life is not None and life.gate.paused:
            self.tell(f"{name} is resumed")
            life.gate.resume()

    def skew(self, name: str, skew_ms: float) -> None:
        """Set a node's wall clock wrong."""
        self.lives[name].clock.skew_ms = skew_ms
        self.counts["clock skew"] += 1
        self.tell(f"{name}: wall clock is {skew_ms:+.0f} ms off")

    def slow_disk(self, name: str, delay_ms: float) -> None:
        """Each sync takes so much longer (0: as before)."""
        self.lives[name].disk.delay_ms = delay_ms
        self.counts["slow disk"] += delay_ms > 0
        self.tell(f"{name}: each sync takes {delay_ms:.0f} ms more")

    def set_rule(self, senders: Iterable[str], receivers: Iterable[str], rule: LinkRule, what: str) -> None:
        """Put the links from these to those under a rule."""
        targets = list(receivers)
        for sender in senders:
            for receiver in targets:
                if sender != receiver:
                    self.network.rules[sender, receiver] = rule
        self.counts[what] += 1
        self.tell(f"links: {what}")

    def heal(self) -> None:
        """Take all link rules away."""
        if self.network.rules:
            self.network.rules.clear()
            self.tell("links: healed")

    # --- clients ------------------------------------------------------------------------------------------

    async def ask(self, name: str, request: operations.Request, *, session: str = "") -> Answer | None:
        """A client's request through one node; None if no answer came in time (it crashed, or is paused)."""
        self.operation_count += 1
        operation = Operation(
            number=self.operation_count, session=session, node=name, request=request, sent_s=self.loop.time()
        )
        for observer in self.observers:
            observer.sent(operation)
        answer = await self._served(name, request)
        operation.answered_s = self.loop.time()
        if answer is not None:
            operation.status, operation.body = answer[0], json.loads(answer[1])
        for observer in self.observers:
            observer.answered(operation)
        return None if answer is None else (answer[0], operation.body)

    async def _served(self, name: str, request: operations.Request) -> tuple[int, bytes] | None:
        """A node that is ending takes no more requests, and waits for those under way."""
        life = self.lives.get(name)
        if life is None or life.is_ending:
            return None
        life.request_count += 1
        try:
            return await self.command(name, lambda node: node.serve(request))
        finally:
            life.request_count -= 1

    async def command(self, name: str, what: Callable[[Node], Coroutine[Any, Any, T]]) -> T | None:
        """Do something at one node, through its gate; None if it did not end in time. Raises a KvError of the node."""
        life = self.lives.get(name)
        if life is None:
            return None
        future: asyncio.Future[T] = self.loop.create_future()

        def begin() -> None:
            task = self.loop.create_task(what(life.node))
            life.tasks[task] = None
            task.add_done_callback(ended)

        def ended(task: asyncio.Task[T]) -> None:
            life.tasks.pop(task, None)
            if task.cancelled() or life.gate.shut:
                return
            error = task.exception()
            if error is not None and not isinstance(error, KvError):
                self.failures.append(error)
            elif not future.done():
                life.gate.run(answer, task)

        def answer(task: asyncio.Task[T]) -> None:
            error = task.exception()
            if future.done():
                return
            if error is None:
                future.set_result(task.result())
            else:
                future.set_exception(error)

        life.gate.run(begin)
        await asyncio.wait([future], timeout=_CLIENT_PATIENCE_S)
        if not future.done():
            future.cancel()
            return None
        return future.result()

    # --- for the runtime ----------------------------------------------------------------------------------

    def _on_send(self, sender: str, receiver: str, message: Message) -> None:
        for observer in self.observers:
            observer.message(sender, receiver, message)

    def _on_durable(self, name: str, rows: Sequence[Row]) -> None:
        for observer in self.observers:
            observer.durable(name, rows)

    def _take_new_disk(self, name: str) -> None:
        for observer in self.observers:
            observer.lost(name)
        self.durable_states[name] = DurableState()

    def _begin_anew(self, name: str) -> Callable[[str], None]:
        def begin_anew(why: str) -> None:
            self.tell(f"{name} begins anew: {why}")
            self.counts["older folder noticed"] += 1
            self.loop.call_soon(again)

        def again() -> None:
            if name in self.lives:
                self.crash(name)
                self._take_new_disk(name)
                self.loop.create_task(self.start(name), name=f"{name} begins anew")

        return begin_anew

    def _spawner(
        self, name: str, gate: Gate, tasks: dict[asyncio.Task[Any], None]
    ) -> Callable[[Coroutine[Any, Any, None], str], None]:
        def ended(task: asyncio.Task[Any]) -> None:
            tasks.pop(task, None)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.failures.append(error)
                self.tell(f"{name}: {task.get_name()} failed: {error!r}")

        def spawn(work: Coroutine[Any, Any, None], what: str) -> None:
            if (
                gate.shut
            ):  # a write of a life that has crashed fails now, and it wants to do something about that
                work.close()
                return
            task = self.loop.create_task(work, name=what)
            tasks[task] = None
            task.add_done_callback(ended)

        return spawn

    def _logger(self, name: str) -> Callable[..., None]:
        def log(event: str, *, level: str = "info", **facts: Any) -> None:
            told = " ".join(f"{fact}={value}" for fact, value in sorted(facts.items()))
            self.tell(f"{name}: {event} {told}")
            count_logged(self.counts, event, facts)

        return log
