"""Routing: a client's request is coordinated here if this node may, else at one that may, whose answer is passed on.

Must not live here: coordinating (write.py, read.py), and HTTP (net/http.py).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kvnode import operations
from kvnode.config import FORWARD_PAUSE_MS, FORWARD_TIMEOUT_MS, ONCE_COUNT_MAX, RING_CHANGES_MAX
from kvnode.context import NodeContext
from kvnode.errors import GatewayTimeout, InternalError, KvError, NotAMember
from kvnode.messages import Answer, Forward, Forwarded, Refused
from kvnode.replication.read import Reader
from kvnode.replication.write import Writer
from kvnode.runtime import Clock, Handlers

_encode_json = msgspec.json.Encoder().encode


class OperationStats(msgspec.Struct, frozen=True):
    """The requests of clients that were coordinated here, and of all how many ended in an error of the server."""

    put: int
    get: int
    delete: int
    counter_post: int
    counter_get: int
    failed: int


class RequestRouter:
    """The clients' side of one node. counts: requests that were coordinated here, by what they asked for.

    may_be_complete: whether a member may hold all of a partition (handoff/refill.py).
    """

    def __init__(
        self,
        node: NodeContext,
        writer: Writer,
        reader: Reader,
        may_be_complete: Callable[[int, str], bool],
        *,
        message_age_ms_max: float,
    ) -> None:
        self._node = node
        self._writer = writer
        self._reader = reader
        self._may_be_complete = may_be_complete
        self.duplicates = DuplicateFilter(node.runtime.clock, age_ms_max=message_age_ms_max)
        self.forwarded_count = 0
        self.counts = dict.fromkeys(("put", "get", "delete", "add", "count", "failed"), 0)

    def handlers(self) -> Handlers:
        """What is done with each message that is for this component."""
        return {Forward: self.on_forward}

    def describe(self) -> OperationStats:
        """For /stats."""
        counts = self.counts
        return OperationStats(
            put=counts["put"],
            get=counts["get"],
            delete=counts["delete"],
            counter_post=counts["add"],
            counter_get=counts["count"],
            failed=counts["failed"],
        )

    async def serve(self, request: operations.Request, trace_id: int = 0) -> tuple[int, bytes]:
        """Serve a client's request here or at a node that holds the key: an HTTP status and a JSON body."""
        trace_id = trace_id or self._node.runtime.random.getrandbits(64)
        if not self._node.ring.is_member:
            return _failed(NotAMember(self._why_not_a_member()), trace_id)
        if self._node.name in self._coordinators(request):
            return await self._coordinate(request, trace_id)
        return await self._forward(request, trace_id)

    def _coordinators(self, request: operations.Request) -> tuple[str, ...]:
        """Who may coordinate: the owners; of a sloppy request only if they can be reached, or else fallbacks."""
        ring, is_alive = self._node.ring, self._node.members.is_alive
        owners = ring.preference_list(request.key)
        if isinstance(request, operations.Put | operations.Get) and request.sloppy:
            reachable = [name for name in ring.walk(request.key) if is_alive(name)]
            owners = tuple(name for name in reachable if name in owners) or tuple(reachable[: len(owners)])
        if self._node.incomplete and isinstance(request, operations.Put | operations.Add):
            return self._complete_ones(ring.partition_of(request.key), owners)
        return owners

    def _complete_ones(self, partition: int, owners: tuple[str, ...]) -> tuple[str, ...]:
        """A write builds on what its coordinator holds: so not this node while it is being refilled, if another can."""
        if partition not in self._node.incomplete:
            return owners
        others = [
            owner
            for owner in owners
            if owner != self._node.name
            and self._node.members.is_alive(owner)
            and self._may_be_complete(partition, owner)
        ]
        return tuple(others) or owners

    def _why_not_a_member(self) -> str:
        name, state = self._node.name, self._node.ring.state
        members = f"members are {', '.join(state.names)}"
        if name == state.joining:
            return f"{name} is joining and not a member yet; {members}"
        if self._node.records.row_count > 0 or name in state.before:
            return f"{name} is not a member any more (epoch {state.epoch}); {members}"
        return f"{name} is not a member yet; {members}"

    async def _coordinate(self, request: operations.Request, trace_id: int) -> tuple[int, bytes]:
        self._node.observer.coordinates(trace_id, type(request).__name__.lower())
        answer: operations.Answer
        try:
            match request:
                case operations.Put():
                    answer = await self._writer.put(request, trace_id)
                    self.counts["put" if request.value is not None else "delete"] += 1
                case operations.Get():
                    answer = await self._reader.get(request, trace_id)
                    self.counts["get"] += 1
                case operations.Add():
                    answer = await self._writer.add(request, trace_id)
                    self.counts["add"] += 1
                case operations.Count():
                    answer = await self._reader.count(request, trace_id)
                    self.counts["count"] += 1
        except KvError as error:
            self.counts["failed"] += error.status >= 500
            self._node.observer.failed(trace_id, error.status)
            return _failed(error, trace_id)
        return 200, _encode_json(answer)

    async def _forward(self, request: operations.Request, trace_id: int) -> tuple[int, bytes]:
        """Ask the first replica that is believed to be there, and while it does not answer a read, the next ones too.

        Once a write was sent, its outcome is the asked node's to tell: another one might refuse it, definitely.
        """
        self.forwarded_count += 1
        packed = operations.encode_request(request)
        is_read = isinstance(request, operations.Get | operations.Count)
        members = self._node.members
        error: KvError = InternalError("nobody was asked")
        for attempt in range(RING_CHANGES_MAX):
            replicas, epoch = self._coordinators(request), self._node.ring.epoch
            if self._node.name in replicas:  # the ring has changed meanwhile
                return await self._coordinate(request, trace_id)
            reachable = [replica for replica in replicas if not members.is_dead(replica)]
            if not reachable:
                error = GatewayTimeout(f"all {len(replicas)} replicas of this key are dead", definite=True)
                break
            reachable.sort(key=members.is_alive, reverse=True)  # suspects last
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
            self._node.observer.forwarded(trace_id, peer)
            return Forward(id_, trace_id=trace_id, request=request, epoch=epoch)

        return await self._node.rpc.ask_in_turn(
            peers, question, pause_ms=FORWARD_PAUSE_MS, timeout_ms=FORWARD_TIMEOUT_MS
        )

    def on_forward(self, peer: str, message: Forward) -> None:
        """Coordinate for a peer, once, unless its ring is older than ours, or ours does not let us."""
        if not self.duplicates.is_first(peer, message.id):
            return
        node = self._node
        is_other = message.epoch != node.ring.epoch
        if is_other and node.epochs.refuses_epoch(peer, message):
            return
        if (is_other or node.incomplete) and node.name not in self._coordinators(
            operations.decode_request(message.request)
        ):
            why = f"does not know epoch {message.epoch} yet" if is_other else "is being refilled"
            node.runtime.network.send(peer, Refused(message.id, f"{node.name} {why}"))
            return
        node.runtime.spawn(self._answer_forward(peer, message), "forwarded request")

    async def _answer_forward(self, peer: str, message: Forward) -> None:
        runtime = self._node.runtime
        try:
            status, body = await self._coordinate(
                operations.decode_request(message.request), message.trace_id
            )
        except Exception as error:  # noqa: BLE001 - a request that finds a fault in us must not end every node in turn
            runtime.log("internal_error", level="error", forwarded_by=peer, error=repr(error))
            fault = InternalError(f"{self._node.name} found a fault in itself; its log says more")
            status, body = _failed(fault, message.trace_id)
        runtime.network.send(peer, Forwarded(message.id, status, body))


