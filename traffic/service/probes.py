"""One real write, and one real read, through every node: the quickest proof that the cluster is there.

Here: the probes.
The writes go one after another, each with the context of the one before, so that they replace each other instead of
becoming siblings.
Must not live here: HTTP.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.operations import Put
from traffic.stores.base import NotFound, PutReply, StoreError


async def write_through_every_node(generator: Generator) -> dict[str, Any]:
    """{success, test_key, results}; success if every node took the write."""
    key = f"write-test-{int(time.time() * 1000)}"
    w = generator.drivers["twitter"].settings.w
    context: str | None = None
    results: list[dict[str, Any]] = []
    for node in generator.store.nodes:
        began_s = monotonic()
        put = Put(kind="probe", persona="you", key=key, value=f"written through {node}", context=context)
        try:
            reply = await generator.by_hand.attempt(generator.by_hand.request(put, began_s), node, began_s)
        except StoreError as error:
            results.append({"node": node, **_failed(error), "latency_ms": _since_ms(began_s)})
            continue
        assert isinstance(reply, PutReply)
        context = reply.context
        results.append(
            {
                "node": node,
                "status": "ok",
                "latency_ms": _since_ms(began_s),
                "coordinator": reply.node,
                "dot": reply.dot,
                "acknowledged_by": reply.acknowledged_by,
            }
        )
    success = all(result["status"] == "ok" for result in results)
    return {"success": success, "test_key": key, "w": w, "results": results}


async def read_through_every_node(generator: Generator, key: str) -> dict[str, Any]:
    """{success, key, results}; success if every node found it."""
    r = generator.drivers["twitter"].settings.r

    async def read(node: str) -> dict[str, Any]:
        began_s = monotonic()
        try:
            reply = await generator.store.get(node, key, r=r)
        except NotFound:
            return {"node": node, "status": "not found", "latency_ms": _since_ms(began_s)}
        except StoreError as error:
            return {"node": node, **_failed(error), "latency_ms": _since_ms(began_s)}
        return {
            "node": node,
            "status": "ok",
            "latency_ms": _since_ms(began_s),
            "value": reply.value,
            "conflict": reply.conflict,
            "vector_clock": reply.vector_clock,
        }

    results = await asyncio.gather(*(read(node) for node in generator.store.nodes))
    success = all(result["status"] == "ok" for result in results)
    return {"success": success, "key": key, "r": r, "results": list(results)}


def _failed(error: StoreError) -> dict[str, Any]:
    """refused: the node says that the request itself makes no sense; another node would say the same."""
    status = "refused" if error.status == HTTPStatus.BAD_REQUEST else "failed"
    return {"status": status, "detail": error.detail, "definite": error.definite}


def _since_ms(began_s: float) -> float:
    return round((monotonic() - began_s) * 1000, 3)
