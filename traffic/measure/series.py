"""Rows of a run: one a second, and tables that pandas loads in one line.

Here: what the columns are called and how rows are made of latencies; CSV.
Must not live here: who records (recorder.py), charts (runs/report.py).

    pandas.DataFrame(series)            # rows as they are kept
    pandas.read_csv("series.csv")       # as they are written

Columns of a row of time: `t_s` is the end of the second that it tells of, from the beginning of the record.
Rates are operations/s, latencies milliseconds: `p50_ms` … `max_ms` from the intended start, `sent_p50_ms` …
from the actual send. None (an empty cell in CSV) means that nothing was recorded.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from traffic.measure.histograms import Summary

Row = dict[str, Any]

ROW_COLUMNS = (
    "t_s", "target_rate", "achieved_rate", "ok", "errors", "definite", "indefinite", "shed", "queued", "resent",
    "in_flight", "p50_ms", "p95_ms", "p99_ms", "max_ms", "sent_p50_ms", "sent_p95_ms", "sent_p99_ms", "sent_max_ms",
)  # fmt: skip
NODE_COLUMNS = (
    "t_s", "node", "achieved_rate", "attempts_failed", "p50_ms", "p95_ms", "p99_ms", "max_ms",
    "sent_p50_ms", "sent_p95_ms", "sent_p99_ms", "sent_max_ms",
)  # fmt: skip
CELL_COLUMNS = (
    "kind", "node", "region", "outcome", "count", "p50_ms", "p95_ms", "p99_ms", "max_ms",
    "sent_p50_ms", "sent_p95_ms", "sent_p99_ms", "sent_max_ms",
)  # fmt: skip


def latency_columns(corrected: Summary, sent: Summary) -> Row:
    """The columns of both clocks: from the intended start, and from the actual send."""
    columns = {f"{name}_ms": value for name, value in corrected.items()}
    return {**columns, **{f"sent_{name}_ms": value for name, value in sent.items()}}


def csv_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as CSV, with a head. Without `columns` those of the first row; other columns are left out."""
    rows = list(rows)
    if columns is None:
        columns = list(rows[0]) if rows else []
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def labelled(rows: Iterable[Mapping[str, Any]], **labels: str) -> list[Row]:
    """The same rows with the same first columns each, so that tables of several workloads can be one."""
    return [{**labels, **row} for row in rows]
