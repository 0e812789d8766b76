"""GET /openapi.json: the API of the traffic service, described for tools (OpenAPI 3.1).

Written by hand beside api.py: tests compare its paths and methods with the routes, and schemathesis holds the
answers against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from traffic.arrivals import PATTERNS
from traffic.clock import SPEED_MAX, WEEKDAYS
from traffic.rates import RATE_OPS_PER_S_MAX

Schema = dict[str, Any]

_PROBLEMS = {
    400: "What was sent makes no sense; the detail says what and where, and what was expected",
    401: "This needs the token of the service",
    403: "A foreign Host or Origin",
    404: "There is no such workload, preset, key or path",
    405: "No such method here",
    409: "The cluster's supervisor did not do it; the detail says why",
    413: "A body beyond its bound",
    415: "A body that is not application/json",
    429: "Too many at once: event streams, or commands under way",
    503: "The database cannot be reached now; `definite` says whether a write may have happened",
}
_ALWAYS = (400, 403, 405)


def _number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def _whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: Schema, *, closed: bool = False, required: Sequence[str] | None = None) -> Schema:
    """An answer names what is always there; a body (closed) what may be there and nothing else."""
    schema: Schema = {"type": "object", "properties": properties}
    if closed:
        schema["additionalProperties"] = False
    if required is None and not closed:
        required = list(properties)
    if required:
        schema["required"] = list(required)
    return schema


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _query(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def _path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _body(schema: Schema, *, required: bool = True) -> Schema:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _operation(
    summary: str,
    *,
    answer: Schema | None = None,
    problems: tuple[int, ...] = (),
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    media_type: str = "application/json",
    needs_token: bool = False,
) -> Schema:
    content = {media_type: {"schema": answer or {"type": "object"}}}
    responses: dict[str, Schema] = {"200": {"description": "As asked", "content": content}}
    for status in sorted({*_ALWAYS, *problems, *((413, 415) if body else ())}):
        problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[str(status)] = {"description": _PROBLEMS[status], "content": problem}
    operation: Schema = {"summary": summary, "responses": responses}
    if needs_token:
        operation["security"] = [{"token": []}]
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


_TEXT = {"type": "string"}
_YES = {"type": "boolean"}
_COUNT = {"type": "integer", "minimum": 0}
_WALL_MS = {**_COUNT, "description": "Wall clock, in milliseconds since 1970-01-01T00:00:00Z"}
_LATENCY = _object({name: _maybe({"type": "number"}) for name in ("p50", "p95", "p99", "max")})
_RUNNING = _object({"success": _YES, "running": _YES})
_VERDICT = _object(
    {
        "status": {"type": "string", "enum": ["ok", "violated", "at risk", "unknown"]},
        "claim": _TEXT,
        "summary": _TEXT,
        "facts": {"type": "object"},
        "evidence": _list(_TEXT),
    }
)
_FAULTS = {
    "known": {**_YES, "description": "Whether a supervisor of this cluster is known here"},
    "nodes": {
        "type": "object",
        "additionalProperties": _object(
            {"state": _TEXT, "reason": _maybe(_TEXT), "since_ms": _maybe({"type": "number"})}
        ),
    },
    "topology": _maybe(_TEXT),
    "broken": _list(_object({"what": _TEXT, "nodes": _list(_TEXT), "says": _TEXT, "mend": _TEXT})),
}


def _deed(action: str, **fields: Schema) -> Schema:
    """One thing to do; every field that is named must be there."""
    properties = {"action": {"const": action}, **fields}
    return _object(properties, closed=True, required=["action", *fields])


_NODE = {**_TEXT, "examples": ["node-2"]}
_DEEDS = [
    *(_deed(action, node=_NODE) for action in ("kill", "pause", "resume", "restart", "isolate")),
    _deed("partition", groups=_list(_list(_TEXT))),
    _deed("heal"),
    _deed("delay", delay_ms={"type": "number", "minimum": 0}),
    _deed("topology", name={"type": "string", "examples": ["three-regions"]}),
    _deed("reset"),
]


def _stats(workloads: Sequence[str]) -> Schema:
    workload = _object(
        {
            "running": _YES,
            "target_rate": {"type": "number"},
            "achieved_rate": {"type": "number"},
            "operations_total": _COUNT,
            "errors_total": _COUNT,
            "shed_total": _COUNT,
            "r": _COUNT,
            "w": _COUNT,
            "latency_ms": _LATENCY,
            "service_latency_ms": _LATENCY,
            "counts": {"type": "object", "additionalProperties": _COUNT},
            "longest_gap_s": {"type": "number"},
        }
    )
    node = _object({"url": _TEXT, "healthy": _YES, "state": _TEXT, "operations_total": _COUNT})
    return _object(
        {
            "success": _YES,
            "running": _YES,
            "timestamp": _WALL_MS,
            "active_tweets": _COUNT,
            "active_documents": _COUNT,
            "active_products": _COUNT,
            "operations_total": _COUNT,
            "errors_total": _COUNT,
            "workloads": _object(dict.fromkeys(workloads, workload)),
            "nodes": {"type": "object", "additionalProperties": node},
            "journal": _object({"kept": _YES, "why_not": _maybe(_TEXT)}),
            "convergence": {"type": "object"},
            "faults": _object(_FAULTS),
        }
    )


def _listing(name: str, item: Schema) -> Schema:
    return _object({"success": _YES, name: _list(item), "total_active": _COUNT})


def _probes(key_name: str) -> Schema:
    result = _object({"node": _TEXT, "status": _TEXT, "latency_ms": {"type": "number"}})
    return _object({"success": _YES, key_name: _TEXT, "results": _list(result)})


def describe(
    workloads: Mapping[str, Sequence[str]], *, presets: Sequence[str], n: int, list_max: int
) -> Schema:
    """The document of a service with these workloads (and the bugs that each knows), over n replicas."""
    names = list(workloads)
    bugs = sorted({bug for known in workloads.values() for bug in known})
    workload = {"type": "string", "enum": names}
    limit = _query("limit", _whole(1, list_max), "at most so many")
    choice = _body(_object({"workload": _maybe(workload)}, closed=True), required=False)
    change = _object(
        {
            "rate": _maybe(_number(0, RATE_OPS_PER_S_MAX)),
            "r": _maybe(_whole(1, n)),
            "w": _maybe(_whole(1, n)),
            "pattern": _maybe({"type": "string", "enum": list(PATTERNS)}),
            "personas": _maybe(
                {
                    "type": "object",
                    "additionalProperties": _number(0, 1000),
                    "description": "times as busy as usual",
                }
            ),
            "read_share": _maybe(_number(0, 1)),
            "bug": _maybe({"type": "string", "enum": bugs}),
            "preset": _maybe({"type": "string", "enum": list(presets)}),
        },
        closed=True,
    )
    real = "/api/real"
    paths: Schema = {
        "/": {"get": _operation("The status page", media_type="text/html", answer=_TEXT)},
        f"{real}/traffic/stats": {"get": _operation("Everything at this moment", answer=_stats(names))},
        f"{real}/traffic/series": {
            "get": _operation(
                "One row a second of the last minutes",
                answer=_object({"success": _YES, "rows": _list({"type": "object"})}),
                problems=(404,),
                parameters=[_query("workload", workload, "of which workload; twitter without it")],
            )
        },
        f"{real}/traffic/start": {
            "post": _operation("Start one workload, or all", answer=_RUNNING, problems=(404,), body=choice)
        },
        f"{real}/traffic/stop": {
            "post": _operation("Stop one workload, or all", answer=_RUNNING, problems=(404,), body=choice)
        },
        f"{real}/traffic/reset": {"post": _operation("Begin every count and ledger anew", answer=_RUNNING)},
        f"{real}/traffic/check": {
            "post": _operation(
                "Read every acknowledged write back by quorum",
                answer=_object(
                    {
                        **_VERDICT["properties"],
                        "success": _YES,
                        "acknowledged": _COUNT,
                        "lost": _COUNT,
                        "at_risk": _COUNT,
                        "counters_checked": _COUNT,
                        "counters_wrong": _COUNT,
                        "longest_gap_s": {"type": "number"},
                        "verdicts": _list(_VERDICT),
                    }
                ),
            )
        },
        f"{real}/traffic/presets": {
            "get": _operation(
                "The presets by name", answer=_object({"success": _YES, "presets": _list({"type": "object"})})
            )
        },
        f"{real}/traffic/presets/{{preset}}": {
            "parameters": [_path("preset", {"type": "string", "enum": list(presets)})],
            "post": _operation("All workloads as this preset says, and running", problems=(404,)),
        },
        f"{real}/traffic/clock": {
            "put": _operation(
                "Another hour, day or speed for the people in the traffic",
                body=_body(
                    _object(
                        {
                            "hour": _maybe({"type": "number", "minimum": 0, "exclusiveMaximum": 24}),
                            "weekday": _maybe({"type": "string", "enum": list(WEEKDAYS)}),
                            "speed": _maybe(_number(0, SPEED_MAX)),
                        },
                        closed=True,
                    )
                ),
            )
        },
        f"{real}/traffic/{{workload}}": {
            "parameters": [_path("workload", workload)],
            "put": _operation("Change settings while it runs", problems=(404,), body=_body(change)),
        },
        f"{real}/twitter/active_tweets": {
            "get": _operation(
                "Tweets, read from the cluster now",
                answer=_listing("tweets", _object({"tweet_id": _TEXT, "likes": {"type": "integer"}})),
                problems=(503,),
                parameters=[
                    limit,
                    _query("order", {"type": "string", "enum": ["newest", "popular"]}, "which first"),
                ],
            )
        },
        f"{real}/collab/active_documents": {
            "get": _operation(
                "Documents, read from the cluster now",
                answer=_listing("documents", _object({"document_id": _TEXT, "conflict": _YES})),
                problems=(503,),
                parameters=[limit],
            )
        },
        f"{real}/inventory/active_products": {
            "get": _operation(
                "Products and their stock, read from the cluster now",
                answer=_listing("products", _object({"sku": _TEXT, "stock": {"type": "object"}})),
                problems=(503,),
                parameters=[limit],
            )
        },
        f"{real}/cluster/faults": {
            "get": _operation(
                "What is broken now, and whether this request may change it",
                answer=_object({"success": _YES, "allowed": _YES, **_FAULTS}),
            ),
            "post": _operation(
                "Break or mend nodes and links, through the cluster's supervisor",
                answer=_object({"success": _YES, **_FAULTS}),
                problems=(401, 409, 429, 503),
                body=_body({"oneOf": _DEEDS}),
                needs_token=True,
            ),
        },
        f"{real}/cluster/write_test": {
            "post": _operation("One write through every node", answer=_probes("test_key"), problems=(503,))
        },
        f"{real}/cluster/read_test/{{key}}": {
            "parameters": [_path("key", {"type": "string", "minLength": 1, "maxLength": 128})],
            "get": _operation("One key through every node", answer=_probes("key"), problems=(404, 503)),
        },
        f"{real}/stream": {
            "get": _operation(
                "Server-sent events `stats`, two a second",
                media_type="text/event-stream",
                answer=_TEXT,
                problems=(429,),
            )
        },
        "/metrics": {"get": _operation("For Prometheus", media_type="text/plain", answer=_TEXT)},
        "/openapi.json": {"get": _operation("This document")},
    }
    problem = _object(
        {
            "success": _YES,
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
        }
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quorum Lab traffic",
            "version": "1",
            "description": "Real traffic on a real cluster: three worlds, steered and watched.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made at each start of the service, in a file that only its user can read",
                }
            },
        },
    }
