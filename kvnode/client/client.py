"""The client for people: one call, one answer, errors that say what happened and whether it is definite.

    client = Client(["http://127.0.0.1:9999", "http://127.0.0.1:10000"])
    client.put("greeting", "hello")
    client.get("greeting")["value"]

A call without `node` goes to the node that served last. If that refuses the connection, nothing can have
happened there, so the next one is asked. A read also goes on after silence. A write never does: a node that
took the request and fell silent may have applied it, so the error says `definite=False` and the caller
decides. Safe in several threads.

Must not live here: load (a thread does a few hundred calls a second); see traffic/
for that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, urlsplit

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from kvnode.client import shapes
from kvnode.errors import BadRequest, KvError, Unreachable, from_problem

CONNECT_TIMEOUT_S = 1.0
FAILOVER_AFTER_S = 2.5  # a node gives up on its replicas after 2 s; one silent for longer is paused or gone
KEYS_PER_PAGE = 1000

Node = int | str
"""A node by its place in the list of URLs (from 0), its URL, or its name."""


class Client:
    """Talks to any of several nodes. The `.extra["trace_id"]` of an error names the failed request's trace.

    nodes: base URLs, or one. names: what the nodes are called, in the same order; by default node-1,
    node-2, … timeout_s: how long one node may be silent before the call gives up on it. token: what a
    cluster that listens beyond loopback demands.
    """

    def __init__(
        self,
        nodes: Sequence[str] | str,
        *,
        names: Sequence[str] | None = None,
        timeout_s: float = 5.0,
        token: str | None = None,
    ) -> None:
        urls = [nodes] if isinstance(nodes, str) else list(nodes)
        self.nodes = tuple(_checked_url(url) for url in urls)
        self.names = tuple(names) if names else tuple(f"node-{i + 1}" for i in range(len(urls)))
        self.timeout_s = timeout_s
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if not self.nodes or len(self.names) != len(self.nodes):
            raise BadRequest(
                f"expected at least one node and as many names; got {urls} and {list(self.names)}"
            )
        self._preferred = 0
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"Client({list(self.nodes)!r})"

    # --- values -----------------------------------------------------------------------------------------

    def put(
        self,
        key: str,
        value: Any,
        *,
        context: str | None = None,
        r: int | None = None,
        w: int | None = None,
        mode: str | None = None,
        sloppy: bool = False,
        node: Node | None = None,
    ) -> shapes.PutAnswer:
        """Write any JSON value. With the context of a GET it supersedes exactly what that GET saw.

        sloppy: others may stand in for owners that cannot be reached; r + w > N promises nothing then.

        Raises QuorumUnmet (`.definite` says whether it may have been applied), Conflict, BadRequest,
        TooLarge.
        """
        body = {"value": value} if context is None else {"value": value, "context": context}
        params = {"r": r, "w": w, "mode": mode, "sloppy": "true" if sloppy else None}
        answer = self._call("PUT", _path("kv", key), node, body=body, params=params)
        return cast(shapes.PutAnswer, answer)

    def get(
        self,
        key: str,
        *,
        r: int | None = None,
        sloppy: bool = False,
        repair: bool = True,
        node: Node | None = None,
    ) -> shapes.GetAnswer:
        """Read a key from r replicas. NotFound, after a delete, still has `.extra["context"]`.

        repair=False: a replica that is found behind is left so, for whoever wants to watch it.
        """
        params = {"r": r, "sloppy": "true" if sloppy else None, "repair": None if repair else "false"}
        return cast(shapes.GetAnswer, self._call("GET", _path("kv", key), node, params=params))

    def delete(
        self,
        key: str,
        *,
        context: str | None = None,
        w: int | None = None,
        sloppy: bool = False,
        node: Node | None = None,
    ) -> shapes.PutAnswer:
        """Delete a key: a write like any other, of a tombstone."""
        params = {"w": w, "context": context, "sloppy": "true" if sloppy else None}
        answer = self._call("DELETE", _path("kv", key), node, params=params)
        return cast(shapes.PutAnswer, answer)

    def replicas(self, key: str, *, node: Node | None = None) -> shapes.ReplicasAnswer:
        """What each replica holds now: no quorum, no repair."""
        return cast(shapes.ReplicasAnswer, self._call("GET", _path("kv", key) + "/replicas", node))

    def keys(self, prefix: str = "", *, node: Node | None = None, kind: str | None = None) -> Iterator[str]:
        """The keys that one node holds, sorted, fetched page by page. kind: "kv" or "counter"."""
        node = self._preferred if node is None else node
        after: str | None = None
        while True:
            params = {"prefix": prefix or None, "after": after, "limit": KEYS_PER_PAGE, "kind": kind}
            page = self._call("GET", "/keys", node, params=params)
            yield from page["keys"]
            after = page["next"]
            if after is None:
                return

    # --- counters ---------------------------------------------------------------------------------------

    def increment(
        self,
        key: str,
        actor: str | None = None,
        increments: int = 1,
        decrements: int = 0,
        *,
        w: int | None = None,
        node: Node | None = None,
    ) -> shapes.IncrementAnswer:
        """Send the running totals of `actor`, which has one writer; sending them again counts nothing
        twice. Without an actor: add so much once, and once more with every retry.
        """
        body: dict[str, Any] = {"actor": actor, "increments": increments, "decrements": decrements}
        if actor is None:
            body = {"increment": increments, "decrement": decrements}
        answer = self._call("POST", _path("counter", key), node, body=body, params={"w": w})
        return cast(shapes.IncrementAnswer, answer)

    def counter(
        self, key: str, *, r: int | None = None, repair: bool = True, node: Node | None = None
    ) -> shapes.CounterAnswer:
        """Read a counter from r replicas; an unknown one is 0. repair: as for `get`."""
        params = {"r": r, "repair": None if repair else "false"}
        return cast(shapes.CounterAnswer, self._call("GET", _path("counter", key), node, params=params))

    def counter_replicas(self, key: str, *, node: Node | None = None) -> shapes.CounterReplicasAnswer:
        """What each replica of a counter knows now."""
        path = _path("counter", key) + "/replicas"
        return cast(shapes.CounterReplicasAnswer, self._call("GET", path, node))

    # --- one node about itself --------------------------------------------------------------------------

    def health(self, node: Node | None = None) -> shapes.Health:
        """Whether a node answers, and how it sees the others."""
        return cast(shapes.Health, self._call("GET", "/health", node))

    def info(self, node: Node | None = None) -> shapes.Info:
        """Who a node is."""
        return cast(shapes.Info, self._call("GET", "/info", node))

    def ring(self, node: Node | None = None, key: str | None = None) -> shapes.Ring:
        """Who holds what, and where `key` lies."""
        return cast(shapes.Ring, self._call("GET", "/ring", node, params={"key": key}))

    def members(self, node: Node | None = None) -> shapes.MembersAnswer:
        """A node's member table."""
        return cast(shapes.MembersAnswer, self._call("GET", "/members", node))

    def merkle(
        self, node: Node | None = None, *, partition: int | None = None, peer: str | None = None
    ) -> dict[str, Any]:
        """A node's Merkle roots, one by partition; or one tree, and where it differs from a peer's."""
        return self._call("GET", "/merkle", node, params={"partition": partition, "peer": peer})

    def stats(self, node: Node | None = None) -> dict[str, Any]:
        """Everything a node counts; kvnode/net/views.py puts it together."""
        return self._call("GET", "/stats", node)

    def trace(self, trace_id: str, *, node: Node | None = None) -> shapes.TraceAnswer:
        """What the nodes noted of one request, by the `trace_id` of its answer or of its error."""
        return cast(shapes.TraceAnswer, self._call("GET", _path("trace", trace_id), node))

    def maintain(self, *work: str, node: Node | None = None) -> shapes.MaintenanceAnswer:
        """Begin works now at one node: repair, sweep, checkpoint, scrub; all of them if none is named.

        Waits a moment for their end; `stats(node)["maintenance"]` tells how they go on.
        """
        body = {"work": list(work)} if work else None
        return cast(shapes.MaintenanceAnswer, self._call("POST", "/maintenance", node, body=body))

    def faults(self, node: Node, rules: Mapping[str, Mapping[str, Any]]) -> shapes.FaultsAnswer:
        """Replace a node's outgoing rules. A cluster's supervisor does this for you, and remembers it."""
        return cast(shapes.FaultsAnswer, self._call("POST", "/faults", node, body={"rules": rules}))

    def join(
        self, name: str, *, http_port: int, peer_port: int, host: str = "127.0.0.1", node: Node | None = None
    ) -> shapes.ChangeAnswer:
        """Admit a node that was started as joining. Answers at once; `ring()` tells when it is a member.

        A local cluster does this for you: kvnode.cluster.LocalCluster.join().
        """
        body = {"name": name, "host": host, "http_port": http_port, "peer_port": peer_port}
        return cast(shapes.ChangeAnswer, self._call("POST", "/cluster/join", node, body=body))

    def leave(self, name: str, *, force: bool = False, node: Node | None = None) -> shapes.ChangeAnswer:
        """Let a member hand its data over and go; force: it is dead. Answers at once, as `join`."""
        body = {"node": name, "force": force}
        return cast(shapes.ChangeAnswer, self._call("POST", "/cluster/leave", node, body=body))

    # --- inside -----------------------------------------------------------------------------------------

    def _call(
        self,
        method: str,
        path: str,
        node: Node | None,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        is_read = method == "GET"
        query = {name: value for name, value in (params or {}).items() if value is not None}
        if node is None:
            first = self._preferred
            candidates = [(first + i) % len(self.nodes) for i in range(len(self.nodes))]
        else:
            candidates = [self._index(node)]
        silent: list[str] = []
        for place, index in enumerate(candidates):
            is_last = place == len(candidates) - 1
            patience_s = min(self.timeout_s, FAILOVER_AFTER_S) if is_read and not is_last else self.timeout_s
            try:
                response = self._session.request(
                    method,
                    self.nodes[index] + path,
                    json=body,
                    params=query,
                    headers=self._headers,
                    timeout=(min(CONNECT_TIMEOUT_S, self.timeout_s), patience_s),
                    allow_redirects=False,
                )
            except (requests.exceptions.InvalidJSONError, TypeError) as error:
                raise BadRequest(f"value: not JSON ({error})") from None
            except requests.RequestException as error:
                why = f"{self._label(index)} {_what_failed(error, patience_s)}"
                if not is_read and not _never_arrived(error):
                    raise Unreachable(f"{why}; the write may have been applied", definite=False) from None
                silent.append(why)
                continue
            if node is None:
                self._preferred = index
            return _decoded(response, self._label(index))
        raise Unreachable("; ".join(silent))

    @property
    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # a proxy of the environment cannot reach this computer's loopback
        return session

    def _index(self, node: Node) -> int:
        if isinstance(node, int) and 0 <= node < len(self.nodes):
            return node
        if isinstance(node, str):
            if node in self.names:
                return self.names.index(node)
            if node.rstrip("/") in self.nodes:
                return self.nodes.index(node.rstrip("/"))
        known = ", ".join(f"{name} ({url})" for name, url in zip(self.names, self.nodes, strict=True))
        raise BadRequest(f"no node {node!r}; there are {known}, or 0 to {len(self.nodes) - 1}")

    def _label(self, index: int) -> str:
        return f"{self.names[index]} ({self.nodes[index]})"


def _path(room: str, key: str) -> str:
    if not isinstance(key, str) or not key:
        raise BadRequest(f"key: expected a text of at least one character, got {key!r}")
    if key in (".", ".."):
        raise BadRequest(f"key: {key!r} is a step in a path for HTTP libraries, so it cannot be a key here")
    return f"/{room}/{quote(key, safe='')}"


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise BadRequest(f"node {url!r}: expected a URL such as http://127.0.0.1:9999")
    return url.rstrip("/")


def _decoded(response: requests.Response, label: str) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        kind = response.headers.get("Content-Type", "no content type")
        raise KvError(f"{label} answered {response.status_code} with {kind}, not JSON; is it a kvnode?")
    if response.status_code != 200:
        raise from_problem(body, response.status_code)
    return body


def _never_arrived(error: requests.RequestException) -> bool:
    """Whether no connection was made, so that the node cannot have seen the request."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _what_failed(error: requests.RequestException, patience_s: float) -> str:
    if _never_arrived(error):
        return "takes no connections"
    if isinstance(error, requests.Timeout):
        return f"did not answer within {patience_s:g} s"
    return "closed the connection without an answer"
