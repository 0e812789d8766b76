"""What a disk on files asks of the operating system: syncs that reach the platter, and a directory of one's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

UNSAFE_NO_SYNC = "QUORUM_LAB_UNSAFE_NO_SYNC"
"""Test-only switch: acknowledge without syncing, so that a test can show that it would notice."""


class StorageError(OSError):
    """The data directory cannot be used, or a write could not be stored; the message says why."""


def sync_function() -> Callable[[int], None]:
    """What makes all that was written to a file durable."""
    if os.environ.get(UNSAFE_NO_SYNC):
        return _no_sync
    if sys.platform == "darwin":
        import fcntl

        full: int = fcntl.F_FULLFSYNC

        def sync(descriptor: int) -> None:
            fcntl.fcntl(descriptor, full)

        return sync
    return getattr(os, "fdatasync", os.fsync)


def _no_sync(descriptor: int) -> None:
    """The planted bug behind UNSAFE_NO_SYNC."""


def sync_directory(directory: Path) -> None:
    """Make the names of the files in it durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(directory: Path) -> int:
    """Hold the data directory for this process alone."""
    import fcntl

    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageError(f"{directory} is in use by another process") from error
    except OSError as error:
        raise StorageError(f"cannot use the data directory {directory}: {error.strerror}") from error
    return descriptor
