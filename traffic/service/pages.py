"""The status page and its parts, as files of this package: nothing comes from elsewhere.

Here: which files there are, their types and the policy that they are served under.
Must not live here: figures (api.py).

The policy lets the page run its own files and talk to its own service, and nothing else: a tweet with a script in it
stays text even if the page forgot to treat it so.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePath

from starlette.requests import Request
from starlette.responses import Response

from traffic.service.problems import Problem

FOLDER = "static"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def parts() -> list[str]:
    """The names of all files."""
    return sorted(one.name for one in files("traffic.service").joinpath(FOLDER).iterdir())


async def page(request: Request) -> Response:
    """GET /: the status page."""
    return _file("page.html")


async def part(request: Request) -> Response:
    """GET /static/{name}: what the page consists of."""
    name = request.path_params["name"]
    if name not in parts():
        raise Problem(404, f"the page has no part {name[:80]!r}; it has: {', '.join(parts())}")
    return _file(name)


def _file(name: str) -> Response:
    text = files("traffic.service").joinpath(FOLDER, name).read_text(encoding="utf-8")
    return Response(text, media_type=TYPES[PurePath(name).suffix], headers=HEADERS)
