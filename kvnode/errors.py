"""Every error a client can see, and whether its outcome is definite.

A *definite* failure means that no replica can have applied the write: it may be tried again without a second
thought. An indefinite one may or may not have happened (Maelstrom's error table makes the same distinction).
In doubt an error is indefinite.

    KvError
    ├── BadRequest            400  what was sent makes no sense; says what and where, and what was expected
    ├── Forbidden             403  a foreign Host or Origin
    ├── NotFound              404  no such key (after a DELETE still with a context)
    ├── MethodNotAllowed      405  says in `allow` which methods there are
    ├── RequestTimeout        408  a request that did not arrive within its time
    ├── Conflict              409  too many siblings, or too many actors of a counter: resolve them first
    ├── TooLarge              413  a body, key, value or context beyond its bound
    ├── UnsupportedMediaType  415  a body that is not application/json
    ├── TooBusy               429  a bounded queue is full
    ├── HeadersTooLarge       431  the head of a request beyond its bound
    ├── InternalError         500  the node found a fault in itself
    ├── Overloaded            503  there are as many connections as there may be
    ├── QuorumUnmet           503  fewer replicas answered than asked for: need and got
    ├── NotAMember            503  this node holds no data (yet, or any more)
    ├── GatewayTimeout        504  the replica that was asked to coordinate did not answer in time
    └── Unreachable             0  (clients only) no node took the connection

Must not live here: how errors travel (net/http.py) and what clients do with them (client/client.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class KvError(Exception):
    """An error with an HTTP status, a detail for people and a verdict on its outcome."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    definite_default: ClassVar[bool] = False

    def __init__(self, detail: str, *, definite: bool | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.definite = self.definite_default if definite is None else definite
        self.extra: dict[str, Any] = extra

    def problem(self) -> dict[str, Any]:
        """The body of an application/problem+json answer (RFC 9457)."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "definite": self.definite,
            **self.extra,
        }

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it (IPython asks for this): one line instead of a page of Python."""
        outcome = "nothing was written" if self.definite else "a write may or may not have happened"
        return [f"{type(self).__name__}: {self.detail} ({outcome})"]


class BadRequest(KvError):
    status = 400
    title = "Bad request"
    definite_default = True


class Unauthorized(KvError):
    """The cluster demands a token; it never says what was wrong with the one that was sent."""

    status = 401
    title = "Unauthorized"
    definite_default = True


class Forbidden(KvError):
    status = 403
    title = "Forbidden"
    definite_default = True


class NotFound(KvError):
    status = 404
    title = "Not found"
    definite_default = True


class MethodNotAllowed(KvError):
    """Carries `allow`: the methods that there are."""

    status = 405
    title = "Method not allowed"
    definite_default = True

    def __init__(
        self, detail: str, *, allow: tuple[str, ...] = (), definite: bool | None = None, **extra: Any
    ) -> None:
        super().__init__(detail, definite=definite, **extra)
        self.allow = allow


class RequestTimeout(KvError):
    status = 408
    title = "Request timeout"
    definite_default = True


class Conflict(KvError):
    status = 409
    title = "Conflict"
    definite_default = True


class TooLarge(KvError):
    status = 413
    title = "Too large"
    definite_default = True


class UnsupportedMediaType(KvError):
    status = 415
    title = "Unsupported media type"
    definite_default = True


class TooBusy(KvError):
    status = 429
    title = "Too busy"
    definite_default = True


class HeadersTooLarge(KvError):
    status = 431
    title = "Request header fields too large"
    definite_default = True


class InternalError(KvError):
    status = 500
    title = "Internal error"


class Overloaded(KvError):
    status = 503
    title = "Overloaded"
    definite_default = True


class QuorumUnmet(KvError):
    """Fewer replicas answered in time than the request asked for. Carries `need` and `got`."""

    status = 503
    title = "Quorum unmet"

    def __init__(self, letter: str, *, need: int, got: int, n: int, definite: bool, why: str = "") -> None:
        verb = "acknowledged" if letter == "W" else "answered"
        because = f" ({why})" if why else ""
        detail = f"{letter}={need} unmet: {got} of {n} replicas {verb}{because}"
        super().__init__(detail, definite=definite, need=need, got=got, n=n)


class NotAMember(KvError):
    status = 503
    title = "Not a member"
    definite_default = True


class GatewayTimeout(KvError):
    status = 504
    title = "Gateway timeout"


class Unreachable(KvError):
    """Raised by clients only: no node took the connection, so nothing can have been applied."""

    status = 0
    title = "Unreachable"
    definite_default = True


_BY_STATUS: dict[int, type[KvError]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        RequestTimeout,
        Conflict,
        TooLarge,
        UnsupportedMediaType,
        TooBusy,
        HeadersTooLarge,
        InternalError,
        GatewayTimeout,
    )
}


def from_problem(body: Mapping[str, Any], status: int | None = None) -> KvError:
    """Turn a problem document back into the error it was; an unknown status becomes a plain KvError."""
    code = int(body.get("status", status or 0) or 0)
    detail = str(body.get("detail") or body.get("title") or f"HTTP status {code}")
    known = ("type", "title", "status", "detail", "definite")
    extra = {name: value for name, value in body.items() if name not in known}
    definite = bool(body.get("definite", False))
    for kind_of_503 in (NotAMember, Overloaded):
        if code == kind_of_503.status and body.get("title") == kind_of_503.title:
            return kind_of_503(detail, definite=definite, **extra)
    if code == QuorumUnmet.status:
        error = QuorumUnmet("W", need=0, got=0, n=0, definite=definite)
        error.detail, error.extra, error.args = detail, extra, (detail,)
        return error
    kind = _BY_STATUS.get(code)
    if kind is not None:
        return kind(detail, definite=definite, **extra)
    return KvError(detail, definite=definite, **extra)
