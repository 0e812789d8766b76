"""One node: builds the rooms on one Runtime, routes each message to its room and each request to its coordinator.

Knows neither sockets nor SQLite nor HTTP: the same Node runs in the real world (__main__.py) and in simulation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from kvnode.anti_entropy.exchange import Exchange
from kvnode.config import ClusterConfig
from kvnode.handoff.bootstrap import Bootstrap
from kvnode.handoff.changes import Changes
from kvnode.handoff.cleanup import Cleanup
from kvnode.handoff.dissemination import Dissemination
from kvnode.handoff.refill import Refill
from kvnode.handoff.voting import Voting
from kvnode.maintenance import Maintenance, MaintenanceTask
from kvnode.membership import ALIVE, DEAD, Member, Members, Swim
from kvnode.messages import (
    Accept,
    Ack,
    AskRing,
    AskTrace,
    Began,
    CheckEmptiness,
    Fetch,
    FetchHinted,
    Forward,
    Hello,
    Message,
    Moment,
    Ping,
    PingRequest,
    Prepare,
    Progress,
    Proof,
    RingNews,
    Stale,
    StoreHint,
    StoreMany,
    StoreRecord,
    Welcome,
)
from kvnode.messages.anti_entropy import CompareLeaves, CompareNodes, CompareRoots, CompareSingleDiffs
from kvnode.messages.tombstones import AskReapable, DropTombstones
from kvnode.observe import Traces
from kvnode.records.incomplete import Incomplete
from kvnode.records.records import Records
from kvnode.records.scrub import Scrub
from kvnode.replication.context_tokens import ContextTokens
from kvnode.replication.coordinator import Coordinator
from kvnode.replication.dots import DotSource
from kvnode.replication.fallback import Fallback
from kvnode.replication.forwarding import Serving
from kvnode.replication.hints import Hints
from kvnode.replication.inspection import Inspection
from kvnode.replication.replica import Replica
from kvnode.replication.replica_plan import ReplicaPlans
from kvnode.replication.starts import Starts
from kvnode.ring import Placement, RingState
from kvnode.rpc import Rpc
from kvnode.runtime import Runtime
from kvnode.tombstones.quiescence import Quiescence
from kvnode.tombstones.reaper import TombstoneReaper


def _ignore(peer: str, message: Message) -> None:
    """It asks for nothing."""


class Node:
    """One member of the cluster.

    Call `open` once, feed every message of a peer to `on_message`, and every client's request to `serve`.
    """

    def __init__(self, runtime: Runtime, config: ClusterConfig, name: str) -> None:
        self.runtime = runtime
        self.config = config
        self.name = name
        state = RingState.of(config)
        self.ring = Placement(state, node=name, replicas=config.replicas, partitions=config.partitions)
        self.dissemination = Dissemination(runtime, name, self.ring)
        self.members = Members(
            name,
            (*state.names, name),
            incarnation=1,
            wall_ms=runtime.clock.wall_ms,
            on_change=self._member_changed,
        )
        self.swim = Swim(runtime, name, self.members, lambda: self.ring.epoch, self.dissemination.heard_epoch)
        self.rpc = Rpc(runtime)
        self.traces = Traces(runtime.clock.wall_ms)
        self.dots = DotSource(runtime, name)
        self.incomplete = Incomplete(runtime, name, self.ring)
        self.records = Records(
            runtime, self.ring, self._has_forgotten, self.incomplete.lose, before_write=self.incomplete.settle
        )
        self.starts = Starts(
            runtime,
            name,
            self.ring,
            self.rpc,
            written_count=lambda: self.records.written_count,
            on_replaces=self._replaces_another,
        )
        self.scrub = Scrub(runtime, self.records, self.ring.partitions)
        self.quiescence = Quiescence(runtime.clock)
        self.hints = Hints(runtime, name, self.ring, self.rpc, self.records, self._is_alive, self.quiescence)
        self.contexts = ContextTokens(config.secret, config.cluster_id)
        self.coordinator = Coordinator(
            runtime,
            name,
            self.contexts,
            self.ring,
            self.rpc,
            self.records,
            self.incomplete,
            self.dots,
            self.hints,
            self.traces,
            ReplicaPlans(self.ring, name, is_dead=self._is_dead, is_alive=self._is_alive),
        )
        refuse = self.dissemination.refuse_other_epoch
        self.reaper = TombstoneReaper(
            runtime,
            name,
            self.ring,
            self.rpc,
            self.records,
            self.quiescence,
            is_alive=self._is_alive,
            hints_in=self.hints.count_in,
            is_orphaned=lambda partition: self.cleanup.is_orphaned(partition),
            store=lambda: self.dots.store,
            is_refilling=lambda: bool(self.incomplete.held),
            refuse_other_epoch=refuse,
            message_age_ms_max=config.maintenance.message_age_s_max * 1000.0,
        )
        self.coordinator.strip = self.reaper.pruning.strip
        late = self.reaper.why_too_late
        self.exchange = Exchange(
            runtime,
            name,
            self.ring,
            self.rpc,
            self.records,
            self._is_alive,
            refuse,
            self.incomplete,
            self.reaper,
        )
        self.replica = Replica(runtime, self.ring, self.records, self.incomplete, self.traces, refuse, late)
        self.fallback = Fallback(runtime, self.ring, self.hints, self.traces, refuse, late)
        self.voting = Voting(
            runtime, name, self.ring, self.rpc, lambda: self.dots.store, self._decided, refuse
        )
        self.bootstrap = Bootstrap(runtime, name, self.ring, self.exchange, self.incomplete, self._is_dead)
        self.refill = Refill(runtime, name, self.ring, self.exchange, self.incomplete, self._is_alive)
        self.cleanup = Cleanup(
            runtime, name, self.ring, self.records, self.exchange, self._is_alive, self.quiescence
        )
        self.changes = Changes(
            runtime,
            name,
            self.ring,
            self.dissemination,
            self.voting,
            self.bootstrap,
            self.members.state,
            self.rpc,
            lambda: (self.records.row_count, sum(self.hints.pending().values())),
        )
        self.maintenance = Maintenance(
            runtime,
            {
                "repair": MaintenanceTask(
                    runtime, lambda share: self._repair(), period_s=config.maintenance.repair_s
                ),
                "sweep": MaintenanceTask(runtime, self.reaper.once, period_s=config.maintenance.sweep_s),
                "checkpoint": MaintenanceTask(
                    runtime, lambda share: runtime.disk.checkpoint(), period_s=config.maintenance.checkpoint_s
                ),
                "scrub": MaintenanceTask(
                    runtime, self.scrub.once, period_s=config.maintenance.scrub_s, at_start=True
                ),
            },
        )
        self.inspection = Inspection(
            runtime,
            name,
            self.ring,
            self.rpc,
            self.records,
            self.incomplete,
            self.traces,
            self._is_dead,
        )
        self.on_ring: Callable[[RingState], None] = lambda state: None
        self.serving = Serving(
            runtime,
            name,
            self.ring,
            self.rpc,
            self.coordinator,
            self.traces,
            self.incomplete,
            may_be_complete=self.refill.may_be_complete,
            is_alive=self._is_alive,
            is_dead=self._is_dead,
            refuse_other_epoch=refuse,
            holds_something=lambda: self.records.row_count > 0,
            message_age_ms_max=config.maintenance.message_age_s_max * 1000.0,
        )
        self.serve = self.serving.serve
        self._handlers: dict[type[Any], Callable[[str, Any], None]] = {
            StoreRecord: self.replica.on_store,
            StoreMany: self.replica.on_store_many,
            Fetch: self.replica.on_fetch,
            StoreHint: self.fallback.on_store,
            FetchHinted: self.fallback.on_fetch,
            Forward: self.serving.on_forward,
            AskTrace: self.inspection.on_ask_trace,
            Ping: self.swim.on_ping,
            PingRequest: self.swim.on_ping_request,
            Ack: self.swim.on_ack,
            CompareRoots: self.exchange.responder.on_roots,
            CompareNodes: self.exchange.responder.on_nodes,
            CompareSingleDiffs: self.exchange.responder.on_single_diffs,
            CompareLeaves: self.exchange.responder.on_leaves,
            Stale: self._on_stale,
            AskRing: self.dissemination.on_ask_ring,
            RingNews: self.dissemination.on_ring_news,
            Prepare: self.voting.on_prepare,
            Accept: self.voting.on_accept,
            Progress: self.changes.on_progress,
            CheckEmptiness: self.changes.on_check_emptiness,
            Began: self.starts.on_began,
            AskReapable: self.reaper.on_ask,
            DropTombstones: self.reaper.on_drop,
            **dict.fromkeys((Hello, Welcome, Proof, Moment), _ignore),  # between the links themselves
        }

    async def open(self) -> None:
        """Read what the disk holds and start the background work."""
        self.records.open()
        self.hints.open()
        is_new = self.dots.look()
        self.reaper.open()
        self.incomplete.open(is_replacement=is_new and (self.config.founded or not self.ring.is_member))
        await self.voting.open(lost_disk=self.config.founded and is_new)
        self.dissemination.followers = [
            lambda: self.members.follow(node.name for node in self.ring.state.everybody),
            lambda: self.on_ring(self.ring.state),
            self.hints.follow_ring,
            self.bootstrap.follow_ring,
            self.changes.follow_ring,
            self.reaper.follow_ring,
        ]
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
        self.runtime.spawn(self.quiescence.run(), "stillness")
        self.maintenance.open()

    # --- peers --------------------------------------------------------------------------------------------

    def on_message(self, peer: str, message: Message) -> None:
        """A message of a peer arrived: questions go to their room, answers to who asked."""
        self.swim.heard(peer)
        room = self._handlers.get(type(message))
        if room is not None:
            room(peer, message)
        else:
            self.rpc.answer(peer, message)  # type: ignore[arg-type]

    def _on_stale(self, peer: str, message: Stale) -> None:
        """A question of ours was of an older ring: know the newer one before whoever asked goes on."""
        self.dissemination.adopt(message.ring)
        self.rpc.answer(peer, message)

    def _decided(self, state: RingState) -> None:
        before = self.ring.nodes
        self.dissemination.adopt(state)
        self.dissemination.tell_everybody(*before)

    def _is_alive(self, peer: str) -> bool:
        return self.members.state(peer) == ALIVE

    def _is_dead(self, peer: str) -> bool:
        return self.members.state(peer) == DEAD

    def _member_changed(self, before: Member, after: Member) -> None:
        self.coordinator.plans.forget()
        self.runtime.log(
            "member", peer=after.name, before=before.state, after=after.state, incarnation=after.incarnation
        )
        if before.state == DEAD and after.state == ALIVE:
            self.exchange.schedule.is_back(after.name)

    def _has_forgotten(self) -> None:
        """A record was lost, damaged or not stored, and with it what it had covered: go on as another store."""
        self.quiescence.disturb_all()
        self.dots.renew()

    def _replaces_another(self) -> None:
        """Nobody said that the cluster has run before, and yet a member has met an earlier store of this node."""
        if not self.config.founded and self.ring.is_member:
            self.runtime.log("replaces_a_lost_store", level="error")
            self.incomplete.lose_all()
            self.runtime.spawn(self.voting.lose_right_for_good(), "right to vote")

    async def close(self) -> None:
        """The last thing of a life that ends in order, when nobody can ask any more."""
        with contextlib.suppress(OSError):  # then the next life takes a fresh store id
            await self.dots.close()

    async def _repair(self) -> dict[str, Any]:
        """A full repair: one exchange with every live peer."""
        return {"differing_partitions": await self.exchange.with_all()}
