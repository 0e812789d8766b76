"""A narrow link between real nodes: what replicas have to tell each other takes as long as its bytes need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.chaos.convergence import Roots

pytestmark = pytest.mark.live

VALUE_BYTES, COUNT, RATE = 10_000, 20, 50_000


def test_replicas_that_differ_by_n_bytes_need_n_over_the_rate_to_agree(
    live_cluster: Callable[..., Any],
) -> None:
    cluster = live_cluster(nodes=2)
    client, roots = cluster.client(), Roots(cluster.client())
    cluster.isolate(2)
    for number in range(COUNT):
        client.put(f"narrow/{number}", "x" * VALUE_BYTES, w=1, node="node-1")
    cluster.bandwidth(RATE, nodes=(1, 2))
    assert client.stats("node-1")["links"]["node-2"]["rule"] == {"bytes_per_s": float(RATE), "cut": True}
    began_s = time.monotonic()
    cluster.reconnect()
    took_s = roots.wait_until_equal(60)
    assert took_s is not None
    took_s = time.monotonic() - began_s
    roots.close()
    assert took_s >= VALUE_BYTES * COUNT / RATE
    cluster.heal()
    assert client.stats("node-1")["links"]["node-2"]["rule"] == {}
