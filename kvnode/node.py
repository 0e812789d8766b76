"""One node: builds the components on one Runtime, and hands each message and each request to the right one.

Knows neither sockets nor SQLite nor HTTP: the same Node runs in the real world (__main__.py) and in simulation.
"""

from __future__ import annotations

import contextlib

from kvnode.anti_entropy.exchange import Exchange
from kvnode.config import ClusterConfig
from kvnode.context import NodeContext
from kvnode.handoff.acceptor import DurableAcceptor
from kvnode.handoff.bootstrap import Bootstrap
from kvnode.handoff.changes import Changes
from kvnode.handoff.cleanup import Cleanup
from kvnode.handoff.dissemination import Dissemination
from kvnode.handoff.emptiness import EmptinessCheck
from kvnode.handoff.proposer import RingProposer
from kvnode.handoff.refill import Refill
from kvnode.maintenance import Maintenance, MaintenanceTask
from kvnode.membership import Member, Members, Swim
from kvnode.messages import (
    Hello,
    Message,
    Moment,
    Proof,
    Stale,
    Welcome,
)
from kvnode.observe import RequestObserver
from kvnode.operations import Request
from kvnode.records.incomplete import Incomplete
from kvnode.records.records import Records
from kvnode.records.scrub import Scrub
from kvnode.replication.context_tokens import ContextTokens
from kvnode.replication.counters import Counters
from kvnode.replication.dots import DotSource
from kvnode.replication.fallback import Fallback
from kvnode.replication.hints import Hints
from kvnode.replication.inspection import Inspection
from kvnode.replication.read import Reader
from kvnode.replication.replica import Replica
from kvnode.replication.replica_plan import ReplicaPlans
from kvnode.replication.routing import RequestRouter
from kvnode.replication.starts import Starts
from kvnode.replication.values import Values
from kvnode.replication.write import Writer
from kvnode.ring import Placement, RingState
from kvnode.rpc import Rpc
from kvnode.runtime import Handlers, Runtime
from kvnode.tombstones.epochs import Epochs
from kvnode.tombstones.pruning import Pruning
from kvnode.tombstones.quiescence import Quiescence
from kvnode.tombstones.reaper import TombstoneReaper


def _ignore(peer: str, message: Message) -> None:
    """It asks for nothing."""


