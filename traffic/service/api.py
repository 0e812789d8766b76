"""The endpoints of the traffic service.

Here: paths, methods, bodies and statuses.
Must not live here: what happens behind them (control/generator.py, feed.py, probes.py), who may call (guards.py),
sockets and signals (serve.py).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from kvnode.checkers.verdict import worst
from traffic.clock import monotonic
from traffic.control.presets import PRESETS
from traffic.fleet.commands import Change, Command, Engine, Time
from traffic.service import openapi, pages
from traffic.service.access import Access
from traffic.service.answers import JSONResponse
from traffic.service.bodies import LISTED_MAX, body_of, limit_of, order_of, readable
from traffic.service.cluster_api import ClusterApi
from traffic.service.documents import active_documents
from traffic.service.feed import active_tweets
from traffic.service.figures_api import FiguresApi
from traffic.service.guards import Guards
from traffic.service.metrics import exposition
from traffic.service.pbs_api import PbsApi
from traffic.service.problems import Problem, from_bug, from_http_exception, from_problem
from traffic.service.products import active_products
from traffic.service.routing import Path

STREAM_EVERY_S = 0.5
STREAMS_MAX = 64
STATS_AGE_S_MAX = 0.2
EVIDENCE_MAX = 20
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Choice(Struct, forbid_unknown_fields=True):
    """Body of start and stop: one workload, or all without it."""

    workload: str | None = None


class Api:
    """The endpoints over one engine. `closing` ends the event streams."""

    def __init__(self, engine: Engine, access: Access | None = None) -> None:
        """access: without it nobody can break anything from here."""
        self._engine = engine
        self._generator = engine.own
        access = access or Access(None, why_not="this service was started without a token")
        self._cluster = ClusterApi(engine.own, access, changed=self._forget_snapshot)
        self._figures = FiguresApi(engine)
        self.pbs = PbsApi(engine.own.store)
        self._instance = secrets.token_hex(4)
        self._started_at = int(time.time() * 1000)
        self._snapshot: dict[str, Any] = {}
        self._encoded = b""
        self._snapshot_at_s = float("-inf")
        self._streams = 0
        self.closing = asyncio.Event()

    async def keep_looking(self) -> None:
        """Write history until it is cancelled; nothing but that needs it."""
        await self._figures.keep_looking()

    def application(self) -> Starlette:
        real = "/api/real"
        return Starlette(
            routes=[
                Path("/", GET=pages.page),
                Path("/static/{name}", GET=pages.part),
                Path(f"{real}/traffic/stats", GET=self.stats),
                Path(f"{real}/traffic/series", GET=self.series),
                Path(f"{real}/traffic/history", GET=self._figures.history),
                Path(f"{real}/traffic/operations", GET=self._figures.operations),
                Path(f"{real}/traffic/report", GET=self._figures.report),
                Path(f"{real}/traffic/export/{{table}}.csv", GET=self._figures.csv),
                Path(f"{real}/traffic/start", POST=self.start),
                Path(f"{real}/traffic/stop", POST=self.stop),
                Path(f"{real}/traffic/reset", POST=self.reset),
                Path(f"{real}/traffic/check", POST=self.check),
                Path(f"{real}/traffic/presets", GET=self.presets),
                Path(f"{real}/traffic/presets/{{preset}}", POST=self.use_preset),
                Path(f"{real}/traffic/clock", PUT=self.set_clock),
                Path(f"{real}/traffic/{{workload}}", PUT=self.change),
                Path(f"{real}/twitter/tweets", POST=self._cluster.post_tweet),
                Path(f"{real}/twitter/tweets/{{tweet_id}}", GET=self._cluster.follow_tweet),
                Path(f"{real}/twitter/active_tweets", GET=self.tweets),
                Path(f"{real}/collab/active_documents", GET=self.documents),
                Path(f"{real}/inventory/active_products", GET=self.products),
                Path(f"{real}/cluster/faults", GET=self._cluster.faults, POST=self._cluster.do),
                Path(f"{real}/cluster/write_test", POST=self._cluster.write_test),
                Path(f"{real}/cluster/read_test/{{key:path}}", GET=self._cluster.read_test),
                Path(f"{real}/pbs", POST=self.pbs.begin, GET=self.pbs.show, DELETE=self.pbs.end),
                Path(f"{real}/stream", GET=self.stream),
                Path("/metrics", GET=self.metrics),
                Path("/openapi.json", GET=self.openapi),
            ],
            middleware=[Middleware(Guards)],
            exception_handlers={
                Problem: from_problem,
                HTTPException: from_http_exception,
                Exception: from_bug,
            },
        )

    # --- looking ------------------------------------------------------------------------------------------

    async def stats(self, request: Request) -> Response:
        return Response(self._stats() + b"\n", media_type="application/json")

    async def series(self, request: Request) -> Response:
        """One row a second of the last minutes, for `pandas.DataFrame(answer["rows"])`."""
        workload = self._known(request.query_params.get("workload", "twitter"))
        return JSONResponse({"success": True, "workload": workload, "rows": self._engine.series(workload)})

    async def tweets(self, request: Request) -> Response:
        limit, order = limit_of(request), order_of(request)
        with readable():
            tweets = await active_tweets(self._generator, limit, order)
        total = max(self._snapshot_now()["active_tweets"], len(tweets))
        return JSONResponse({"success": True, "tweets": tweets, "total_active": total})

    async def documents(self, request: Request) -> Response:
        limit = limit_of(request)
        with readable():
            documents, total = await active_documents(self._generator, limit)
        return JSONResponse({"success": True, "documents": documents, "total_active": total})

    async def products(self, request: Request) -> Response:
        limit = limit_of(request)
        with readable():
            products, total = await active_products(self._generator, limit)
        return JSONResponse({"success": True, "products": products, "total_active": total})

    async def metrics(self, request: Request) -> Response:
        return Response(exposition(self._snapshot_now()), media_type=METRICS_TYPE)

    async def openapi(self, request: Request) -> Response:
        known = {name: workload.bugs_known for name, workload in self._generator.workloads.items()}
        n = self._generator.store.replicas
        return JSONResponse(openapi.describe(known, presets=list(PRESETS), n=n, list_max=LISTED_MAX))

    async def presets(self, request: Request) -> Response:
        found = [
            {
                "name": one.name,
                "says": one.says,
                "hour": one.hour,
                "weekday": one.weekday,
                "speed": one.speed,
                "active": one.name == self._generator.preset,
            }
            for one in PRESETS.values()
        ]
        return JSONResponse({"success": True, "presets": found})

    async def stream(self, request: Request) -> Response:
        if self._streams >= STREAMS_MAX:
            raise Problem(429, f"{STREAMS_MAX} event streams are open already")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=headers)

    # --- changing -----------------------------------------------------------------------------------------

    async def start(self, request: Request) -> Response:
        return await self._told(Command("start", await self._chosen(request)))

    async def stop(self, request: Request) -> Response:
        return await self._told(Command("stop", await self._chosen(request)))

    async def reset(self, request: Request) -> Response:
        """Counts, ledgers and records of reads begin anew ("reset for the next class"); data and settings stay."""
        return await self._told(Command("reset"))

    async def change(self, request: Request) -> Response:
        """PUT /api/real/traffic/twitter, and so for each world: new settings while it runs."""
        workload = self._known(request.path_params["workload"])
        change = await body_of(request, Change)
        if change is None:
            raise Problem(400, 'expected a JSON body such as {"rate": 100}, got none')
        if change.preset is not None:
            self._known_preset(change.preset)
        await self._tell(Command("change", workload, change))
        return JSONResponse({"success": True, "workload": workload, **self._workload(workload)})

    async def use_preset(self, request: Request) -> Response:
        """All workloads at the rates and the hour of the preset, and running."""
        preset = self._known_preset(request.path_params["preset"])
        await self._tell(Command("preset", change=Change(preset=preset)))
        for workload in self._generator.drivers:
            await self._tell(Command("start", workload))
        workloads = {name: self._workload(name) for name in self._generator.drivers}
        return JSONResponse(
            {"success": True, "preset": preset, "running": self._engine.running, "workloads": workloads}
        )

    async def set_clock(self, request: Request) -> Response:
        """Another hour, day or speed for the people in the traffic."""
        time = await body_of(request, Time)
        if time is None:
            raise Problem(400, 'expected a JSON body such as {"hour": 20}, got none')
        await self._tell(Command("time", time=time))
        return JSONResponse({"success": True, "clock": self._generator.clock.describe()})

    async def check(self, request: Request) -> Response:
        """Reads every acknowledged write back by quorum; all verdicts in words and numbers. The first one, on
        lost writes, is at the top, too; what another one finds violated makes the whole violated."""
        verdicts = await self._engine.tell(Command("check"))
        self._figures.checked(verdicts)
        first = verdicts[0]
        return JSONResponse(
            {
                "success": True,
                **first.as_json(),
                "status": "violated" if worst(verdicts) == "violated" else first.status,
                "evidence": [line for verdict in verdicts for line in verdict.evidence][:EVIDENCE_MAX],
                "longest_gap_s": self._longest_gap_s(),
                "verdicts": [verdict.as_json() for verdict in verdicts],
            }
        )

    # --- inside -------------------------------------------------------------------------------------------

    def _snapshot_now(self) -> dict[str, Any]:
        """The snapshot, at most STATS_AGE_S_MAX old: many watchers cost as much as one."""
        now_s = monotonic()
        if now_s - self._snapshot_at_s > STATS_AGE_S_MAX:
            self._snapshot = {
                **self._engine.stats(),
                "service": {"instance": self._instance, "started_at": self._started_at},
                "faults": {**self._cluster.snapshot(), "events": self._figures.events()},
            }
            self._encoded = msgspec.json.encode(self._snapshot)
            self._snapshot_at_s = now_s
        return self._snapshot

    def _stats(self) -> bytes:
        self._snapshot_now()
        return self._encoded

    def _workload(self, name: str) -> dict[str, Any]:
        workload: dict[str, Any] = self._snapshot_now()["workloads"][name]
        return workload

    def _longest_gap_s(self) -> float:
        return max(float(one["longest_gap_s"]) for one in self._snapshot_now()["workloads"].values())

    async def _tell(self, command: Command) -> None:
        """Do it, or a Problem that says why not."""
        try:
            await self._engine.tell(command)
        except ValueError as error:
            raise Problem(400, str(error)) from None
        finally:
            self._forget_snapshot()

    def _forget_snapshot(self) -> None:
        self._snapshot_at_s = float("-inf")

    async def _told(self, command: Command) -> Response:
        await self._tell(command)
        return JSONResponse({"success": True, "running": self._engine.running})

    async def _events(self) -> AsyncIterator[bytes]:
        self._streams += 1
        try:
            yield b"retry: 1000\n\n"
            while not self.closing.is_set():
                yield b"event: stats\ndata: " + self._stats() + b"\n\n"
                try:
                    await asyncio.wait_for(self.closing.wait(), STREAM_EVERY_S)
                except TimeoutError:
                    continue
        finally:
            self._streams -= 1

    async def _chosen(self, request: Request) -> str | None:
        choice = await body_of(request, Choice)
        return None if choice is None or choice.workload is None else self._known(choice.workload)

    def _known(self, workload: str) -> str:
        if workload not in self._generator.drivers:
            known = ", ".join(self._generator.drivers)
            raise Problem(404, f"there is no workload {workload!r}; there is: {known}")
        return workload

    def _known_preset(self, preset: str) -> str:
        if preset not in PRESETS:
            raise Problem(404, f"there is no preset {preset!r}; there is: {', '.join(PRESETS)}")
        return preset
