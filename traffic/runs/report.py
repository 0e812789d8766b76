"""The report of a run: one HTML file that opens anywhere, with charts, verdicts and all that they stand on.

Here: which charts and tables, in which order: verdicts first, then what users felt, then the nodes, then the settings
and the machine.
Must not live here: how a line is drawn (charts.py), where the numbers come from (measure/recorder.py, recording.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from traffic.load.executor import ATTEMPTS_MAX
from traffic.load.retries import PAUSE_S_MAX, PAUSE_S_MIN
from traffic.measure.series import CELL_COLUMNS, Row
from traffic.runs.charts import Band, Chart, Line
from traffic.runs.faults import FAULT_ACTIONS
from traffic.runs.recording import Fault, Header, Judged, Recording

NODE_COLOURS = 9  # in report.css, the same as in every chart of the notebooks
P50, P99, SENT, TARGET, BAD = "var(--p50)", "var(--p99)", "var(--sent)", "var(--target)", "var(--bad)"

RETRY_POLICY = (
    f"A put or a read that fails definitely is tried through other nodes, at most {ATTEMPTS_MAX} attempts; an "
    "indefinite put is not tried again (it may be there already) and counts as an error. An increment carries its "
    "actor's running totals, so a repeat changes nothing: it is sent again until it is answered, with a pause that "
    f"doubles from {PAUSE_S_MIN * 1000:.0f} ms to {PAUSE_S_MAX:g} s. Latency runs from the intended start to the "
    "final answer, repeats included."
)


@dataclass(frozen=True)
class Report:
    """What a report is made of. tables: series, nodes and cells, each row with its `workload`."""

    title: str
    header: Header
    tables: Mapping[str, Sequence[Row]]
    faults: Sequence[Fault]
    verdicts: Sequence[Judged]
    totals: Mapping[str, Mapping[str, Any]]
    missing: str = ""


def of_recording(recording: Recording) -> Report:
    """The report of a recorded run, made without a cluster."""
    return Report(
        title=" and ".join(recording.workloads),
        header=recording.header,
        tables=recording.tables(),
        faults=recording.faults,
        verdicts=recording.verdicts,
        totals=recording.end.totals if recording.end else {},
        missing=recording.missing,
    )


def write_report(report: Report, path: Path) -> Path:
    path.write_text(html_of(report), encoding="utf-8")
    return path


def html_of(report: Report) -> str:
    style = files("traffic.runs").joinpath("report.css").read_text(encoding="utf-8")
    header = report.header
    nodes = "one node" if len(header.nodes) == 1 else f"{len(header.nodes)} nodes"
    parts = [
        f"<h1>Traffic report: {escape(report.title)}</h1>",
        f'<p class="when">{escape(header.started_at)} · seed {header.seed} · {nodes}, '
        f"N = {header.replicas}</p>",
        f'<p class="missing">{escape(report.missing)}</p>' if report.missing else "",
        _verdicts(report.verdicts),
        *(_world(report, world, is_only=len(header.settings) == 1) for world in header.settings),
        _faults(report.faults),
        f"<h2>How it was measured</h2><p>{_clocks()}</p><p><b>Retries.</b> {escape(RETRY_POLICY)}</p>",
        "<h2>Settings</h2>",
        *(_pairs(name, settings) for name, settings in header.settings.items()),
        _pairs("asked for", {name: value for name, value in header.asked_for.items() if value}),
        "<h2>Environment</h2>",
        _pairs("computer", header.environment),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Traffic report: '
        f"{escape(report.title)}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


# --- parts -------------------------------------------------------------------------------------------------


def _verdicts(verdicts: Sequence[Judged]) -> str:
    if not verdicts:
        return '<p class="missing">There is no verdict: the run was not judged.</p>'
    cards: list[str] = []
    for verdict in verdicts:
        evidence = "".join(f"<li>{escape(line)}</li>" for line in verdict.evidence)
        cards.append(
            f'<section class="verdict {verdict.status.replace(" ", "-")}"><b class="status">'
            f"{escape(verdict.status)}</b><span>{escape(verdict.claim)}<br><small>{escape(verdict.summary)}</small>"
            f"{f'<ul>{evidence}</ul>' if evidence else ''}</span></section>"
        )
    return f'<div class="verdicts">{"".join(cards)}</div>'


def _world(report: Report, world: str, *, is_only: bool) -> str:
    rows = [row for row in report.tables["series"] if row["workload"] == world]
    if not rows:
        return ""
    times_s = [float(row["t_s"]) for row in rows]
    bands = bands_of(report.faults, times_s[-1])
    totals = report.totals.get(world, {})

    def line(name: str, column: str, colour: str, **look: bool) -> Line:
        return Line(name, [_value(row.get(column)) for row in rows], colour, **look)

    charts = [
        Chart(
            "Was everything sent that was wanted?",
            times_s,
            [
                line("wanted", "target_rate", TARGET, steps=True, thin=True),
                line("succeeded", "achieved_rate", P50),
            ],
            "operations/s",
            bands=bands,
        ),
        Chart(
            "How long did people wait?",
            times_s,
            [
                line("p50 from the intended start", "p50_ms", P50),
                line("p99 from the intended start", "p99_ms", P99),
                line("p99 from the actual send", "sent_p99_ms", SENT, dashed=True),
            ],
            "ms",
            log=True,
            bands=bands,
            note="Where the dashed line lies below the solid one, operations waited to be sent: whoever measures "
            "from the send does not see it.",
        ),
    ]
    trouble = ("errors", "shed", "queued", "resent")
    if any(row.get(name) for row in rows for name in trouble):
        charts.append(
            Chart(
                "What went wrong?",
                times_s,
                [
                    line("errors", "errors", BAD),
                    line("shed (never sent)", "shed", P99, dashed=True),
                    line("queued (sent late)", "queued", SENT, thin=True),
                    line("resent", "resent", P50, thin=True),
                ],
                "operations in the second",
                bands=bands,
            )
        )
    charts += _node_charts(report, world, times_s, bands)
    heading = "" if is_only else f"<h2>{escape(world)}</h2>"
    cells = [row for row in report.tables["cells"] if row["workload"] == world]
    return f"{heading}{_numbers(totals)}{''.join(chart.svg() for chart in charts)}{_latencies(totals)}{_cells(cells)}"


def _node_charts(report: Report, world: str, times_s: Sequence[float], bands: Sequence[Band]) -> list[Chart]:
    by_node: dict[str, dict[float, Row]] = {name: {} for name in report.header.nodes}
    for row in report.tables["nodes"]:
        if row["workload"] == world:
            by_node.setdefault(row["node"], {})[float(row["t_s"])] = row

    def lines(column: str) -> list[Line]:
        return [
            Line(
                name,
                [_value(rows.get(at_s, {}).get(column)) for at_s in times_s],
                f"var(--node-{index % NODE_COLOURS + 1})",
            )
            for index, (name, rows) in enumerate(by_node.items())
        ]

    return [
        Chart("Through which node?", times_s, lines("achieved_rate"), "operations/s", bands=bands),
        Chart("How slow was each node? (p99)", times_s, lines("p99_ms"), "ms", log=True, bands=bands),
    ]


_RANK = {"suspect": 1, "cut off": 2, "unreachable": 2, "dead": 3}


def bands_of(faults: Sequence[Fault], end_s: float) -> list[Band]:
    """Each node's trouble from its beginning to its end, under the worst name that it had."""
    bands: list[Band] = []
    trouble: dict[str, tuple[float, str]] = {}
    for fault in sorted(faults, key=lambda one: one.t_s):
        if fault.what in FAULT_ACTIONS:  # the table tells of causes; a band is what was seen to follow
            continue
        for name in fault.nodes or ["the cluster"]:
            began_s, worst = trouble.pop(name, (fault.t_s, ""))
            if fault.what in ("alive", "joined", "left"):
                bands.append(Band(began_s, fault.t_s, f"{name} {worst or fault.what}"))
            else:
                rank = _RANK.get(fault.what, 4) >= _RANK.get(worst, 0 if not worst else 4)
                trouble[name] = began_s, fault.what if rank else worst
    return bands + [Band(began_s, end_s, f"{name} {worst}") for name, (began_s, worst) in trouble.items()]


