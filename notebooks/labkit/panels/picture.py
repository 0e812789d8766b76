"""A picture: a chart, its sentence, and its numbers as a table.

Must not live here: how a figure looks (labkit.figures), and whose picture it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.live.chart import LiveChart
from labkit.panels.style import card_parts

Rows = Sequence[Mapping[str, Any]]


class Picture(ipywidgets.VBox):  # type: ignore[misc]
    """A chart, one sentence with its newest numbers, and the numbers as a table for readers who prefer them."""

    def __init__(
        self, figure: Mapping[str, Any], rows: Rows = (), *, css_class: str = "lab-picture", title: str = ""
    ) -> None:
        self.chart = LiveChart()
        self.chart.add_class(css_class)
        self._summary = ipywidgets.HTML()
        self._numbers = ipywidgets.HTML()
        fold = ipywidgets.Accordion([self._numbers], titles=("The numbers as a table",), selected_index=None)
        head = [ipywidgets.HTML(f'<div class="lab-kicker">{escape(title)}</div>')] if title else []
        super().__init__([*card_parts(), *head, self.chart, self._summary, fold])
        self.add_class("lab-panel")
        self.show(figure, rows)

    @property
    def summary(self) -> str:
        """The sentence below the chart."""
        return self._said

    def show(self, figure: Mapping[str, Any], rows: Rows = ()) -> None:
        """Show this from now on."""
        self._said = str(figure.get("summary", ""))
        self.chart.show(dict(figure))
        self._summary.value = f'<div class="lab-summary">{escape(self._said)}</div>'
        self._numbers.value = numbers_html(rows)


def numbers_html(rows: Rows) -> str:
    """Rows as a table that scrolls inside of itself."""
    if not rows:
        return '<div class="lab-said">No numbers yet.</div>'
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="lab-number-table"><table class="lab-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
