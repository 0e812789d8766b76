"""GET /metrics: the numbers of the stats in Prometheus' text format, named and in units by its conventions.

Here: names and units (seconds, totals).
Must not live here: where the numbers come from (control/generator.py), percentiles of one's own: Prometheus gets the
quantiles of the last five seconds as gauges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}


class _StatsCollector(Collector):
    def __init__(self, stats: Mapping[str, Any]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        yield from _of_workloads(self._stats["workloads"])
        yield from _of_nodes(self._stats["nodes"])
        recovered = self._stats.get("inherited")
        if recovered:
            yield CounterMetricFamily(
                "traffic_killed_generators", "Whose journals were found", value=recovered["processes"]
            )
        share = self._stats["convergence"].get("share")
        if share is not None:
            yield GaugeMetricFamily("traffic_agreeing_ratio", "Sampled keys that agree", value=share)


def _of_workloads(workloads: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    labels = ["workload"]
    operations = CounterMetricFamily(
        "traffic_operations", "Operations acknowledged or answered", labels=[*labels, "kind"]
    )
    failed = CounterMetricFamily("traffic_failed", "Operations that failed", labels=[*labels, "outcome"])
    resent = CounterMetricFamily("traffic_resent", "Attempts beyond the first", labels=labels)
    shed = CounterMetricFamily("traffic_shed", "Arrivals that were never sent", labels=labels)
    running = GaugeMetricFamily("traffic_running", "1 while arrivals come", labels=labels)
    target = GaugeMetricFamily("traffic_target_rate", "Wanted operations a second", labels=labels)
    workers = GaugeMetricFamily(
        "traffic_closed_loop_workers", "Who send by turns; 0: an open loop", labels=labels
    )
    waiting = GaugeMetricFamily("traffic_waiting", "Operations under way", labels=[*labels, "where"])
    active = GaugeMetricFamily("traffic_active", "Live tweets, documents, products", labels=labels)
    gap = GaugeMetricFamily("traffic_longest_gap_seconds", "Without a success", labels=labels)
    world = GaugeMetricFamily("traffic_world", "What a world counts", labels=[*labels, "what"])
    latency = GaugeMetricFamily(
        "traffic_latency_seconds", "From the intended start, last 5 s", labels=[*labels, "quantile"]
    )
    service = GaugeMetricFamily(
        "traffic_service_latency_seconds", "From the actual send, last 5 s", labels=[*labels, "quantile"]
    )
    for name, one in workloads.items():
        for kind, count in one["counts"].items():
            operations.add_metric([name, kind], count)
        failed.add_metric([name, "definite"], one["errors_definite"])
        failed.add_metric([name, "indefinite"], one["errors_indefinite"])
        resent.add_metric([name], one["resent_total"])
        shed.add_metric([name], one["shed_total"])
        running.add_metric([name], float(one["running"]))
        target.add_metric([name], one["target_rate"])
        workers.add_metric([name], one["workers"] or 0)
        for where in ("queued", "in_flight", "resending"):
            waiting.add_metric([name, where], one[where])
        active.add_metric([name], one.get("active", 0))
        gap.add_metric([name], one["longest_gap_s"])
        for what, count in one.get("world", {}).items():
            world.add_metric([name, what], count)
        _quantiles(latency, name, one["latency_ms"])
        _quantiles(service, name, one["service_latency_ms"])
    yield from (operations, failed, resent, shed, running, target, workers, waiting, active, gap, world)
    yield from (latency, service)


def _of_nodes(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    healthy = GaugeMetricFamily("traffic_node_healthy", "1 if it answers", labels=["node"])
    operations = CounterMetricFamily("traffic_node_operations", "Through this node", labels=["node"])
    failed = CounterMetricFamily("traffic_node_failed_attempts", "Through this node", labels=["node"])
    latency = GaugeMetricFamily(
        "traffic_node_latency_seconds", "From the actual send, last 5 s", labels=["node", "quantile"]
    )
    for name, one in nodes.items():
        healthy.add_metric([name], float(one["healthy"]))
        operations.add_metric([name], one["operations_total"])
        failed.add_metric([name], one["errors_total"])
        _quantiles(latency, name, one["latency_ms"])
    yield from (healthy, operations, failed, latency)


def _quantiles(family: GaugeMetricFamily, name: str, latency_ms: Mapping[str, float | None]) -> None:
    for percentile, quantile in _QUANTILES.items():
        value = latency_ms.get(percentile)
        if value is not None:
            family.add_metric([name, quantile], value / 1000.0)


def exposition(stats: Mapping[str, Any]) -> bytes:
    """The text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatsCollector(stats))
    return generate_latest(registry)
