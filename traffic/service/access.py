"""Who may break a cluster: a token that the service makes at its start.

Here: the token, its file, and whether a request carries it.
Must not live here: which endpoints ask for it (api.py).

Loopback is shared by all users of a computer: whatever this service answers to a GET, it answers to each of them. So
the token is in no answer. It lies in a file that only this user can read (0600, in a folder with 0700), and the page
gets it by a link that ends in `#token=…`: a browser keeps what follows the # to itself, and the page moves it to
sessionStorage, which belongs to this host and port alone. (A cookie would not do: cookies go to every port of a host,
and so to whatever another user serves there.) A token is worth nothing after the service that made it has ended.

What asks for it: breaking and mending nodes, and nothing else. Rates, start and stop, write_test and a posted tweet do
not, as curl was promised; whoever is on this machine may write to the nodes themselves anyway, and what they change
about the traffic is seen at once and set back with a click. A killed node is another matter.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from hmac import compare_digest
from pathlib import Path

from traffic.discovery import state_folder

FOLDER = "traffic-control"
TOKEN_BYTES = 24
SCHEME = "bearer"


class Access:
    """token: None if nobody has control; then `why_not` says why. path: where it lies for programs of this user."""

    def __init__(self, token: str | None, path: Path | None = None, *, why_not: str = "") -> None:
        self.token = token
        self.why_not = why_not
        self._path = path

    @classmethod
    def make(cls, port: int) -> Access:
        """A fresh token in the file of this port. A folder that cannot be used costs the control, not the service."""
        token, path = secrets.token_urlsafe(TOKEN_BYTES), token_file(port)
        try:
            _make_private(path.parent)
            fresh = path.with_name(f".{path.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{token}\n")
            fresh.replace(path)
        except OSError as error:
            reason = f"the token has no safe place, {path.parent}: {error.strerror or error}"
            return cls(None, why_not=reason)
        return cls(token, path)

    def allows(self, authorization: str | None) -> bool:
        """Whether the value of an Authorization header carries the token."""
        scheme, _, given = (authorization or "").partition(" ")
        known = self.token
        return (
            known is not None
            and scheme.lower() == SCHEME
            and compare_digest(given.strip().encode(), known.encode())
        )

    def close(self) -> None:
        """Take the file away, unless a later service has put its own there."""
        with contextlib.suppress(OSError):
            if self._path is not None and self._path.read_text(encoding="ascii").strip() == self.token:
                self._path.unlink()


def token_file(port: int) -> Path:
    """Where the service on this port leaves its token."""
    return state_folder() / FOLDER / f"{port}.token"


def link(port: int, host: str = "127.0.0.1") -> str | None:
    """The status page with control, for the user whose service it is; None if there is no token to read."""
    try:
        token = token_file(port).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    # By its number: "localhost" may mean ::1 first, and there anybody else may listen.
    return f"http://{host}:{port}/#token={token}" if token else None


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.lstat()
    if folder.is_symlink() or owner.st_uid != os.getuid():
        raise PermissionError(None, "it belongs to somebody else")
    folder.chmod(0o700)
