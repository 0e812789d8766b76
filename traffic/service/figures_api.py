"""The endpoints for whoever wants the figures themselves: history, operations, CSV, a report.

Here: paths' answers.
Must not live here: what is measured (measure/recorder.py, control/breakdown.py), how a report looks (runs/report.py).

A report of an hour has ten thousand rows: what is slow about it happens in a thread, since the traffic is sent from
this event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kvnode.checkers import Verdict
from traffic.clock import monotonic
from traffic.fleet.commands import Engine
from traffic.measure.environment import environment
from traffic.measure.series import CELL_COLUMNS, NODE_COLUMNS, ROW_COLUMNS, Row, csv_of, labelled
from traffic.runs.recording import Header, Judged
from traffic.runs.report import Report, html_of
from traffic.service.answers import JSONResponse
from traffic.service.events import Events
from traffic.service.history import SPAN_S_MAX, History
from traffic.service.problems import Problem

LOOK_EVERY_S = 0.25
LOOKS_A_SAMPLE = 4
SPAN_S_DEFAULT = 60
COLUMNS = {"series": ROW_COLUMNS, "nodes": NODE_COLUMNS, "cells": CELL_COLUMNS}
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class FiguresApi:
    """What has been measured, over one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._environment: dict[str, Any] = {}
        self._writing = asyncio.Semaphore(1)
        self._counting_since: int | None = None
        self._begin()

    def _begin(self) -> None:
        """With the service, and with every reset: what a class sees is of that class alone."""
        self._history = History()
        self._events = Events()
        self._verdicts: list[Verdict] = []  # of the last check
        self._began_s = monotonic()
        self._began_at = datetime.now().astimezone()

    async def keep_looking(self) -> None:
        """Until it is cancelled."""
        looks = 0
        while True:
            self._look()
            if looks % LOOKS_A_SAMPLE == 0:
                self._sample(self._engine.stats())
            looks += 1
            await asyncio.sleep(LOOK_EVERY_S)

    def _sample(self, stats: Mapping[str, Any]) -> None:
        if self._counting_since not in (None, stats["counting_since"]):
            self._begin()
        self._counting_since = stats["counting_since"]
        self._history.add(stats)

    def _look(self) -> None:
        own, now_s = self._engine.own, monotonic()
        health = {name: own.nodes.state(name, now_s) for name in own.nodes.nodes}
        self._events.look(own.supervisor.state(), health, at_ms=int(time.time() * 1000), at_s=now_s)

    def events(self) -> list[dict[str, Any]]:
        """What has happened to the cluster, the newest first."""
        return self._events.shown()

    def checked(self, verdicts: Sequence[Verdict]) -> None:
        """There was a check."""
        self._verdicts = list(verdicts)

    # --- endpoints ----------------------------------------------------------------------------------------

    async def history(self, request: Request) -> Response:
        """The last minute to hour, coarser the longer."""
        text = request.query_params.get("span_s", str(SPAN_S_DEFAULT))
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= SPAN_S_MAX):
            raise Problem(400, f"span_s must be a number between 1 and {SPAN_S_MAX}, got {text[:40]!r}")
        step_s, rows = self._history.rows(int(text))
        return JSONResponse({"success": True, "span_s": int(text), "step_s": step_s, "rows": rows})

    async def operations(self, request: Request) -> Response:
        """The run so far by kind of operation, region and people, and what failed with which message."""
        regions = dict(self._engine.own.nodes.regions)
        return JSONResponse({"success": True, "node_regions": regions, "workloads": self._engine.breakdown()})

    async def csv(self, request: Request) -> Response:
        """A table of the run so far: a row a second, a row a second and node, or a row for each cell."""
        table = request.path_params["table"]
        if table not in COLUMNS:
            raise Problem(404, f"there is no table {table!r}; there is: {', '.join(COLUMNS)}")
        rows, columns = self._engine.tables()[table], ("workload", *COLUMNS[table])
        async with self._writing:
            text = await asyncio.to_thread(lambda: csv_of(_joined(rows), columns))
        return Response(text, media_type="text/csv", headers=_download(f"quorum-lab-{table}.csv"))

    async def report(self, request: Request) -> Response:
        """The run so far as one HTML file that opens anywhere; its verdicts are those of the last check."""
        report, tables = self._report(), self._engine.tables()
        async with self._writing:
            text = await asyncio.to_thread(_written, report, tables)
        headers = {**_download("quorum-lab-report.html"), "Content-Security-Policy": REPORT_POLICY}
        return Response(text, media_type="text/html", headers=headers)

    def _report(self) -> Report:
        """Without its tables."""
        own = self._engine.own
        self._environment = self._environment or environment()
        stats, parts = self._engine.stats()["workloads"], self._engine.breakdown()
        used = [name for name, one in stats.items() if one["operations_total"] + one["errors_total"]]
        return Report(
            title=" and ".join(used) or "nothing was sent yet",
            header=Header(
                started_at=self._began_at.isoformat(timespec="seconds"),
                seed=own.seed,
                settings={name: own.drivers[name].settings.describe() for name in used},
                nodes=list(own.store.nodes),
                replicas=own.store.replicas,
                environment=self._environment,
                asked_for={"written at": datetime.now().astimezone().isoformat(timespec="seconds")},
            ),
            tables={},
            faults=self._events.faults(self._began_s),
            verdicts=[_judged(verdict) for verdict in self._verdicts],
            totals={name: _totals(stats[name], parts[name]) for name in used},
        )


def _totals(stats: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of one workload as a report shows them."""
    return {
        "operations": stats["operations_total"],
        **{name: stats[name] for name in ("errors_definite", "errors_indefinite")},
        **{name: stats[f"{name}_total"] for name in ("queued", "resent", "shed")},
        "longest_gap_s": stats["longest_gap_s"],
        "latency_ms": {kind: part["latency_ms"] for kind, part in parts["kinds"].items() if part["ok"]},
        "world": stats["world"],
    }


def _written(report: Report, tables: Mapping[str, Mapping[str, Sequence[Row]]]) -> str:
    return html_of(replace(report, tables={name: _joined(rows) for name, rows in tables.items()}))


def _joined(rows: Mapping[str, Sequence[Row]]) -> list[Row]:
    return [row for workload, one in rows.items() for row in labelled(one, workload=workload)]


def _judged(verdict: Verdict) -> Judged:
    return Judged(
        claim=verdict.claim,
        status=verdict.status,
        summary=str(verdict),
        evidence=list(verdict.evidence),
        facts=dict(verdict.facts),
    )


def _download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
