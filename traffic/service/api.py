"""The endpoints of the traffic service.

Here: paths, methods, bodies and statuses. Not here: what happens behind them (generator.py, feed.py,
probes.py), who may call (guards.py), sockets and signals (serve.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from traffic.arrivals import Pattern
from traffic.clock import monotonic
from traffic.generator import Generator
from traffic.service.feed import ORDERS, Order, active_tweets
from traffic.service.guards import Guards
from traffic.service.probes import read_through_every_node, write_through_every_node
from traffic.service.problems import Problem, from_bug, from_http_exception, from_problem
from traffic.stores.base import StoreError

TWEETS_DEFAULT = 50
TWEETS_MAX = 200
STREAM_EVERY_S = 0.5
STREAMS_MAX = 64
STATS_AGE_S_MAX = 0.2
KEY_BYTES_MAX = 512

T = TypeVar("T", bound=Struct)


class Change(Struct, forbid_unknown_fields=True):
    """Body of PUT /api/real/traffic/{workload}: only what should change."""

    rate: float | None = None
    r: int | None = None
    w: int | None = None
    pattern: Pattern | None = None


class Choice(Struct, forbid_unknown_fields=True):
    """Body of start and stop: one workload, or all without it."""

    workload: str | None = None


class Api:
    """The endpoints over one generator. `closing` ends the event streams."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._picture = b""
        self._pictured_s = float("-inf")
        self._streams = 0
        self.closing = asyncio.Event()

    def application(self) -> Starlette:
        real = "/api/real"
        return Starlette(
            routes=[
                Route("/", self.page),
                Route(f"{real}/traffic/stats", self.stats),
                Route(f"{real}/traffic/series", self.series),
                Route(f"{real}/traffic/start", self.start, methods=["POST"]),
                Route(f"{real}/traffic/stop", self.stop, methods=["POST"]),
                Route(f"{real}/traffic/reset", self.reset, methods=["POST"]),
                Route(f"{real}/traffic/check", self.check, methods=["POST"]),
                Route(f"{real}/traffic/{{workload}}", self.change, methods=["PUT"]),
                Route(f"{real}/twitter/active_tweets", self.tweets),
                Route(f"{real}/collab/active_documents", self.documents),
                Route(f"{real}/inventory/active_products", self.products),
                Route(f"{real}/cluster/write_test", self.write_test, methods=["POST"]),
                Route(f"{real}/cluster/read_test/{{key:path}}", self.read_test),
                Route(f"{real}/stream", self.stream),
            ],
            middleware=[Middleware(Guards)],
            exception_handlers={
                Problem: from_problem,
                HTTPException: from_http_exception,
                Exception: from_bug,
            },
        )

    # --- looking ------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        page = files("traffic.service").joinpath("page.html").read_text(encoding="utf-8")
        policy = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
        return HTMLResponse(page, headers=headers)

    async def stats(self, request: Request) -> Response:
        return Response(self._stats(), media_type="application/json")

    async def series(self, request: Request) -> Response:
        """One row a second of the last minutes, for `pandas.DataFrame(answer["rows"])`."""
        return JSONResponse(
            {"success": True, "rows": list(self._generator.drivers["twitter"].recorder.series)}
        )

    async def tweets(self, request: Request) -> Response:
        limit, order = _limit(request), _order(request)
        try:
            tweets = await active_tweets(self._generator, limit, order)
        except StoreError as error:
            raise Problem(503, f"the database cannot be read now: {error}", definite=True) from None
        total = max(self._generator.twitter.active, len(tweets))
        return JSONResponse({"success": True, "tweets": tweets, "total_active": total})

    async def documents(self, request: Request) -> Response:
        return JSONResponse({"success": True, "documents": [], "total_active": 0})

    async def products(self, request: Request) -> Response:
        return JSONResponse({"success": True, "products": [], "total_active": 0})

    async def read_test(self, request: Request) -> Response:
        key = request.path_params["key"]
        if not 1 <= len(key.encode()) <= KEY_BYTES_MAX:
            raise Problem(400, f"a key has 1 to {KEY_BYTES_MAX} bytes, got {len(key.encode())}")
        report = await read_through_every_node(self._generator, key)
        statuses = {result["status"] for result in report["results"]}
        if "ok" in statuses:
            return JSONResponse(report)
        if "not found" in statuses:
            raise Problem(404, f"no node has the key {key!r}", **_but_success(report))
        raise Problem(503, "no node could read it", **_but_success(report))

    async def stream(self, request: Request) -> Response:
        if self._streams >= STREAMS_MAX:
            raise Problem(429, f"{STREAMS_MAX} event streams are open already")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(), media_type="text/event-stream", headers=headers)

    # --- changing -----------------------------------------------------------------------------------------

    async def start(self, request: Request) -> Response:
        self._generator.start(await self._chosen(request))
        return self._running()

    async def stop(self, request: Request) -> Response:
        self._generator.stop(await self._chosen(request))
        return self._running()

    async def reset(self, request: Request) -> Response:
        """The measured longest gap starts anew ("reset for the next class")."""
        self._generator.reset()
        return self._running()

    async def change(self, request: Request) -> Response:
        driver = self._generator.drivers.get(self._known(request.path_params["workload"]))
        assert driver is not None
        change = await _body(request, Change)
        if change is None:
            raise Problem(400, 'expected a JSON body such as {"rate": 100}, got none')
        try:
            driver.change(rate=change.rate, pattern=change.pattern, r=change.r, w=change.w)
        except ValueError as error:
            raise Problem(400, str(error)) from None
        name = driver.workload.name
        return JSONResponse({"success": True, "workload": name, **self._generator.stats()["workloads"][name]})

    async def check(self, request: Request) -> Response:
        """Reads every acknowledged write back by quorum; the verdict in words and numbers. `verdicts`: that
        one first, and all others."""
        verdicts = await self._generator.verdicts()
        verdict = verdicts[0]
        return JSONResponse(
            {
                "success": True,
                "status": verdict.status,
                "claim": verdict.claim,
                "acknowledged": verdict.acknowledged,
                "lost": verdict.lost,
                "at_risk": verdict.at_risk,
                "counters_checked": verdict.counters_checked,
                "counters_wrong": verdict.counters_wrong,
                "evidence": list(verdict.evidence),
                "longest_gap_s": round(self._generator.longest_gap_s(), 3),
                "verdicts": [one.as_json() for one in verdicts],
            }
        )

    async def write_test(self, request: Request) -> Response:
        report = await write_through_every_node(self._generator)
        if all(result["status"] != "ok" for result in report["results"]):
            raise Problem(503, "no node took the write", **_but_success(report))
        return JSONResponse(report)

    # --- inside -------------------------------------------------------------------------------------------

    def _stats(self) -> bytes:
        """The picture, at most STATS_AGE_S_MAX old: many watchers cost as much as one."""
        now_s = monotonic()
        if now_s - self._pictured_s > STATS_AGE_S_MAX:
            self._picture = msgspec.json.encode(self._generator.stats())
            self._pictured_s = now_s
        return self._picture

    def _running(self) -> Response:
        self._pictured_s = float("-inf")
        return JSONResponse({"success": True, "running": self._generator.running})

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
        choice = await _body(request, Choice)
        return None if choice is None or choice.workload is None else self._known(choice.workload)

    def _known(self, workload: str) -> str:
        if workload not in self._generator.drivers:
            known = ", ".join(self._generator.drivers)
            raise Problem(404, f"there is no workload {workload!r}; there is: {known}")
        return workload


async def _body(request: Request, shape: type[T]) -> T | None:
    """The JSON body, checked; None if there is none."""
    body = await request.body()
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(400, f"the body makes no sense: {error}") from None


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(TWEETS_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= TWEETS_MAX):
        raise Problem(400, f"limit must be a number between 1 and {TWEETS_MAX}, got {text[:40]!r}")
    return int(text)


def _order(request: Request) -> Order:
    text = request.query_params.get("order", ORDERS[0])
    for order in ORDERS:
        if order == text:
            return order
    raise Problem(400, f"order must be one of {', '.join(ORDERS)}, got {text[:40]!r}")


def _but_success(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "success"}
