"""Notebook 01 by mouse alone: a guess is locked, a node joins under load, its circle fills, and nothing is lost."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from labkit.launch.notebook_server import NotebookServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "01-the-ring.ipynb"
OUTPUT = ROOT / ".test-output"
BASE_PORT, LAB_PORT = 14_500, 8_940
SIZE: ViewportSize = {"width": 1280, "height": 720}
KERNEL_IDLE = (
    "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
)
CELLS = """() => { const panel = window.jupyterapp.shell.currentWidget.content;
    return {active: panel.activeCellIndex, cells: panel.widgets.map(c => ({
        source: c.model.sharedModel.source, code: c.model.type === 'code', count: c.model.executionCount,
        errors: c.model.outputs ? c.model.outputs.toJSON().filter(o => o.output_type === 'error')
            .map(o => o.ename + ': ' + o.evalue) : []}))}; }"""
RUN = '.jp-NotebookPanel-toolbar [data-command="notebook:run-cell-and-select-next"] >> nth=0'


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """JupyterLab with notebook 01; nothing has run."""
    home, state = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("state")
    environment = {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "QUORUM_LAB_STATE": str(state),
        "QUORUM_LAB_CLUSTER": "browser-01",
        "QUORUM_LAB_BASE_PORT": str(BASE_PORT),
        "QUORUM_LAB_TRAFFIC_PORT": str(BASE_PORT + 20),
    }
    (home / "config").mkdir()
    (home / "config" / "jupyter_lab_config.json").write_text('{"LabApp": {"expose_app_in_browser": true}}')
    notebook = tmp_path_factory.mktemp("notebooks") / NOTEBOOK.name
    shutil.copy(NOTEBOOK, notebook)
    server = NotebookServer(notebook, port=LAB_PORT, folder=home / "lab", environment=environment)
    context = browser.new_context(viewport=SIZE)
    try:
        address = server.wait_ready().url
        opened = context.new_page()
        opened.goto(f"{address}&reset" if "?" in address else f"{address}?reset")
        opened.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
        opened.wait_for_function(KERNEL_IDLE, timeout=60_000)
        yield opened
    finally:
        context.close()
        server.stop()


def run_through(page: Page, text: str) -> None:
    """Press the toolbar's *Run* until the cell with this text has run; what it runs must not fail."""
    while True:
        told = page.evaluate(CELLS)
        here, cells = told["active"], told["cells"]
        page.locator(RUN).click()
        ran = page_until_run(page, here) if cells[here]["code"] else cells[here]
        if text in ran["source"]:
            return
        assert here + 1 < len(cells), f"no cell has {text!r}"


def page_until_run(page: Page, place: int) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        cell: dict[str, Any] = page.evaluate(CELLS)["cells"][place]
        assert not cell["errors"], cell["errors"]
        if cell["count"]:
            return cell
        page.wait_for_timeout(50)
    raise AssertionError(f"cell {place} did not end")


def card(page: Page, question: str) -> Locator:
    """The card with this question that has the buttons."""
    found = page.locator(".lab-card", has_text=question).filter(has=page.locator(".lab-lock")).first
    found.scroll_into_view_if_needed()
    return found


def choose(card: Locator, option: str) -> None:
    card.locator(f'input[type=radio][data-option="{option}"]').check(force=True)
    card.locator(".lab-lock button").click()


def write(card: Locator, number: str) -> None:
    card.locator("input[type=text]").fill(number)
    card.locator("input[type=text]").press("Tab")
    card.locator(".lab-lock button").click()


def watch_the_circle_fill(page: Page) -> list[int]:
    """How many partitions have arrived, each time that the picture says another number, until node-4 is a member."""
    arrived: list[int] = []
    deadline, shot = time.monotonic() + 40, False
    while "node-4 joined" not in page.locator(".lab-ring-said").first.inner_text():
        assert time.monotonic() < deadline, (arrived, page.locator(".lab-ring-said").first.inner_text())
        label = page.locator(".lab-ring [role=img]").first.get_attribute("aria-label") or ""
        if found := re.search(r"take over 189, of which (\d+) have arrived", label):
            arrived += [int(found[1])] if arrived[-1:] != [int(found[1])] else []
            if not shot and int(found[1]) > 60:
                page.screenshot(path=OUTPUT / "notebook-01-joining.png")
                shot = True
        page.wait_for_timeout(40)
    return arrived


def test_all_of_it_by_mouse(page: Page, serious_findings: Callable[..., list[str]]) -> None:
    OUTPUT.mkdir(exist_ok=True)
    run_through(page, '"01.gap"')
    choose(card(page, "Which share of the 768 slots"), "75 %")
    write(card(page, "What is the longest time"), "2000")
    run_through(page, "moved.cover(lambda: ring)")
    join = page.locator(".lab-ring-join button").first
    join.scroll_into_view_if_needed()
    page.locator(".lab-ring .main-svg").first.wait_for(timeout=15_000)
    join.click()
    arrived = watch_the_circle_fill(page)
    print(f"arrived, as the page showed it: {arrived}")
    assert len([number for number in arrived if 0 < number < 189]) >= 3, "the circle is seen to fill"
    run_through(page, '"01.moved.saw"')
    choose(card(page, "what did you see?"), "the outer circle filled, the others lost some ticks")
    run_through(page, "gap.reveal")
    share = page.locator(".lab-reveal", has_text="Which share of the 768 slots")
    expect(share).to_contain_text(re.compile(r"Your guess\s*75 %.*Measured\s*25 %", re.DOTALL))
    waited = page.locator(".lab-reveal", has_text="What is the longest time")
    expect(waited).to_contain_text("acknowledged meanwhile, 0 failed")
    gap = re.search(r"Measured\s*(\d+) ms", waited.inner_text())
    assert gap and int(gap[1]) < 1000, waited.inner_text()
    share.scroll_into_view_if_needed()
    page.screenshot(path=OUTPUT / "notebook-01-share.png")
    run_through(page, '"01.remainders"')
    write(card(page, "Node = hash % n"), "25")
    run_through(page, "fifth = ring.join(to=5)")
    run_through(page, '"ledger_card"')
    ledger = page.locator(".lab-ledger-card [role=img]").first
    ledger.scroll_into_view_if_needed()
    expect(ledger).to_have_attribute("aria-label", re.compile("Verdict ok: .* 0 lost"), timeout=15_000)
    assert serious_findings(page, ".lab-panel") == []
