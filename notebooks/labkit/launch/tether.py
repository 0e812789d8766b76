"""python -m labkit.launch.tether -- COMMAND…: runs a command that ends, with all its descendants, when stdin ends.

Whoever starts it holds the other end of that pipe: when the holder dies, even by kill -9, the pipe closes.
JupyterLab needs more than a killed process group: its kernels have sessions of their own, and one that is
still starting does not notice for seconds that its server is gone. Must not live here: what the command is.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.1


def main(argv: list[str]) -> int:
    """Run the command after "--" until it ends or our stdin does; its exit status, 128 + n for signal n."""
    command = argv[argv.index("--") + 1 :]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # the command gets it too, ends in good order, and we report
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        readable, _, _ = select.select([0], [], [], POLL_S)
        if readable and not os.read(0, 4096):
            kill_tree(child.pid)
            child.wait()
    code = child.returncode
    return code if code >= 0 else 128 - code


def kill_tree(root: int) -> None:
    """SIGKILL a process and its descendants; it is stopped first, so that it cannot start another meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(root, signal.SIGSTOP)
    for pid in [*descendants(root), root]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def descendants(root: int) -> list[int]:
    """The children of a process and theirs, whatever their sessions."""
    children: dict[int, list[int]] = defaultdict(list)
    for pid, parent in processes():
        children[parent].append(pid)
    found: list[int] = []
    generation = children[root]
    while generation:
        found += generation
        generation = [pid for parent in generation for pid in children[parent]]
    return found


def processes() -> Iterator[tuple[int, int]]:
    """(process id, its parent's) of every process."""
    if sys.platform == "linux":  # where a small container may have no ps
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                # the name in parentheses may hold anything; after the last one: state, parent
                yield (
                    int(stat.parent.name),
                    int(stat.read_text(errors="replace").rpartition(")")[2].split()[1]),
                )
        return
    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True, timeout=5
    )
    for line in listing.stdout.splitlines():
        pid, parent = line.split()
        yield int(pid), int(parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