class Node:
    """One member of the cluster.

    Call `open` once, feed every message of a peer to `on_message`, and every client's request to `serve`.
    """

    def __init__(self, runtime: Runtime, config: ClusterConfig, name: str) -> None:
        self.runtime, self.config, self.name = runtime, config, name
        wall_ms, age_ms_max = runtime.clock.wall_ms, config.maintenance.message_age_s_max * 1000.0
        known, replicas, partitions = RingState.of(config), config.replicas, config.partitions
        self.ring = Placement(known, node=name, replicas=replicas, partitions=partitions)
        self.dissemination = Dissemination(runtime, name, self.ring)
        self.members = Members(name, (*known.names, name), incarnation=1, wall_ms=wall_ms)
        self.members.subscribe(self._log_member)
        self.ring.subscribe(lambda: self.members.follow(node.name for node in self.ring.state.everybody))
        self.swim = Swim(runtime, name, self.members, lambda: self.ring.epoch, self.dissemination.heard_epoch)
        self.rpc = Rpc(runtime)
        self.observer = RequestObserver(now_ms=runtime.clock.now_ms, wall_ms=wall_ms)
        self.incomplete = Incomplete(runtime, name, self.ring)
        self.records = Records(runtime, self.ring, self.incomplete.lose, before_write=self.incomplete.settle)
        self.epochs = Epochs(runtime, self.ring, self.incomplete, self.dissemination.refuse_other_epoch)
        context = NodeContext(
            runtime=runtime,
            name=name,
            ring=self.ring,
            rpc=self.rpc,
            members=self.members,
            incomplete=self.incomplete,
            records=self.records,
            observer=self.observer,
            epochs=self.epochs,
        )
        self.quiescence = Quiescence(runtime.clock)
        self.records.on_forgotten(self.quiescence.disturb_all)
        self.ring.subscribe(self.quiescence.disturb_all)
        self.dots = DotSource(context)
        self.acceptor = DurableAcceptor(context)
        self.proposer = RingProposer(context, self.acceptor, self.dissemination, store=self._store_id)
        self.starts = Starts(context, self._replaces_another)
        self.scrub = Scrub(runtime, self.records, self.ring.partitions)
        self.hints = Hints(context, self.quiescence)
        self.pruning = Pruning(self.records)
        self.exchange = Exchange(context)
        self.bootstrap = Bootstrap(context, self.exchange)
        self.refill = Refill(context, self.exchange)
        self.cleanup = Cleanup(context, self.exchange, self.quiescence)
        self.reaper = TombstoneReaper(
            context, self.quiescence, self.pruning, store=self._store_id, message_age_ms_max=age_ms_max
        )
        self.emptiness = EmptinessCheck(context, lambda: sum(self.hints.pending().values()))
        self.changes = Changes(
            context, self.dissemination, self.acceptor, self.proposer, self.bootstrap, self.emptiness
        )
        self.maintenance = Maintenance(runtime, self._maintenance_tasks())
        self.contexts = ContextTokens(config.secret, config.cluster_id)
        plans = ReplicaPlans(context)
        values = Values(context, self.dots, self.contexts, self.pruning.strip)
        self.reader = Reader(context, plans, values, self.hints)
        self.writer = Writer(context, plans, self.reader, values, Counters(context, self.dots), self.hints)
        self.replica = Replica(context)
        self.fallback = Fallback(context, self.hints)
        self.inspection = Inspection(context, self.replica)
        self.router = RequestRouter(
            context, self.writer, self.reader, self.refill.may_be_complete, message_age_ms_max=age_ms_max
        )
        self._handlers = self._handlers_of_components()

    def _store_id(self) -> str:
        """Which store this node writes as now."""
        return self.dots.store

    def _maintenance_tasks(self) -> dict[str, MaintenanceTask]:
        runtime, periods = self.runtime, self.config.maintenance
        return {
            "repair": MaintenanceTask(runtime, self.exchange.repair, period_s=periods.repair_s),
            "sweep": MaintenanceTask(runtime, self.reaper.once, period_s=periods.sweep_s),
            "checkpoint": MaintenanceTask(
                runtime, lambda share: runtime.disk.checkpoint(), period_s=periods.checkpoint_s
            ),
            "scrub": MaintenanceTask(runtime, self.scrub.once, period_s=periods.scrub_s, at_start=True),
        }

    def _handlers_of_components(self) -> Handlers:
        """Which component takes which message."""
        return {
            **self.router.handlers(),
            **self.replica.handlers(),
            **self.fallback.handlers(),
            **self.inspection.handlers(),
            Stale: self._on_stale,
            **self.swim.handlers(),
            **self.dissemination.handlers(),
            **self.starts.handlers(),
            **self.exchange.responder.handlers(),
            **self.acceptor.handlers(),
            **self.changes.handlers(),
            **self.emptiness.handlers(),
            **self.reaper.handlers(),
            **dict.fromkeys((Hello, Welcome, Proof, Moment), _ignore),  # between the links themselves
        }

    async def open(self) -> None:
        """Read what the disk holds and start the background work."""
        self.records.open()
        self.hints.open()
        is_new = self.dots.look()
        self.epochs.open()
        self.incomplete.open(is_replacement=is_new and (self.config.founded or not self.ring.is_member))
        await self.acceptor.open(lost_disk=self.config.founded and is_new)
        self.dissemination.open(self.config)
        await self.dots.open(is_confirmed=await self.starts.open(is_new=is_new))
        self.runtime.spawn(self.starts.run(), "starts")
        self.runtime.spawn(self.swim.run(), "probes")
        self.runtime.spawn(self.hints.run(), "hints")
        self.runtime.spawn(self.exchange.run(), "exchange")
        self.runtime.spawn(self.changes.run(), "ring changes")
        self.runtime.spawn(self.bootstrap.run(), "hand-over")
        self.runtime.spawn(self.refill.run(), "refill")
        self.runtime.spawn(self.cleanup.run(), "letting go")
        self.runtime.spawn(self.quiescence.run(), "quiescence")
        self.maintenance.open()

    async def serve(self, request: Request) -> tuple[int, bytes]:
        """Serve a client's request: an HTTP status and a JSON body."""
        return await self.router.serve(request)

    # --- peers --------------------------------------------------------------------------------------------

    def on_message(self, peer: str, message: Message) -> None:
        """A message of a peer arrived: questions go to their component, answers to who asked."""
        self.swim.heard(peer)
        handle = self._handlers.get(type(message))
        if handle is not None:
            handle(peer, message)
        else:
            self.rpc.answer(peer, message)  # type: ignore[arg-type]

    def _on_stale(self, peer: str, message: Stale) -> None:
        """A question of ours was of an older ring: know the newer one before whoever asked goes on."""
        self.dissemination.adopt(message.ring)
        self.rpc.answer(peer, message)

    def _log_member(self, before: Member, after: Member) -> None:
        self.runtime.log(
            "member", peer=after.name, before=before.state, after=after.state, incarnation=after.incarnation
        )

    def _replaces_another(self) -> None:
        """Nobody said that the cluster has run before, and yet a member has met an earlier store of this node."""
        if not self.config.founded and self.ring.is_member:
            self.runtime.log("replaces_a_lost_store", level="error")
            self.incomplete.lose_all()
            self.runtime.spawn(self.acceptor.lose_right_for_good(), "right to vote")

    async def close(self) -> None:
        """The last thing of a life that ends in order, when nobody can ask any more."""
        with contextlib.suppress(OSError):  # then the next life takes a fresh store id
            await self.dots.close()
