"""GET /openapi.json: the API of a node, described for tools (OpenAPI 3.1).

Written by hand beside net/http.py: a test compares its paths and methods with what the node serves, and
schemathesis holds the answers against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import kvnode
from kvnode.config import (
    ACTOR_BYTES_MAX,
    CONTEXT_TEXT_MAX,
    COUNTER_TOTAL_MAX,
    KEY_BYTES_MAX,
    KEYS_LIMIT_MAX,
    LOOPBACK_HOSTS,
    MAINTENANCE_TASKS,
)
from kvnode.faults import BYTES_PER_S_MAX, DELAY_MS_MAX, DISTRIBUTIONS
from kvnode.operations import MODES

Schema = dict[str, Any]

_PROBLEMS = {
    400: "What was sent makes no sense; the detail says what and where, and what was expected",
    401: "The cluster demands a token, and the request does not carry it",
    403: "A foreign Host or Origin",
    404: "No such key, path or story (after a DELETE still with a context)",
    405: "No such method here",
    408: "The request did not arrive within its time",
    409: "Too many siblings or actors, or another change of the ring is under way: resolve that first",
    413: "A body or value beyond its bound",
    415: "A body that is not application/json",
    429: "A bounded queue is full",
    431: "The head of the request is beyond its bound",
    503: "Fewer replicas answered than asked for: need and got; or as many connections as there may be",
    504: "The replica that was asked to coordinate did not answer",
}
_ALWAYS = (400, 401, 403, 405, 408, 429, 431, 503)


def _string(**more: Any) -> Schema:
    return {"type": "string", **more}


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _query(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def _body(properties: Schema, required: list[str] | None = None) -> Schema:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _operation(
    summary: str,
    *,
    problems: tuple[int, ...] = (),
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    media_type: str = "application/json",
    answer: Schema | None = None,
) -> Schema:
    responses: dict[str, Schema] = {
        "200": {"description": "As asked", "content": {media_type: {"schema": answer or {"type": "object"}}}}
    }
    for status in sorted({*_ALWAYS, *problems}):
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[str(status)] = {"description": _PROBLEMS[status], "content": content}
    operation: Schema = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


@dataclass(frozen=True)
class _Node:
    """What the document depends on. n: replicas of a key; peers: the other nodes; partitions: how many there are."""

    n: int
    peers: list[str]
    partitions: int

    @property
    def r(self) -> Schema:
        return _query("r", _whole(1, self.n), "how many replicas must answer")

    @property
    def w(self) -> Schema:
        return _query("w", _whole(1, self.n), "how many replicas must make it durable")


_QUORUM = (404, 409, 413, 415, 429, 503, 504)
# The limit counts bytes of UTF-8: a key of as many characters may be too long, and is then told so by a 400.
_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "schema": _string(minLength=1, maxLength=KEY_BYTES_MAX),
    "description": f"1 to {KEY_BYTES_MAX} bytes of UTF-8, percent-encoded",
}
_TRACE = {"name": "id", "in": "path", "required": True, "schema": _string(pattern="^[0-9a-f]{1,16}$")}
_REPAIR = _query(
    "repair", {"type": "boolean"}, "whether to mend replicas that are found behind (read repair)"
)
_SLOPPY = _query("sloppy", {"type": "boolean"}, "others may stand in for owners; needs more than N nodes")
_MODE = _query("mode", _string(enum=list(MODES)), "what a PUT without a context supersedes")
_CONTEXT = _string(maxLength=CONTEXT_TEXT_MAX)
_DELAY_MS = {"type": "number", "minimum": 0, "maximum": DELAY_MS_MAX}
_RULE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "delay_ms": _DELAY_MS,
        "jitter_ms": _DELAY_MS,
        "loss": {"type": "number", "minimum": 0, "maximum": 1},
        "bytes_per_s": {"type": "number", "minimum": 0, "maximum": BYTES_PER_S_MAX},
        "cut": {"type": "boolean"},
        "distribution": _string(enum=list(DISTRIBUTIONS)),
    },
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "definite"],
    "properties": {
        "type": _string(),
        "title": _string(),
        "status": {"type": "integer"},
        "detail": _string(),
        "definite": {"type": "boolean", "description": "true: no replica can have applied the write"},
        "trace_id": _string(
            pattern="^[0-9a-f]{16}$",
            description="of a request that reached the database: see /trace/{id}",
        ),
        "cause": _string(pattern="^[0-9a-f]{16}$", description="trace_id under its earlier name"),
    },
}


def _values(node: _Node) -> Schema:
    return {
        "/kv/{key}": {
            "parameters": [_KEY],
            "get": _operation(
                "Read a key from r replicas",
                problems=(404, 429, 503, 504),
                parameters=[node.r, _SLOPPY, _REPAIR],
            ),
            "put": _operation(
                "Write a key to all replicas, acknowledged by w",
                problems=_QUORUM,
                parameters=[node.w, _MODE, _SLOPPY],
                body=_body({"value": {}, "context": _CONTEXT}, ["value"]),
            ),
            "delete": _operation(
                "Delete a key; a tombstone stays",
                problems=_QUORUM,
                parameters=[node.w, _SLOPPY, _query("context", _CONTEXT, "what the deleter had seen")],
            ),
        },
        "/kv/{key}/replicas": {
            "parameters": [_KEY],
            "get": _operation("What each replica holds now: no quorum, no merging, no repair"),
        },
    }


def _counters(node: _Node) -> Schema:
    totals = _whole(0, COUNTER_TOTAL_MAX)
    actor = {"actor": _string(minLength=1, maxLength=ACTOR_BYTES_MAX)}
    steps = ("increments", "decrements", "increment", "decrement")
    return {
        "/counter/{key}": {
            "parameters": [_KEY],
            "get": _operation(
                "Read a counter from r replicas", problems=(429, 503, 504), parameters=[node.r, _REPAIR]
            ),
            "post": _operation(
                "Raise an actor's running totals, or add one step of the node's own",
                problems=_QUORUM,
                parameters=[node.w],
                body=_body(actor | dict.fromkeys(steps, totals)),
            ),
        },
        "/counter/{key}/replicas": {
            "parameters": [_KEY],
            "get": _operation("What each replica holds now of a counter"),
        },
    }


def _views(node: _Node) -> Schema:
    peer = _string(enum=node.peers) if node.peers else _string()
    return {
        "/keys": {
            "get": _operation(
                "This node's keys in order",
                parameters=[
                    _query("prefix", _string(), "only keys that start so"),
                    _query("after", _string(), "only keys beyond this one"),
                    _query("limit", _whole(1, KEYS_LIMIT_MAX), "at most so many"),
                    _query("kind", _string(enum=["kv", "counter"]), "values or counters"),
                ],
            )
        },
        "/health": {"get": _operation("Is it there, and whom does it believe to be there")},
        "/info": {"get": _operation("Who this node is")},
        "/ring": {
            "get": _operation(
                "Who holds what", parameters=[_query("key", _string(), "also where this key lives")]
            )
        },
        "/members": {"get": _operation("What this node believes of every member, and since when")},
        "/stats": {"get": _operation("Counts, lags, links, hints, repairs, storage")},
        "/metrics": {
            "get": _operation("The same for Prometheus", media_type="text/plain", answer=_string()),
        },
        "/merkle": {
            "get": _operation(
                "Merkle roots, one tree, or where it differs from a peer's",
                parameters=[
                    _query("partition", _whole(0, node.partitions - 1), "which tree"),
                    _query("peer", peer, "compare with this node's"),
                ],
            )
        },
        "/trace/{id}": {
            "parameters": [_TRACE],
            "get": _operation("The story of one request, from all nodes"),
        },
    }


def _maintenance(node: _Node) -> Schema:
    tasks = {
        "type": "array",
        "items": _string(enum=list(MAINTENANCE_TASKS)),
        "minItems": 1,
        "uniqueItems": True,
    }
    begin = _operation(
        "Begin maintenance tasks now; answers how they stand once they are over, or after a moment",
        problems=(413, 415),
        body=_body({"work": tasks}, ["work"]) | {"required": False},
    )
    rules = {"type": "object", "properties": dict.fromkeys(node.peers, _RULE), "additionalProperties": False}
    skew_ms = {"type": "number", "minimum": -86_400_000, "maximum": 86_400_000}
    faults = {"rules": rules, "clock_skew_ms": skew_ms, "disk_delay_ms": _DELAY_MS}
    return {
        "/repair": {"post": _operation("Compare with every live peer now, and mend", problems=(415,))},
        "/maintenance": {"post": begin},
        "/upkeep": {"post": begin | {"summary": "/maintenance under its earlier name"}},
        "/faults": {
            "post": _operation(
                "Replace the faults of this node: its outgoing links, clock and disk",
                problems=(413, 415),
                body=_body(faults, ["rules"]),
            )
        },
    }


def _membership_changes() -> Schema:
    address = {
        "name": _string(pattern="^[a-z][a-z0-9-]{0,30}$"),
        "host": _string(enum=list(LOOPBACK_HOSTS)),
        "http_port": _whole(1, 65_535),
        "peer_port": _whole(1, 65_535),
    }
    return {
        "/cluster/join": {
            "post": _operation(
                "Admit a node: it takes its partitions over, and then is a member",
                problems=(409, 413, 415, 503),
                body=_body(address, list(address)),
            )
        },
        "/cluster/leave": {
            "post": _operation(
                "Let a member go: it hands its partitions over; by force if it is dead",
                problems=(409, 413, 415, 503),
                body=_body({"node": _string(), "force": {"type": "boolean"}}, ["node"]),
            )
        },
    }


def describe(n: int, peers: list[str], partitions: int) -> Schema:
    """The document of a node whose keys have n replicas."""
    node = _Node(n, peers, partitions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kvnode",
            "version": kvnode.__version__,
            "description": "One node of a Dynamo-style teaching database.",
        },
        "paths": {
            **_values(node),
            **_counters(node),
            **_views(node),
            **_maintenance(node),
            **_membership_changes(),
            "/openapi.json": {"get": _operation("This document")},
        },
        "components": {"schemas": {"Problem": _PROBLEM}},
    }