def _numbers(totals: Mapping[str, Any]) -> str:
    if not totals:
        return ""
    shown = {
        "operations": totals.get("operations"),
        "definite errors": totals.get("errors_definite"),
        "indefinite errors": totals.get("errors_indefinite"),
        "shed": totals.get("shed"),
        "queued": totals.get("queued"),
        "resent": totals.get("resent"),
        "s longest gap without success": totals.get("longest_gap_s"),
        **{name.replace("_", " "): count for name, count in totals.get("world", {}).items()},
    }
    return (
        '<div class="numbers">'
        + "".join(f"<span><b>{_text(value)}</b>{escape(name)}</span>" for name, value in shown.items())
        + "</div>"
    )


def _latencies(totals: Mapping[str, Any]) -> str:
    latency: Mapping[str, Mapping[str, Any]] = totals.get("latency_ms", {})
    if not latency:
        return ""
    columns = ("p50", "p95", "p99", "max")
    rows = [
        {"operation": kind, **{f"{one} ms": values.get(one) for one in columns}}
        for kind, values in latency.items()
    ]
    return f"<h3>Latency of the whole run</h3>{_table(rows, list(rows[0]))}"


def _cells(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    columns = [column for column in CELL_COLUMNS if any(row.get(column) not in (None, "") for row in rows)]
    return (
        f"<details><summary>Every kind, node, region and outcome ({len(rows)} rows)</summary>"
        f"{_table(rows, columns)}</details>"
    )


def _what(fault: Fault) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in fault.figures.items())
    return f"{fault.what} ({figures})" if figures else fault.what


def _faults(faults: Sequence[Fault]) -> str:
    if not faults:
        return ""
    rows = [
        {"at s": fault.t_s, "what": _what(fault), "nodes": ", ".join(fault.nodes), "known from": fault.source}
        for fault in faults
    ]
    return f"<h2>What happened to the cluster</h2>{_table(rows, list(rows[0]))}"


def _clocks() -> str:
    return (
        "Every operation has two latencies: from its <i>intended</i> start, when it was due, and from its actual send. "
        "Users feel the first. They differ where operations had to wait before they were sent "
        "(coordinated omission, Gil Tene). Latencies are of what succeeded; failures are counted, not averaged in. "
        "Percentiles of a second are exact, those of the run are HdrHistogram's, to better than 1 %."
    )


def _pairs(title: str, values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name).replace('_', ' '))}</th><td>{escape(_text(value))}</td></tr>"
        for name, value in values.items()
    )
    return f'<table class="pairs"><caption>{escape(title)}</caption>{rows}</table>'


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{'' if isinstance(row.get(column), str) else ' class=number'}>{escape(_text(row.get(column)))}</td>"
            for column in columns
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _value(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
