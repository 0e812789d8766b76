"""A process is known by its id and its start together; an id alone is given to strangers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvnode.cluster.processes.watchdog import COMMAND, kill_leftover, start_of


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, as the children of a supervisor are."""
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_start_is_told_again_and_belongs_to_one_process(sleeper: subprocess.Popen[bytes]) -> None:
    started = start_of(sleeper.pid)
    assert started
    assert start_of(sleeper.pid) == started
    assert start_of(os.getpid()) != started


def test_nobody_has_no_start() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert [start_of(pid) for pid in (gone.pid, 0, 1, -5, 2**31)] == [""] * 5


@pytest.mark.parametrize("noted", ["", "another start"])
def test_a_stranger_that_was_given_the_id_lives_on(sleeper: subprocess.Popen[bytes], noted: str) -> None:
    assert not kill_leftover(sleeper.pid, started=noted)
    assert sleeper.poll() is None


def test_the_very_process_is_killed_with_its_group(tmp_path: Path) -> None:
    family = subprocess.Popen(
        ["sh", "-c", "sleep 1000 & echo $!; wait"], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert family.stdout is not None
    child = int(family.stdout.readline())
    assert kill_leftover(family.pid, started=start_of(family.pid))
    assert family.wait(5) == -signal.SIGKILL
    assert family.stdout.read() == "", "the pipe is closed: the child is gone too"
    family.stdout.close()
    assert not kill_leftover(child, started="")


SLEEPER = "[sys.executable, '-c', 'import time; time.sleep(60)'], stdout=subprocess.DEVNULL"
FAMILY = f"""
import subprocess, sys
other_session = subprocess.Popen({SLEEPER}, start_new_session=True)
orphans_parent = [sys.executable, "-c", "import subprocess, sys; print(subprocess.Popen({SLEEPER}).pid)"]
orphan = subprocess.run(orphans_parent, stdout=subprocess.PIPE, text=True).stdout.strip()
print(other_session.pid, orphan, flush=True)
other_session.wait()
"""
"""All of them hold the pipe of stderr."""


def test_with_the_watchdogs_stdin_end_children_in_other_sessions_and_orphans_of_the_group() -> None:
    command, pipe = [*COMMAND, sys.executable, "-c", FAMILY], subprocess.PIPE
    watchdog = subprocess.Popen(command, start_new_session=True, stdin=pipe, stdout=pipe, stderr=pipe)
    assert watchdog.stdin is not None and watchdog.stdout is not None and watchdog.stderr is not None
    family = [int(word) for word in watchdog.stdout.readline().split()]
    assert len(family) == 2 and all(start_of(pid) for pid in family)
    watchdog.stdin.close()
    assert watchdog.wait(5) == 128 + signal.SIGKILL
    assert watchdog.stderr.read() == b"", "nobody holds the pipe any more"
    watchdog.stdout.close()
    watchdog.stderr.close()


def test_a_command_that_ends_ends_its_watchdog_with_its_status() -> None:
    done = subprocess.Popen(
        [*COMMAND, sys.executable, "-c", "raise SystemExit(7)"], stdin=subprocess.PIPE, start_new_session=True
    )
    assert done.wait(20) == 7