def _failed(error: KvError, trace_id: int) -> tuple[int, bytes]:
    """The answer to a request that failed. It names its trace, as every answer does: a failure can be followed too."""
    trace = f"{trace_id:016x}"
    return error.status, _encode_json(error.problem() | {"trace_id": trace, "cause": trace})


class DuplicateFilter:
    """Which questions of which peers have arrived: those that must be acted on once, though the network doubles some.

    Most questions may come any number of times: records merge. A client's request that is coordinated twice is another
    matter: an increment counts twice, and what one of the two refuses definitely the other may write.

    A message arrives no later than a certain time after it was sent (runtime.Network), so ids are remembered for as
    long. (They never repeat: each life of a node begins to count at a random number, see rpc.py.)

    doubled_count: how many came again.
    Invariant: what arrived within the last age_ms_max is known, unless that were more than ONCE_COUNT_MAX.
    """

    def __init__(self, clock: Clock, *, age_ms_max: float) -> None:
        self._clock = clock
        self._age_ms_max = age_ms_max
        self._recent: set[tuple[str, int]] = set()
        self._older: set[tuple[str, int]] = set()
        self._began_ms = clock.now_ms()
        self.doubled_count = 0

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def is_first(self, peer: str, id_: int) -> bool:
        """Whether this question has not arrived before; from now on it has."""
        now_ms = self._clock.now_ms()
        if now_ms - self._began_ms > self._age_ms_max or len(self._recent) >= ONCE_COUNT_MAX:
            self._older, self._recent, self._began_ms = self._recent, set(), now_ms
        question = (peer, id_)
        if question in self._recent or question in self._older:
            self.doubled_count += 1
            return False
        self._recent.add(question)
        return True
