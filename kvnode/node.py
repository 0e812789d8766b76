"""One node: builds the rooms on one Runtime, routes each message to its room and each request to its coordinator.

Knows neither sockets nor SQLite nor HTTP: the same Node runs in the real world (__main__.py) and in simulation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec

from kvnode import requests
from kvnode.calls import Calls
from kvnode.comparisons import CompareLeaves, CompareNodes, CompareRoots, CompareSingles
from kvnode.config import FORWARD_PAUSE_MS, FORWARD_TIMEOUT_MS, RING_CHANGES_MAX, ClusterConfig
from kvnode.errors import GatewayTimeout, InternalError, KvError, NotAMember
from kvnode.handover.changes import Changes
from kvnode.handover.drop import Drop
from kvnode.handover.pull import Pull
from kvnode.handover.spread import Spread
from kvnode.handover.voting import Voting
from kvnode.inquiries import Inquiries
from kvnode.membership import ALIVE, DEAD, Member, Members, Swim
from kvnode.messages import (
    Accept,
    Ack,
    Answer,
    AskHeld,
    AskRing,
    AskSweep,
    AskTrace,
    DropTombstones,
    Fetch,
    FetchHinted,
    Forward,
    Forwarded,
    Hello,
    Message,
    Moment,
    Ping,
    PingRequest,
    Prepare,
    Progress,
    Proof,
    Refused,
    RingNews,
    Stale,
    StoreHint,
    StoreMany,
    StoreRecord,
    Welcome,
)
from kvnode.observe import Traces
from kvnode.replication.audience import Audiences
from kvnode.replication.coordinator import Coordinator
from kvnode.replication.dots import DotSource
from kvnode.replication.exchange import Exchange
from kvnode.replication.hints import Hints
from kvnode.replication.records import Records
from kvnode.replication.replica import Replica
from kvnode.replication.scrub import Scrub
from kvnode.replication.stand_in import StandIn
from kvnode.replication.stillness import Stillness
from kvnode.replication.sweep import Sweep
from kvnode.replication.upkeep import Chore, Upkeep
from kvnode.ring import Placement, RingState
from kvnode.runtime import Runtime


def _ignore(peer: str, message: Message) -> None:
    """It asks for nothing."""


_encode_json = msgspec.json.Encoder().encode


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
        self.records = Records(runtime, self.ring, self._has_forgotten)
        self.scrub = Scrub(runtime, self.records, self.ring.partitions)
        self.stillness = Stillness(runtime.clock)
        self.hints = Hints(runtime, name, self.ring, self.calls, self.records, self._is_alive, self.stillness)
        self.coordinator = Coordinator(
            runtime,
            name,
            self.ring,
            self.calls,
            self.records,
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
            refuse_other_epoch=refuse,
            message_age_ms_max=config.upkeep.message_age_s_max * 1000.0,
        )
        late = self.sweep.is_too_late
        self.exchange = Exchange(
            runtime, name, self.ring, self.calls, self.records, self._is_alive, refuse, late
        )
        self.replica = Replica(runtime, self.ring, self.records, self.traces, refuse, late)
        self.stand_in = StandIn(runtime, self.ring, self.hints, self.traces, refuse, late)
        self.voting = Voting(
            runtime, name, self.ring, self.calls, lambda: self.dots.store, self._decided, refuse
        )
        self.pull = Pull(runtime, name, self.ring, self.exchange, self._is_dead)
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
            runtime, name, self.ring, self.calls, self.records, self.traces, self._is_dead
        )
        self.on_ring: Callable[[RingState], None] = lambda state: None
        self.forwarded_count = 0
        self.request_counts: dict[str, int] = {
            "put": 0,
            "get": 0,
            "delete": 0,
            "add": 0,
            "count": 0,
            "failed": 0,
        }
        self._rooms: dict[type[Any], Callable[[str, Any], None]] = {
            StoreRecord: self.replica.on_store,
            StoreMany: self.replica.on_store_many,
            Fetch: self.replica.on_fetch,
            StoreHint: self.stand_in.on_store,
            FetchHinted: self.stand_in.on_fetch,
            Forward: self._on_forward,
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
            AskSweep: self.sweep.on_ask,
            DropTombstones: self.sweep.on_drop,
            **dict.fromkeys((Hello, Welcome, Proof, Moment), _ignore),  # between the links themselves
        }

    async def open(self) -> None:
        """Read what the disk holds and start the background work."""
        self.records.open()
        self.hints.open()
        await self.dots.open()
        self.sweep.open(knows_nothing=self.dots.is_new and (self.config.founded or not self.ring.is_member))
        await self.voting.open(lost_disk=self.config.founded and self.dots.is_new)
        self.spread.followers = [
            lambda: self.members.follow(node.name for node in self.ring.state.everybody),
            lambda: self.on_ring(self.ring.state),
            self.hints.follow_ring,
            self.pull.follow_ring,
            self.changes.follow_ring,
            self.sweep.follow_ring,
        ]
        self.spread.open(self.config)
        self.runtime.spawn(self.swim.run(), "probes")
        self.runtime.spawn(self.hints.run(), "hints")
        self.runtime.spawn(self.exchange.run(), "exchange")
        self.runtime.spawn(self.changes.run(), "ring changes")
        self.runtime.spawn(self.pull.run(), "hand-over")
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

    async def close(self) -> None:
        """The last thing of a life that ends in order, when nobody can ask any more."""
        with contextlib.suppress(OSError):  # then the next life takes a fresh store id
            await self.dots.close()

    async def _repair(self) -> dict[str, Any]:
        """A full repair: one exchange with every live peer."""
        return {"differing_partitions": await self.exchange.with_all()}

    # --- clients ------------------------------------------------------------------------------------------

    async def serve(self, request: requests.Request, cause: int = 0) -> tuple[int, bytes]:
        """Serve a client's request here or at a node that holds the key: an HTTP status and a JSON body."""
        cause = cause or self.runtime.random.getrandbits(64)
        if not self.ring.is_member:
            return _failed(NotAMember(self._why_no_member()), cause)
        if self.name in self._coordinators(request):
            return await self._coordinate(request, cause)
        return await self._forward(request, cause)

    def _coordinators(self, request: requests.Request) -> tuple[str, ...]:
        """Who may coordinate: the owners; of a sloppy request only if they can be reached, or else who stands in."""
        owners = self.ring.preference_list(request.key)
        if isinstance(request, requests.Put | requests.Get) and request.sloppy:
            reachable = [name for name in self.ring.walk(request.key) if self._is_alive(name)]
            return tuple(name for name in reachable if name in owners) or tuple(reachable[: len(owners)])
        return owners

    def _why_no_member(self) -> str:
        state = self.ring.state
        if self.name == state.joining:
            return f"{self.name} is joining and not a member yet; members are {', '.join(state.names)}"
        if self.records.row_count or self.name in state.before:
            return f"{self.name} is not a member any more (epoch {state.epoch}); members are {', '.join(state.names)}"
        return f"{self.name} is not a member yet; members are {', '.join(state.names)}"

    async def _coordinate(self, request: requests.Request, cause: int) -> tuple[int, bytes]:
        coordinator = self.coordinator
        self.traces.note(cause, f"coordinates a {type(request).__name__.lower()}")
        answer: requests.Answer
        try:
            match request:
                case requests.Put():
                    answer = await coordinator.put(request, cause)
                    self.request_counts["put" if request.value is not None else "delete"] += 1
                case requests.Get():
                    answer = await coordinator.get(request, cause)
                    self.request_counts["get"] += 1
                case requests.Add():
                    answer = await coordinator.add(request, cause)
                    self.request_counts["add"] += 1
                case requests.Count():
                    answer = await coordinator.count(request, cause)
                    self.request_counts["count"] += 1
        except KvError as error:
            self.request_counts["failed"] += error.status >= 500
            self.traces.note(cause, f"told the client of an error {error.status}")
            return _failed(error, cause)
        return 200, _encode_json(answer)

    async def _forward(self, request: requests.Request, cause: int) -> tuple[int, bytes]:
        """Ask the first replica that is believed to be there, and while it does not answer a read, the next ones too.

        Once a write was sent, its outcome is the asked node's to tell: another one might refuse it, definitely.
        """
        self.forwarded_count += 1
        packed = requests.encode_request(request)
        is_read = isinstance(request, requests.Get | requests.Count)
        error: KvError = InternalError("nobody was asked")
        for attempt in range(RING_CHANGES_MAX):
            replicas, epoch = self._coordinators(request), self.ring.epoch
            if self.name in replicas:  # the ring has changed meanwhile
                return await self._coordinate(request, cause)
            reachable = [replica for replica in replicas if not self._is_dead(replica)]
            if not reachable:
                error = GatewayTimeout(f"all {len(replicas)} replicas of this key are dead", definite=True)
                break
            reachable.sort(key=self._is_alive, reverse=True)  # suspects last
            first = attempt % len(reachable)
            in_turn = reachable[first:] + reachable[:first] if is_read else [reachable[first]]
            try:
                answer = await self._ask_to_coordinate(in_turn, packed, cause, epoch)
            except TimeoutError as late:
                error = GatewayTimeout(f"asked to coordinate, {late}")
                break
            if isinstance(answer, Forwarded):
                return answer.status, answer.body
            why = answer.why if isinstance(answer, Refused) else "the ring changed"
            error = GatewayTimeout(f"nobody coordinates this request ({why})", definite=True)
        return _failed(error, cause)

    async def _ask_to_coordinate(self, peers: list[str], request: bytes, cause: int, epoch: int) -> Answer:
        def question(peer: str, id_: int) -> Forward:
            self.traces.note(cause, "forwarded the request to", peer)
            return Forward(id_, cause=cause, request=request, epoch=epoch)

        return await self.calls.ask_in_turn(
            peers, question, pause_ms=FORWARD_PAUSE_MS, timeout_ms=FORWARD_TIMEOUT_MS
        )

    def _on_forward(self, peer: str, message: Forward) -> None:
        """Coordinate for a peer, unless its ring is older than ours, or ours does not let us."""
        if message.epoch != self.ring.epoch:
            if self.spread.refuse_other_epoch(peer, message.id, message.epoch):
                return
            if self.name not in self._coordinators(requests.decode_request(message.request)):
                refused = Refused(message.id, f"{self.name} does not know epoch {message.epoch} yet")
                self.runtime.network.send(peer, refused)
                return
        self.runtime.spawn(self._answer_forward(peer, message), "forwarded request")

    async def _answer_forward(self, peer: str, message: Forward) -> None:
        try:
            status, body = await self._coordinate(requests.decode_request(message.request), message.cause)
        except Exception as error:  # noqa: BLE001 - a request that finds a fault in us must not end every node in turn
            self.runtime.log("internal_error", level="error", forwarded_by=peer, error=repr(error))
            fault = InternalError(f"{self.name} found a fault in itself; its log says more")
            status, body = _failed(fault, message.cause)
        self.runtime.network.send(peer, Forwarded(message.id, status, body))


def _failed(error: KvError, cause: int) -> tuple[int, bytes]:
    """The answer to a request that failed. It names its trace, as every answer does: a failure can be followed too."""
    return error.status, _encode_json(error.problem() | {"cause": f"{cause:016x}"})
