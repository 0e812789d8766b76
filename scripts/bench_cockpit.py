"""How fast the cockpit answers, what it costs, and whether it grows: in JupyterLab and a real browser.

    python scripts/bench_cockpit.py [--presses 40] [--seconds 20] [--minutes 0]

A cluster, its traffic and JupyterLab of its own. Answers: a key on the rate slider, and then the page's own clock until
the kernel has answered beside the slider (readout), and until the chart shows the new rate. Cost: CPU time of the
kernel and of all browser processes with all six charts in sight. Growth, with --minutes: memory of the kernel and of
the page (heap after collecting garbage), the last quarter beside the first. Needs the test packages and chromium.
Ends with status 1 if a goal is missed; on a busy computer that says little.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from labkit.launch.notebook_server import NotebookServer

CLUSTER, BASE_PORT, TRAFFIC_PORT, LAB_PORT = "bench-cockpit", 15_400, 7_560, 8_960
SIZE = {"width": 1920, "height": 1080}  # all six charts are in sight
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]
CELLS = (
    "from labkit import Session\nsession = Session.open()",
    "cockpit = session.cockpit()\ncockpit.slots.value = 6\nsession.start_traffic()\ncockpit",
)
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
READOUT_MS_GOAL, CHART_MS_GOAL = 100, 600
KERNEL_PERCENT_GOAL, BROWSER_PERCENT_GOAL = 3, 20
GROWTH_MB_GOAL = 5
SETTLE_S, LOOK_EVERY_S, PRESS_TIMEOUT_MS = 8.0, 10.0, 5_000

IS_IDLE = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
RUN_ALL = "() => { void window.jupyterapp.commands.execute('notebook:run-all-cells') }"
SAID = "() => [...document.querySelectorAll('.jp-OutputArea-output')].map(output => output.innerText).join(' | ')"
PROBE = """() => {
    const slider = document.querySelector('.lab-rate');
    const chart = document.querySelector('.lab-chart-rate .js-plotly-plot');
    const probe = window.probe = {want: 0, began: 0, readout: 0, chart: 0};
    slider.addEventListener('keydown', () => { probe.began = performance.now(); }, true);
    new MutationObserver(() => {
        if (slider.dataset.told === `now ${probe.want}`) probe.readout ||= performance.now();
    }).observe(slider, {attributes: true});
    chart.on('plotly_afterplot', () => {
        const asked = chart.data.find(trace => trace.name === 'asked for').y;
        if (asked[asked.length - 1] === probe.want) probe.chart ||= performance.now();
    });
}"""
WANT = "(want) => { Object.assign(window.probe, {want, began: 0, readout: 0, chart: 0}); }"
ANSWERED = "() => window.probe.readout > 0 && window.probe.chart > 0"


@dataclass
class Bench:
    """What is measured on, and the rows of the table: (what, measured, goal, whether it was met)."""

    page: Page
    browser_pids: list[int]
    kernel_pid: int
    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def row(self, what: str, value: float, *, goal: float, unit: str) -> None:
        """One line of the table, and at once on the terminal."""
        self.rows.append((what, f"{value:.1f} {unit}", f"<= {goal:g} {unit}", value <= goal))
        print(f"{what:<46} {value:8.1f} {unit:<4} goal <= {goal:g} {unit}", flush=True)


def main() -> int:
    """Measure and print; the exit status says whether the goals were met."""
    options = arguments()
    print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}", flush=True)
    try:
        with a_cockpit() as bench:
            bench.page.wait_for_timeout(SETTLE_S * 1000)
            measure_answers(bench, options.presses)
            measure_cost(bench, options.seconds)
            if options.minutes:
                measure_growth(bench, options.minutes)
    except PlaywrightTimeout as error:
        print(
            f"bench_cockpit: the page did not answer in time: {error.message.partition('Call log')[0].strip()}"
        )
        return 1
    met = all(is_met for *_, is_met in bench.rows)
    print("goals: met" if met else "goals: missed")
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--presses", type=int, default=40, help="keys on the slider (40)")
    parser.add_argument("--seconds", type=float, default=20, help="for how long CPU time is measured (20)")
    parser.add_argument("--minutes", type=float, default=0, help="for how long memory is watched (0: not)")
    options = parser.parse_args()
    if options.presses < 2 or options.seconds <= 0 or options.minutes < 0:
        parser.error("expected at least 2 presses, more than 0 seconds, and no negative minutes")
    return options


@contextlib.contextmanager
def a_cockpit() -> Iterator[Bench]:
    """JupyterLab with a notebook of two cells that have run, in a browser; all of it ends with the block."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("bench_cockpit: chromium is missing (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory(prefix="bench-cockpit-") as folder, contextlib.ExitStack() as running:
        server = a_server(Path(folder))
        running.callback(server.stop)
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        playwright = running.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        running.callback(browser.close)
        page = browser.new_page(viewport=SIZE)
        page.goto(f"{server.wait_ready().url}&reset")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
        page.wait_for_function(IS_IDLE, timeout=60_000)
        page.evaluate(RUN_ALL)
        try:
            page.wait_for_selector(".lab-cockpit .main-svg", timeout=60_000)
        except PlaywrightTimeout:
            sys.exit(
                f"bench_cockpit: no chart within 60 s; the cells say: {page.evaluate(SAID) or 'nothing'}"
            )
        page.locator(".lab-cockpit").evaluate("panel => panel.scrollIntoView({block: 'start'})")
        children = psutil.Process().children(recursive=True)
        browsers = [one.pid for one in children if one.pid not in before and "chrom" in one.name()]
        kernel = next(one.pid for one in children if "ipykernel_launcher" in " ".join(one.cmdline()))
        yield Bench(page, browsers, kernel)


def a_server(folder: Path) -> NotebookServer:
    """JupyterLab on a notebook with CELLS, in a home directory of its own."""
    cells = [
        {"cell_type": "code", "id": f"cell-{place}", "metadata": {}, "execution_count": None, "outputs": [],
         "source": source.splitlines(keepends=True)}
        for place, source in enumerate(CELLS)
    ]  # fmt: skip
    notebook = folder / "bench.ipynb"
    notebook.write_text(
        json.dumps({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}),
        encoding="utf-8",
    )
    config = folder / "config"
    config.mkdir()
    (config / "jupyter_lab_config.json").write_text('{"LabApp": {"expose_app_in_browser": true}}')
    environment = {
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "QUORUM_LAB_STATE": str(folder / "state"),
        "QUORUM_LAB_CLUSTER": CLUSTER,
        "QUORUM_LAB_BASE_PORT": str(BASE_PORT),
        "QUORUM_LAB_TRAFFIC_PORT": str(TRAFFIC_PORT),
    }
    return NotebookServer(notebook, port=LAB_PORT, folder=folder / "lab", environment=environment)


def measure_answers(bench: Bench, presses: int) -> None:
    """From a key to the readout and to the chart; the moments are random, so no tick's rhythm is met."""
    page, chance = bench.page, random.Random(1)
    page.evaluate(PROBE)
    page.locator(".lab-rate input[type=range]").focus()
    rate = 50
    readout_ms, chart_ms = [], []
    for press in range(presses):
        rate += 10 if press % 2 == 0 else -10
        page.evaluate(WANT, rate)
        page.keyboard.press("ArrowRight" if press % 2 == 0 else "ArrowLeft")
        page.wait_for_function(ANSWERED, timeout=PRESS_TIMEOUT_MS)
        probe: dict[str, float] = page.evaluate("() => window.probe")
        readout_ms.append(probe["readout"] - probe["began"])
        chart_ms.append(probe["chart"] - probe["began"])
        page.wait_for_timeout(chance.uniform(1100, 1800))
    bench.row("slider to readout, p50", percentile(readout_ms, 50), goal=READOUT_MS_GOAL, unit="ms")
    bench.row("slider to readout, p95", percentile(readout_ms, 95), goal=READOUT_MS_GOAL, unit="ms")
    bench.row("slider to chart, p50", percentile(chart_ms, 50), goal=CHART_MS_GOAL, unit="ms")
    bench.row("slider to chart, p95", percentile(chart_ms, 95), goal=CHART_MS_GOAL, unit="ms")


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that at least so many percent do not exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def measure_cost(bench: Bench, seconds: float) -> None:
    """CPU time with six charts in sight, in percent of one core."""
    kernel_s, browser_s, began = cpu_s([bench.kernel_pid]), cpu_s(bench.browser_pids), time.monotonic()
    bench.page.wait_for_timeout(seconds * 1000)
    took_s = time.monotonic() - began
    kernel = (cpu_s([bench.kernel_pid]) - kernel_s) / took_s * 100
    browser = (cpu_s(bench.browser_pids) - browser_s) / took_s * 100
    bench.row("kernel, of a core", kernel, goal=KERNEL_PERCENT_GOAL, unit="%")
    bench.row("browser, all processes, of a core", browser, goal=BROWSER_PERCENT_GOAL, unit="%")


def cpu_s(pids: list[int]) -> float:
    """CPU time that these processes have used so far."""
    used = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            used += times.user + times.system
    return used


def measure_growth(bench: Bench, minutes: float) -> None:
    """Memory at the end beside that at the beginning: medians of the last and the first quarter."""
    session = bench.page.context.new_cdp_session(bench.page)
    kernel_mb, heap_mb = [], []
    deadline = time.monotonic() + minutes * 60
    while time.monotonic() < deadline or len(kernel_mb) < 4:
        kernel_mb.append(psutil.Process(bench.kernel_pid).memory_info().rss / 1e6)
        heap_mb.append(heap_now_mb(session))
        bench.page.wait_for_timeout(min(LOOK_EVERY_S, minutes * 60 / 8) * 1000)
    for what, values in (("kernel", kernel_mb), ("page's heap", heap_mb)):
        quarter = max(1, len(values) // 4)
        first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
        name = f"{what} in {minutes:g} min ({first:.0f} to {last:.0f} MB)"
        bench.row(name, last - first, goal=GROWTH_MB_GOAL, unit="MB")


def heap_now_mb(session: CDPSession) -> float:
    """What the page keeps, once its garbage is collected."""
    session.send("HeapProfiler.collectGarbage")
    used: Any = session.send("Runtime.getHeapUsage")["usedSize"]
    return float(used) / 1e6


if __name__ == "__main__":
    sys.exit(main())
