"""Starting a supervisor, and holding the pipe that is its owner's life.

The owner's end of the pipe lives as long as this process: it is kept in a table here, not in an object that a notebook
may drop when a cell runs twice. A forked child of the owner closes its copy, so that it does not keep a cluster alive
after its owner's death.
Must not live here: what can be asked of a running cluster (local.py).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from msgspec import Struct

from kvnode.cluster.contract import Answer, from_json, to_json
from kvnode.cluster.errors import ClusterError, StartFailed, from_wire
from kvnode.cluster.paths import Paths, make_private, try_lock
from kvnode.cluster.processes.watchdog import kernel_ties_children

NODE_COMMAND = (sys.executable, "-P", "-m", "kvnode")
StateDir = str | os.PathLike[str] | None
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
LOG_BYTES_MAX = 1024 * 1024
REPORT_BYTES_MAX = 1024 * 1024


class StartOptions(Struct, frozen=True, kw_only=True):
    """What a supervisor is told; None: as the cluster was created, or the default."""

    nodes: int | None = None
    replicas: int | None = None
    base_port: int | None = None
    detach: bool = False
    fresh: bool = False
    node_command: Sequence[str] = NODE_COMMAND
    host: str | None = None
    maintenance: Mapping[str, float] | None = None
    token: bool = False


class StartWords(TypedDict, total=False):
    """The same as arguments of LocalCluster."""

    replicas: int | None
    base_port: int | None
    detach: bool
    fresh: bool
    node_command: Sequence[str]
    host: str | None
    maintenance: Mapping[str, float] | None
    token: bool


_owned: dict[Path, subprocess.Popen[bytes]] = {}
"""The supervisors that this process started and that end with it, by the cluster's folder."""


def owns(paths: Paths) -> bool:
    """Whether this process started the supervisor that runs this cluster, and it ends with this process."""
    process = _owned.get(paths.folder)
    if process is not None and process.poll() is not None:
        del _owned[paths.folder]
        return False
    return process is not None


def start_supervisor(paths: Paths, options: StartOptions) -> list[str]:
    """Start a supervisor and wait until all its nodes are ready; nothing is left behind if they are not.

    Returns what people should be told of the start, a sentence each; usually nothing.
    """
    make_private(paths.folder)
    with paths.log_file.open("ab") as log:
        if log.tell() > LOG_BYTES_MAX:
            log.truncate(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kvnode.cluster.supervisor", str(paths.folder), to_json(options)],
            stdin=subprocess.DEVNULL if options.detach else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        report = _read_report(process, time.monotonic() + START_TIMEOUT_S)
        if report is None:
            raise StartFailed(
                f"the supervisor ended or hung before its nodes were ready; see {paths.log_file}"
            )
        if not report.ok:
            raise from_wire(report.kind, report.error)
    except BaseException:  # an interrupt too: whatever was begun must end
        _end(process)
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()
    if options.detach:
        process.wait()
    else:
        _owned[paths.folder] = process
    return report.notes


def ended(paths: Paths, *, within_s: float) -> bool:
    """Whether the supervisor that this process started is gone; waits for that, but not longer than told."""
    process = _owned.get(paths.folder)
    if process is None:
        return True
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    return process.poll() is not None


def wait_for_end(paths: Paths) -> None:
    """After the stop command: wait until the supervisor that this process owns is gone."""
    process = _owned.pop(paths.folder, None)
    if process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
        _end(process)


def clean_up_if_stale(paths: Paths) -> None:
    """Remove state.json and the socket of a supervisor that was killed: nobody holds the lock any more."""
    if not paths.lock_file.exists():
        return
    lock = try_lock(paths.lock_file)
    if lock is None:
        return  # it is starting or stopping
    try:
        # Where the kernel did not kill its nodes with it, the next start needs their process ids.
        with contextlib.suppress(OSError):  # no file, or not to be deleted: the next start says what is wrong
            if kernel_ties_children():
                paths.state_file.unlink(missing_ok=True)
            paths.socket_path().unlink(missing_ok=True)
    finally:
        os.close(lock)


def wait_until_released(paths: Paths) -> None:
    """After the end of a supervisor: so that the same name can start at once."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while paths.lock_file.exists() and time.monotonic() < deadline:
        lock = try_lock(paths.lock_file)
        if lock is not None:
            os.close(lock)
            return
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()  # its nodes die with it, by its hand
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()  # and if it hangs, by the kernel's
        process.wait()


def _read_report(process: subprocess.Popen[bytes], deadline: float) -> Answer | None:
    assert process.stdout is not None
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not received.endswith(b"\n") and len(received) < REPORT_BYTES_MAX:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            data = os.read(process.stdout.fileno(), 65_536)
            if not data:
                return None
            received += data
    try:
        return from_json(received, Answer)
    except ValueError as error:
        raise ClusterError(f"the supervisor reported {received[:200]!r}") from error


_of_our_parent: list[subprocess.Popen[bytes]] = []


def _forget_in_child() -> None:
    for process in _owned.values():
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
    _of_our_parent.extend(_owned.values())  # kept, since a dropped Popen warns of a process left running
    _owned.clear()


os.register_at_fork(after_in_child=_forget_in_child)
