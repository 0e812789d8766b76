"""Predicted and measured staleness on a real cluster with slow links; few samples, so within wide bounds.

scripts/pbs.py is the whole measurement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from kvnode.cluster import LocalCluster
from traffic.pbs.measure import Measurement, PbsRun, Wish
from traffic.pbs.model import OfWrite
from traffic.stores.kvnode import KvnodeStore

pytestmark = pytest.mark.live

WRITES = 200
WITHIN_POINTS = 15.0  # four standard errors of 200 samples


def three_times_slower(write: OfWrite) -> OfWrite:
    return write._replace(others=tuple((there * 3, back) for there, back in write.others))


def test_the_model_agrees_with_the_measurement_and_repair_stays_off(
    live_cluster: Callable[..., LocalCluster],
) -> None:
    cluster = live_cluster(nodes=3)

    async def measure() -> Measurement:
        store = KvnodeStore(cluster.urls, [node.name for node in cluster.nodes], replicas=3)
        run = PbsRun(
            store, Wish(t_ms=[0.0, 1.0, 5.0, 20.0, 50.0], writes=WRITES, writes_per_s=50.0), random=Random(1)
        )
        try:
            await run.prepare()
            await asyncio.to_thread(cluster.delay, 20.0, distribution="exponential")
            return await run.run()
        finally:
            await store.close()

    measurement = asyncio.run(measure())
    measurement.predict(Random(2))
    print("\n".join(measurement.table()))
    client = cluster.client()
    for node in cluster.nodes:
        assert client.stats(node.name)["repairs"]["read_repair_total"] == 0
    first, *_, last = measurement.points
    assert measurement.failed <= WRITES * 0.05
    assert first.measured < 0.5 < last.measured, "the links are not slow"
    for point in measurement.points:
        assert point.difference < WITHIN_POINTS, f"t = {point.t_ms} ms"
    measurement.writes = {number: three_times_slower(write) for number, write in measurement.writes.items()}
    measurement.predict(Random(2))
    assert max(point.difference for point in measurement.points) > WITHIN_POINTS, (
        "it would agree with anything"
    )
