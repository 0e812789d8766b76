"""One node: builds the rooms on one Runtime, routes each message to its room and each request to its coordinator.

Knows neither sockets nor SQLite nor HTTP: the same Node runs in the real world (__main__.py) and in simulation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from kvnode.anti_entropy.exchange import Exchange
from kvnode.config import ClusterConfig
from kvnode.handoff.bootstrap import Pull
from kvnode.handoff.changes import Changes
from kvnode.handoff.cleanup import Drop
from kvnode.handoff.dissemination import Spread
from kvnode.handoff.refill import Refill
from kvnode.handoff.voting import Voting
from kvnode.maintenance import Chore, Upkeep
from kvnode.membership import ALIVE, DEAD, Member, Members, Swim
from kvnode.messages import (
    Accept,
    Ack,
    AskHeld,
    AskRing,
    AskTrace,
    Began,
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
from kvnode.messages.anti_entropy import CompareLeaves, CompareNodes, CompareRoots, CompareSingles
from kvnode.messages.tombstones import AskSweep, DropTombstones
from kvnode.observe import Traces
from kvnode.records.incomplete import Incomplete
from kvnode.records.records import Records
from kvnode.records.scrub import Scrub
from kvnode.replication.context_tokens import ContextTokens
from kvnode.replication.coordinator import Coordinator
from kvnode.replication.dots import DotSource
from kvnode.replication.fallback import StandIn
from kvnode.replication.forwarding import Serving
from kvnode.replication.hints import Hints
from kvnode.replication.inspection import Inquiries
from kvnode.replication.replica import Replica
from kvnode.replication.replica_plan import Audiences
from kvnode.replication.starts import Starts
from kvnode.ring import Placement, RingState
from kvnode.rpc import Calls
from kvnode.runtime import Runtime
from kvnode.tombstones.quiescence import Stillness
from kvnode.tombstones.reaper import Sweep


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
        self.spread = Spread(runtime, name, self.ring)
        self.members = Members(
            name,
            (*state.names, name),
            incarnation=1,
            wall_ms=runtime.clock.wall_ms,
            on_change=self._member_changed,
        )
        self.swim = Swim(runtime, name, self.members, lambda: self.ring.epoch, self.spread.heard_epoch)
        self.calls = Calls(runtime)
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
            self.calls,
            written_count=lambda: self.records.written_count,
            on_replaces=self._replaces_another,
        )
        self.scrub = Scrub(runtime, self.records, self.ring.partitions)
        self.stillness = Stillness(runtime.clock)
        self.hints = Hints(runtime, name, self.ring, self.calls, self.records, self._is_alive, self.stillness)
        self.contexts = ContextTokens(config.secret, config.cluster_id)
        self.coordinator = Coordinator(
            runtime,
            name,
            self.contexts,
            self.ring,
            self.calls,
            self.records,
            self.incomplete,
            self.dots,
            self.hints,
            self.traces,
            Audiences(self.ring, name, self._is_dead, self._is_alive),
        )
        refuse = self.spread.refuse_other_epoch
        self.sweep = Sweep(
            runtime,
            name,
            self.ring,
            self.calls,
            self.records,
            self.stillness,
            is_alive=self._is_alive,
            hints_in=self.hints.count_in,
            is_left_over=lambda partition: self.drop.is_left_over(partition),
            store=lambda: self.dots.store,
            is_refilling=lambda: bool(self.incomplete.held),
            refuse_other_epoch=refuse,
            message_age_ms_max=config.upkeep.message_age_s_max * 1000.0,
        )
        self.coordinator.strip = self.sweep.pruning.strip
        late = self.sweep.why_too_late
        self.exchange = Exchange(
            runtime,
            name,
            self.ring,
            self.calls,
            self.records,
            self._is_alive,
            refuse,
            self.incomplete,
            self.sweep,
        )
        self.replica = Replica(runtime, self.ring, self.records, self.incomplete, self.traces, refuse, late)
        self.stand_in = StandIn(runtime, self.ring, self.hints, self.traces, refuse, late)
        self.voting = Voting(
            runtime, name, self.ring, self.calls, lambda: self.dots.store, self._decided, refuse
        )
        self.pull = Pull(runtime, name, self.ring, self.exchange, self.incomplete, self._is_dead)
        self.refill = Refill(runtime, name, self.ring, self.exchange, self.incomplete, self._is_alive)
        self.drop = Drop(
            runtime, name, self.ring, self.records, self.exchange, self._is_alive, self.stillness
        )
        self.changes = Changes(
            runtime,
            name,
            self.ring,
            self.spread,
            self.voting,
            self.pull,
            self.members.state,
            self.calls,
            lambda: (self.records.row_count, sum(self.hints.pending().values())),
        )
        self.upkeep = Upkeep(
            runtime,
            {
                "repair": Chore(runtime, lambda share: self._repair(), period_s=config.upkeep.repair_s),
                "sweep": Chore(runtime, self.sweep.once, period_s=config.upkeep.sweep_s),
                "checkpoint": Chore(
                    runtime, lambda share: runtime.disk.checkpoint(), period_s=config.upkeep.checkpoint_s
                ),
                "scrub": Chore(runtime, self.scrub.once, period_s=config.upkeep.scrub_s, at_start=True),
            },
        )
        self.inquiries = Inquiries(
            runtime,
            name,
            self.ring,
            self.calls,
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
            self.calls,
            self.coordinator,
            self.traces,
            self.incomplete,
            may_be_complete=self.refill.may_be_complete,
            is_alive=self._is_alive,
            is_dead=self._is_dead,
            refuse_other_epoch=refuse,
            holds_something=lambda: self.records.row_count > 0,
            message_age_ms_max=config.upkeep.message_age_s_max * 1000.0,
        )
        self.serve = self.serving.serve
        self._rooms: dict[type[Any], Callable[[str, Any], None]] = {
            StoreRecord: self.replica.on_store,
            StoreMany: self.replica.on_store_many,
            Fetch: self.replica.on_fetch,
            StoreHint: self.stand_in.on_store,
            FetchHinted: self.stand_in.on_fetch,
            Forward: self.serving.on_forward,
            AskTrace: self.inquiries.on_ask_trace,
            Ping: self.swim.on_ping,
            PingRequest: self.swim.on_ping_request,
            Ack: self.swim.on_ack,
            CompareRoots: self.exchange.answers.on_roots,
            CompareNodes: self.exchange.answers.on_nodes,
            CompareSingles: self.exchange.answers.on_singles,
            CompareLeaves: self.exchange.answers.on_leaves,
            Stale: self._on_stale,
            AskRing: self.spread.on_ask_ring,
            RingNews: self.spread.on_ring_news,
            Prepare: self.voting.on_prepare,
            Accept: self.voting.on_accept,
            Progress: self.changes.on_progress,
            AskHeld: self.changes.on_ask_held,
            Began: self.starts.on_began,
            AskSweep: self.sweep.on_ask,
            DropTombstones: self.sweep.on_drop,
            **dict.fromkeys((Hello, Welcome, Proof, Moment), _ignore),  # between the links themselves
        }

    async def open(self) -> None:
        """Read what the disk holds and start the background work."""
        self.records.open()
        self.hints.open()
        is_new = self.dots.look()
        self.sweep.open()
        self.incomplete.open(is_replacement=is_new and (self.config.founded or not self.ring.is_member))
        await self.voting.open(lost_disk=self.config.founded and is_new)
        self.spread.followers = [
            lambda: self.members.follow(node.name for node in self.ring.state.everybody),
            lambda: self.on_ring(self.ring.state),
            self.hints.follow_ring,
            self.pull.follow_ring,
            self.changes.follow_ring,
            self.sweep.follow_ring,
        ]
        self.spread.open(self.config)
        await self.dots.open(is_confirmed=await self.starts.open(is_new=is_new))
        self.runtime.spawn(self.starts.run(), "starts")
        self.runtime.spawn(self.swim.run(), "probes")
        self.runtime.spawn(self.hints.run(), "hints")
        self.runtime.spawn(self.exchange.run(), "exchange")
        self.runtime.spawn(self.changes.run(), "ring changes")
        self.runtime.spawn(self.pull.run(), "hand-over")
        self.runtime.spawn(self.refill.run(), "refill")
        self.runtime.spawn(self.drop.run(), "letting go")
        self.runtime.spawn(self.stillness.run(), "stillness")
        self.upkeep.open()

    # --- peers --------------------------------------------------------------------------------------------

    def on_message(self, peer: str, message: Message) -> None:
        """A message of a peer arrived: questions go to their room, answers to who asked."""
        self.swim.heard(peer)
        room = self._rooms.get(type(message))
        if room is not None:
            room(peer, message)
        else:
            self.calls.answer(peer, message)  # type: ignore[arg-type]

    def _on_stale(self, peer: str, message: Stale) -> None:
        """A question of ours was of an older ring: know the newer one before whoever asked goes on."""
        self.spread.adopt(message.ring)
        self.calls.answer(peer, message)

    def _decided(self, state: RingState) -> None:
        before = self.ring.nodes
        self.spread.adopt(state)
        self.spread.tell_everybody(*before)

    def _is_alive(self, peer: str) -> bool:
        return self.members.state(peer) == ALIVE

    def _is_dead(self, peer: str) -> bool:
        return self.members.state(peer) == DEAD

    def _member_changed(self, before: Member, after: Member) -> None:
        self.coordinator.audiences.forget()
        self.runtime.log(
            "member", peer=after.name, before=before.state, after=after.state, incarnation=after.incarnation
        )
        if before.state == DEAD and after.state == ALIVE:
            self.exchange.turns.is_back(after.name)

    def _has_forgotten(self) -> None:
        """A record was lost, damaged or not stored, and with it what it had covered: go on as another store."""
        self.stillness.disturb_all()
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
