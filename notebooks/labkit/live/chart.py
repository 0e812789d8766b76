"""A Plotly chart that takes a whole figure a few times a second.

Lives here: the widget and its transport.
Must not live here: what a figure looks like (labkit.figures).

How it works: Plotly's own script lies in the installed plotly package. One `PlotlyScript` widget carries it,
gzipped, to the browser; every chart refers to that one, and a page unpacks it once. Of a figure, numpy arrays
and numpy numbers travel as binary float32 at each `show`, and the rest (titles, colours, ranges) only when it
changed. Its sentence (`summary`, what a screen reader says of the chart) travels apart from both.
Both are widget traits, so a page that is reloaded gets the last window again and draws on.
"""

from __future__ import annotations

import functools
import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets  # type: ignore[import-untyped]
import numpy
import traitlets

from labkit.figures.style import DARK_FOR_LIGHT
from labkit.live.page import page

Figure = dict[str, Any]
CHART_JS = Path(__file__).parent / "chart.js"
GZIP_LEVEL = 4  # half the time of the usual 6, for one part in thirty more bytes


@functools.cache
def plotly_script_gzipped() -> bytes:
    """plotly.min.js of the installed plotly package, compressed: nothing comes from the network."""
    return gzip.compress((files("plotly") / "package_data" / "plotly.min.js").read_bytes(), GZIP_LEVEL)


class PlotlyScript(anywidget.AnyWidget):
    """Carries Plotly's script to the page; it draws nothing."""

    _esm = CHART_JS
    gzipped = traitlets.Bytes().tag(sync=True)
    dark_for_light = traitlets.Dict().tag(sync=True)


@functools.cache
def plotly_script() -> PlotlyScript:
    """The one script widget of this kernel. Made early, it is unpacked by the time that the first chart is."""
    return PlotlyScript(gzipped=plotly_script_gzipped(), dark_for_light=DARK_FOR_LIGHT)


def split_arrays(value: Any, arrays: list[memoryview]) -> Any:
    """A copy of `value` in which numpy values became {"__array__" or "__number__": place in `arrays`}."""
    if isinstance(value, numpy.ndarray | numpy.floating):
        arrays.append(memoryview(numpy.asarray(value, dtype=numpy.float32).tobytes()))
        return {"__array__" if isinstance(value, numpy.ndarray) else "__number__": len(arrays) - 1}
    if isinstance(value, dict):
        return {key: split_arrays(part, arrays) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [split_arrays(part, arrays) for part in value]
    return value


class LiveChart(anywidget.AnyWidget):
    """One chart; `show` replaces what it shows. Call `show` from one thread only."""

    _esm = CHART_JS

    script = traitlets.Any().tag(sync=True, **ipywidgets.widget_serialization)
    skeleton = traitlets.Dict().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)
    arrays: traitlets.List[memoryview] = traitlets.List().tag(sync=True)

    def __init__(self, figure: Figure | None = None, **keywords: Any) -> None:
        """A chart, empty or with a first figure."""
        super().__init__(script=plotly_script(), **keywords)
        self.sent_bytes = 0
        if figure is not None:
            self.show(figure)

    def show(self, figure: Figure) -> None:
        """Show `figure` ({"data", "layout"} and perhaps "summary") from now on, in one message to the page."""
        if page().holds(self, lambda: self.show(figure)):
            return
        arrays: list[memoryview] = []
        skeleton = split_arrays({"data": figure["data"], "layout": figure["layout"]}, arrays)
        with self.hold_sync():
            self.summary = str(figure.get("summary", ""))
            if skeleton != self.skeleton:
                self.skeleton = skeleton
            self.arrays = arrays
        self.sent_bytes += sum(array.nbytes for array in arrays)
