"""A real browser for tests: Debian's chromium, driven by playwright; nothing is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

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
