"""The parent-death watchdog: ties a child's life to its parent's, so that nothing is left behind however that dies.

On Linux the kernel does it: PR_SET_PDEATHSIG sends SIGKILL to the child when the thread that started it ends,
and SIGKILL works on stopped processes too. The supervisor has one thread only, so that thread is the process.

Elsewhere, and for a child whose own children have sessions of theirs (JupyterLab), there is a pipe: a node watches it
itself (--exit-with-stdin), and any other command runs under `python -m kvnode.cluster.processes.watchdog -- COMMAND`,
which ends it, with all its descendants and the watchdog's whole group, when stdin ends. A stopped process sees no end
of file: without the kernel's help, nodes that were paused when the supervisor itself was killed stay until the next
start of the cluster finds them (`kill_leftover`).

Must not live here: when to start and stop what (children.py, supervisor.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")
LEFTOVER_WAIT_S = 2.0
POLL_S = 0.1

COMMAND = (sys.executable, "-P", "-m", "kvnode.cluster.processes.watchdog", "--")
"""The words before a command that is to end with whoever holds the other end of its watchdog's stdin."""

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
            return f"{_BOOT_FILE.read_text().strip()} {_stat_of(pid)[19]}"
        except (OSError, IndexError):
            return ""
    return _ps("-o", "lstart=", "-p", str(pid)).strip()


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
        return _stat_of(pid)[0] == "Z"
    except (OSError, IndexError):
        return False


# --- the watchdog as a process --------------------------------------------------------------------------


class Process(NamedTuple):
    """One process of this computer: its id, its parent's and its group's."""

    pid: int
    parent: int
    group: int


def main(argv: Sequence[str]) -> int:
    """Run the command after "--" until it ends or our stdin does; its exit status, 128 + n for signal n."""
    command = argv[argv.index("--") + 1 :] if "--" in argv else argv
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(
            number, lambda *_: None
        )  # the command gets it too (a handler is not inherited); we report
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        readable, _, _ = select.select([0], [], [], POLL_S)
        if readable and not os.read(0, 4096):
            kill_tree(child.pid)
            child.wait()
    code = child.returncode
    return code if code >= 0 else 128 - code


def kill_tree(root: int) -> None:
    """SIGKILL a process, its descendants whatever their sessions, and our own group if we lead it, but for ourselves.

    The process is stopped first, so that it cannot start another meanwhile.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGSTOP)
    found = list(processes())
    doomed = {root} | {one.pid for one in found if one.group == os.getpid()}
    size = 0
    while size < len(doomed):
        size = len(doomed)
        doomed |= {one.pid for one in found if one.parent in doomed - {os.getpid()}}
    for pid in sorted(doomed - {os.getpid()}, key=lambda pid: pid == root):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def processes() -> Iterator[Process]:
    """Every process."""
    if sys.platform != "linux":
        for line in _ps("-axo", "pid=,ppid=,pgid=").splitlines():
            yield Process(*map(int, line.split()))
        return
    for folder in Path("/proc").glob("[0-9]*"):  # a small container may have no ps
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, parent, group, *_ = _stat_of(int(folder.name))
            yield Process(int(folder.name), int(parent), int(group))


def _stat_of(pid: int) -> list[str]:
    """Fields 3 and on of /proc/PID/stat. The name in parentheses before them may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _ps(*words: str) -> str:
    env = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    return subprocess.run(
        ["ps", *words], capture_output=True, text=True, check=False, timeout=5, env=env
    ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
