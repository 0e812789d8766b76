"""Tying a child's life to its parent's, so that nothing is left behind however the parent dies.

On Linux the kernel does it: PR_SET_PDEATHSIG sends SIGKILL to the child when the thread that started it ends,
and SIGKILL works on stopped processes too. The supervisor has one thread only, so that thread is the process.
Elsewhere a node watches a pipe (--exit-with-stdin) and any other command runs under leash.py, which watches
one for it. A stopped process sees no end of file: there, nodes that were paused when the supervisor itself
was killed stay until the next start of the cluster finds them (`kill_leftover`). Not here: when to start and
stop what (processes/children.py, supervisor.py).
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
LEFTOVER_WAIT_S = 2.0

# Loaded before any fork: between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def kernel_ties_children() -> bool:
    """Whether the kernel kills children with their parent; QUORUM_LAB_LIFETIME=pipe turns that off, for
    tests."""
    return _LIBC is not None and os.environ.get("QUORUM_LAB_LIFETIME") != "pipe"


def die_with_parent() -> Callable[[], None] | None:
    """What a child must run between fork and exec to be killed with this process; None where that cannot
    be."""
    if not kernel_ties_children():
        return None
    libc, parent = _LIBC, os.getpid()
    assert libc is not None

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl: the signal would never come
            os._exit(1)

    return tie


def start_of(pid: int) -> str:
    """When a process was started, in words that only mean something to `kill_leftover`; empty if there is none.

    A process id is given to somebody else sooner or later; with its start it names one process for ever. On Linux that
    is the boot and the clock tick (field 22 of /proc/PID/stat), elsewhere what ps says, to the second.
    """
    if pid <= 1:
        return ""
    if sys.platform == "linux":
        try:
            # The name in parentheses may hold anything; behind the last one stands field 3.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            return f"{_BOOT_FILE.read_text().strip()} {fields[19]}"
        except (OSError, IndexError):
            return ""
    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=5,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    return listed.stdout.strip()


def kill_leftover(pid: int, *, started: str) -> bool:
    """Kill a process that an earlier supervisor left behind, group and all; True if it was there.

    Only the very process that was noted: its id may have been given to a stranger since, whatever that one's command
    line says. Without a noted start nobody is killed.
    """
    if not started or start_of(pid) != started:
        return False
    try:
        os.killpg(pid, signal.SIGKILL)  # a child of a supervisor leads its group
    except (ProcessLookupError, PermissionError):
        return False
    deadline = time.monotonic() + LEFTOVER_WAIT_S  # its ports and its lock are free only when it is gone
    while start_of(pid) == started and time.monotonic() < deadline and not _is_zombie(pid):
        time.sleep(0.01)
    return True


def _is_zombie(pid: int) -> bool:
    """Dead, and only its parent has not noticed yet: its ports are free. Elsewhere than on Linux we wait it out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
