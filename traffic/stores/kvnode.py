"""The Store and the Observer over kvnode's HTTP API. The only file of the traffic that knows that API.

Here: paths, bodies, and what an answer means.
Must not live here: connections (http.py), retries and choosing (load/driver.py).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec

from kvnode.checkers import UNREACHABLE, Digests, agree
from traffic.discovery import Address, NoCluster
from traffic.operations import Mode
from traffic.stores import kvnode_shapes as shapes
from traffic.stores.base import (
    CounterReply,
    GetReply,
    Members,
    NotAMember,
    NotFound,
    Observed,
    PutReply,
    ReplicaSeen,
    StoreError,
    TraceEvent,
)
from traffic.stores.http import Answer, HttpError, Pool

TIMEOUT_S = 3.0
POLL_CONNECTIONS_MAX = 8
POLL_TIMEOUT_S = 0.9
FOLLOWERS_MAX = 4
MAINTENANCE_TIMEOUT_S = 30.0
REPLICAS_DEFAULT = 3
TOKEN = "QUORUM_LAB_TOKEN"
"""The environment variable with the token that a cluster beyond loopback demands."""
NOT_A_MEMBER = "Not a member"

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class KvnodeStore:
    """Nodes by name. `names` and `urls` belong together, in order. token: by default that of the environment."""

    def __init__(
        self,
        urls: Sequence[str],
        names: Sequence[str] | None = None,
        *,
        replicas: int | None = None,
        connections_max: int = 32,
        poll_connections_max: int = POLL_CONNECTIONS_MAX,
        token: str | None = None,
    ) -> None:
        if not urls:
            raise ValueError("expected at least one node URL, got none")
        given = list(names) if names else [f"node-{index}" for index in range(1, len(urls) + 1)]
        self.urls: dict[str, str] = {}  # of those that were dismissed, too
        self._nodes: tuple[str, ...] = ()
        self._cluster = ""
        self._replicas = min(replicas or REPLICAS_DEFAULT, len(given))
        self._connections_max = connections_max
        self._poll_connections_max = poll_connections_max
        self._token = token or os.environ.get(TOKEN)
        self._pools: dict[str, Pool] = {}
        self._polls: dict[str, Pool] = {}
        # Night work takes seconds: with connections of its own, nothing else waits behind it.
        self._maintenance: dict[str, Pool] = {}
        # Somebody follows a tweet while a node is dead: the others wait for it longer than a look at health may take.
        self._following: dict[str, Pool] = {}
        self._replaced: list[Pool] = []
        for name, url in zip(given, urls, strict=True):
            self.admit(name, url)
        self._decode_get = msgspec.json.Decoder(GetReply).decode
        self._decode_put = msgspec.json.Decoder(PutReply).decode
        self._decode_added = msgspec.json.Decoder(shapes.Added).decode

    @property
    def nodes(self) -> Sequence[str]:
        return self._nodes

    @property
    def replicas(self) -> int:
        return self._replicas

    @property
    def cluster(self) -> str:
        return self._cluster

    def apart(self, connections_max: int) -> KvnodeStore:
        nodes, n = self._nodes, connections_max
        urls = [self.urls[node] for node in nodes]
        return KvnodeStore(
            urls,
            nodes,
            replicas=self._replicas,
            connections_max=n,
            poll_connections_max=n,
            token=self._token,
        )

    async def learn(self) -> bool:
        for node in self._nodes:
            try:
                answer = await self._ask(self._polls, node, "GET", "/info")
                info = _decoded(node, answer, shapes.Info)
            except StoreError:
                continue
            self._replicas, self._cluster = info.replicas, info.cluster_id
            return True
        return False

    def url(self, node: str) -> str:
        return self.urls[node]

    def admit(self, node: str, url: str) -> None:
        url = url.rstrip("/")
        if self.urls.get(node) != url:
            for pools, connections_max, timeout_s in (
                (self._pools, self._connections_max, TIMEOUT_S),
                (self._polls, self._poll_connections_max, POLL_TIMEOUT_S),
                (self._maintenance, 1, MAINTENANCE_TIMEOUT_S),
                (self._following, FOLLOWERS_MAX, TIMEOUT_S),
            ):
                if node in pools:
                    self._replaced.append(pools[node])
                pools[node] = Pool(
                    url, connections_max=connections_max, timeout_s=timeout_s, token=self._token
                )
            self.urls[node] = url
        if node not in self._nodes:
            self._nodes = (*self._nodes, node)

    def dismiss(self, node: str) -> None:
        self._nodes = tuple(name for name in self._nodes if name != node)

    def has_room(self, node: str) -> bool:
        return self._pools[node].has_room

    # --- Store --------------------------------------------------------------------------------------------

    async def put(
        self,
        node: str,
        key: str,
        value: str,
        *,
        w: int,
        context: str | None = None,
        mode: Mode | None = None,
    ) -> PutReply:
        body = _encode(shapes.PutBody(value, context))
        target = f"/kv/{_quoted(key)}?w={w}"
        answer = await self._ask(self._pools, node, "PUT", f"{target}&mode={mode}" if mode else target, body)
        try:
            return self._decode_put(answer.body)
        except msgspec.MsgspecError as error:
            raise _nonsense(node, error) from None

    async def get(self, node: str, key: str, *, r: int, repair: bool = True) -> GetReply:
        target = f"/kv/{_quoted(key)}?r={r}"
        answer = await self._ask(self._pools, node, "GET", target if repair else f"{target}&repair=false")
        try:
            return self._decode_get(answer.body)
        except msgspec.MsgspecError as error:
            raise _nonsense(node, error) from None

    async def add(
        self, node: str, key: str, *, actor: str, increments: int, decrements: int = 0, w: int
    ) -> CounterReply:
        body = _encode(shapes.AddBody(actor, increments, decrements))
        answer = await self._ask(self._pools, node, "POST", f"/counter/{_quoted(key)}?w={w}", body)
        try:
            return self._decode_added(answer.body).reply
        except msgspec.MsgspecError as error:
            raise _nonsense(node, error) from None

    async def counter(self, node: str, key: str, *, r: int) -> CounterReply:
        answer = await self._ask(self._pools, node, "GET", f"/counter/{_quoted(key)}?r={r}")
        return _decoded(node, answer, CounterReply)

    async def keys(self, node: str, *, prefix: str, after: str, limit: int) -> list[str]:
        target = f"/keys?prefix={_quoted(prefix)}&after={_quoted(after)}&limit={limit}&kind=kv"
        answer = await self._ask(self._polls, node, "GET", target)
        return _decoded(node, answer, shapes.Keys).keys

    async def repair(self, node: str) -> None:
        await self._ask(self._maintenance, node, "POST", "/repair")

    async def sweep(self, node: str) -> None:
        await self._ask(self._maintenance, node, "POST", "/maintenance", b'{"work": ["sweep"]}')

    async def close(self) -> None:
        for pools in (self._pools, self._polls, self._maintenance, self._following):
            for pool in pools.values():
                await pool.close()
        for pool in self._replaced:
            await pool.close()

    # --- Observer -----------------------------------------------------------------------------------------

    async def health(self, node: str) -> Mapping[str, str]:
        answer = await self._ask(self._polls, node, "GET", "/health")
        return _decoded(node, answer, shapes.Health).members

    async def stats(self, node: str) -> Observed:
        answer = await self._ask(self._polls, node, "GET", "/stats")
        stats = _decoded(node, answer, shapes.Stats)
        return Observed(
            members={},
            hints_pending=stats.hints.pending_total,
            keys=stats.keys,
            replication_lag_ms=stats.replication_lag,
        )

    async def members(self, node: str) -> Members:
        ring = _decoded(node, await self._ask(self._polls, node, "GET", "/ring"), shapes.Ring)
        return Members(ring.epoch, ring.members, ring.urls)

    async def replicas_agree(self, node: str, key: str, *, counter: bool) -> bool:
        return agree(await self.digests(node, key, counter=counter))

    async def seen_by_replicas(self, node: str, key: str) -> list[ReplicaSeen]:
        answer = await self._ask(self._following, node, "GET", f"/kv/{_quoted(key)}/replicas")
        return _decoded(node, answer, shapes.Seen).replicas

    async def digests(self, node: str, key: str, *, counter: bool) -> Digests:
        target = f"/{'counter' if counter else 'kv'}/{_quoted(key)}/replicas"
        answer = await self._ask(self._polls, node, "GET", target)
        return {
            replica.node: replica.digest if replica.reachable else UNREACHABLE
            for replica in _decoded(node, answer, shapes.Replicas).replicas
        }

    async def trace(self, node: str, trace_id: str) -> list[TraceEvent]:
        told = _decoded(node, await self._ask(self._polls, node, "GET", f"/trace/{trace_id}"), shapes.Trace)
        began_ms = told.began or 0.0
        return [TraceEvent(one.node, began_ms + one.at_ms, one.event, one.peer) for one in told.events]

    # --- inside -------------------------------------------------------------------------------------------

    async def _ask(
        self, pools: Mapping[str, Pool], node: str, method: str, target: str, body: bytes | None = None
    ) -> Answer:
        try:
            answer = await pools[node].request(method, target, body)
        except HttpError as error:
            raise StoreError(node, str(error), definite=error.definite) from None
        if answer.status == 200:
            return answer
        raise _failure(node, answer)


async def connect(addresses: Sequence[Address]) -> KvnodeStore:
    """A store over these nodes. Names and N come from /info where a node answers, else from the order and the
    default, so that traffic can also wait for a cluster that is not up yet."""
    infos = await asyncio.gather(*(_info(address.url) for address in addresses))
    names = [
        info.name if info else address.name or f"node-{index}"
        for index, (address, info) in enumerate(zip(addresses, infos, strict=True), 1)
    ]
    if len(set(names)) < len(names):
        raise NoCluster(f"two of these URLs lead to the same node: {', '.join(names)}")
    replicas = next((info.replicas for info in infos if info), None)
    return KvnodeStore([address.url for address in addresses], names, replicas=replicas)


async def _info(url: str) -> shapes.Info | None:
    pool = Pool(url, connections_max=1, timeout_s=POLL_TIMEOUT_S, token=os.environ.get(TOKEN))
    try:
        answer = await pool.request("GET", "/info")
        return msgspec.json.decode(answer.body, type=shapes.Info)
    except (HttpError, msgspec.MsgspecError):
        return None
    finally:
        await pool.close()


def _quoted(text: str) -> str:
    """Percent-encoded for one path segment. Keys of workloads are plain words and slashes: five times
    faster."""
    plain = text.replace("/", "a").replace("-", "a").replace("_", "a")
    if plain.isalnum() and text.isascii():
        return text.replace("/", "%2F")
    return quote(text, safe="")


def _decoded(node: str, answer: Answer, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=shape)
    except msgspec.MsgspecError as error:
        raise _nonsense(node, error) from None


def _nonsense(node: str, error: msgspec.MsgspecError) -> StoreError:
    return StoreError(node, f"an answer that makes no sense: {error}", definite=False)


def _failure(node: str, answer: Answer) -> StoreError:
    try:
        problem = msgspec.json.decode(answer.body, type=shapes.Problem)
    except msgspec.MsgspecError:
        problem = shapes.Problem(detail=f"HTTP status {answer.status} without a problem document")
    # A refusal of the request itself (4xx) never reached a replica, whatever the body forgot to say.
    definite = problem.definite or 400 <= answer.status < 500
    detail = problem.detail or problem.title
    if answer.status == 404:
        return NotFound(node, detail, siblings=problem.siblings)
    if answer.status == 503 and problem.title == NOT_A_MEMBER:
        return NotAMember(node, detail)
    return StoreError(node, detail, definite=definite, status=answer.status)
