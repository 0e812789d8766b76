"""The status page in a real browser: a class must understand at once whether traffic runs, and on which
nodes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from kvnode.cluster import LocalCluster

pytestmark = pytest.mark.browser

OUTPUT = Path(__file__).parents[2] / ".test-output"
WIDE = {"width": 1280, "height": 1500}
PHONE = {"width": 390, "height": 844}


class Lab:
    """Three real nodes and the real service."""

    def __init__(self, cluster: LocalCluster, url: str) -> None:
        self.cluster = cluster
        self.url = url


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    state = tmp_path_factory.mktemp("state")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with LocalCluster.start(
        name=f"status-page-{os.getpid()}", nodes=3, base_port=13400, state_dir=state
    ) as cluster:
        service = subprocess.Popen(
            [
                *(sys.executable, "-m", "traffic", "serve", "--port", str(port), "--rate", "100"),
                *("--exit-with-stdin", "--nodes", ",".join(cluster.urls)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert service.stdout is not None
            assert service.stdout.readline() == f"ready traffic http://127.0.0.1:{port}\n"
            yield Lab(cluster, f"http://127.0.0.1:{port}")
        finally:
            service.send_signal(signal.SIGTERM)
            assert service.wait(10) == 0


@pytest.fixture
def open_page(browser: Browser, lab: Lab) -> Iterator[Callable[..., Page]]:
    contexts = []
    errors: list[str] = []

    def opened(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(lab.url)
        return page

    yield opened
    for context in contexts:
        context.close()
    # A failed download is what the test of the reconnect is about; everything else is a fault of the page.
    assert [error for error in errors if "net::ERR_FAILED" not in error] == []


def number(page: Page, selector: str) -> int:
    return int(page.inner_text(selector).replace(",", "").replace("–", "0"))


def until(true: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.1)


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
    expect(page.locator(".node .word")).to_have_text(["● alive"] * 3)
    expect(page.locator(".list-twitter li .meta").first).to_contain_text("written through node-")
    page.click("#check")
    expect(page.locator("#verdict")).to_contain_text("0 lost", timeout=20_000)
    until(lambda: page.evaluate("samples.length") >= 16)
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
    until(lambda: page.evaluate("samples.length") >= 16)
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
    second = page.locator(".node .word").nth(1)
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
    until(lambda: page.evaluate("samples.length") >= 8)
    page.screenshot(path=OUTPUT / "status-page-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_page_finds_the_service_again_after_a_restart(open_page: Callable[..., Page], lab: Lab) -> None:
    page = open_page(viewport=WIDE)
    expect(page.locator("#state")).to_have_text("Traffic is running")
    page.route("**/api/real/stream", lambda route: route.abort())
    page.evaluate("stream.close(); heard = 0")
    expect(page.locator("#state")).to_have_text("No connection to the traffic service", timeout=5000)
    page.unroute("**/api/real/stream")
    expect(page.locator("#state")).to_have_text("Traffic is running", timeout=10_000)
