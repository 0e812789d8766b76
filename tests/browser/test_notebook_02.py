"""Notebook 02 as a student works it, by mouse and by keyboard.

A guess is locked, what was covered is shown, a wrong answer gets its hint and the right one its praise; and all of
it is still there after the page was reloaded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from labkit.launch.notebook_server import NotebookServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "02-quorums-and-staleness.ipynb"
OUTPUT = ROOT / ".test-output"
BASE_PORT, LAB_PORT = 14_400, 8_930
SIZE: ViewportSize = {"width": 1280, "height": 720}
KERNEL_IDLE = (
    "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
)
RUN_ALL = "() => { void window.jupyterapp.commands.execute('notebook:run-all-cells') }"
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code').map(c => ({
    count: c.model.executionCount,
    errors: c.model.outputs.toJSON().filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)}))"""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """JupyterLab with notebook 02, all cells run."""
    home, state = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("state")
    environment = {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "QUORUM_LAB_STATE": str(state),
        "QUORUM_LAB_CLUSTER": "browser-02",
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
        run_all(opened)
        yield opened
    finally:
        context.close()
        server.stop()


def run_all(page: Page) -> None:
    page.evaluate(RUN_ALL)
    deadline = time.monotonic() + 120
    while True:
        cells = page.evaluate(CELLS)
        errors = [error for cell in cells for error in cell["errors"]]
        assert not errors, errors
        if all(cell["count"] for cell in cells):
            return
        assert time.monotonic() < deadline, "not all cells have run"
        page.wait_for_timeout(200)


def card(page: Page, question: str) -> Locator:
    """The card with this question that has the buttons."""
    found = (
        page.locator(".lab-card", has_text=question).filter(has=page.locator(".lab-lock, .lab-check")).first
    )
    found.scroll_into_view_if_needed()
    return found


def choose(card: Locator, option: str) -> None:
    card.locator(f'input[type=radio][data-option="{option}"]').check(force=True)


def test_nothing_that_was_measured_is_shown_before_the_guess_is_locked(page: Page) -> None:
    expect(page.locator(".lab-reveal", has_text="covered")).to_have_count(2)
    expect(page.get_by_text("The result is covered")).to_have_count(4)
    expect(page.locator(".lab-space-time")).to_have_count(0)


def test_a_show_of_hands_is_noted_twice_and_only_shown_with_the_measurement(page: Page) -> None:
    bob = card(page, "Then Bob reads. What does he see?")
    bob.get_by_text("Show of hands (for the teacher)").click()
    hands = bob.locator(".lab-hands")
    for vote, counts in ((1, ("19", "4", "2")), (2, ("8", "16", "1"))):
        for option, count in zip(("new", "old", "an error"), counts, strict=True):
            hands.get_by_label(option, exact=True).fill(count)
        hands.locator(".lab-vote button").click()
        expect(bob).to_contain_text(f"Vote {vote} is noted")
    hands.get_by_label("old", exact=True).fill("-3")
    hands.locator(".lab-vote button").click()
    expect(bob).to_contain_text("expected counts for new, old, an error")
    expect(page.get_by_text("The class, vote 1")).to_have_count(0)


def test_by_mouse_a_guess_is_locked_and_the_diagram_is_uncovered(page: Page) -> None:
    bob = card(page, "Then Bob reads. What does he see?")
    bob.locator(".lab-lock button").click()
    expect(bob).to_contain_text("nothing is chosen yet")
    choose(bob, "new")
    bob.locator(".lab-lock button").click()
    expect(bob).to_contain_text("Your guess: new")
    for over in (".lab-lock button", ".lab-skip button"):  # locked: there is nothing left to lock or to skip
        expect(bob.locator(over)).to_have_attribute("aria-disabled", "true")
    diagram = page.locator(".lab-space-time").first
    diagram.wait_for(state="attached", timeout=15_000)
    diagram.evaluate(
        "chart => chart.scrollIntoView({block: 'center'})"
    )  # a chart is drawn when it is in sight
    diagram.locator(".main-svg").first.wait_for(timeout=15_000)
    reveal = page.locator(".lab-reveal", has_text="Then Bob reads")
    expect(reveal).to_contain_text("say first what you saw")


def test_by_keyboard_what_was_seen_is_locked_and_the_measurement_uncovered(page: Page) -> None:
    saw = card(page, "Find Bob in the diagram")
    saw.locator("input[type=radio]").first.focus()
    page.keyboard.press("ArrowDown")  # from "new" to "old"
    expect(saw.locator('input[data-option="old"]')).to_be_checked()
    page.keyboard.press("Tab")
    expect(saw.locator(".lab-lock button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(saw).to_contain_text("You saw: old")
    reveal = page.locator(".lab-reveal", has_text="Then Bob reads")
    expect(reveal).to_contain_text("Something else happened")
    votes = reveal.locator(".lab-bars")
    expect(votes).to_have_count(2)
    assert " ".join(votes.nth(1).inner_text().split()) == "new 8 old 16 an error 1"
    reveal.scroll_into_view_if_needed()
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / "notebook-02-bob.png")


def test_a_wrong_answer_gets_its_hint_and_the_right_one_its_praise(page: Page) -> None:
    exercise = card(page, "Change one thing in Alice tells Bob")
    choose(exercise, "W = 3: the write waits for all replicas")
    exercise.locator(".lab-check button").click()
    expect(exercise).to_contain_text("Not yet", timeout=20_000)
    expect(exercise).to_contain_text("when the writer hears back")
    choose(exercise, "Bob asks once the write is acknowledged")
    exercise.locator(".lab-check button").click()
    expect(exercise).to_contain_text("Right", timeout=20_000)
    expect(exercise).not_to_contain_text("when the writer hears back")
    page.screenshot(path=OUTPUT / "notebook-02-exercise.png")


def test_nothing_shuts_anybody_out(page: Page, serious_findings: Callable[..., list[str]]) -> None:
    assert serious_findings(page, ".lab-panel") == []


def test_predictions_charts_and_cards_are_still_there_after_a_reload(page: Page) -> None:
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    page.wait_for_selector(".lab-card .lab-lock", state="attached", timeout=60_000)  # widgets come last
    bob = card(page, "Then Bob reads. What does he see?")
    expect(bob).to_contain_text("Your guess: new", timeout=60_000)
    page.locator(".lab-space-time").first.evaluate("chart => chart.scrollIntoView({block: 'center'})")
    page.locator(".lab-space-time .main-svg").first.wait_for(timeout=30_000)
    expect(page.locator(".lab-reveal", has_text="Then Bob reads")).to_contain_text("Something else happened")
    expect(card(page, "Change one thing in Alice tells Bob")).to_contain_text("Right")
