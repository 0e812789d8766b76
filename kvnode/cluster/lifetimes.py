"""Tying a child's life to its parent's, so that nothing is left behind however the parent dies.

On Linux the kernel does it: PR_SET_PDEATHSIG sends SIGKILL to the child when the thread that started it ends,
and SIGKILL works on stopped processes too. The supervisor has one thread only, so that thread is the process.
Elsewhere a node watches a pipe (--exit-with-stdin) and any other command runs under leash.py, which watches
one for it. A stopped process sees no end of file: there, nodes that were paused when the supervisor itself
was killed stay until the next start of the cluster finds them (`kill_leftover`). Not here: when to start and
stop what (children.py, supervisor.py).
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


def command_of(pid: int) -> str:
    """The command line of a process; empty if there is none (or it is another user's)."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    listed = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5
    )
    return listed.stdout


def kill_leftover(pid: int, *, must_mention: str) -> bool:
    """Kill a process that an earlier supervisor left behind; True if it was there.

    A process id may have been given to a stranger since: only one whose command line names `must_mention` is
    ours.
    """
    if pid <= 1 or must_mention not in command_of(pid):
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    deadline = time.monotonic() + LEFTOVER_WAIT_S  # its ports and its lock are free only when it is gone
    while must_mention in command_of(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return True
