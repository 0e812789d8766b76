"""Every lesson's figures as files, from a fresh run.

    python -m labkit.pictures FOLDER [--lesson 02] [--format png]

For slides and handouts. Lives here: running a notebook's cells, and which charts it has shown.
Must not live here: how a figure looks (labkit/figures), how it becomes a file (drawing.py).

A notebook runs in this process, on a cluster of its own name and ports, which ends with it: a class that goes on
meanwhile is not disturbed. Predictions are skipped, so nothing stays covered. Every wait in a notebook is bounded, and
so is the browser.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

from labkit import drawing
from labkit.course.cards import Covered, Guess
from labkit.errors import LabError
from labkit.launch import BASE_PORT_VARIABLE, CLUSTER_VARIABLE, TRAFFIC_PORT_VARIABLE
from labkit.live.chart import LiveChart
from labkit.session import Session

NOTEBOOKS = Path(__file__).resolve().parents[1]
OWN_LAB = {CLUSTER_VARIABLE: "pictures", BASE_PORT_VARIABLE: "9700", TRAFFIC_PORT_VARIABLE: "9790"}
WIDTH_PX, WIDTH_PX_MIN, WIDTH_PX_MAX = 960, 400, 4000


SETTLES_S = 5.0  # charts over time go on: what the last fault has left heals meanwhile, and that is seen


@dataclass
class Shown:
    """The charts that cells have shown, in their order, each once."""

    charts: dict[int, LiveChart] = field(default_factory=dict)

    def add(self, *values: Any) -> None:
        """What a cell shows: a chart, something with charts in it, or nothing of the kind."""
        for value in values:
            if isinstance(value, LiveChart):
                self.charts.setdefault(id(value), value)
            elif isinstance(value, Guess):
                value.skip()
            else:
                self.add(*getattr(value, "children", ()))

    def figures(self, lesson: str) -> list[drawing.Named]:
        """Each chart as it looks now."""
        found: list[drawing.Named] = []
        for chart in self.charts.values():
            if chart.skeleton:
                name = f"{lesson}-{len(found) + 1:02}-{_kind(chart)}"
                found.append(drawing.Named(name, figure_of(chart), chart.summary))
        return found


def figure_of(chart: LiveChart) -> dict[str, Any]:
    """The figure that a chart shows, as plain JSON: what was split for the way to the page is one again."""

    def joined(part: Any) -> Any:
        if isinstance(part, dict):
            for kind in ("__array__", "__number__"):
                if kind in part:
                    numbers = numpy.frombuffer(chart.arrays[part[kind]], dtype=numpy.float32)
                    plain = [float(one) if numpy.isfinite(one) else None for one in numbers]
                    return plain if kind == "__array__" else plain[0]
            return {name: joined(value) for name, value in part.items()}
        return [joined(one) for one in part] if isinstance(part, list | tuple) else part

    figure: dict[str, Any] = joined(chart.skeleton)
    return figure


def _kind(chart: LiveChart) -> str:
    classes = [one.removeprefix("lab-") for one in chart._dom_classes if one.startswith("lab-")]
    return classes[0].removeprefix("chart-") if classes else "chart"


def code_cells(path: Path) -> list[str]:
    """The code of a notebook, a text a cell."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path} cannot be read as a notebook.", why=str(error)) from error


def run_cells(cells: Sequence[str], name: str) -> Shown:
    """Run them one after the other, as a notebook does; LabError says which one failed."""
    shown = Shown()
    namespace: dict[str, Any] = {"__name__": "__main__", "display": shown.add}
    for number, code in enumerate(cells, 1):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                shown.add(_run(code, namespace))
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise LabError(
                f"Cell {number} of {name} failed.", why=why, do="run the notebook by hand"
            ) from error
    return shown


def _run(code: str, namespace: dict[str, Any]) -> Any:
    """The value of its last line, if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    if not isinstance(last, ast.Expr):
        return None
    value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
    return value.shown if isinstance(value, Covered) else value


@contextlib.contextmanager
def own_lab() -> Iterator[None]:
    """A cluster of our own, a folder for receipts that nobody keeps; all of it ends with the block."""
    before = {name: os.environ.get(name) for name in OWN_LAB}
    os.environ.update({name: value for name, value in OWN_LAB.items() if before[name] is None})
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="quorum-lab-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(here)
            if Session._current is not None:
                Session._current.close()
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)


def chosen_notebooks(lessons: Sequence[str], folder: Path) -> list[Path]:
    """The notebooks of these lessons, or all; LabError names those that there are."""
    found = {path.name[:2]: path for path in sorted(folder.glob("[0-9][0-9]-*.ipynb"))}
    unknown = [lesson for lesson in lessons if lesson not in found]
    if unknown or not found:
        wanted = f"lesson {unknown[0]!r}" if unknown else "notebook"
        raise LabError(f"There is no {wanted} in {folder}.", why=f"there are {', '.join(found) or 'none'}")
    return [found[lesson] for lesson in (lessons or found)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit status 1 with one sentence if something is missing or fails."""
    options = _arguments(arguments)
    try:
        folder = drawing.usable_folder(options.folder)
        browser = drawing.find_browser(options.browser)
        notebooks = chosen_notebooks(options.lesson, NOTEBOOKS)
        themes = drawing.THEMES if options.theme == "both" else (options.theme,)
        formats = drawing.FORMATS if options.format == "both" else (options.format,)
        written: list[drawing.Written] = []
        with own_lab():
            for path in notebooks:
                began_s = time.monotonic()
                shown = run_cells(code_cells(path), path.name)
                time.sleep(SETTLES_S)
                figures = shown.figures(path.name[:2])
                look = drawing.Look(themes, formats, options.width)
                written += drawing.draw(figures, folder, look=look, browser=browser)
                took_s = time.monotonic() - began_s
                print(f"{path.stem}: {len(figures)} figures in {took_s:.0f} s", flush=True)
        drawing.write_index(written, folder)
    except LabError as error:
        print(f"pictures: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("pictures: interrupted; what was started has ended", file=sys.stderr)
        return 1
    print(f"{len(written)} files in {folder}; {folder / drawing.INDEX} shows them all")
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m labkit.pictures", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("folder", type=Path, help="where the files go; outside of any git repository")
    parser.add_argument(
        "--lesson", action="append", default=[], metavar="NN", help="only this lesson; may be repeated"
    )
    parser.add_argument("--theme", choices=(*drawing.THEMES, "both"), default="both", help="both by default")
    parser.add_argument(
        "--format", choices=(*drawing.FORMATS, "both"), default="both", help="both by default"
    )
    parser.add_argument("--width", type=_width, default=WIDTH_PX, metavar="PX", help=f"{WIDTH_PX} by default")
    parser.add_argument("--browser", metavar="PATH", help="Chromium or Chrome, if it is not found by itself")
    return parser.parse_args(arguments)


def _width(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not WIDTH_PX_MIN <= int(text[:6]) <= WIDTH_PX_MAX:
        raise argparse.ArgumentTypeError(
            f"expected pixels from {WIDTH_PX_MIN} to {WIDTH_PX_MAX}, got {text!r}"
        )
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
