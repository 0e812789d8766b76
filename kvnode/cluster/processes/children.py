"""One child process of the supervisor, from its start to its end: a node, or a sidecar (any other command).

    starting ──ready line──> running <──> paused
        │                       │            │
        └──exits──> failed      └────dead <──┘      a killed child stays dead until somebody starts it again

A child runs in a session of its own, so that Ctrl-C in a terminal and the interrupt of a notebook's kernel do not reach
it, and dies with the supervisor (processes/watchdog.py).
Must not live here: what to tell a node once it runs, and who asks for all this (supervisor.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvnode.cluster.contract import NodeState
from kvnode.cluster.errors import BadCommand
from kvnode.cluster.processes import watchdog

READY_TIMEOUT_S = 20.0
TERMINATE_TIMEOUT_S = 4.0  # longer than a node takes to answer what is under way
LINE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True)
class ChildSpec:
    """What to start.

    watches_stdin: the command knows --exit-with-stdin (needed where the kernel does not tie lives).
    ready_prefix: the child counts as running once it prints a line that begins so; None: as soon as it is started.
    """

    name: str
    argv: Sequence[str]
    log_file: Path
    ready_prefix: str | None
    watches_stdin: bool = False
    env: Mapping[str, str] | None = None
    cwd: str | None = None


class Child:
    """A process that can be started again and again.

    process_start: with its pid it names this process for ever (watchdog.py). killed: by a command since it ran;
    wiped: so was its data deleted.
    """

    def __init__(self, spec: ChildSpec, on_change: Callable[[], None]) -> None:
        self.spec = spec
        self.name = spec.name
        self.log_file = spec.log_file
        self.state: NodeState = "dead"
        self.reason = "not started yet"
        self.since_ms = 0
        self.starts = 0
        self.killed = self.wiped = False
        self.ready_line = ""
        self.exit_code: int | None = None
        self.process_start = ""
        self._on_change = on_change
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._settled = asyncio.Event()  # ready, or gone
        self._gone = asyncio.Event()
        self._gone.set()
        self._expected_end = ""  # why we ended it; empty if it ends by itself

    @property
    def pid(self) -> int | None:
        """Its process id while there is a process."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        """Whether there is a process, running or not."""
        return self._process is not None

    def described(self) -> dict[str, Any]:
        """What the state says of any child."""
        names = ("pid", "process_start", "state", "reason")
        return {name: getattr(self, name) for name in names}

    def spawn(self) -> None:
        """Start the process; it is `starting`, or `running` if it needs no ready line."""
        assert self._process is None
        spec, command, tied = self.spec, list(self.spec.argv), watchdog.kernel_ties_children()
        if not tied:
            command = [*command, "--exit-with-stdin"] if spec.watches_stdin else [*watchdog.COMMAND, *command]
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._expected_end, self._buffer, self.ready_line, self.exit_code = "", b"", "", None
        self._settled.clear()
        self._gone.clear()
        self.starts += 1
        self.killed = self.wiped = False
        try:
            self.log_file.write_bytes(b"")
            with self.log_file.open("ab") as log:  # we append what it prints to the same file
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL if tied else subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=watchdog.die_with_parent(),
                    env=None if spec.env is None else {**os.environ, **spec.env},
                    cwd=spec.cwd,
                )
        except OSError as error:
            self._settled.set()
            self._gone.set()
            self._become("failed", f"cannot start {command[0]}: {error.strerror}")
            return
        self.process_start = watchdog.start_of(self._process.pid)
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._on_output)
        self._become("starting", "")
        if self.spec.ready_prefix is None:
            self._settled.set()
            self._become("running", "")

    async def settle(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it printed its ready line or ended; one that does neither in time is killed and
        `failed`."""
        try:
            await asyncio.wait_for(self._settled.wait(), timeout_s)
        except TimeoutError:
            await self.kill()
            self._become("failed", f"was not ready within {timeout_s:.0f} s; see {self.log_file}")

    def confirm_running(self) -> None:
        """Its owner has told it all it needs: from now on it counts as running."""
        if self.alive and self.state == "starting":
            self._become("running", "")

    def explain(self, reason: str) -> None:
        """Say more about the state it is in."""
        self._become(self.state, reason)

    def kill_now(self, why: str = "killed") -> None:
        """SIGKILL to its whole group, at once; stopped processes die too."""
        self._expected_end = self._expected_end or why
        self._signal(signal.SIGKILL)

    async def kill(self, why: str = "killed") -> None:
        """SIGKILL, and wait until it is gone."""
        if self.alive:
            self.kill_now(why)
            await self._gone.wait()

    async def terminate(self, timeout_s: float = TERMINATE_TIMEOUT_S, why: str = "stopped") -> None:
        """Ask it to end in good order; kill it if it does not (a paused one cannot)."""
        if self.alive and self.state != "paused":
            self._expected_end = why
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), timeout_s)
        await self.kill(why)

    def pause(self) -> None:
        """Stop it where it stands: it keeps its memory, its sockets and its ports, and answers nobody."""
        if self.state == "paused":
            return
        if self.state != "running":
            raise BadCommand(f"{self.name} is {self.state}, so it cannot be paused; restart it first")
        self._signal(signal.SIGSTOP)
        self._become("paused", "")

    def resume(self) -> None:
        """Let a paused child go on."""
        if self.state == "running":
            return
        if self.state != "paused":
            raise BadCommand(f"{self.name} is {self.state}, not paused; use restart")
        self._signal(signal.SIGCONT)
        self._become("running", "")

    def reap(self) -> None:
        """Look whether the process ended; called at SIGCHLD."""
        process = self._process
        if process is None or process.poll() is None:
            return
        self._on_output()
        was_starting = self.state == "starting"
        self._close(process)
        self._process = None
        self.exit_code = process.returncode
        if self._expected_end:
            self._become("dead", self._expected_end)
        else:
            self._become("failed" if was_starting else "dead", self._how_it_ended(process.returncode))
        self._settled.set()
        self._gone.set()

    # --- inside -----------------------------------------------------------------------------------------

    def _become(self, state: NodeState, reason: str) -> None:
        self.state, self.reason, self.since_ms = state, reason, int(time.time() * 1000)
        self._on_change()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            # It leads its session, so its group is its own pid; a sidecar's children are in it too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _on_output(self) -> None:
        process = self._process
        if process is None or process.stdout is None or process.stdout.closed:
            return
        try:
            data = os.read(process.stdout.fileno(), LINE_BYTES_MAX)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(process.stdout.fileno())
            return
        with contextlib.suppress(OSError), self.log_file.open("ab") as log:  # a full disk costs these lines
            log.write(data)
        if self._settled.is_set() or self.spec.ready_prefix is None:
            return
        *lines, self._buffer = (self._buffer + data)[-LINE_BYTES_MAX:].split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text.startswith(self.spec.ready_prefix):
                self.ready_line = text
                self._settled.set()
                return

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is not None and not process.stdout.closed:
            asyncio.get_running_loop().remove_reader(process.stdout.fileno())
            process.stdout.close()
        if process.stdin is not None:
            process.stdin.close()

    def _how_it_ended(self, code: int) -> str:
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        said = self.last_words()
        return f"{how}: {said}" if said else how

    def last_words(self) -> str:
        """The last line of what it printed, at most 300 characters."""
        try:
            tail = self.log_file.read_bytes()[-4096:].decode(errors="replace").strip()
        except OSError:
            return ""
        line = tail.rpartition("\n")[2].strip()[:300]
        return "" if line == self.ready_line else line
