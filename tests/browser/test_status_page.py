"""The status page in a real browser: a class must understand at once whether traffic runs, and where."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Lab = Any
OUTPUT = Path(__file__).parents[2] / ".test-output"
WIDE = {"width": 1280, "height": 1500}
PHONE = {"width": 390, "height": 844}


def number(page: Page, selector: str) -> int:
    return int(page.inner_text(selector).replace(",", "").replace("–", "0"))


def until(true: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.1)


def samples(page: Page) -> int:
    return int(page.evaluate("document.documentElement.dataset.samples ?? 0"))


def animation(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.getElementById('light')).animationName"))


def test_the_light_blinks_while_traffic_runs_and_is_off_when_it_is_stopped(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(viewport=WIDE, color_scheme="light")
    expect(page.locator("#state")).to_have_text("Traffic is running")
    assert animation(page) == "blink"
    likes = number(page, "#count-like")
    until(lambda: number(page, "#count-like") > likes + 20)
    until(lambda: 70 <= number(page, "#achieved") <= 130)
    expect(page.locator("#nodes .word")).to_have_text(["● alive"] * 3)
    expect(page.locator(".list-twitter li .meta").first).to_contain_text("written through node-")
    page.click("#check")
    expect(page.locator("#verdict")).to_contain_text("0 lost", timeout=20_000)
    until(lambda: samples(page) >= 16)
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / "status-page.png", full_page=True)
    page.click("#stop")
    expect(page.locator("#state")).to_have_text("Traffic is stopped")
    assert animation(page) == "none"
    expect(page.locator("#light")).not_to_have_class("on")
    page.wait_for_timeout(600)
    likes = number(page, "#count-like")
    page.wait_for_timeout(1000)
    assert number(page, "#count-like") == likes
    page.click("#start")
    expect(page.locator("#state")).to_have_text("Traffic is running")
    until(lambda: number(page, "#count-like") > likes)


def test_the_light_is_steady_when_the_system_asks_for_reduced_motion(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport=WIDE, color_scheme="dark", reduced_motion="reduce")
    expect(page.locator("#state")).to_have_text("Traffic is running")
    expect(page.locator("#light")).to_have_class("on")
    assert animation(page) == "none"
    until(lambda: samples(page) >= 16)
    page.screenshot(path=OUTPUT / "status-page-dark.png", full_page=True)


def test_the_slider_changes_the_measured_rate(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    page.locator("#rate").fill("250")
    until(lambda: number(page, "#target") == 250)
    until(lambda: 190 <= number(page, "#achieved") <= 310)
    page.locator("#rate").fill("100")
    until(lambda: number(page, "#target") == 100)


def test_a_killed_node_is_shown_in_words_and_comes_back(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport=WIDE)
    second = page.locator("#nodes .word").nth(1)
    expect(second).to_have_text("● alive")
    lab.cluster.kill("node-2")
    expect(second).to_have_text("✕ dead", timeout=10_000)
    operations = number(page, "#total")
    until(lambda: number(page, "#total") > operations + 100)  # the database carries on
    page.screenshot(path=OUTPUT / "status-page-one-dead.png", full_page=True)
    lab.cluster.restart("node-2")
    expect(second).to_have_text("● alive", timeout=15_000)


def test_the_three_worlds_are_switched_steered_and_shown(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    expect(page.locator("#state")).to_have_text("Traffic is running")
    for world in ("collab", "inventory"):
        expect(page.locator(f"#world-{world}")).not_to_have_class("world on")
        page.click(f"#toggle-{world}")
        expect(page.locator(f"#world-{world}")).to_have_class("world on")
        expect(page.locator(f"#toggle-{world}")).to_have_text("Stop")
    expect(page.locator("#explain")).to_contain_text("Twitter, Documents, Warehouse")
    page.locator("#rate-collab").fill("60")
    until(lambda: 40 <= number(page, "#achieved-collab") <= 80)
    until(lambda: number(page, "#count-edit") > 50)
    until(lambda: number(page, "#count-collisions") > 0, timeout_s=30)
    until(lambda: number(page, "#count-orders") > 0, timeout_s=30)
    expect(page.locator(".list-collab li .title").first).to_contain_text("conflict")
    expect(page.locator(".list-inventory tr").nth(3).locator("td")).to_have_count(5)
    assert page.inner_text("#count-edits_lost") == page.inner_text("#count-oversold") == "0"
    page.click("#check")
    expect(page.locator("#verdict")).to_contain_text("0 lost", timeout=30_000)
    expect(page.locator("#verdicts")).to_contain_text("no acknowledged edit was lost: ok")
    expect(page.locator("#verdicts")).to_contain_text("stock is conserved and never negative: ok")
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=OUTPUT / "status-page-worlds.png", full_page=True)
    for world in ("collab", "inventory"):
        page.click(f"#toggle-{world}")
        expect(page.locator(f"#world-{world}")).not_to_have_class("world on")
    expect(page.locator("#state")).to_have_text("Traffic is running")  # Twitter still does


def test_a_known_mistake_is_switched_on_and_off(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    page.check("#bug-collab")
    expect(page.locator("#bug-label-collab")).to_have_class("bug on")
    assert workload(lab, "collab")["bug"] == "lww"
    page.uncheck("#bug-collab")
    until(lambda: workload(lab, "collab")["bug"] is None)


def test_a_situation_sets_rates_and_the_clock(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport=WIDE)
    page.click("#preset-classroom")
    expect(page.locator("#preset-classroom")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#clock")).to_contain_text("Wednesday 11:0")
    until(lambda: number(page, "#target") == 36)
    page.click("#stop")
    expect(page.locator("#state")).to_have_text("Traffic is stopped")
    requests.put(f"{lab.url}/api/real/traffic/twitter", json={"rate": 100}, timeout=5)
    page.click("#start")
    expect(page.locator("#state")).to_have_text("Traffic is running")


def workload(lab: Lab, name: str) -> Any:
    return requests.get(f"{lab.url}/api/real/traffic/stats", timeout=5).json()["workloads"][name]


@pytest.mark.parametrize("world", ["", "-inventory"])
def test_lamps_are_steady_when_the_system_asks_for_reduced_motion(
    open_page: Callable[..., Page], world: str
) -> None:
    page = open_page(viewport=WIDE, reduced_motion="reduce")
    expect(page.locator("#state")).to_have_text("Traffic is running")
    lamp = f"#world{world or '-twitter'} .lamp"
    assert page.evaluate(f"getComputedStyle(document.querySelector('{lamp}')).animationName") == "none"


def test_it_fits_a_phone(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport=PHONE, device_scale_factor=2, color_scheme="dark")
    expect(page.locator("#state")).to_have_text("Traffic is running")
    until(lambda: samples(page) >= 8)
    page.screenshot(path=OUTPUT / "status-page-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


# --- tables, charts, files ----------------------------------------------------------------------------------


def test_tables_tell_operations_failures_people_and_regions(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#operations")).to_contain_text("retweet")
    for node in ("node-2", "node-3"):  # without a quorum writes must fail
        lab.cluster.kill(node)
    expect(page.locator("#messages tbody tr").first).to_contain_text("node-", timeout=20_000)
    for node in ("node-2", "node-3"):
        lab.cluster.restart(node)
    expect(page.locator("#people")).to_contain_text("influencer")
    expect(page.locator("#homes")).to_contain_text("Sao Paulo")
    busy = page.get_by_label("how busy bot people are, times what is usual")
    busy.fill("5")
    busy.press("Tab")
    page.select_option("#table-world", "collab")
    expect(page.locator("#people")).to_contain_text("fixer")
    page.select_option("#table-world", "twitter")
    expect(page.get_by_label("how busy bot people are, times what is usual")).to_have_value("5")


@pytest.mark.parametrize(("span", "label"), [("300", "5 min ago"), ("3600", "1 h ago")])
def test_charts_reach_back_an_hour(open_page: Callable[..., Page], span: str, label: str) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    with page.expect_response(f"**/history?span_s={span}") as answer:
        page.select_option("#span", span)
    assert answer.value.json()["rows"]
    page.uncheck("#log")
    page.check("#log")
    expect(page.locator("#chart-rate")).to_have_attribute("aria-label", re.compile("now in /s: all together"))


def test_an_hour_of_the_stream_leaves_no_more_behind_than_a_minute(open_page: Callable[..., Page]) -> None:
    page = open_page(viewport=WIDE)
    until(lambda: samples(page) >= 3)
    kept = page.evaluate(
        """async () => {
            const { remember } = await import("/static/charts.js");
            const stats = await (await fetch("/api/real/traffic/stats")).json();
            for (const canvas of document.querySelectorAll("canvas")) canvas.style.display = "none";
            for (let half = 0; half < 7200; half++) {
                remember({ ...stats, timestamp: stats.timestamp + half * 500 }, { p50: 1, p99: 2 });
            }
            return Number(document.documentElement.dataset.samples);
        }"""
    )
    assert kept <= 126


def test_report_and_tables_are_downloaded(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page(viewport=WIDE)
    for text, name in (
        ("report (HTML)", "quorum-lab-report.html"),
        ("each second (CSV)", "quorum-lab-series.csv"),
    ):
        with page.expect_download() as download:
            page.get_by_role("link", name=text).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000


def test_the_page_finds_the_service_again_after_an_outage(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    lab.service.send_signal(signal.SIGSTOP)
    expect(page.locator("#state")).to_have_text("No connection to the traffic service", timeout=8000)
    lab.service.send_signal(signal.SIGCONT)
    expect(page.locator("#state")).to_have_text("Traffic is running", timeout=10_000)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_service_that_was_started_anew_is_noticed_and_the_old_token_is_worth_nothing(
    open_page: Callable[..., Page], lab: Lab
) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#network")).to_be_visible()
    lab.stop()
    lab.start()
    expect(page.locator("#notice")).to_contain_text("was started anew", timeout=15_000)
    expect(page.locator("#no-control")).to_contain_text("started anew since this page got its token")
    expect(page.locator("#network")).to_be_hidden()
    page.goto(lab.link)
    expect(page.locator("#network")).to_be_visible()
