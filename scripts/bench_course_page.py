"""What a student feels in a browser: how soon something moves, and how soon a control answers, also in a long cell.

Called by `bench_course.py --page`. It opens JupyterLab on a notebook of its own with the cockpit, in headless Chromium,
and prints one line a goal. What the cockpit costs and whether it grows: bench_cockpit.py.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from labkit.launch.notebook_server import NotebookServer

BASE_PORT, TRAFFIC_PORT, LAB_PORT = 13_300, 13_390, 13_395
FIRST_POINT_S, ANSWER_S, FREEZE_S = 5.0, 0.6, 0.5
TRIES = 15
COMPUTES_S = 60
CELLS = (
    "from labkit import Session\nsession = Session.open(lesson='00')",
    "session.cockpit()",
    "session.freeze()",
    f"import time\nend = time.monotonic() + {COMPUTES_S}\nwhile time.monotonic() < end:\n    pass",
)
CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
KERNEL_IDLE = (
    "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
)
RUN_ALL = "() => { void window.jupyterapp.commands.execute('notebook:run-all-cells') }"
HAS_POINT = """() => { const chart = document.querySelector('.lab-chart-rate .js-plotly-plot');
    return Boolean(chart?.data?.some(trace => trace.y?.length > 1)); }"""
COUNT_DRAWINGS = """() => { const chart = document.querySelector('.lab-chart-rate .js-plotly-plot');
    window.labDrawings = 0;
    chart.on('plotly_afterplot', () => { window.labDrawings += 1; window.labDrawnAt = performance.now(); }); }"""


def measure_page() -> bool:
    """Print each goal beside what was measured; whether all were met."""
    with a_page() as page:
        began_s = time.monotonic()
        page.evaluate(RUN_ALL)
        page.wait_for_function(HAS_POINT, timeout=60_000)
        passed = goal("Run All to the first live point", time.monotonic() - began_s, most_s=FIRST_POINT_S)
        busy = answers(page)
        passed &= goal(
            "control to visible change while a cell computes, p95", percentile(busy, 95), most_s=ANSWER_S
        )
        print(f"         p50 {percentile(busy, 50):.2f} s of {len(busy)} changes")
        page.wait_for_function(KERNEL_IDLE, timeout=COMPUTES_S * 1000 + 30_000)
        idle = answers(page)
        passed &= goal("control to visible change, p95", percentile(idle, 95), most_s=ANSWER_S)
        print(f"         p50 {percentile(idle, 50):.2f} s of {len(idle)} changes")
        passed &= goal("Freeze to the last drawing", time_to_freeze(page), most_s=FREEZE_S)
    return passed


def goal(what: str, measured_s: float, *, most_s: float) -> bool:
    """One line: what was measured, what is wanted, and whether it is met."""
    met = measured_s <= most_s
    print(f"{'ok    ' if met else 'MISSED'} {what}: {measured_s:.2f} s (at most {most_s:g})", flush=True)
    return met


def answers(page: Page) -> list[float]:
    """Seconds from a change of the rate to the status line that tells of it, as the page shows it."""
    took_s = []
    exact = page.locator(".lab-rate input[type=number]").first
    for number in range(TRIES):
        rate = 60 + number
        exact.fill(str(rate))
        began_s = time.monotonic()
        exact.press("Enter")
        page.wait_for_function(
            "rate => document.querySelector('.lab-status-line')?.innerText.includes(`setting ${rate} `)",
            arg=rate, timeout=20_000, polling=20,
        )  # fmt: skip
        took_s.append(time.monotonic() - began_s)
    return took_s


def time_to_freeze(page: Page) -> float:
    """From the click to the last drawing after it; then let it go on."""
    page.locator(".lab-chart-rate").first.scroll_into_view_if_needed()
    page.evaluate(COUNT_DRAWINGS)
    page.wait_for_timeout(2_500)
    assert page.evaluate("() => window.labDrawings") > 0, "nothing moves: there is nothing to freeze"
    click = "() => { document.querySelector('.lab-freeze button').click(); return performance.now(); }"
    clicked_ms = page.evaluate(click)  # not by the mouse, which would scroll the chart out of sight
    page.wait_for_timeout(2_500)
    last_ms = page.evaluate("() => window.labDrawnAt ?? 0")
    page.evaluate(click)
    return max(0.0, (last_ms - clicked_ms) / 1000.0)


def percentile(values: list[float], percent: int) -> float:
    """Of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@contextmanager
def a_page() -> Iterator[Page]:
    """JupyterLab with the notebook open and its kernel idle, in a home folder of its own."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("chromium is missing (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        notebook = home / "bench.ipynb"
        notebook.write_text(json.dumps(notebook_of(CELLS)))
        (home / "config").mkdir()
        (home / "config" / "jupyter_lab_config.json").write_text(
            '{"LabApp": {"expose_app_in_browser": true}}'
        )
        server = NotebookServer(notebook, port=LAB_PORT, folder=home / "lab", environment=environment(home))
        try:
            address = server.wait_ready()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM))
                page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
                page.goto(f"{address.url}&reset" if "?" in address.url else f"{address.url}?reset")
                page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
                page.wait_for_function(KERNEL_IDLE, timeout=60_000)
                yield page
                browser.close()
        finally:
            server.stop()


def environment(home: Path) -> dict[str, str]:
    """Everything that JupyterLab and the cluster write goes here."""
    return {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "QUORUM_LAB_STATE": str(home / "state"),
        "QUORUM_LAB_CLUSTER": "bench-page",
        "QUORUM_LAB_BASE_PORT": str(BASE_PORT),
        "QUORUM_LAB_TRAFFIC_PORT": str(TRAFFIC_PORT),
    }


def notebook_of(cells: tuple[str, ...]) -> dict[str, Any]:
    """A notebook with these code cells."""
    return {
        "cells": [
            {
                "cell_type": "code", "execution_count": None, "id": f"cell-{place}", "metadata": {}, "outputs": [],
                "source": source,
            }
            for place, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
