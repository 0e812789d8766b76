"""One node: builds the rooms on one Runtime, routes each message to its room and each request to its coordinator.

Knows neither sockets nor SQLite nor HTTP: the same Node runs in the real world (__main__.py) and in simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from kvnode import requests
from kvnode.calls import Calls
from kvnode.config import FORWARD_TIMEOUT_MS, TRACE_TIMEOUT_MS, ClusterConfig
from kvnode.errors import GatewayTimeout, InternalError, KvError
from kvnode.membership import ALIVE, DEAD, Member, Members, Swim
from kvnode.messages import (
    KV,
    Ack,
    AskTrace,
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    Fetch,
    Fetched,
    Forward,
    Forwarded,
    Hello,
    Message,
    Ping,
    PingRequest,
    Proof,
    StoreMany,
    StoreRecord,
    Trace,
    Welcome,
)
from kvnode.observe import Event, Traces
from kvnode.replication.coordinator import Coordinator
from kvnode.replication.dots import DotSource
from kvnode.replication.exchange import Exchange
from kvnode.replication.hints import Hints
from kvnode.replication.records import Records
from kvnode.replication.replica import Replica
from kvnode.replication.scrub import Scrub
from kvnode.ring import Ring
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
        self.ring = Ring.build(config.names, replicas=config.replicas, partitions=config.partitions)
        self.members = Members(
            name, config.names, incarnation=1, wall_ms=runtime.clock.wall_ms, on_change=self._member_changed
        )
        self.swim = Swim(runtime, name, self.members)
        self.calls = Calls(runtime)
        self.traces = Traces(runtime.clock.wall_ms)
        self.dots = DotSource(runtime, name)
        self.records = Records(runtime, self.ring, self._has_forgotten)
        self.scrub = Scrub(runtime, self.records, self.ring.partitions)
        self.hints = Hints(runtime, self.ring, self.calls, self._is_alive)
        self.coordinator = Coordinator(
            runtime,
            name,
            self.ring,
            self.calls,
            self.records,
            self.dots,
            self.hints,
            self.traces,
            self._is_dead,
        )
        self.exchange = Exchange(runtime, name, self.ring, self.calls, self.records, self._is_alive)
        self.replica = Replica(runtime, self.records, self.traces)
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
            Forward: self._on_forward,
            AskTrace: self._on_ask_trace,
            Ping: self.swim.on_ping,
            PingRequest: self.swim.on_ping_request,
            Ack: self.swim.on_ack,
            CompareRoots: self.exchange.on_roots,
            CompareNodes: self.exchange.on_nodes,
            CompareLeaves: self.exchange.on_leaves,
            **dict.fromkeys((Hello, Welcome, Proof), _ignore),  # said once, when the connection began
        }

    async def open(self) -> None:
        """Read what the disk holds and start the background work."""
        self.records.open()
        self.hints.open()
        await self.dots.open()
        self.runtime.spawn(self.swim.run(), "probes")
        self.runtime.spawn(self.hints.run(), "hints")
        self.runtime.spawn(self.exchange.run(), "exchange")
        self.runtime.spawn(self.scrub.run(), "scrub")

    # --- peers --------------------------------------------------------------------------------------------

    def on_message(self, peer: str, message: Message) -> None:
        """A message of a peer arrived: questions go to their room, answers to who asked."""
        self.swim.heard(peer)
        room = self._rooms.get(type(message))
        if room is not None:
            room(peer, message)
        else:
            self.calls.answer(peer, message)  # type: ignore[arg-type]

    def _is_alive(self, peer: str) -> bool:
        return self.members.state(peer) == ALIVE

    def _is_dead(self, peer: str) -> bool:
        return self.members.state(peer) == DEAD

    def _member_changed(self, before: Member, after: Member) -> None:
        self.runtime.log(
            "member", peer=after.name, before=before.state, after=after.state, incarnation=after.incarnation
        )

    def _has_forgotten(self, kind: str) -> None:
        """A counter was dropped as damaged, and with it how far this store had counted: it goes on as another one."""
        if kind != KV:
            self.dots.renew()

    # --- clients ------------------------------------------------------------------------------------------

    async def serve(self, request: requests.Request, cause: int = 0) -> tuple[int, bytes]:
        """Serve a client's request here or at a node that holds the key: an HTTP status and a JSON body."""
        cause = cause or self.runtime.random.getrandbits(64)
        replicas = self.ring.preference_list(request.key)
        if self.name in replicas:
            return await self._coordinate(request, cause)
        return await self._forward(request, cause, replicas)

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
            return error.status, _encode_json(error.problem())
        return 200, _encode_json(answer)

    async def _forward(
        self, request: requests.Request, cause: int, replicas: tuple[str, ...]
    ) -> tuple[int, bytes]:
        """Ask the first replica that is believed to be there. Once it was asked, the outcome is its own to tell."""
        self.forwarded_count += 1
        reachable = [replica for replica in replicas if not self._is_dead(replica)]
        if not reachable:
            error: KvError = GatewayTimeout(
                f"all {len(replicas)} replicas of this key are dead", definite=True
            )
            return error.status, _encode_json(error.problem())
        packed = requests.encode_request(request)
        self.traces.note(cause, "forwarded the request to", reachable[0])
        try:
            answer = await self.calls.ask(
                reachable[0], lambda id_: Forward(id_, cause, packed), FORWARD_TIMEOUT_MS
            )
        except TimeoutError:
            error = GatewayTimeout(f"{reachable[0]} was asked to coordinate and did not answer in time")
            return error.status, _encode_json(error.problem())
        if isinstance(answer, Forwarded):
            return answer.status, answer.body
        error = InternalError(f"{reachable[0]} could not coordinate: {answer}")
        return error.status, _encode_json(error.problem())

    def _on_forward(self, peer: str, message: Forward) -> None:
        self.runtime.spawn(self._answer_forward(peer, message), "forwarded request")

    async def _answer_forward(self, peer: str, message: Forward) -> None:
        try:
            status, body = await self._coordinate(requests.decode_request(message.request), message.cause)
        except Exception as error:  # noqa: BLE001 - a request that finds a fault in us must not end every node in turn
            self.runtime.log("internal_error", level="error", forwarded_by=peer, error=repr(error))
            problem = InternalError(f"{self.name} found a fault in itself; its log says more").problem()
            status, body = InternalError.status, _encode_json(problem)
        self.runtime.network.send(peer, Forwarded(message.id, status, body))

    async def replicas(self, kind: str, key: str) -> list[tuple[str, Fetched | None]]:
        """What each replica holds durably now: no quorum, no merging, no repair. None: it does not answer."""
        replicas = self.ring.preference_list(key)
        return list(
            zip(
                replicas,
                await asyncio.gather(*(self._fetch(replica, kind, key) for replica in replicas)),
                strict=True,
            )
        )

    async def _fetch(self, replica: str, kind: str, key: str) -> Fetched | None:
        if replica == self.name:
            return Fetched(0, self.records.durable(kind, key), self.records.stored_at(kind, key) or 0.0)
        if self._is_dead(replica):
            return None
        try:
            answer = await self.calls.ask(replica, lambda id_: Fetch(id_, 0, kind, key), 1000.0)
        except TimeoutError:
            return None
        return answer if isinstance(answer, Fetched) else None

    def _on_ask_trace(self, peer: str, message: AskTrace) -> None:
        self.runtime.network.send(peer, Trace(message.id, self.traces.story(message.cause)))

    async def trace(self, cause: int) -> list[tuple[str, Event]]:
        """The story of one request from all nodes that answer, in the order of their wall clocks."""

        async def part(peer: str) -> tuple[Event, ...]:
            if peer == self.name:
                return self.traces.story(cause)
            try:
                answer = await self.calls.ask(peer, lambda id_: AskTrace(id_, cause), TRACE_TIMEOUT_MS)
            except TimeoutError:
                return ()
            return answer.events if isinstance(answer, Trace) else ()

        nodes = [name for name in self.ring.nodes if not self._is_dead(name)]
        parts = await asyncio.gather(*(part(name) for name in nodes))
        return sorted(
            ((name, event) for name, events in zip(nodes, parts, strict=True) for event in events),
            key=lambda told: told[1][0],
        )
