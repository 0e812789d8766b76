"""Pictures of scenes, verdicts, and tables of operations.

Must not live here: how a figure looks (labkit.figures) and what is measured (scene.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets  # type: ignore[import-untyped]

from kvnode.checkers.verdict import Verdict
from labkit.course.operations import Operation
from labkit.errors import LabError
from labkit.panels.picture import Picture, numbers_html
from labkit.panels.style import card_parts

if TYPE_CHECKING:
    import pandas

    from labkit.course.editor import Edits
    from labkit.course.scene import Scene

STATUS = {
    "ok": ("✓", "lab-good", "ok: checked, and it holds"),
    "violated": ("✗", "lab-bad", "violated: promised, and broken"),
    "at risk": ("!", "lab-warn", "at risk: nobody promised it here"),
    "unknown": ("?", "lab-warn", "unknown: nothing to check"),
}


class Line(ipywidgets.VBox):  # type: ignore[misc]
    """One line that tells how something goes."""

    def __init__(self) -> None:
        self._line = ipywidgets.HTML()
        super().__init__([*card_parts(), self._line])
        self.add_class("lab-panel")

    def say(self, text: str) -> None:
        """Say this from now on."""
        self._line.value = f'<div class="lab-said" role="status">{escape(text)}</div>'


def figure_and_rows(name: str, *arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figure of labkit.figures with this name, and its numbers."""
    module = importlib.import_module(f"labkit.figures.{name}")
    return getattr(module, name)(*arguments), getattr(module, f"{name}_rows")(*arguments)


def drawn(name: str, *arguments: Any, title: str = "") -> Picture:
    """A figure of labkit.figures as a picture."""
    return Picture(*figure_and_rows(name, *arguments), css_class=f"lab-{name.replace('_', '-')}", title=title)


def space_time(scene: Scene) -> Picture:
    """The space-time diagram of a scene, from the traces of its nodes."""
    return drawn(
        "space_time", scene.operations, scene.traces(), scene.nodes, scene.wall_ms_at_zero, scene.cuts
    )


def version_graph(scene: Scene, key: str) -> Picture:
    """Every version of a key, with arrows from what its writer had seen."""
    figure, rows = figure_and_rows("version_graph", scene.versions(key))
    for row in rows:
        row.pop("concurrent with", None)  # which pairs are concurrent is what a student is to find out
    return Picture(figure, rows, css_class="lab-version-graph", title=scene.name)


def together(*makers: Callable[[], Any]) -> Any:
    """Several pictures and tables, one below the other."""
    box = ipywidgets.VBox([*card_parts(), *(widget_of(maker()) for maker in makers)])
    box.add_class("lab-panel")
    return box


def widget_of(made: Any) -> Any:
    """What was made, as a widget: a table of operations becomes one. LabError for what is neither."""
    if isinstance(made, ipywidgets.Widget):
        return made
    if not hasattr(made, "to_dict"):
        raise LabError(f"A {type(made).__name__} cannot be shown here.", why="expected a picture or a table")
    rows = [{str(name): value for name, value in row.items()} for row in made.to_dict("records")]
    return ipywidgets.HTML(numbers_html(rows))


def evidence(edits: Edits) -> Any:
    """What is left of people's edits, and which paragraphs lack some."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in edits.evidence[:6])
    html = f'<div class="lab-judgement">{escape(repr(edits))}<ul>{lines}</ul></div>'
    box = ipywidgets.VBox([*card_parts(), ipywidgets.HTML(html)])
    box.add_class("lab-panel")
    return box


def operations_table(operations: Sequence[Operation]) -> pandas.DataFrame:
    """Every operation in a row, times in ms since the scene began."""
    import pandas  # only now: a second of start, in a lesson that shows its first table much later

    rows = [
        {
            "who": one.who,
            "does": one.verb,
            "through": one.node,
            "sent (ms)": round(one.sent_ms),
            "answered (ms)": None if one.answered_ms is None else round(one.answered_ms),
            "outcome": one.outcome,
            "value": one.value if one.ok else one.detail,
        }
        for one in operations
    ]
    return pandas.DataFrame(rows)


class VerdictCard(ipywidgets.VBox):  # type: ignore[misc]
    """What the checkers say, in words; the verdicts themselves in `verdicts`."""

    def __init__(self, verdicts: Sequence[Verdict], *, title: str = "What the checker says") -> None:
        known = [verdict for verdict in verdicts if verdict.status != "unknown"]
        self.verdicts = known or list(verdicts)
        html = f'<div class="lab-kicker">{escape(title)}</div>' + "".join(map(verdict_html, self.verdicts))
        super().__init__([*card_parts(), ipywidgets.HTML(html)])
        self.add_class("lab-panel")
        self.add_class("lab-card")


def verdict_html(verdict: Verdict) -> str:
    """One claim, how it stands, and the evidence."""
    sign, css_class, words = STATUS[verdict.status]
    evidence = "".join(f"<li>{escape(line)}</li>" for line in verdict.evidence[:5])
    return (
        f'<div class="lab-judgement"><b class="{css_class}">{sign} {escape(words)}.</b> '
        f"“{escape(verdict.claim)}” ({escape(str(verdict))}){f'<ul>{evidence}</ul>' if evidence else ''}</div>"
    )


def scene_html(scene: Scene) -> str:
    """One line: what ran, and whether it can tell anything."""
    sign, css_class = ("✓", "lab-good") if scene.conclusive else ("?", "lab-warn")
    held = "".join(f"<li>{'✓' if one.held else '✗'} {escape(one.claim)}</li>" for one in scene.guards)
    return (
        f'<div class="lab-panel"><div class="lab-said"><b class="{css_class}">{sign} {escape(scene.status)}</b>: '
        f"“{escape(scene.name)}”, {len(scene.operations)} operations in {scene.seconds:.1f} s. "
        f"What had to be so:<ul>{held}</ul></div></div>"
    )
