"""What happened: counts, latencies, rates and gaps, cheap enough to note every operation.

Here: numbers in, numbers out; time comes in as an argument.
Must not live here: clocks, HTTP, what an operation is; buckets (histograms.py), columns (series.py), single operations
for later (runs/recording.py).

Two latencies of every operation: from the *intended* start, which is what a user of an open system feels, and
from the actual send, which is what a closed test would report. Where they part company, coordinated omission is
at work (Gil Tene, "How NOT to Measure Latency", 2013; wrk2 calls them corrected and uncorrected). Both are
kept for each kind of operation, node, region and outcome; percentiles over all are those of what succeeded,
since a quick refusal is no good answer.

How it is kept. Noting an operation appends four numbers to a flat array: the row of its (kind, node, region,
outcome) and its three times. Whoever reads turns what has come since the last reading into numpy arrays, of which
the last five seconds are kept for sliding percentiles and rates. Once a second they are counted into one
HdrHistogram a row and clock, for the whole run. Histograms merge, so the records of several generator processes
can be added up.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from traffic.measure.attempts import FailedAttempts
from traffic.measure.events import AttemptFailed, AttemptStarted, Ended, Events, Outcome
from traffic.measure.histograms import (
    LatencyTable,
    Microseconds,
    Summary,
    histogram_of_values,
    microseconds,
    summary_of_values,
)
from traffic.measure.series import Row, latency_columns

LATENCY_WINDOW_S = 5.0
RATE_WINDOW_S = 2.0
RATE_WINDOW_S_MIN = 0.5
SERIES_EVERY_S = 1.0
SERIES_ROWS_MAX = 3600
NODE_ROWS_MAX = 9 * SERIES_ROWS_MAX
PENDING_MAX = 16_384  # nobody ticks: read what is there before it grows

Cell = tuple[str, str, str, Outcome]
"""(kind, node, region, outcome); node is "" for what was never sent, region "" where there is none."""


class _Batch(NamedTuple):
    """Operations in the order in which they ended."""

    cells: npt.NDArray[np.int64]
    done_s: npt.NDArray[np.float64]
    corrected_us: npt.NDArray[np.int64]
    sent_us: npt.NDArray[np.int64]

    def only(self, mask: npt.NDArray[np.bool_]) -> _Batch:
        return _Batch(self.cells[mask], self.done_s[mask], self.corrected_us[mask], self.sent_us[mask])


_EMPTY = _Batch(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))


class Recorder:
    """The record of one workload. All times are seconds on one monotonic clock."""

    def __init__(self, kinds: Sequence[str], nodes: Sequence[str], now_s: float) -> None:
        self.resent = 0
        self.shed = 0
        self.queued = 0  # how many had to wait for a free place before they were sent
        self.series: deque[Row] = deque(maxlen=SERIES_ROWS_MAX)
        self.node_series: deque[Row] = deque(maxlen=NODE_ROWS_MAX)
        self.failed_attempts = FailedAttempts()
        self._kinds = tuple(kinds)
        self._attempts_failed = dict.fromkeys(nodes, 0)  # by node; those that come later, too
        self._rows: dict[Cell, int] = {}
        self._is_ok = np.zeros(0, np.bool_)
        self._counts = np.zeros(0, np.int64)
        self._pending = array("d")
        self._lately: deque[_Batch] = deque()  # of the last LATENCY_WINDOW_S
        self._asked: float | None = None  # the last answer of _window, and to what
        self._answer = _EMPTY
        self._uncounted: list[_Batch] = []  # not yet in the tables
        self._unrowed: list[_Batch] = []  # not yet in a row of the series
        self._corrected = LatencyTable()
        self._sent = LatencyTable()
        self._began_s = now_s
        self._rate_since_s = now_s
        self._row_s = now_s
        self._next_row_s = now_s + SERIES_EVERY_S
        self._before: Counter[str] = Counter()
        self._active = False
        self._last_ok_s = now_s
        self._longest_gap_s = 0.0

    # --- what happened ------------------------------------------------------------------------------------

    def listen(self, events: Events) -> None:
        events.subscribe(AttemptStarted, self._attempt_started)
        events.subscribe(AttemptFailed, self._attempt_failed)
        events.subscribe(Ended, self.operation)

    def operation(self, ended: Ended) -> None:
        """One more has ended."""
        operation = ended.operation
        cell: Cell = (operation.kind, ended.node or "", operation.region or "", ended.outcome)
        row = self._rows.get(cell)
        if row is None:
            row = self._new_row(cell)
        pending = self._pending
        pending.extend((row, ended.intended_s, ended.sent_s, ended.done_s))
        if len(pending) > 4 * PENDING_MAX:
            self._read()

    def _attempt_started(self, event: AttemptStarted) -> None:
        if event.is_again:
            self.resent += 1

    def _attempt_failed(self, event: AttemptFailed) -> None:
        node, kind = event.node, event.request.operation.kind
        self._attempts_failed[node] = self._attempts_failed.get(node, 0) + 1
        self.failed_attempts.note(event.error.detail, kind=kind, node=node, at_ms=event.wall_ms)

    def began(self, now_s: float) -> None:
        """Something is to be sent: from now on, time without a success is a gap."""
        if not self._active:
            self._read()
            self._active = True
            self._last_ok_s = now_s
            self._rate_since_s = now_s

    def begin_series(self, now_s: float) -> None:
        """From now on `t_s` counts, and the first row begins."""
        self._read()
        self._unrowed = []
        self._began_s = self._row_s = now_s
        self._next_row_s = now_s + SERIES_EVERY_S
        self.series.clear()
        self.node_series.clear()

    def ended(self, now_s: float) -> None:
        """Traffic stops (or its rate is 0): silence is no gap any more."""
        self._longest_gap_s = self.longest_gap_s(now_s)
        self._active = False

    # --- what it amounts to -------------------------------------------------------------------------------

    @property
    def ok(self) -> dict[str, int]:
        """Successful operations of each kind since the start."""
        self._read()
        found = dict.fromkeys(self._kinds, 0)
        for (kind, _, _, outcome), row in self._rows.items():
            if outcome == "ok":
                found[kind] = found.get(kind, 0) + int(self._counts[row])
        return found

    @property
    def operations(self) -> int:
        """Successful operations since the start."""
        return self.outcomes()["ok"]

    @property
    def failed_definite(self) -> int:
        return self.outcomes()["definite"]

    @property
    def failed_indefinite(self) -> int:
        return self.outcomes()["indefinite"]

    @property
    def errors(self) -> int:
        return self.outcomes()["definite"] + self.outcomes()["indefinite"]

    def outcomes(self) -> Counter[str]:
        """How many operations ended how."""
        self._read()
        found: Counter[str] = Counter()
        for (_, _, _, outcome), row in self._rows.items():
            found[outcome] += int(self._counts[row])
        return found

    def longest_gap_s(self, now_s: float) -> float:
        """The longest time without a successful operation while traffic ran; a gap that is still open
        counts."""
        self._read()
        return max(self._longest_gap_s, now_s - self._last_ok_s) if self._active else self._longest_gap_s

    def achieved_rate(self, now_s: float) -> float:
        """Successful operations/s over the last two seconds."""
        window = self._window(now_s)
        return self._rate(window.only(window.done_s > now_s - RATE_WINDOW_S), now_s)

    def latency_ms(self, now_s: float) -> Summary:
        """From the intended start, last five seconds."""
        return summary_of_values(self._window(now_s).corrected_us)

    def service_latency_ms(self, now_s: float) -> Summary:
        """From the actual send, last five seconds."""
        return summary_of_values(self._window(now_s).sent_us)

    def node(self, name: str, now_s: float) -> dict[str, Any]:
        """How it went through one node; latencies from the actual send, which are the node's own."""
        here = self._through(name, self._window(now_s))
        lately = here.only(here.done_s > now_s - RATE_WINDOW_S)
        rows = self._where(lambda cell: cell[1] == name and cell[3] == "ok")
        return {
            "operations_total": int(self._counts[rows].sum()),
            "errors_total": self._attempts_failed.get(name, 0),
            "achieved_rate": round(self._rate(lately, now_s), 1),
            "latency_ms": summary_of_values(here.sent_us),
        }

    def node_latencies_us(self, name: str, now_s: float) -> Microseconds:
        """From the actual send, through one node, last five seconds: to be joined with those of other records."""
        return self._through(name, self._window(now_s)).sent_us

    def run_latency_ms(self) -> Mapping[str, Summary]:
        """Of the whole run: from the intended start by kind and for all kinds, and from the actual send."""
        self._settle()
        good = self._where(lambda cell: cell[3] == "ok")
        rows_of: dict[str, list[int]] = {kind: [] for kind in self._kinds}
        for (kind, _, _, outcome), row in self._rows.items():
            if outcome == "ok":
                rows_of.setdefault(kind, []).append(row)
        return {
            "all": self._corrected.summary(good),
            "all, from the actual send": self._sent.summary(good),
            **{kind: self._corrected.summary(rows) for kind, rows in rows_of.items() if rows},
        }

    def histograms(self) -> tuple[Any, Any]:
        """What succeeded in the whole run, as two HdrHistograms in µs: from the intended start, and from the
        actual send. Those of several processes merge: `one.add(another)`."""
        self._settle()
        good = self._where(lambda cell: cell[3] == "ok")
        return self._corrected.histogram(good), self._sent.histogram(good)

    def recent_histograms(self, now_s: float) -> tuple[Any, dict[str, Any]]:
        """What succeeded in the last five seconds, as HdrHistograms in µs that merge with those of other
        processes: from the intended start, and from the actual send by node."""
        window = self._window(now_s)
        sent = {}
        for node in self._attempts_failed:
            here = np.isin(window.cells, self._where(lambda cell, node=node: cell[1] == node))  # type: ignore[misc]
            sent[node] = histogram_of_values(window.sent_us[here])
        return histogram_of_values(window.corrected_us), sent

    def counted(self) -> dict[Cell, tuple[int, int]]:
        """(row, how many) of each cell of the run; rows are for `summary_of` and `histogram_of`."""
        self._settle()
        return {cell: (row, int(self._counts[row])) for cell, row in self._rows.items()}

    def summary_of(self, rows: Sequence[int]) -> Summary:
        """Of these rows together, from the intended start."""
        return self._corrected.summary(rows)

    def histogram_of(self, rows: Sequence[int]) -> Any:
        """The same as an HdrHistogram in µs, which merges with those of other processes."""
        return self._corrected.histogram(rows)

    def frame(self) -> list[Row]:
        """One row for each (kind, node, region, outcome) of the run: `pandas.DataFrame(recorder.frame())`."""
        self._settle()
        return [
            {
                "kind": kind,
                "node": node,
                "region": region,
                "outcome": outcome,
                "count": int(self._counts[row]),
                **latency_columns(self._corrected.summary([row]), self._sent.summary([row])),
            }
            for (kind, node, region, outcome), row in sorted(self._rows.items())
        ]

    def tick(self, now_s: float, *, target_rate: float, in_flight: int) -> None:
        """Write a row of the time series if one is due. Call often; it costs a comparison."""
        if now_s >= self._next_row_s:
            self.write_row(now_s, target_rate=target_rate, in_flight=in_flight)

    def write_row(self, now_s: float, *, target_rate: float, in_flight: int) -> None:
        """Write a row now: of what has ended since the last one."""
        self._settle()
        batch, self._unrowed = _joined(self._unrowed), []
        span_s = max(now_s - self._row_s, 1e-3)
        now = self.outcomes() + Counter(shed=self.shed, queued=self.queued, resent=self.resent)
        now.update({f"failed {node}": count for node, count in self._attempts_failed.items()})
        news = Counter({name: now[name] - self._before[name] for name in now})
        good = batch.only(self._is_ok[batch.cells])
        t_s = round(now_s - self._began_s, 3)
        self.series.append(
            {
                "t_s": t_s,
                "target_rate": round(target_rate, 3),
                "achieved_rate": round(news["ok"] / span_s, 1),
                "ok": news["ok"],
                "errors": news["definite"] + news["indefinite"],
                **{name: news[name] for name in ("definite", "indefinite", "shed", "queued", "resent")},
                "in_flight": in_flight,
                **latency_columns(summary_of_values(good.corrected_us), summary_of_values(good.sent_us)),
            }
        )
        for node in self._attempts_failed:
            here = self._through(node, good)
            self.node_series.append(
                {
                    "t_s": t_s,
                    "node": node,
                    "achieved_rate": round(len(here.cells) / span_s, 1),
                    "attempts_failed": news[f"failed {node}"],
                    **latency_columns(summary_of_values(here.corrected_us), summary_of_values(here.sent_us)),
                }
            )
        self._before = now
        self._row_s = now_s
        self._next_row_s = now_s + SERIES_EVERY_S

    # --- from notes to arrays -----------------------------------------------------------------------------

    def _new_row(self, cell: Cell) -> int:
        row = self._rows[cell] = len(self._rows)
        if cell[1]:
            self._attempts_failed.setdefault(cell[1], 0)
        self._is_ok = np.append(self._is_ok, cell[3] == "ok")
        self._counts = np.append(self._counts, 0)
        return row

    def _where(self, wanted: Callable[[Cell], bool]) -> list[int]:
        return [row for cell, row in self._rows.items() if wanted(cell)]

    def _through(self, node: str, batch: _Batch) -> _Batch:
        rows = np.zeros(len(self._rows), np.bool_)
        rows[self._where(lambda cell: cell[1] == node)] = True
        return batch.only(rows[batch.cells])

    def _read(self) -> None:
        """Turn the notes into arrays: counts and gaps are up to date after it."""
        if not self._pending:
            return
        notes = np.frombuffer(self._pending, np.float64).reshape(-1, 4)
        cells, done_s = notes[:, 0].astype(np.int64), notes[:, 3].copy()
        batch = _Batch(cells, done_s, microseconds(done_s - notes[:, 1]), microseconds(done_s - notes[:, 2]))
        del notes  # it is a view, and a viewed array cannot be emptied
        self._pending = array("d")
        self._counts += np.bincount(cells, minlength=len(self._counts))
        self._lately.append(batch)
        self._asked = None
        self._uncounted.append(batch)
        self._unrowed.append(batch)
        good_s = done_s[self._is_ok[cells]]
        if len(good_s):
            if self._active:
                gaps_s = np.diff(good_s, prepend=self._last_ok_s)
                self._longest_gap_s = max(self._longest_gap_s, float(gaps_s.max()))
            self._last_ok_s = max(self._last_ok_s, float(good_s[-1]))
        while self._lately[0].done_s[-1] <= done_s[-1] - LATENCY_WINDOW_S:
            self._lately.popleft()

    def _settle(self) -> None:
        """Count what has come into the tables of the run."""
        self._read()
        batch, self._uncounted = _joined(self._uncounted), []
        self._corrected.count(batch.cells, batch.corrected_us)
        self._sent.count(batch.cells, batch.sent_us)

    def _window(self, now_s: float) -> _Batch:
        """What succeeded lately. One snapshot asks several times for the same moment."""
        self._read()
        if self._asked != now_s:
            since_s = now_s - LATENCY_WINDOW_S
            batch = _joined([batch for batch in self._lately if batch.done_s[-1] > since_s])
            self._answer = batch.only(self._is_ok[batch.cells] & (batch.done_s > since_s))
            self._asked = now_s
        return self._answer

    def _rate(self, lately: _Batch, now_s: float) -> float:
        """Young: whatever there is, over the time that it took; the silence before the start does not count."""
        span_s = min(max(now_s - self._rate_since_s, RATE_WINDOW_S_MIN), RATE_WINDOW_S)
        return float(np.count_nonzero(lately.done_s >= self._rate_since_s)) / span_s


def _joined(batches: Sequence[_Batch]) -> _Batch:
    if not batches:
        return _EMPTY
    return _Batch(*(np.concatenate(column) for column in zip(*batches, strict=True)))
