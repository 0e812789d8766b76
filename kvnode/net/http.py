"""The HTTP API of a node: from a request to its component, and from the answer to a response; two tables.

Guards first: a request whose Host is not a loopback name is refused, a body must be application/json, and what a web
page of another site asks for (Origin, Sec-Fetch-Site) is refused, but for a link that a person follows. So a page in
the same browser can neither drive the cluster nor keep it busy. Where the cluster has a token, every request must carry
it. Every error is an application/problem+json document.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any
from urllib.parse import unquote

from kvnode.config import (
    ASKED_SHARE,
    BODY_BYTES_MAX,
    EVERY_INTERFACE,
    KEYS_LIMIT_MAX,
    LISTING_ROWS,
    LOOPBACK_HOSTS,
    MAINTENANCE_ANSWER_MS,
)
from kvnode.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InternalError,
    KvError,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from kvnode.messages import COUNTER, KV
from kvnode.net import parse
from kvnode.net.connection import JSON, PROBLEM, Request, Response, response_of
from kvnode.net.heavy import HeavyReads
from kvnode.net.openapi import describe
from kvnode.net.views import Views
from kvnode.node import Node
from kvnode.operations import Put
from kvnode.records.listing import list_keys
from kvnode.throttle import Throttle

Result = tuple[int, bytes]
SetFaults = Callable[[parse.FaultsBody], dict[str, Any]]

_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_LOOPBACK = frozenset(host.encode() for host in (*LOOPBACK_HOSTS, "[::1]"))
_BODY_METHODS = frozenset(("PUT", "POST"))
_OUR_SITE = frozenset((b"same-origin", b"none"))


class Api:
    """The API of one node; `answer` serves one request."""

    def __init__(self, node: Node, views: Views, set_faults: SetFaults) -> None:
        self._node = node
        self._views = views
        self._set_faults = set_faults
        self._heavy = HeavyReads()
        hosts = {address.host for address in node.config.nodes}
        self._hosts = _LOOPBACK | {host.encode() for host in hosts} | {f"[{host}]".encode() for host in hosts}
        self._any_host = not hosts.isdisjoint(EVERY_INTERFACE)  # its names are not known; it has a token
        token = node.config.token
        self._token = None if token is None else token.encode()
        self._data: dict[bytes, Callable[[str, bytes, bytes, bytes], Awaitable[Result]]] = {
            b"kv": self._kv,
            b"counter": self._counter,
            b"trace": self._trace,
        }
        self._plain: dict[str, dict[str, Callable[[bytes, bytes], Any]]] = {
            "/health": {"GET": lambda body, query: self._no_query(query, views.health)},
            "/info": {"GET": lambda body, query: self._no_query(query, views.info)},
            "/members": {"GET": lambda body, query: self._no_query(query, views.members)},
            "/stats": {"GET": lambda body, query: self._no_query(query, views.stats)},
            "/ring": {"GET": self._ring},
            "/keys": {"GET": self._keys},
            "/merkle": {"GET": self._merkle},
            "/faults": {"POST": self._faults},
            "/repair": {"POST": self._repair},
            "/maintenance": {"POST": self._maintenance},
            "/upkeep": {"POST": self._maintenance},  # its earlier name
            "/cluster/join": {"POST": self._join},
            "/cluster/leave": {"POST": self._leave},
            "/openapi.json": {"GET": self._openapi},
        }

    async def answer(self, request: Request) -> Response:
        """Serve one request; whatever happens becomes a response."""
        content_type = JSON
        try:
            if request.path == b"/metrics":
                content_type = _TEXT
                status, body = 200, await self._metrics(request)
            else:
                status, body = await self._route(request)
        except KvError as error:
            return response_of(error, ends=self._ends)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not take the client's connection with it
            path = _printable(request.path)
            self._node.runtime.log("internal_error", level="error", path=path, error=repr(error))
            problem = InternalError("the node found a fault in itself; its log says more")
            return response_of(problem, ends=self._ends)
        return Response(status, content_type if status < 400 else PROBLEM, body, b"", self._ends)

    @property
    def _ends(self) -> bool:
        """A node that has left may end at any moment: nobody should send into a connection that ends with it."""
        return not self._node.ring.is_member

    async def _route(self, request: Request) -> Result:
        method = request.method
        self._guard(request)
        body = _body(request) if method in _BODY_METHODS else b""
        first, _, rest = request.path[1:].partition(b"/")
        data = self._data.get(first)
        if data is not None and rest:
            return await data(method, rest, body, request.query)
        path = unquote(request.path.decode())
        methods = self._plain.get(path)
        if methods is None:
            known = "/kv/{key}, /counter/{key}, /trace/{id}, /metrics, " + ", ".join(self._plain)
            raise NotFound(f"no such path {path[:128]!r}; known: {known}")
        serve = methods.get(method)
        if serve is None:
            raise _not_allowed(method, path, *methods)
        view = serve(body, request.query)
        return 200, parse.as_json(await view if isinstance(view, Awaitable) else view)

    def _guard(self, request: Request) -> None:
        header, method = request.headers.get, request.method
        if self._token is not None and not _carries(header(b"authorization", b""), self._token):
            raise Unauthorized("this cluster demands a token: send Authorization: Bearer TOKEN")
        content_type = header(b"content-type")
        if content_type and method in _BODY_METHODS and not _is_json(content_type):
            raise UnsupportedMediaType(
                f"content-type {_printable(content_type)!r}; expected application/json"
            )
        host = header(b"host", b"")
        if not self._is_ours(_host_name(host)):
            raise Forbidden(
                f"host {_printable(host)!r} is not a loopback name such as 127.0.0.1 or localhost"
            )
        site = header(b"sec-fetch-site", b"none")
        if method not in ("GET", "HEAD"):
            origin = header(b"origin")
            if site not in _OUR_SITE or (origin and not self._is_local(origin)):
                raise Forbidden("a page of another site may not change this cluster")
        elif site == b"cross-site" and header(b"sec-fetch-dest") != b"document":
            # It could not see the answer, but its reading would cost: only a person who follows a link may.
            raise Forbidden("a page of another site may not read from this cluster")

    def _is_ours(self, host: bytes) -> bool:
        return self._any_host or host in self._hosts

    def _is_local(self, origin: bytes) -> bool:
        scheme, _, host = origin.partition(b"://")
        return scheme in (b"http", b"https") and _host_name(host) in self._hosts

    @property
    def _n(self) -> int:
        """How many replicas each key has."""
        ring = self._node.ring
        return min(ring.replicas, len(ring.nodes))

    # --- data ---------------------------------------------------------------------------------------------

    async def _kv(self, method: str, rest: bytes, body: bytes, raw_query: bytes) -> Result:
        if method == "GET":
            if rest.endswith(b"/replicas"):
                return await self._replicas(KV, rest, raw_query)
            query = parse.query_of(raw_query, ("r", "sloppy", "repair")) if raw_query else {}
            return await self._node.serve(parse.get_of(parse.key_of(rest), query, self._n))
        if method == "PUT":
            query = parse.query_of(raw_query, ("w", "mode", "sloppy")) if raw_query else {}
            return await self._node.serve(self._put_of(parse.key_of(rest), body, query))
        if method == "DELETE":
            query = parse.query_of(raw_query, ("w", "context", "sloppy"))
            contexts = self._node.contexts
            return await self._node.serve(parse.delete_of(parse.key_of(rest), query, self._n, contexts))
        raise _not_allowed(method, "/kv/{key}", "GET", "PUT", "DELETE")

    def _put_of(self, key: str, body: bytes, query: parse.Query) -> Put:
        return parse.put_of(key, body, query, self._n, self._node.contexts)

    async def _counter(self, method: str, rest: bytes, body: bytes, raw_query: bytes) -> Result:
        if method == "GET":
            if rest.endswith(b"/replicas"):
                return await self._replicas(COUNTER, rest, raw_query)
            query = parse.query_of(raw_query, ("r", "repair")) if raw_query else {}
            return await self._node.serve(parse.count_of(parse.key_of(rest), query, self._n))
        if method == "POST":
            query = parse.query_of(raw_query, ("w",)) if raw_query else {}
            return await self._node.serve(parse.add_of(parse.key_of(rest), body, query, self._n))
        raise _not_allowed(method, "/counter/{key}", "GET", "POST")

    async def _replicas(self, kind: str, rest: bytes, raw_query: bytes) -> Result:
        parse.query_of(raw_query, ())
        key = parse.key_of(rest.removesuffix(b"/replicas"))
        return 200, parse.as_json(await self._views.replicas(kind, key))

    async def _trace(self, method: str, rest: bytes, body: bytes, raw_query: bytes) -> Result:
        parse.query_of(raw_query, ())
        if method != "GET":
            raise _not_allowed(method, "/trace/{id}", "GET")
        return 200, parse.as_json(await self._views.trace(parse.trace_id_of(rest)))

    # --- the rest -----------------------------------------------------------------------------------------

    def _no_query(self, query: bytes, view: Callable[[], Any]) -> Any:
        parse.query_of(query, ())
        return view()

    def _ring(self, body: bytes, raw_query: bytes) -> Any:
        return self._views.ring(parse.query_of(raw_query, ("key",)).get("key"))

    async def _keys(self, body: bytes, raw_query: bytes) -> Any:
        query = parse.query_of(raw_query, ("prefix", "after", "limit", "kind"))
        kind = query.get("kind", KV)
        if kind not in (KV, COUNTER):
            raise BadRequest(f"kind={kind[:32]}: expected kv or counter")
        limit = parse.number_of(query, "limit", 1, KEYS_LIMIT_MAX) or 100
        prefix, after = query.get("prefix", ""), query.get("after", "")
        async with self._heavy.one():
            throttle = Throttle(self._node.runtime.clock, LISTING_ROWS, lambda: ASKED_SHARE)
            keys = await list_keys(
                self._node.records, kind, prefix=prefix, after=after, limit=limit, throttle=throttle
            )
        return {"node": self._node.name, "keys": keys, "next": keys[-1] if len(keys) == limit else None}

    def _faults(self, body: bytes, raw_query: bytes) -> Any:
        parse.query_of(raw_query, ())
        known = {node.name for node in (*self._node.ring.state.everybody, *self._node.config.nodes)}
        peers = tuple(sorted(known - {self._node.name}))
        return self._set_faults(parse.faults_of(body, peers))

    async def _merkle(self, body: bytes, raw_query: bytes) -> Any:
        query = parse.query_of(raw_query, ("partition", "peer"))
        partition = parse.number_of(query, "partition", 0, self._node.ring.partitions - 1)
        peer = query.get("peer")
        if peer is not None and (peer == self._node.name or peer not in self._node.ring.nodes):
            raise BadRequest(
                f"peer={peer[:64]}: no peer of this node; nodes: {', '.join(self._node.ring.nodes)}"
            )
        if peer is not None and partition is None:
            raise BadRequest("a comparison with a peer needs ?partition= as well")
        async with self._heavy.one():
            return await self._views.merkle(partition, peer)

    def _openapi(self, body: bytes, raw_query: bytes) -> Any:
        parse.query_of(raw_query, ())
        ring = self._node.ring
        peers = [name for name in ring.nodes if name != self._node.name]
        return describe(self._n, peers, ring.partitions)

    async def _repair(self, body: bytes, raw_query: bytes) -> Any:
        parse.query_of(raw_query, ())
        return {"node": self._node.name, "differing_partitions": await self._node.exchange.with_all()}

    async def _maintenance(self, body: bytes, raw_query: bytes) -> Any:
        parse.query_of(raw_query, ())
        works = parse.works_of(body)
        told = await self._node.maintenance.begin(works, patience_ms=MAINTENANCE_ANSWER_MS)
        return {"node": self._node.name, "maintenance": told}

    async def _join(self, body: bytes, raw_query: bytes) -> Any:
        parse.query_of(raw_query, ())
        config = self._node.config
        joiner = parse.joiner_of(body, loopback_only=not (config.secret and config.token))
        if not config.secret:
            raise Conflict(
                "this node was started without a secret, so no other can join it: put one into the cluster file"
                " that both are given, and start both anew"
            )
        return await self._node.changes.join(joiner)

    async def _leave(self, body: bytes, raw_query: bytes) -> Any:
        parse.query_of(raw_query, ())
        leaver = parse.leaver_of(body)
        return await self._node.changes.leave(leaver.node, force=leaver.force)

    async def _metrics(self, request: Request) -> bytes:
        self._guard(request)
        if request.method != "GET":
            raise _not_allowed(request.method, "/metrics", "GET")
        parse.query_of(request.query, ())
        # Not at the start, which it would delay; nor in one turn of the loop, which it would hold.
        metrics = await asyncio.to_thread(import_module, "kvnode.net.metrics")
        text: bytes = metrics.exposition(self._views.stats())
        return text


def _not_allowed(method: str, path: str, *methods: str) -> MethodNotAllowed:
    expected = " or ".join((", ".join(methods[:-1]), methods[-1])) if len(methods) > 1 else methods[0]
    return MethodNotAllowed(f"{method} {path}: expected {expected}", allow=methods)


def _body(request: Request) -> bytes:
    """The body, which must be within its bound and say that it is JSON."""
    body = request.body
    if body is None:
        raise TooLarge(f"the body has more than {BODY_BYTES_MAX} bytes")
    if body and b"content-type" not in request.headers:
        raise UnsupportedMediaType("a body without a content-type; expected application/json")
    return body


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == b"application/json"


def _carries(authorization: bytes, token: bytes) -> bool:
    """Whether this header carries the token; takes equally long whatever it carries."""
    scheme, _, shown = authorization.partition(b" ")
    return hmac.compare_digest(shown.strip(), token) and scheme.lower() == b"bearer"


def _host_name(host: bytes) -> bytes:
    if host.startswith(b"["):
        return host.partition(b"]")[0] + b"]"
    return host.partition(b":")[0].lower()


def _printable(value: bytes) -> str:
    return value[:128].decode("ascii", "replace")
