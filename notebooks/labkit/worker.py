"""One thread that carries out what the buttons ask for, one command after the other.

A button's callback must return at once and may run on any thread, so it only queues. Commands stay in
order; the queue is bounded, and a full one refuses with a sentence instead of piling up clicks.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

COMMAND_COUNT_MAX = 40


@dataclass(frozen=True, slots=True)
class Command:
    """What to do, what to call it, and whom to tell."""

    doing: str
    action: Callable[[], object]
    done: Callable[[str | None], None] | None


def one_sentence(error: Exception) -> str:
    """An error as one line for the status line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "…"


class Worker:
    """Runs queued commands on one daemon thread and remembers how the last one ended."""

    def __init__(self) -> None:
        """Start the thread."""
        self._queue: queue.Queue[Command | None] = queue.Queue(COMMAND_COUNT_MAX)
        self._lock = threading.Lock()
        self._status = ("ready", False)
        self._unfinished = 0
        self._thread = threading.Thread(target=self._run, name="labkit-worker", daemon=True)
        self._thread.start()

    def submit(
        self,
        doing: str,
        action: Callable[[], object],
        done: Callable[[str | None], None] | None = None,
    ) -> None:
        """Queue a command and return at once."""
        with self._lock:
            self._unfinished += 1
        try:
            self._queue.put_nowait(Command(doing, action, done))
        except queue.Full:
            with self._lock:
                self._unfinished -= 1
            self._say("Too many clicks at once: this one was not taken.", failed=True)
            if done:
                done("too many clicks at once")

    @property
    def status(self) -> tuple[str, bool]:
        """What was done last, and whether it failed."""
        with self._lock:
            return self._status

    @property
    def idle(self) -> bool:
        """Whether every command has been carried out."""
        with self._lock:
            return self._unfinished == 0

    def stop(self, timeout_s: float = 3.0) -> None:
        """End after the commands in the queue."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _say(self, text: str, *, failed: bool = False) -> None:
        with self._lock:
            self._status = (text, failed)

    def _run(self) -> None:
        while (command := self._queue.get()) is not None:
            self._say(f"{command.doing} …")
            began = time.monotonic()
            problem: str | None = None
            try:
                command.action()
            except Exception as error:  # noqa: BLE001  (the thread must outlive any command; the status line tells)
                problem = one_sentence(error)
            took_ms = (time.monotonic() - began) * 1000
            self._say(
                f"{command.doing}: {problem}" if problem else f"{command.doing}: done in {took_ms:.0f} ms",
                failed=problem is not None,
            )
            if command.done:
                command.done(problem)
            with self._lock:
                self._unfinished -= 1
