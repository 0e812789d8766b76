"""labkit.launch.tether: when its stdin ends, the command and everything that it started end too."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.live

# A parent that ignores SIGTERM, with a child in a session of its own that does so too.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) > 2:
    subprocess.Popen([sys.executable, __file__, sys.argv[1]], start_new_session=True)
else:
    open(sys.argv[1], "w").write("up")
time.sleep(60)
"""


@pytest.fixture
def tethered(tmp_path: Path, until: Callable[..., None]) -> subprocess.Popen[bytes]:
    program = tmp_path / "stubborn.py"
    program.write_text(STUBBORN)
    flag = tmp_path / "flag"
    command = [
        sys.executable,
        "-m",
        "labkit.launch.tether",
        "--",
        sys.executable,
        str(program),
        str(flag),
        "parent",
    ]
    tether = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    until(flag.exists, within_s=20, what="the grandchild is up")
    return tether


def test_the_whole_tree_dies_with_the_pipe(
    tethered: subprocess.Popen[bytes], until: Callable[..., None]
) -> None:
    tree = psutil.Process(tethered.pid).children(recursive=True)
    assert len(tree) == 2
    assert tethered.stdin is not None
    tethered.stdin.close()
    until(lambda: not any(process.is_running() for process in tree), within_s=3, what="the tree is gone")
    assert tethered.wait(5) == 128 + 9


def test_a_command_that_ends_ends_its_tether_with_its_status() -> None:
    command = [
        sys.executable,
        "-m",
        "labkit.launch.tether",
        "--",
        sys.executable,
        "-c",
        "raise SystemExit(7)",
    ]
    done = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert done.wait(20) == 7
