"""Breaking, posting and following on the status page, by mouse and keyboard, with the token and without it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Lab = Any
WIDE = {"width": 1280, "height": 1500}


def until(true: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.1)


def workload(lab: Lab, name: str) -> Any:
    return requests.get(f"{lab.url}/api/real/traffic/stats", timeout=5).json()["workloads"][name]


# --- breaking and mending ----------------------------------------------------------------------------------


def broken(page: Page) -> list[str]:
    return [text.split(",")[0] for text in page.locator("#broken .says").all_inner_texts()]


def test_a_failure_is_asked_for_twice_and_mended_with_one_press(
    open_page: Callable[..., Page], lab: Lab
) -> None:
    page = open_page(viewport=WIDE)
    second = page.locator("#nodes .node").nth(1)
    kill, pause, isolate = (second.locator(".acts button").nth(at) for at in range(3))
    expect(kill).to_have_text("Kill")
    kill.click()
    expect(page.locator("#confirm-title")).to_have_text("Kill node-2?")
    page.click("#confirm-no")
    expect(page.locator("#broken")).to_have_text("nothing")
    assert lab.cluster.node("node-2").state == "running"

    kill.click()
    page.click("#confirm-yes")
    expect(page.locator("#broken")).to_contain_text("node-2 is dead (killed)")
    assert lab.cluster.node("node-2").state == "dead"
    expect(page.locator("#events")).to_contain_text("node-2 was killed")
    page.locator("#broken button").click()
    expect(page.locator("#broken")).to_have_text("nothing", timeout=15_000)
    assert lab.cluster.node("node-2").state == "running"

    pause.click()
    page.click("#confirm-yes")
    expect(pause).to_have_text("Resume")
    assert broken(page) == ["node-2 is paused"]
    pause.click()
    expect(pause).to_have_text("Pause")
    isolate.click()
    page.click("#confirm-yes")
    expect(isolate).to_have_text("Heal network")
    assert broken(page) == ["node-2 is cut off from all other nodes"]
    isolate.click()
    expect(isolate).to_have_text("Cut off")

    page.fill("#delay", "20")
    page.click("#delay-all")
    page.click("#confirm-yes")
    expect(page.locator("#broken")).to_contain_text("every link: 20 ms slower each way")
    page.check("#sides input[value=node-3]")
    page.click("#partition")
    page.click("#confirm-yes")
    expect(page.locator("#broken")).to_contain_text("node-3 is cut off from all other nodes")
    page.click("#heal")
    expect(page.locator("#broken")).to_have_text("nothing")


def test_without_the_token_everything_is_shown_and_nothing_can_be_broken(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(viewport=WIDE, with_token=False)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    expect(page.locator("#no-control")).to_contain_text("python -m traffic page")
    expect(page.locator("#broken")).to_have_text("nothing")
    for part in ("#network", ".node .acts >> nth=0"):
        expect(page.locator(part)).to_be_hidden()


def test_the_token_leaves_the_address_and_stays_over_a_reload(
    open_page: Callable[..., Page], lab: Lab
) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#network")).to_be_visible()
    assert page.url == f"{lab.url}/"
    page.reload()
    expect(page.locator("#network")).to_be_visible()


# --- tweets -------------------------------------------------------------------------------------------------


def test_a_posted_tweet_is_followed_to_each_replica_even_to_one_that_was_dead(
    open_page: Callable[..., Page], lab: Lab
) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    lab.cluster.kill("node-3")
    page.fill("#text", "Where does this go?")
    page.click("#post button")
    rows = page.locator("#replicas .replica")
    expect(rows).to_have_count(3, timeout=10_000)
    expect(rows.nth(2)).to_contain_text("does not answer")
    expect(rows.nth(0)).to_contain_text("vector clock {")
    expect(page.locator("#post-status")).to_contain_text("missing at node-3")
    expect(page.locator("#list-newest")).to_contain_text("Where does this go?")
    lab.cluster.restart("node-3")
    expect(page.locator("#post-status")).to_contain_text("All 3 replicas have it", timeout=30_000)
    expect(rows.nth(2).locator(".when")).to_contain_text("after")


def test_markup_in_a_tweet_stays_text(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport=WIDE)
    bad = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    page.fill("#author", "<b>Bob</b>")
    page.fill("#text", bad)
    page.click("#post button")
    expect(page.locator("#list-newest")).to_contain_text(bad, timeout=10_000)
    page.get_by_role("button", name=bad).click()
    expect(page.locator("#post-status")).to_contain_text(bad)
    assert page.title() == "Quorum Lab: traffic"
    assert page.locator("#list-newest script, #list-newest img, #list-newest b, #post-status b").count() == 0


def test_a_reset_takes_the_verdict_of_the_class_before_off_the_page(
    open_page: Callable[..., Page], lab: Lab
) -> None:
    page = open_page(viewport=WIDE)
    page.click("#check")
    expect(page.locator("#verdict")).to_contain_text("acknowledged", timeout=30_000)
    assert requests.post(f"{lab.url}/api/real/traffic/reset", timeout=5).ok
    expect(page.locator("#verdict")).to_have_text("")
    expect(page.locator("#verdicts li")).to_have_count(0)
    page.click("#check")
    expect(page.locator("#verdict")).to_contain_text("0 lost", timeout=30_000)


# --- for everybody ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_page_and_report(
    open_page: Callable[..., Page],
    lab: Lab,
    serious_findings: Callable[..., list[str]],
    tmp_path: Path,
    scheme: str,
) -> None:
    page = open_page(viewport=WIDE, color_scheme=scheme)
    lab.cluster.kill("node-2")
    expect(page.locator("#nodes .word").nth(1)).to_have_text("✕ dead", timeout=10_000)
    page.click("#post button")
    page.click("#check")
    expect(page.locator("#verdict")).to_contain_text("acknowledged", timeout=30_000)
    assert serious_findings(page) == []
    page.locator("#nodes .acts button").first.click()
    assert serious_findings(page, "#confirm") == []
    page.keyboard.press("Escape")
    lab.cluster.restart("node-2")
    report = tmp_path / "report.html"
    report.write_text(requests.get(f"{lab.url}/api/real/traffic/report", timeout=20).text)
    page.goto(report.as_uri())
    assert serious_findings(page) == []


def test_the_whole_flow_by_keyboard_alone(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    expect(page.locator("#nodes .node")).to_have_count(3)

    def tab_to(name: str) -> None:
        for _ in range(120):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.ariaLabel || document.activeElement.id") == name:
                return
        pytest.fail(f"no {name} by the Tab key")

    tab_to("stop")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Traffic is stopped")
    tab_to("start")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Traffic is running")
    tab_to("Kill node-1")
    page.keyboard.press("Enter")
    expect(page.locator("#confirm")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#broken")).to_contain_text("node-1 is dead (killed)")
    expect(page.get_by_role("button", name="Restart node-1")).to_be_focused()
    tab_to("text")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.locator("#post-status")).to_contain_text("Acknowledged after", timeout=10_000)
    tab_to("Restart node-1")
    page.keyboard.press("Enter")
    expect(page.locator("#broken")).to_have_text("nothing", timeout=15_000)
    expect(page.get_by_role("button", name="Kill node-1")).to_be_focused()
    tab_to("operations a second, Twitter")
    page.keyboard.type("150")
    page.keyboard.press("Tab")
    until(lambda: workload(lab, "twitter")["target_rate"] == 150)
    tab_to("check")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("0 lost", timeout=30_000)
    expect(page.locator("#check")).to_be_focused()
    requests.put(f"{lab.url}/api/real/traffic/twitter", json={"rate": 100}, timeout=5)
