"""A real browser for tests: Debian's chromium, driven by playwright; nothing is downloaded.

And a desk with notebook 00 in JupyterLab, which all tests of notebooks share: it takes a minute to set."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, ViewportSize, WebSocket, sync_playwright

from kvnode.cluster import LocalCluster, NotRunning
from labkit.launch.notebook_server import NotebookServer
from labkit.launch.service import TrafficService

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "00-start-here.ipynb"
OUTPUT = ROOT / ".test-output"
CLUSTER, BASE_PORT, TRAFFIC_PORT, LAB_PORT = "browser-00", 14_200, 7_520, 8_910
SIZE: ViewportSize = {"width": 1400, "height": 900}

KERNEL_IDLE = (
    "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
)
RUN_ALL = "() => { void window.jupyterapp.commands.execute('notebook:run-all-cells') }"
CLEAR_ALL = "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code').map(c => {
    const outputs = c.model.outputs.toJSON();
    return { count: c.model.executionCount,
        text: outputs.filter(o => o.output_type === 'stream').map(o => o.text).join(''),
        errors: outputs.filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue) }})"""

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each opens pages of its own."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is missing (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def serious_findings() -> Callable[..., list[str]]:
    """serious_findings(page, part=CSS selector or None): what axe-core says shuts somebody out, one line each."""

    def findings(page: Page, part: str | None = None) -> list[str]:
        found: list[dict[str, Any]] = Axe().run(page, context=part).response["violations"]
        return [
            f"{one['impact']}: {one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:5]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    return findings


@dataclass
class Desk:
    """What a test has on the desk: the page, the cluster and service behind it, and what the page received."""

    page: Page
    state: Path
    stats_url: str = ""
    received_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    ready: bool = False
    close: Callable[[], None] = lambda: None

    def stats(self) -> dict[str, Any]:
        """The service's own numbers, asked beside the notebook."""
        return requests.get(self.stats_url, timeout=5).json()

    def load(self) -> dict[str, Any]:
        """The service's numbers about the Twitter workload."""
        return self.stats()["workloads"]["twitter"]

    def cluster(self) -> LocalCluster:
        """The cluster that the notebook's kernel has started."""
        return LocalCluster.attach(CLUSTER, self.state)

    def cells(self) -> list[dict[str, Any]]:
        """The code cells: how often run, what they printed; a cell that failed fails the test at once."""
        cells = self.page.evaluate(CELLS)
        errors = [error for cell in cells for error in cell["errors"]]
        assert not errors, errors
        return cells

    def finished_cells(self) -> int:
        """How many cells have run."""
        return sum(cell["count"] is not None for cell in self.cells())

    def run_all(self) -> None:
        """Run every cell to its end."""
        self.page.evaluate(CLEAR_ALL)
        began = time.monotonic()
        self.page.evaluate(RUN_ALL)
        self.until(lambda: self.finished_cells() >= 4, "the cell with the cockpit to have run", timeout_s=60)
        self.see("lab-chart-rate").locator(".main-svg").first.wait_for(timeout=30_000)
        print(f"first chart {time.monotonic() - began:.1f} s after Run All")
        total = len(self.cells())
        self.until(lambda: self.finished_cells() == total, "all cells to have run", timeout_s=150)
        print(f"all {total} cells {time.monotonic() - began:.1f} s after Run All")
        self.ready = True
        if not self.stats_url:
            sidecars = self.cluster().sidecars
            ready = next(sidecar.ready_line for sidecar in sidecars if sidecar.name == "traffic")
            self.stats_url = ready.split()[-1] + "/api/real/traffic/stats"

    def uncover(self) -> None:
        """Skip every prediction that is still open: what it covers appears."""
        skips = self.page.locator(".lab-card.lab-open .lab-skip button")
        while skips.count():
            before = skips.count()
            skips.first.click()
            self.until(
                lambda: skips.count() < before,  # noqa: B023 called at once
                "the prediction to be skipped",
            )

    def verdict(self) -> str:
        """What the ledger's card says; no prediction covers it any more."""
        self.uncover()
        said = self.page.locator(".lab-summary", has_text="Verdict ")
        self.until(lambda: said.count() == 1, "the ledger's card")
        return str(said.inner_text())

    def until(self, ask: Callable[[], Any], what: str, timeout_s: float = 20.0) -> Any:
        """The first true answer, while the page goes on working."""
        deadline = time.monotonic() + timeout_s
        while not (answer := ask()):
            if time.monotonic() > deadline:
                self.shot("failed")
                pytest.fail(f"waited {timeout_s:g} s for: {what}; last answer {answer!r}")
            self.page.wait_for_timeout(50)
        return answer

    def see(self, css_class: str) -> Any:
        """The first widget of that class, scrolled into sight."""
        found = self.page.locator(f".{css_class}").first
        found.scroll_into_view_if_needed()
        return found

    def press(self, css_class: str) -> None:
        """Click the button of that class, once it can be clicked."""
        button = self.see(css_class).locator("button")
        self.until(
            lambda: button.get_attribute("aria-disabled") == "false", f"the button {css_class} to be ready"
        )
        button.click()

    def light(self, node: str) -> str:
        """What the light of a node says."""
        return self.see(f"lab-light-{node}").inner_text()

    def top(self) -> None:
        """The cockpit's first line at the top of the page."""
        self.page.locator(".lab-cockpit").first.evaluate("panel => panel.scrollIntoView({block: 'start'})")

    def shot(self, name: str) -> None:
        """Keep what is on the screen."""
        OUTPUT.mkdir(exist_ok=True)
        self.page.screenshot(path=OUTPUT / f"notebook-00-{name}.png")


@pytest.fixture
def at_work(desk: Desk) -> Desk:
    """The desk after Run All; without it there is nothing to try by hand."""
    if not desk.ready:
        desk.run_all()
    return desk


@pytest.fixture(scope="session")
def desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """JupyterLab with notebook 00 open, in a home directory of its own; a cluster of its own once it runs. It is
    shared by all modules; the last of them may close it."""
    home = tmp_path_factory.mktemp("home")
    state = tmp_path_factory.mktemp("state")
    environment = {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "QUORUM_LAB_STATE": str(state),
        "QUORUM_LAB_CLUSTER": CLUSTER,
        "QUORUM_LAB_BASE_PORT": str(BASE_PORT),
        "QUORUM_LAB_TRAFFIC_PORT": str(TRAFFIC_PORT),
    }
    (home / "config").mkdir()
    (home / "config" / "jupyter_lab_config.json").write_text('{"LabApp": {"expose_app_in_browser": true}}')
    notebook = tmp_path_factory.mktemp("notebooks") / NOTEBOOK.name
    shutil.copy(NOTEBOOK, notebook)  # JupyterLab saves by itself, and the project keeps no outputs
    server = NotebookServer(notebook, port=LAB_PORT, folder=home / "lab", environment=environment)
    context = browser.new_context(viewport=SIZE)
    is_open = True

    def close() -> None:
        nonlocal is_open
        if is_open:
            is_open = False
            context.close()
            server.stop()

    try:
        address = server.wait_ready()
        desk = Desk(context.new_page(), state, close=close)
        desk.page.on("pageerror", lambda error: desk.problems.append(str(error)))
        desk.page.on("websocket", lambda socket: _count(desk, socket))
        desk.page.goto(f"{address.url}&reset" if "?" in address.url else f"{address.url}?reset")
        desk.page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
        desk.page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        yield desk
    finally:
        close()
    _wait_gone(state)


def _count(desk: Desk, socket: WebSocket) -> None:
    def received(payload: bytes | str) -> None:
        desk.received_bytes += len(payload)

    socket.on("framereceived", received)


def _wait_gone(state: Path) -> None:
    """The cluster was the kernel's: it ends with it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            LocalCluster.attach(CLUSTER, state)
        except NotRunning:
            return
        time.sleep(0.05)
    LocalCluster.attach(CLUSTER, state).stop(force=True)
    raise AssertionError("the cluster outlived the kernel that had started it")


class Lab:
    """Three real nodes and the real service, which may be started anew at the same port."""

    def __init__(self, cluster: LocalCluster, port: int) -> None:
        self.cluster = cluster
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.service: subprocess.Popen[str] | None = None

    @property
    def link(self) -> str:
        """The page with control, as the start command prints it."""
        return TrafficService(self.url).page

    def start(self) -> None:
        self.service = subprocess.Popen(
            [
                *(sys.executable, "-m", "traffic", "serve", "--port", str(self.port), "--rate", "100"),
                *("--exit-with-stdin", "--nodes", ",".join(self.cluster.urls)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.service.stdout is not None
        assert self.service.stdout.readline() == f"ready traffic {self.url}\n"

    def stop(self) -> None:
        assert self.service is not None
        self.service.send_signal(signal.SIGTERM)
        assert self.service.wait(10) == 0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    state = tmp_path_factory.mktemp("state")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    before = os.environ.get("QUORUM_LAB_STATE")
    os.environ["QUORUM_LAB_STATE"] = str(state)
    try:
        with LocalCluster.start(name=f"status-page-{os.getpid()}", nodes=3, base_port=13400) as cluster:
            lab = Lab(cluster, port)
            lab.start()
            yield lab
            lab.stop()
    finally:
        os.environ.pop("QUORUM_LAB_STATE")
        if before is not None:
            os.environ["QUORUM_LAB_STATE"] = before


@pytest.fixture
def open_page(browser: Browser, lab: Lab) -> Iterator[Callable[..., Page]]:
    contexts = []
    errors: list[str] = []

    def opened(*, with_token: bool = True, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(lab.link if with_token else lab.url)
        return page

    yield opened
    for context in contexts:
        context.close()
    # The browser writes down each answer that is no success, and those are what some tests are about.
    assert [error for error in errors if "Failed to load resource" not in error] == []
