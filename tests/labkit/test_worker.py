"""Clicks are carried out in order, on one thread, and their fate is told."""

from __future__ import annotations

import threading

from labkit.errors import LabError, Timeout
from labkit.waiting import wait_until
from labkit.worker import COMMAND_COUNT_MAX, Worker


def test_commands_run_in_order_and_the_last_one_stands_in_the_status() -> None:
    worker = Worker()
    done: list[object] = []
    worker.submit("killing node-2", lambda: done.append("kill"), lambda problem: done.append(problem))
    worker.submit("restarting node-2", lambda: done.append("restart"))
    wait_until(lambda: worker.idle, what="all commands", timeout_s=5, interval_s=0.01)
    assert done == ["kill", None, "restart"]
    text, failed = worker.status
    assert text.startswith("restarting node-2: done in")
    assert not failed


def test_a_failing_command_is_told_in_one_line_and_the_next_one_runs() -> None:
    worker = Worker()
    problems: list[str | None] = []

    def fail() -> None:
        raise LabError("It does\nnot work.", why="a reason")

    worker.submit("trying", fail, problems.append)
    wait_until(lambda: worker.idle, what="the command", timeout_s=5, interval_s=0.01)
    assert problems == ["It does not work. Reason: a reason"]
    assert worker.status == ("trying: It does not work. Reason: a reason", True)
    worker.submit("again", lambda: None, problems.append)
    wait_until(lambda: worker.idle, what="the command", timeout_s=5, interval_s=0.01)
    assert problems[-1] is None


def test_too_many_clicks_are_refused_and_not_piled_up() -> None:
    worker = Worker()
    gate = threading.Event()
    refused: list[str | None] = []
    worker.submit("waiting", lambda: gate.wait(10))
    for _ in range(COMMAND_COUNT_MAX + 5):
        worker.submit("more", lambda: None, refused.append)
    assert "too many clicks at once" in refused
    gate.set()
    wait_until(lambda: worker.idle, what="all commands", timeout_s=5, interval_s=0.01)


def test_waiting_in_vain_says_for_what_and_shows_no_traceback() -> None:
    try:
        wait_until(lambda: 0, what="the moon to turn green", timeout_s=0.05, interval_s=0.01)
    except Timeout as error:
        lines = error._render_traceback_()
    else:
        raise AssertionError("it did not time out")
    assert "the moon to turn green" in lines[0]
    assert "Traceback" not in "\n".join(lines)
    assert len(lines) == 3
