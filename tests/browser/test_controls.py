"""The controls of the panels by themselves, in a real browser: no JupyterLab, a model of a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from labkit.panels import controls

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

SOURCE = (Path(controls.__file__).parent / "controls.js").read_text(encoding="utf-8")
HARNESS = """async (source) => {
    const control = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
    const traits = { kind: 'slider', label: 'rate', hint: '', told: '', value: 50, min: 0, max: 500, step: 10 };
    const heard = {};
    globalThis.sent = [];
    globalThis.tell = (name, value) => { traits[name] = value; heard[`change:${name}`]?.(); };
    const model = { get: (name) => traits[name], on: (event, show) => { heard[event] = show; }, off: () => {},
        set: (name, value) => globalThis.tell(name, value), save_changes: () => globalThis.sent.push(traits.value) };
    control.default.render({ model, el: document.querySelector('#place') });
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_content('<div id="place" style="width: 600px"></div>')
    page.evaluate(HARNESS, SOURCE)
    yield page
    context.close()


def test_a_slider_that_was_pressed_and_not_moved_follows_others_again(page: Page) -> None:
    """1. Somebody presses the thumb and lets it go where it was: the browser tells of no change. 2. Somebody else sets
    another rate. 3. The slider stood still for good."""
    slider = page.locator("input[type=range]")
    place = slider.bounding_box()
    assert place is not None
    x, y = place["x"] + 8 + (place["width"] - 16) * 50 / 500, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate("tell('value', 200)")
    assert slider.input_value() == "50", "it does not jump away under the hand"
    page.mouse.up()
    page.wait_for_function("document.querySelector('input[type=range]').value === '200'", timeout=5000)
    page.evaluate("tell('value', 300)")
    assert slider.input_value() == "300"
    assert page.evaluate("sent") == []


def test_a_slider_that_is_dragged_sends_its_end_once(page: Page) -> None:
    slider = page.locator("input[type=range]")
    place = slider.bounding_box()
    assert place is not None
    y = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + 8 + (place["width"] - 16) * 50 / 500, y)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] - 2, y, steps=5)
    page.mouse.up()
    page.wait_for_function("sent.length > 0", timeout=5000)
    assert page.evaluate("sent") == [500]
    assert (slider.input_value(), page.locator("input[type=number]").input_value()) == ("500", "500")


def test_a_number_that_is_being_typed_stays_whatever_is_said_meanwhile(page: Page) -> None:
    """1. A rate is set. 2. The next one is typed while the kernel's answer to the first arrives. 3. The answer stood in
    the box, the digits behind it, and another rate than the one typed was sent."""
    exact, slider = page.locator("input[type=number]"), page.locator("input[type=range]")
    exact.focus()
    for said in (("told", "now 200"), ("value", 200)):
        page.keyboard.press("Control+a")
        page.keyboard.type("7")
        page.evaluate("([name, value]) => tell(name, value)", list(said))
        page.keyboard.type("0")
        assert exact.input_value() == "70"
        page.keyboard.press("Enter")
    assert page.evaluate("sent") == [70, 70]
    page.keyboard.type("1")
    page.evaluate("tell('value', 300)")
    assert (exact.input_value(), slider.input_value()) == ("701", "300"), "the slider follows, the box waits"
    page.keyboard.press("Escape")
    assert exact.input_value() == "300"
    page.keyboard.press("Control+a")
    page.evaluate("tell('value', 400)")
    page.keyboard.type("90")
    assert exact.input_value() == "90", "what is typed replaces a number that has changed under the cursor"
    exact.blur()
    assert page.evaluate("sent") == [70, 70, 90], "leaving the box sends what was typed, once"
