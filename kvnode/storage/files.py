"""What a disk on files asks of the operating system: syncs that reach the platter, and a directory of one's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import time
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


_FILE_BYTES_MAX = 2**36
"""A file that is longer is not one of ours: it could not even be looked through."""


def trouble_with_file(path: Path) -> str | None:
    """Why this cannot be one of our files: it is a folder, a pipe, a link to nowhere, or may not be read and written.

    None if it is a file, or not there. A file of our own that we may not open is made ours again first.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return f"{path.name} is a link that leads nowhere" if path.is_symlink() else None
    except OSError as error:  # a link to itself, say
        return f"{path.name} cannot be looked at: {error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return f"{path.name} is not a file"
    if not _may_use(path):
        with contextlib.suppress(OSError):
            path.chmod(0o600)
    if not _may_use(path):
        return f"{path.name} may not be read and written"
    return f"{path.name} is too long" if found.st_size > _FILE_BYTES_MAX else None


def _may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def make_way(path: Path) -> None:
    """Give what stands in the place of a file of ours, and cannot be it, another name."""
    if trouble_with_file(path) is not None:
        path.rename(path.with_name(f"{path.name}.corrupt-{stamp()}"))


def delete(path: Path) -> None:
    """Delete a file, or whatever stands in its place."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def stamp() -> str:
    """The time, to the microsecond, for the name of a file."""
    now_ns = time.time_ns()
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ns // 10**9)) + f".{now_ns // 1000 % 10**6:06}"


def lock(directory: Path) -> int:
    """Hold the data directory for this process alone."""
    import fcntl

    try:
        directory.mkdir(parents=True, exist_ok=True)
        make_way(directory / "lock")
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageError(f"{directory} is in use by another process") from error
    except OSError as error:
        raise StorageError(f"cannot use the data directory {directory}: {error.strerror}") from error
    return descriptor
