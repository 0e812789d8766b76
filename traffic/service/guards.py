"""Who may talk to the service: programs of this machine, and no web page but its own.

Here: the checks before any endpoint sees a request.
Must not live here: endpoints.

A page of any site, open in the same browser, can send requests to 127.0.0.1. Against that: the Host must
be a loopback name (a rebound DNS name is none); a change of state is refused if Origin or Sec-Fetch-Site
shows another site; a body must be application/json, which a plain HTML form cannot send. The node has the
same rules.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from traffic.service.problems import document

BODY_BYTES_MAX = 64 * 1024
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_HEADER = (b"x-quorum-lab", b"traffic")  # by this a second start knows its own kind


class _BodyTooLarge(Exception):
    pass


class Guards:
    """Pure ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", []), OWN_HEADER]
            await send(message)

        refusal = _refusal(scope)
        if refusal is not None:
            await document(*refusal)(scope, receive, marked)
            return
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_BYTES_MAX:
                raise _BodyTooLarge
            return message

        try:
            await self._app(scope, bounded, marked)
        except _BodyTooLarge:
            if started:
                raise
            await document(413, _too_large("more"))(scope, receive, marked)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    """Status and reason, or None if the request may pass."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host", "")
    if _name(host) not in LOOPBACK_NAMES:
        return 403, f"the Host must be a loopback name (127.0.0.1, localhost or [::1]), got {host!r}"
    if scope["method"] in READING:
        return None
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return 403, f"a page of another site ({origin}) may not change anything here"
    site = headers.get(b"sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return 403, f"a page of another site may not change anything here (Sec-Fetch-Site: {site})"
    length = headers.get(b"content-length", "0")
    if length.isdigit() and int(length) > BODY_BYTES_MAX:
        return 413, _too_large(length)
    has_body = length not in ("", "0") or b"transfer-encoding" in headers
    media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
    if has_body and media_type != "application/json":
        return 415, f"a body must be application/json, got {media_type or 'no Content-Type'!r}"
    return None


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _too_large(got: str) -> str:
    return f"a body may have {BODY_BYTES_MAX} bytes, got {got}"
