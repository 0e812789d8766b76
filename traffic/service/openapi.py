"""GET /openapi.json: the API of the traffic service, described for tools (OpenAPI 3.1).

Written by hand beside api.py: tests compare its paths and methods with the routes, and schemathesis holds the
answers against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from traffic.clock import SPEED_MAX, WEEKDAYS
from traffic.load.arrivals import PATTERNS
from traffic.load.closed_loop import WORKERS_MAX
from traffic.load.driver import LOOPS
from traffic.load.rates import RATE_OPS_PER_S_MAX
from traffic.service.openapi_cluster import FAULTS, cluster_paths
from traffic.service.openapi_parts import (
    COUNT,
    NUMBER,
    TEXT,
    WALL_MS,
    YES,
    Schema,
    body_of,
    in_path,
    in_query,
    list_of,
    maybe,
    number,
    object_of,
    operation,
    whole,
)
from traffic.service.openapi_pbs import pbs_paths
from traffic.service.pages import parts

_LATENCY = object_of({name: maybe({"type": "number"}) for name in ("p50", "p95", "p99", "max")})
_RUNNING = object_of({"success": YES, "running": YES})
_VERDICT = object_of(
    {
        "status": {"type": "string", "enum": ["ok", "violated", "at risk", "unknown"]},
        "claim": TEXT,
        "summary": TEXT,
        "facts": {"type": "object"},
        "evidence": list_of(TEXT),
    }
)
_PROBLEM = object_of(
    {"success": YES, "type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT}
)


def _stats(workloads: Sequence[str]) -> Schema:
    workload = object_of(
        {
            "running": YES,
            "target_rate": NUMBER,
            "achieved_rate": NUMBER,
            "operations_total": COUNT,
            "errors_total": COUNT,
            "shed_total": COUNT,
            "r": COUNT,
            "w": COUNT,
            "loop": {"type": "string", "enum": list(LOOPS)},
            "workers": maybe(COUNT),
            "latency_ms": _LATENCY,
            "service_latency_ms": _LATENCY,
            "counts": {"type": "object", "additionalProperties": COUNT},
            "longest_gap_s": NUMBER,
        }
    )
    node = object_of({"url": TEXT, "healthy": YES, "state": TEXT, "operations_total": COUNT})
    return object_of(
        {
            "success": YES,
            "running": YES,
            "timestamp": WALL_MS,
            "active_tweets": COUNT,
            "active_documents": COUNT,
            "active_products": COUNT,
            "operations_total": COUNT,
            "errors_total": COUNT,
            "workloads": object_of(dict.fromkeys(workloads, workload)),
            "nodes": {"type": "object", "additionalProperties": node},
            "journal": object_of({"kept": YES, "why_not": maybe(TEXT)}),
            "convergence": {"type": "object"},
            "service": object_of({"instance": TEXT, "started_at": WALL_MS}),
            "faults": object_of({**FAULTS, "events": list_of({"type": "object"})}),
        }
    )


def describe(
    workloads: Mapping[str, Sequence[str]], *, presets: Sequence[str], n: int, list_max: int
) -> Schema:
    """The document of a service with these workloads (and the bugs that each knows), over n replicas."""
    names = list(workloads)
    bugs = sorted({bug for known in workloads.values() for bug in known})
    workload = {"type": "string", "enum": names}
    preset = {"type": "string", "enum": list(presets)}
    real = "/api/real"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quorum Lab traffic",
            "version": "1",
            "description": "Real traffic on a real cluster: three worlds, steered and watched.",
        },
        "paths": {
            **_page_paths(),
            f"{real}/traffic/stats": {"get": operation("Everything at this moment", answer=_stats(names))},
            **_run_paths(f"{real}/traffic", workload),
            **_steering_paths(f"{real}/traffic", workload, preset, _change(preset, bugs, n)),
            **figures_paths(real),
            **cluster_paths(real, list_max=list_max),
            **pbs_paths(real, n=n),
            f"{real}/stream": {
                "get": operation(
                    "Server-sent events `stats`, two a second",
                    media_type="text/event-stream",
                    answer=TEXT,
                    problems=(429,),
                )
            },
        },
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made at each start of the service, in a file that only its user can read",
                }
            },
        },
    }


def _page_paths() -> Schema:
    """What is not JSON of the API: the page, its parts, figures for Prometheus, this document."""
    return {
        "/static/{name}": {
            "parameters": [in_path("name", {"type": "string", "enum": parts()})],
            "get": operation("A part of the status page", media_type="text/*", answer=TEXT, problems=(404,)),
        },
        "/": {"get": operation("The status page", media_type="text/html", answer=TEXT)},
        "/metrics": {"get": operation("For Prometheus", media_type="text/plain", answer=TEXT)},
        "/openapi.json": {"get": operation("This document")},
    }


def _run_paths(traffic: str, workload: Schema) -> Schema:
    """Starting, stopping, beginning anew, and the verdicts."""
    choice = body_of(object_of({"workload": maybe(workload)}, closed=True), required=False)
    counts = ("acknowledged", "lost", "at_risk", "counters_checked", "counters_wrong")
    return {
        f"{traffic}/series": {
            "get": operation(
                "One row a second of the last minutes",
                answer=object_of({"success": YES, "rows": list_of({"type": "object"})}),
                problems=(404,),
                parameters=[in_query("workload", workload, "of which workload; twitter without it")],
            )
        },
        f"{traffic}/start": {
            "post": operation("Start one workload, or all", answer=_RUNNING, problems=(404,), body=choice)
        },
        f"{traffic}/stop": {
            "post": operation("Stop one workload, or all", answer=_RUNNING, problems=(404,), body=choice)
        },
        f"{traffic}/reset": {"post": operation("Begin every count and ledger anew", answer=_RUNNING)},
        f"{traffic}/check": {
            "post": operation(
                "Read every acknowledged write back by quorum",
                answer=object_of(
                    {
                        **_VERDICT["properties"],
                        "success": YES,
                        **dict.fromkeys(counts, COUNT),
                        "longest_gap_s": NUMBER,
                        "verdicts": list_of(_VERDICT),
                    }
                ),
            )
        },
    }


def _steering_paths(traffic: str, workload: Schema, preset: Schema, change: Schema) -> Schema:
    """Presets, the clock of the people, and the settings of one workload."""
    clock = {
        "hour": maybe({"type": "number", "minimum": 0, "exclusiveMaximum": 24}),
        "weekday": maybe({"type": "string", "enum": list(WEEKDAYS)}),
        "speed": maybe(number(0, SPEED_MAX)),
    }
    return {
        f"{traffic}/presets": {
            "get": operation(
                "The presets by name",
                answer=object_of({"success": YES, "presets": list_of({"type": "object"})}),
            )
        },
        f"{traffic}/presets/{{preset}}": {
            "parameters": [in_path("preset", preset)],
            "post": operation("All workloads as this preset says, and running", problems=(404,)),
        },
        f"{traffic}/clock": {
            "put": operation(
                "Another hour, day or speed for the people in the traffic",
                body=body_of(object_of(clock, closed=True)),
            )
        },
        f"{traffic}/{{workload}}": {
            "parameters": [in_path("workload", workload)],
            "put": operation("Change settings while it runs", problems=(404,), body=body_of(change)),
        },
    }


def _change(preset: Schema, bugs: Sequence[str], n: int) -> Schema:
    """The settings of one workload that somebody may change."""
    personas = {
        "type": "object",
        "additionalProperties": number(0, 1000),
        "description": "times as busy as usual",
    }
    return object_of(
        {
            "rate": maybe(number(0, RATE_OPS_PER_S_MAX)),
            "r": maybe(whole(1, n)),
            "w": maybe(whole(1, n)),
            "pattern": maybe({"type": "string", "enum": list(PATTERNS)}),
            "loop": maybe({"type": "string", "enum": list(LOOPS)}),
            "workers": maybe(whole(1, WORKERS_MAX)),
            "personas": maybe(personas),
            "read_share": maybe(number(0, 1)),
            "bug": maybe({"type": "string", "enum": list(bugs)}),
            "preset": maybe(preset),
        },
        closed=True,
    )


def figures_paths(real: str) -> Schema:
    """What was measured, for charts, tables and files."""
    part = object_of({"ok": COUNT, "definite": COUNT, "indefinite": COUNT, "latency_ms": _LATENCY})
    failure = object_of({"message": TEXT, "kind": TEXT, "node": TEXT, "count": COUNT, "last_at": WALL_MS})
    workload = object_of(
        {
            "kinds": {"type": "object", "additionalProperties": part},
            "regions": {"type": "object", "additionalProperties": part},
            "people": list_of(object_of({"kind": TEXT, "people": COUNT, "busy": NUMBER, "actions": COUNT})),
            "homes": {"type": "object", "additionalProperties": COUNT},
            "failures": list_of(failure),
        }
    )
    return {
        f"{real}/traffic/history": {
            "get": operation(
                "The last minute to hour, the coarser the longer; `t` of a row is wall clock in ms",
                answer=object_of(
                    {"success": YES, "span_s": COUNT, "step_s": NUMBER, "rows": list_of({"type": "object"})}
                ),
                parameters=[in_query("span_s", whole(1, 3600), "seconds; 60 without it")],
            )
        },
        f"{real}/traffic/operations": {
            "get": operation(
                "The run by kind of operation, region and people, and failed attempts by message",
                answer=object_of(
                    {
                        "success": YES,
                        "node_regions": {"type": "object", "additionalProperties": TEXT},
                        "workloads": {"type": "object", "additionalProperties": workload},
                    }
                ),
            )
        },
        f"{real}/traffic/export/{{table}}.csv": {
            "parameters": [in_path("table", {"type": "string", "enum": ["series", "nodes", "cells"]})],
            "get": operation(
                "A row a second, a row a second and node, or a row for each kind, node, region and outcome",
                media_type="text/csv",
                answer=TEXT,
                problems=(404,),
            ),
        },
        f"{real}/traffic/report": {
            "get": operation("The run as one HTML file, to keep", media_type="text/html", answer=TEXT)
        },
    }
