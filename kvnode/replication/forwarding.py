"""Serving a client's request: here if this node may coordinate it, else at one that may, whose answer is passed on.

Must not live here: coordinating (replication/coordinator.py), and HTTP (net/http.py).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kvnode import operations
from kvnode.config import FORWARD_PAUSE_MS, FORWARD_TIMEOUT_MS, RING_CHANGES_MAX
from kvnode.errors import GatewayTimeout, InternalError, KvError, NotAMember
from kvnode.messages import Answer, Forward, Forwarded, Refused
from kvnode.observe import Traces
from kvnode.records.incomplete import Incomplete
from kvnode.replication.coordinator import Coordinator
from kvnode.replication.once import Once
from kvnode.ring import Placement
from kvnode.rpc import Rpc
from kvnode.runtime import Runtime

_encode_json = msgspec.json.Encoder().encode


class Serving:
    """The clients' side of one node. counts: requests that were coordinated here, by what they asked for."""

    def __init__(
        self,
        runtime: Runtime,
        node: str,
        ring: Placement,
        rpc: Rpc,
        coordinator: Coordinator,
        traces: Traces,
        incomplete: Incomplete,
        *,
        may_be_complete: Callable[[int, str], bool],
        is_alive: Callable[[str], bool],
        is_dead: Callable[[str], bool],
        refuse_other_epoch: Callable[[str, int, int], bool],
        holds_something: Callable[[], bool],
        message_age_ms_max: float,
    ) -> None:
        self._runtime = runtime
        self._node = node
        self._ring = ring
        self._rpc = rpc
        self._coordinator = coordinator
        self._traces = traces
        self._incomplete = incomplete
        self._may_be_complete = may_be_complete
        self._is_alive = is_alive
        self._is_dead = is_dead
        self._refuse_other_epoch = refuse_other_epoch
        self._holds_something = holds_something
        self.once = Once(runtime.clock, age_ms_max=message_age_ms_max)
        self.forwarded_count = 0
        self.counts: dict[str, int] = {
            "put": 0,
            "get": 0,
            "delete": 0,
            "add": 0,
            "count": 0,
            "failed": 0,
        }

    async def serve(self, request: operations.Request, trace_id: int = 0) -> tuple[int, bytes]:
        """Serve a client's request here or at a node that holds the key: an HTTP status and a JSON body."""
        trace_id = trace_id or self._runtime.random.getrandbits(64)
        if not self._ring.is_member:
            return _failed(NotAMember(self._why_no_member()), trace_id)
        if self._node in self._coordinators(request):
            return await self._coordinate(request, trace_id)
        return await self._forward(request, trace_id)

    def _coordinators(self, request: operations.Request) -> tuple[str, ...]:
        """Who may coordinate: the owners; of a sloppy request only if they can be reached, or else who stands in."""
        owners = self._ring.preference_list(request.key)
        if isinstance(request, operations.Put | operations.Get) and request.sloppy:
            reachable = [name for name in self._ring.walk(request.key) if self._is_alive(name)]
            owners = tuple(name for name in reachable if name in owners) or tuple(reachable[: len(owners)])
        if self._incomplete and isinstance(request, operations.Put | operations.Add):
            return self._without_who_lacks(self._ring.partition_of(request.key), owners)
        return owners

    def _without_who_lacks(self, partition: int, owners: tuple[str, ...]) -> tuple[str, ...]:
        """A write builds on what its coordinator holds: so not this node while it is being refilled, if another can."""
        if partition not in self._incomplete:
            return owners
        others = [
            owner
            for owner in owners
            if owner != self._node and self._is_alive(owner) and self._may_be_complete(partition, owner)
        ]
        return tuple(others) or owners

    def _why_no_member(self) -> str:
        state = self._ring.state
        if self._node == state.joining:
            return f"{self._node} is joining and not a member yet; members are {', '.join(state.names)}"
        if self._holds_something() or self._node in state.before:
            return f"{self._node} is not a member any more (epoch {state.epoch}); members are {', '.join(state.names)}"
        return f"{self._node} is not a member yet; members are {', '.join(state.names)}"

    async def _coordinate(self, request: operations.Request, trace_id: int) -> tuple[int, bytes]:
        coordinator = self._coordinator
        self._traces.note(trace_id, f"coordinates a {type(request).__name__.lower()}")
        answer: operations.Answer
        try:
            match request:
                case operations.Put():
                    answer = await coordinator.put(request, trace_id)
                    self.counts["put" if request.value is not None else "delete"] += 1
                case operations.Get():
                    answer = await coordinator.get(request, trace_id)
                    self.counts["get"] += 1
                case operations.Add():
                    answer = await coordinator.add(request, trace_id)
                    self.counts["add"] += 1
                case operations.Count():
                    answer = await coordinator.count(request, trace_id)
                    self.counts["count"] += 1
        except KvError as error:
            self.counts["failed"] += error.status >= 500
            self._traces.note(trace_id, f"told the client of an error {error.status}")
            return _failed(error, trace_id)
        return 200, _encode_json(answer)

    async def _forward(self, request: operations.Request, trace_id: int) -> tuple[int, bytes]:
        """Ask the first replica that is believed to be there, and while it does not answer a read, the next ones too.

        Once a write was sent, its outcome is the asked node's to tell: another one might refuse it, definitely.
        """
        self.forwarded_count += 1
        packed = operations.encode_request(request)
        is_read = isinstance(request, operations.Get | operations.Count)
        error: KvError = InternalError("nobody was asked")
        for attempt in range(RING_CHANGES_MAX):
            replicas, epoch = self._coordinators(request), self._ring.epoch
            if self._node in replicas:  # the ring has changed meanwhile
                return await self._coordinate(request, trace_id)
            reachable = [replica for replica in replicas if not self._is_dead(replica)]
            if not reachable:
                error = GatewayTimeout(f"all {len(replicas)} replicas of this key are dead", definite=True)
                break
            reachable.sort(key=self._is_alive, reverse=True)  # suspects last
            first = attempt % len(reachable)
            in_turn = reachable[first:] + reachable[:first] if is_read else [reachable[first]]
            try:
                answer = await self._ask_to_coordinate(in_turn, packed, trace_id, epoch)
            except TimeoutError as late:
                error = GatewayTimeout(f"asked to coordinate, {late}")
                break
            if isinstance(answer, Forwarded):
                return answer.status, answer.body
            why = answer.why if isinstance(answer, Refused) else "the ring changed"
            error = GatewayTimeout(f"nobody coordinates this request ({why})", definite=True)
        return _failed(error, trace_id)

    async def _ask_to_coordinate(self, peers: list[str], request: bytes, trace_id: int, epoch: int) -> Answer:
        def question(peer: str, id_: int) -> Forward:
            self._traces.note(trace_id, "forwarded the request to", peer)
            return Forward(id_, trace_id=trace_id, request=request, epoch=epoch)

        return await self._rpc.ask_in_turn(
            peers, question, pause_ms=FORWARD_PAUSE_MS, timeout_ms=FORWARD_TIMEOUT_MS
        )

    def on_forward(self, peer: str, message: Forward) -> None:
        """Coordinate for a peer, once, unless its ring is older than ours, or ours does not let us."""
        if not self.once.is_first(peer, message.id):
            return
        is_other = message.epoch != self._ring.epoch
        if is_other and self._refuse_other_epoch(peer, message.id, message.epoch):
            return
        if (is_other or self._incomplete) and self._node not in self._coordinators(
            operations.decode_request(message.request)
        ):
            why = f"does not know epoch {message.epoch} yet" if is_other else "is being refilled"
            self._runtime.network.send(peer, Refused(message.id, f"{self._node} {why}"))
            return
        self._runtime.spawn(self._answer_forward(peer, message), "forwarded request")

    async def _answer_forward(self, peer: str, message: Forward) -> None:
        try:
            status, body = await self._coordinate(
                operations.decode_request(message.request), message.trace_id
            )
        except Exception as error:  # noqa: BLE001 - a request that finds a fault in us must not end every node in turn
            self._runtime.log("internal_error", level="error", forwarded_by=peer, error=repr(error))
            fault = InternalError(f"{self._node} found a fault in itself; its log says more")
            status, body = _failed(fault, message.trace_id)
        self._runtime.network.send(peer, Forwarded(message.id, status, body))


def _failed(error: KvError, trace_id: int) -> tuple[int, bytes]:
    """The answer to a request that failed. It names its trace, as every answer does: a failure can be followed too."""
    return error.status, _encode_json(error.problem() | {"cause": f"{trace_id:016x}"})
