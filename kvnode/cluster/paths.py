"""Where the files of a local cluster live: one folder per cluster name under the user's state directory.

Must not live here: what is in the files (state.py), and who may write them (the supervisor that holds the lock).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kvnode.cluster.errors import BadCommand, ClusterError

DEFAULT_NAME = "quorum-lab"
OPENING_POLL_S = 0.05
OPENING_TIMEOUT_S = 120.0  # longer than a cluster and its traffic may take to start
SOCKET_PATH_BYTES_MAX = 100  # a Unix socket's address holds 104 bytes on macOS and 108 on Linux
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def state_root(state_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder of all clusters of this user: as given, else $QUORUM_LAB_STATE, else by the XDG rules."""
    chosen = state_dir or os.environ.get("QUORUM_LAB_STATE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    xdg = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path there is to be ignored.
    base = Path(xdg) if xdg.startswith("/") else Path.home() / ".local" / "state"
    return base / "quorum-lab"


@dataclass(frozen=True)
class Paths:
    """The paths of one cluster. Invariant: `name` is a plain file name."""

    name: str
    folder: Path

    @classmethod
    def of(cls, name: str, state_dir: str | os.PathLike[str] | None = None) -> Paths:
        """The paths of the cluster called `name`; BadCommand if that is no name."""
        if not _NAME.fullmatch(name):
            raise BadCommand(f'cluster name {name!r}: expected up to 64 letters, digits, ".", "-", "_"')
        return cls(name, state_root(state_dir) / name)

    @property
    def cluster_file(self) -> Path:
        """What the nodes read; remembers ids and ports from one start to the next."""
        return self.folder / "cluster.json"

    @property
    def state_file(self) -> Path:
        """What is running now; absent when nothing is."""
        return self.folder / "state.json"

    @property
    def lock_file(self) -> Path:
        """Who holds its flock is this cluster's supervisor."""
        return self.folder / "lock"

    @property
    def opening_file(self) -> Path:
        """Who holds its flock is opening this cluster, with what belongs to it (`opening`)."""
        return self.folder / "opening"

    @property
    def log_file(self) -> Path:
        """What the supervisor did."""
        return self.folder / "supervisor.log"

    def data_dir(self, node: str) -> Path:
        """The data directory of one node."""
        return self.folder / node

    def socket_path(self) -> Path:
        """Where commands are taken: beside state.json, or, if that path is too long for a socket, a short
        one."""
        beside = self.folder / "control.sock"
        if len(os.fsencode(beside)) <= SOCKET_PATH_BYTES_MAX:
            return beside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        for base in (tempfile.gettempdir(), "/tmp"):
            short = Path(base) / f"quorum-lab-{os.getuid()}" / f"{digest}.sock"
            if len(os.fsencode(short)) <= SOCKET_PATH_BYTES_MAX:
                return short
        raise ClusterError(f"no path short enough for a socket; set TMPDIR to a short folder, not {base}")


def make_private(folder: Path) -> None:
    """Make a folder that only this user can enter, or make one so; ClusterError if it belongs to somebody else.

    The folder around it is looked at too: whoever can write there can put another folder in this one's place.
    """
    try:
        if not folder.parent.is_dir():
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close_parent(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.getuid():
            raise ClusterError(f"the folder {folder} belongs to another user; set QUORUM_LAB_STATE")
        if stat.S_IMODE(found.st_mode) & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        elsewhere = Path(tempfile.gettempdir()) / f"quorum-lab-{os.getuid()}-state"
        raise ClusterError(
            f"no folder {folder}: {error.strerror}; set QUORUM_LAB_STATE to one that can be written, "
            f"such as {elsewhere}"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ClusterError(f"the folder {folder} cannot be written; set QUORUM_LAB_STATE")


def _close_parent(parent: Path) -> None:
    """Take the right to write from others; a sticky folder (/tmp) is safe as it is: there everybody owns their own."""
    found = parent.stat()
    if not found.st_mode & 0o022 or found.st_mode & stat.S_ISVTX:
        return
    if found.st_uid != os.getuid():
        raise ClusterError(
            f"others can write to {parent}, which belongs to another user; set QUORUM_LAB_STATE to a folder of your own"
        )
    parent.chmod(
        found.st_mode & ~0o022 if parent == Path.home() else 0o700
    )  # the home folder is not ours to close


@contextlib.contextmanager
def opening(paths: Paths, *, timeout_s: float, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Within it nobody else opens this cluster: two who start everything at the same instant become one who starts and
    one who finds. on_wait is called once if somebody else is at it. ClusterError if that takes longer than told."""
    make_private(paths.folder)
    deadline, has_told = time.monotonic() + timeout_s, False
    while (lock := try_lock(paths.opening_file)) is None:
        if not has_told:
            on_wait()
            has_told = True
        if time.monotonic() > deadline:
            raise ClusterError(
                f"another start of {paths.name} was not done within {timeout_s:.0f} s; try again"
            )
        time.sleep(OPENING_POLL_S)
    try:
        yield
    finally:
        os.close(lock)


def try_lock(file: Path) -> int | None:
    """Take the lock of a file: an open file descriptor that holds it, or None if somebody else does.

    The kernel lets go of it when its holder dies, however it dies. The descriptor is closed on exec, so no
    child can keep it.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
