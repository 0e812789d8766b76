"""Line charts as SVG text, for pages that must open anywhere without a network.

Here: numbers to pixels: axes, lines, bands, a tooltip for each moment.
Must not live here: what is shown (report.py).

Why by hand: plotly.js inside a page makes it 5 MB, which is slow to open and too large to mail; the charts of a
run need lines, two kinds of axis, and nothing else. Colours come from CSS variables, so that a page can be light
or dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 960, 290
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 24, 38
POINTS_MAX = 400

Value = float | None


@dataclass(frozen=True)
class Line:
    """One line: a value for each time; None leaves a gap. `colour` is anything that CSS takes."""

    name: str
    values: Sequence[Value]
    colour: str
    dashed: bool = False
    steps: bool = False
    thin: bool = False


@dataclass(frozen=True)
class Band:
    """A time in which something was not as usual."""

    from_s: float
    to_s: float
    label: str
    colour: str = "var(--fault)"


@dataclass(frozen=True)
class Chart:
    """times_s: of all lines. unit: of the values, on the axis. log: a logarithmic axis, for latencies."""

    title: str
    times_s: Sequence[float]
    lines: Sequence[Line]
    unit: str
    log: bool = False
    bands: Sequence[Band] = field(default_factory=tuple)
    note: str = ""

    def svg(self) -> str:
        drawing = _Drawing(self)
        return drawing.figure()


class _Drawing:
    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._times_s, self._lines = _thinned(chart)
        values = [
            value for line in self._lines for value in line.values if value is not None and value > -math.inf
        ]
        self._to_s = max([*self._times_s, 1.0])
        if chart.log:
            positive = [value for value in values if value > 0] or [1.0]
            self._low = 10 ** math.floor(math.log10(min(positive)))
            self._high = max(10 ** math.ceil(math.log10(max(positive))), self._low * 10)
        else:
            self._low, self._high = 0.0, _round_up(max([*values, 1e-9]), (1, 1.5, 2, 3, 4, 5, 6, 8, 10))

    # --- scales -------------------------------------------------------------------------------------------

    def _x(self, at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(at_s / self._to_s, 0), 1)

    def _y(self, value: float) -> float:
        if self._chart.log:
            value = max(value, self._low)
            share = math.log(value / self._low) / math.log(self._high / self._low)
        else:
            share = (value - self._low) / (self._high - self._low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(share, 0), 1)

    # --- parts --------------------------------------------------------------------------------------------

    def figure(self) -> str:
        chart = self._chart
        legend = "".join(
            f'<span class="key"><svg width="26" height="10"><line x1="1" y1="5" x2="25" y2="5" '
            f'style="stroke:{line.colour}"{_dash(line)} stroke-width="{2 if line.thin else 3}"/></svg>'
            f"{escape(line.name)}</span>"
            for line in chart.lines
        )
        note = f'<p class="note">{escape(chart.note)}</p>' if chart.note else ""
        return (
            f'<figure><figcaption>{escape(chart.title)}</figcaption><div class="legend">{legend}</div>'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)}">'
            f"{self._bands()}{self._axes()}{''.join(self._path(line) for line in self._lines)}{self._tooltips()}"
            f"</svg>{note}</figure>"
        )

    def _axes(self) -> str:
        parts: list[str] = []
        for value in self._ticks():
            y = self._y(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>'
            )
        step_s = _round_up(self._to_s / 8)
        for index in range(int(self._to_s / step_s) + 1):
            x = self._x(index * step_s)
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">'
                f"{_number(index * step_s)}</text>"
            )
        parts.append(
            f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 5}" text-anchor="end">seconds</text>'
            f'<text class="tick" x="{LEFT - 60}" y="12">{escape(self._chart.unit)}</text>'
        )
        return "".join(parts)

    def _ticks(self) -> list[float]:
        if self._chart.log:
            decades = round(math.log10(self._high / self._low))
            return [self._low * 10**decade for decade in range(decades + 1)]
        step = _round_up(self._high / 5)
        return [step * index for index in range(int(self._high / step + 1e-9) + 1)]

    def _bands(self) -> str:
        parts: list[str] = []
        for index, band in enumerate(self._chart.bands):
            x, to_x = self._x(band.from_s), self._x(band.to_s)
            parts.append(
                f'<rect class="band" x="{x:.1f}" y="{TOP}" width="{max(to_x - x, 1.5):.1f}" '
                f'height="{HEIGHT - TOP - BOTTOM}" style="fill:{band.colour}"/>'
                f'<text class="fault" x="{min(x + 3, WIDTH - 150):.1f}" y="{TOP + 12 + 13 * (index % 3)}">'
                f"{escape(band.label)}</text>"
            )
        return "".join(parts)

    def _path(self, line: Line) -> str:
        commands: list[str] = []
        pen_down, last_y = False, 0.0
        for at_s, value in zip(self._times_s, line.values, strict=True):
            if value is None or (self._chart.log and value <= 0):
                pen_down = False
                continue
            x, y = self._x(at_s), self._y(value)
            if pen_down and line.steps:
                commands.append(f"L{x:.1f} {last_y:.1f}")
            commands.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
            if not pen_down:
                commands.append(f"L{x + 0.1:.1f} {y:.1f}")  # a single point is to be seen, too
            pen_down, last_y = True, y
        width = 1.5 if line.thin else 2.5
        return (
            f'<path class="line" d="{"".join(commands)}" style="stroke:{line.colour}" '
            f'stroke-width="{width}"{_dash(line)}/>'
        )

    def _tooltips(self) -> str:
        """A strip for each moment, with all values of it as its title."""
        parts: list[str] = []
        before_s = 0.0
        for index, at_s in enumerate(self._times_s):
            values = [
                f"{line.name}: {_number(value)} {self._chart.unit}"
                for line in self._lines
                if (value := line.values[index]) is not None
            ]
            x, to_x = self._x(before_s), self._x(at_s)
            before_s = at_s
            text = escape("\n".join([f"{at_s:.1f} s", *values]))
            parts.append(
                f'<rect class="strip" x="{x:.1f}" y="{TOP}" width="{max(to_x - x, 0.5):.1f}" '
                f'height="{HEIGHT - TOP - BOTTOM}"><title>{text}</title></rect>'
            )
        return "".join(parts)


def _thinned(chart: Chart) -> tuple[Sequence[float], Sequence[Line]]:
    """At most POINTS_MAX moments; of those that fall together the greatest value, so that no peak is lost."""
    count = len(chart.times_s)
    together = -(-count // POINTS_MAX)
    if together <= 1:
        return chart.times_s, chart.lines
    groups = [range(start, min(start + together, count)) for start in range(0, count, together)]
    lines: list[Line] = []
    for line in chart.lines:
        values: list[Value] = []
        for group in groups:
            there = [value for index in group if (value := line.values[index]) is not None]
            values.append(max(there) if there else None)
        lines.append(Line(line.name, values, line.colour, line.dashed, line.steps, line.thin))
    return [chart.times_s[group[-1]] for group in groups], lines


def _dash(line: Line) -> str:
    return ' stroke-dasharray="6 4"' if line.dashed else ""


def _round_up(value: float, steps: Sequence[float] = (1, 2, 2.5, 5, 10)) -> float:
    """The next of these times a power of ten."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in steps if step * power >= value * 0.999)


def _number(value: float) -> str:
    if value and abs(value) < 0.01:
        return f"{value:.0e}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
