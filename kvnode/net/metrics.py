"""GET /metrics: the figures of /stats in Prometheus' text format, named and measured in units by its conventions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class _StatsCollector(Collector):
    def __init__(self, stats: dict[str, Any]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self._stats)
        yield from _background(self._stats)
        yield from _peers(self._stats)
        yield from _storage(self._stats)


def _requests(stats: dict[str, Any]) -> Iterator[Metric]:
    yield _counter("kvnode_operations", "Requests coordinated here", "operation", stats["operations"])
    yield _counter("kvnode_repairs", "Records and rounds of repair", "kind", _totals(stats["repairs"]))
    yield _counter("kvnode_hints", "Hints by what became of them", "outcome", _totals(stats["hints"]))
    yield _gauge("kvnode_hints_pending", "Hints waiting for a peer", "peer", stats["hints"]["pending"])
    yield GaugeMetricFamily("kvnode_keys", "Records held by this replica", value=stats["keys"])
    yield GaugeMetricFamily(
        "kvnode_requests_in_flight", "Rounds on their way", value=stats["requests_in_flight"]
    )
    yield GaugeMetricFamily("kvnode_uptime_seconds", "Seconds since the start", value=stats["uptime_s"])
    corrupt = stats["corrupt_records_total"]
    yield CounterMetricFamily("kvnode_corrupt_records", "Records refused for their checksum", value=corrupt)


def _background(stats: dict[str, Any]) -> Iterator[Metric]:
    yield from _maintenance(stats["maintenance"])
    tombstones = stats["tombstones"]
    yield CounterMetricFamily(
        "kvnode_tombstones_reaped",
        "Tombstones that this node had all owners drop",
        value=tombstones["reaped_total"],
    )
    yield GaugeMetricFamily(
        "kvnode_tombstones_remaining",
        "Tombstones that the last sweep of this node's partitions left",
        value=tombstones["remaining"],
    )
    yield CounterMetricFamily(
        "kvnode_messages_refused",
        "Messages of peers refused for their age",
        value=stats["messages_refused_total"],
    )
    yield _counter(
        "kvnode_messages_implausible",
        "Messages of peers refused for a number that cannot be",
        "what",
        stats["messages_implausible_total"],
    )


def _peers(stats: dict[str, Any]) -> Iterator[Metric]:
    lags = {
        peer: lag["p95_ms"] / 1000.0
        for peer, lag in stats["replication_lag"].items()
        if lag["p95_ms"] is not None
    }
    yield _gauge("kvnode_replication_lag_p95_seconds", "From sending a write to its ack, 10 s", "peer", lags)
    links = stats["links"]
    yield _gauge("kvnode_link_connected", "1 if the link stands", "peer", _each(links, "connected"))
    yield _counter("kvnode_link_messages_sent", "Messages sent", "peer", _each(links, "sent_total"))
    yield _counter("kvnode_link_sent_bytes", "Bytes sent", "peer", _each(links, "bytes_sent_total"))
    yield _counter("kvnode_link_messages_dropped", "Messages dropped", "peer", _each(links, "dropped_total"))
    trips = {
        peer: link["round_trip_ms"]["p95"] / 1000.0
        for peer, link in links.items()
        if link["round_trip_ms"] is not None
    }
    yield _gauge(
        "kvnode_link_round_trip_p95_seconds", "Round trips achieved, as probes measure", "peer", trips
    )


def _storage(stats: dict[str, Any]) -> Iterator[Metric]:
    yield GaugeMetricFamily("kvnode_ring_epoch", "Epoch of the ring obeyed here", value=stats["epoch"])
    storage = stats["storage"]
    if storage.get("sync_ms", {}).get("p95") is not None:
        yield GaugeMetricFamily(
            "kvnode_storage_sync_p95_seconds",
            "How long a sync of the log takes",
            value=storage["sync_ms"]["p95"] / 1000.0,
        )
    yield from _process(stats)
    yield CounterMetricFamily(
        "kvnode_storage_commits", "Group commits", value=storage.get("commits_total", 0)
    )
    yield CounterMetricFamily("kvnode_storage_records", "Rows written", value=storage.get("records_total", 0))


def _process(stats: dict[str, Any]) -> Iterator[Metric]:
    if "loop" in stats:
        yield GaugeMetricFamily(
            "kvnode_loop_longest_hold_seconds",
            "The longest time for which the event loop was held, 10 s",
            value=stats["loop"]["longest_hold_ms"] / 1000.0,
        )
    if "http" in stats:
        yield GaugeMetricFamily(
            "kvnode_http_connections", "Connections of clients", value=stats["http"]["connections"]
        )
        yield CounterMetricFamily(
            "kvnode_http_connections_refused",
            "Connections refused since there were too many",
            value=stats["http"]["refused_total"],
        )


def _maintenance(works: dict[str, Any]) -> Iterator[Metric]:
    done = {work: state for work, state in works.items() if state["rounds_total"]}
    yield _counter(
        "kvnode_maintenance_rounds", "Rounds of maintenance tasks", "work", _each(works, "rounds_total")
    )
    yield _gauge(
        "kvnode_maintenance_running", "1 while a round is under way", "work", _each(works, "running")
    )
    yield _gauge(
        "kvnode_maintenance_last_round_duration_seconds",
        "How long the last round took",
        "work",
        _each(done, "last_duration_s"),
    )
    began = {work: state["last_began"] / 1000.0 for work, state in done.items()}
    yield _gauge(
        "kvnode_maintenance_last_round_timestamp_seconds",
        "When the last round began (Unix time)",
        "work",
        began,
    )


def _counter(name: str, text: str, label: str, figures: dict[str, Any]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, figure in figures.items():
        family.add_metric([key], float(figure))
    return family


def _gauge(name: str, text: str, label: str, figures: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, figure in figures.items():
        family.add_metric([key], float(figure))
    return family


def _totals(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name.removesuffix("_total"): figure
        for name, figure in figures.items()
        if name.endswith("_total") and name != "pending_total"
    }


def _each(links: dict[str, Any], field: str) -> dict[str, Any]:
    return {peer: link[field] for peer, link in links.items()}


def exposition(stats: dict[str, Any]) -> bytes:
    """The text that Prometheus scrapes. stats: see Views.stats."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatsCollector(msgspec.to_builtins(stats)))
    return generate_latest(registry)
