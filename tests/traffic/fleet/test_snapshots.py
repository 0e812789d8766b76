"""Several snapshots made one: nothing is counted twice or forgotten, and percentiles come from merged histograms."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np

from traffic.clock import monotonic
from traffic.control.generator import Generator
from traffic.fleet.snapshots import merged, snapshot
from traffic.load.driver import Settings
from traffic.measure.events import Ended, Outcome
from traffic.measure.histograms import microseconds, summary_of_values
from traffic.operations import Add
from traffic.stores.memory import MemoryStore


def ended(node: str, outcome: Outcome, sent_s: float, done_s: float) -> Ended:
    return Ended(
        workload="twitter",
        operation=Add(kind="like", persona="ada", key="k"),
        node=node,
        outcome=outcome,
        reply=None,
        intended_s=sent_s,
        sent_s=sent_s,
        done_s=done_s,
    )


def taken(latencies_ms: list[float], *, errors: int = 0, node: str = "node-1") -> dict[str, Any]:
    """The snapshot of a generator whose likes took so long, as it comes out of the pipe."""

    async def main() -> dict[str, Any]:
        generator = Generator(MemoryStore(), settings=Settings(rate=100), seed=1)
        recorder, now_s = generator.drivers["twitter"].recorder, monotonic()
        for latency_ms in latencies_ms:
            began_s = now_s - latency_ms / 1000
            recorder.operation(ended(node, "ok", began_s, now_s))
        for _ in range(errors):
            recorder.operation(ended(node, "definite", now_s, now_s))
        found = snapshot(generator, now_s)
        await generator.close()
        return found

    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asyncio.run(main())))
    return decoded


def test_counts_add_up_over_the_living_and_the_dead() -> None:
    own, one, other, dead = taken([]), taken([1.0] * 10, errors=2), taken([1.0] * 5), taken([1.0] * 3)
    stats = merged(own["stats"], [one, other], [dead["stats"]])
    twitter = stats["workloads"]["twitter"]
    assert (twitter["operations_total"], twitter["errors_total"], twitter["counts"]["like"]) == (18, 2, 18)
    assert (stats["operations_total"], stats["errors_total"]) == (18, 2)
    assert stats["nodes"]["node-1"]["operations_total"] == 18
    assert stats["nodes"]["node-2"]["operations_total"] == 0
    assert twitter["target_rate"] == 100  # the front's: the whole, not the shares


def test_workers_are_those_of_the_living_together_and_an_open_loop_has_none() -> None:
    own, worker = taken([]), taken([])
    assert merged(own["stats"], [worker, worker], [])["workloads"]["twitter"]["workers"] is None
    own["stats"]["workloads"]["twitter"] |= {"loop": "closed", "workers": 3}
    worker["stats"]["workloads"]["twitter"] |= {"loop": "closed", "workers": 2}
    twitter = merged(own["stats"], [worker, worker], [])["workloads"]["twitter"]
    assert (twitter["loop"], twitter["workers"]) == ("closed", 4)


def test_percentiles_are_those_of_all_latencies_together() -> None:
    quick, slow = [1.0 + number / 1000 for number in range(900)], [200.0 + number for number in range(100)]
    stats = merged(taken([])["stats"], [taken(quick), taken(slow, node="node-2")], [])
    together = summary_of_values(microseconds(np.array(quick + slow) / 1000))
    for name, wanted in together.items():
        found = stats["workloads"]["twitter"]["latency_ms"][name]
        assert wanted is not None
        assert abs(found - wanted) <= 0.02 * wanted, name  # the mean of both p99 would be 150 ms
    assert stats["nodes"]["node-2"]["latency_ms"]["p50"] > 200


def test_nobody_alive_is_a_snapshot_too() -> None:
    stats = merged(taken([])["stats"], [], [taken([1.0])["stats"]])
    assert stats["workloads"]["twitter"]["operations_total"] == 1
    assert stats["workloads"]["twitter"]["latency_ms"]["p99"] is None
    assert stats["convergence"]["share"] is None
