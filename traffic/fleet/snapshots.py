"""Several generators' snapshots made one: counts add up, histograms merge, settings are the coordinator's.

Here: pure functions on what `Generator.stats` answers and the histograms that go with it.
Must not live here: processes and pipes (coordinator.py, worker.py).

Percentiles cannot be added or averaged; histograms can. So each worker sends its latencies of the last seconds as
HdrHistograms (encoded as the library does), and percentiles are taken from their sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from traffic.control.generator import Generator
from traffic.measure.histograms import new_histogram, summary_of_histogram

Stats = dict[str, Any]

ADDED = (
    "operations_total",
    "errors_total",
    "errors_definite",
    "errors_indefinite",
    "resent_total",
    "shed_total",
    "queued_total",
)
ADDED_NOW = ("achieved_rate", "queued", "in_flight", "resending", "active")
"""Of the moment: what a dead process has no share in."""
ADDED_TABLES = ("counts", "world")


def snapshot(generator: Generator, now_s: float) -> dict[str, Any]:
    """What a worker tells about itself."""
    recent: dict[str, Any] = {}
    for name, driver in generator.drivers.items():
        corrected, sent = driver.recorder.recent_histograms(now_s)
        recent[name] = {
            "corrected": _encoded(corrected),
            "sent": {node: _encoded(histogram) for node, histogram in sent.items()},
        }
    return {"stats": generator.stats(), "recent": recent}


def merged(own: Stats, workers: Sequence[Mapping[str, Any]], past: Sequence[Stats]) -> Stats:
    """One snapshot. own: the coordinator's (settings, health of the nodes, its own few operations). workers: snapshots
    of the living. past: the last stats of those that died."""
    living = [worker["stats"] for worker in workers]
    recent = [worker["recent"] for worker in workers]
    stats = {**own}
    everybody = [own, *living, *past]
    for name in ("operations_total", "errors_total"):
        stats[name] = sum(one[name] for one in everybody)
    for name in ("active_tweets", "active_documents"):
        stats[name] = sum(one[name] for one in living)
    stats["active_products"] = max(
        (one["active_products"] for one in living), default=0
    )  # all share one catalogue
    stats["workloads"] = {
        name: _workload(
            workload,
            [one["workloads"][name] for one in living],
            [one["workloads"][name] for one in past],
            [one[name] for one in recent],
        )
        for name, workload in own["workloads"].items()
    }
    stats["nodes"] = {
        name: _node(
            node,
            [one["nodes"][name] for one in living if name in one["nodes"]],  # who has not heard of it yet
            [one["nodes"][name] for one in past if name in one["nodes"]],
            [table["sent"][name] for one in recent for table in one.values() if name in table["sent"]],
        )
        for name, node in own["nodes"].items()
    }
    stats["journal"] = next(
        (one["journal"] for one in [own, *living] if not one["journal"]["kept"]), own["journal"]
    )
    stats["convergence"] = _convergence(own["convergence"], [one["convergence"] for one in living])
    return stats


def _workload(own: Stats, living: Sequence[Stats], past: Sequence[Stats], recent: Sequence[Any]) -> Stats:
    total = {**own}
    everybody = [own, *living, *past]
    for name in ADDED:
        if name in own:
            total[name] = sum(one[name] for one in everybody)
    for name in ADDED_NOW:
        total[name] = round(sum(one[name] for one in living), 1)
    for name in ADDED_TABLES:
        keys = dict.fromkeys(key for one in everybody for key in one[name])
        total[name] = {key: sum(one[name].get(key, 0) for one in everybody) for key in keys}
    # No process knows of the others' successes: the longest gap of one is an upper bound for that of all.
    total["longest_gap_s"] = max((one["longest_gap_s"] for one in everybody), default=0.0)
    if own["workers"] is not None:  # shares are rounded up, so there may be more than were asked for
        total["workers"] = sum(one["workers"] or 0 for one in living) or own["workers"]
    total["running"] = any(one["running"] for one in living)
    total["latency_ms"] = _summary(one["corrected"] for one in recent)
    total["service_latency_ms"] = _summary(text for one in recent for text in one["sent"].values())
    return total


def _node(own: Stats, living: Sequence[Stats], past: Sequence[Stats], recent: Sequence[str]) -> Stats:
    everybody = [own, *living, *past]
    return {
        **own,
        "operations_total": sum(one["operations_total"] for one in everybody),
        "errors_total": sum(one["errors_total"] for one in everybody),
        "achieved_rate": round(sum(one["achieved_rate"] for one in living), 1),
        "latency_ms": _summary(recent),
    }


def _convergence(own: Stats, living: Sequence[Stats]) -> Stats:
    sampled = sum(one["sampled_keys"] for one in living)
    agreeing = sum(one["agreeing_keys"] for one in living)
    oldest = [one["oldest_disagreement_s"] for one in living if one["oldest_disagreement_s"] is not None]
    return {
        **own,
        "sampled_keys": sampled,
        "agreeing_keys": agreeing,
        "share": agreeing / sampled if sampled else None,
        "checked_at": max((one["checked_at"] or 0 for one in living), default=0) or own["checked_at"],
        "oldest_disagreement_s": max(oldest, default=None),
    }


def _encoded(histogram: Any) -> str:
    text: bytes = histogram.encode()
    return text.decode("ascii")


def _summary(encoded: Iterable[str]) -> dict[str, float | None]:
    total = new_histogram()
    for text in encoded:
        total.add(HdrHistogram.decode(text))
    return summary_of_histogram(total)
