"""kill -9 in the middle of `Session.open`, and of making pictures, leaves no process behind, whatever the moment."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.live

MARK = "QUORUM_LAB_KILLED_TEST"
GONE_WITHIN_S = 4.0
OPEN = "import time; from labkit import Session; Session.open(); time.sleep(60)"
DRAW = """
import sys
from pathlib import Path
from labkit import drawing
figure = drawing.Named("one", {"data": [], "layout": {}}, "")
drawing.DRAWS_WITHIN_S = float(sys.argv[2])
drawing.draw([figure], Path("."), look=drawing.Look(("light",), ("svg",), 600), browser=sys.argv[1])
"""
# Hangs, as does its helper, which has a session of its own.
BROWSER = """#!{python}
import subprocess, sys, time
if len(sys.argv) > 2:
    subprocess.Popen([sys.executable, __file__, "helper"], start_new_session=True)
time.sleep(60)
"""

Start = Callable[..., psutil.Popen]
Until = Callable[..., None]


def carrying(mark: str) -> list[psutil.Process]:
    """The living processes that inherited the mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
    return found


@pytest.fixture
def mark() -> str:
    return secrets.token_hex(8)


@pytest.fixture
def started(
    mark: str, cluster_state: Path, next_base_port: Callable[[], int], tmp_path: Path
) -> Iterator[Start]:
    """started(argument, …) runs this Python with a cluster name and ports of its own."""
    port = next_base_port()

    def start(*arguments: str) -> psutil.Popen:
        ports = {"QUORUM_LAB_BASE_PORT": str(port), "QUORUM_LAB_TRAFFIC_PORT": str(port + 10)}
        return psutil.Popen(
            [sys.executable, "-P", *arguments],
            env={**os.environ, **ports, "QUORUM_LAB_CLUSTER": "exp-killed", MARK: mark},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    yield start
    for process in carrying(mark):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """A browser that hangs."""
    browser = tmp_path / "browser.py"
    browser.write_text(BROWSER.format(python=sys.executable))
    browser.chmod(0o755)
    return browser


def seen(mark: str, words: str) -> bool:
    for process in carrying(mark):
        with contextlib.suppress(psutil.Error):
            if words in " ".join(process.cmdline()):
                return True
    return False


@pytest.mark.parametrize("words", ["kvnode.cluster", "-m kvnode --", "-m traffic serve"])
@pytest.mark.parametrize("arguments", [("-c", OPEN), ("-m", "labkit.pictures", "out", "--lesson", "00")])
def test_whoever_opens_a_session_is_killed_meanwhile(
    started: Start, mark: str, arguments: tuple[str, ...], words: str, until: Until
) -> None:
    """words: of the process that was started last when the blow comes."""
    process = started(*arguments)
    until(lambda: seen(mark, words), within_s=40, what=f"{words} to be started")
    process.kill()
    process.wait(10)
    until(lambda: not carrying(mark), within_s=GONE_WITHIN_S, what="every process is gone")


def test_whoever_draws_pictures_is_killed_meanwhile(
    started: Start, mark: str, browser: Path, until: Until
) -> None:
    """The story: 1. a browser draws. 2. Whoever had started it is killed. 3. A browser that hangs was nobody's, and
    stayed until the computer was switched off."""
    process = started("-c", DRAW, str(browser), "60")
    until(lambda: seen(mark, "browser.py helper"), within_s=20, what="the browser and its helper")
    process.kill()
    process.wait(10)
    until(lambda: not carrying(mark), within_s=GONE_WITHIN_S, what="every process is gone")


def test_a_browser_that_hangs_ends_in_time_with_its_helper(
    started: Start, mark: str, browser: Path, until: Until
) -> None:
    process = started("-c", DRAW, str(browser), "3")
    until(lambda: seen(mark, "browser.py helper"), within_s=20, what="the browser and its helper")
    assert process.wait(30) == 1
    assert not carrying(mark)
