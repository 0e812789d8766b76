"""python -m kvnode.cluster.processes.leash -- COMMAND…: runs a command that ends, whole group and all, when stdin ends.

Used where the kernel cannot tie a child's life to its parent's (macOS). The command stays in the leash's own
process group, so that one signal to the group reaches both; the leash outlives a SIGTERM to report how the
command ended. Not here: Linux, where processes/watchdog.py needs no process in between.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

POLL_S = 0.1


def main(argv: list[str]) -> int:
    """Run the command after "--" until it or our stdin ends; returns its exit code."""
    command = argv[argv.index("--") + 1 :] if "--" in argv else argv
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, a handler is not inherited by the command
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        readable, _, _ = select.select([0], [], [], POLL_S)
        if readable and not os.read(0, 4096):
            os.killpg(0, signal.SIGKILL)
    code = child.returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
