"""One path, all of its methods: what a path does not take is a 405 that says what it takes.

Here: the route.
Must not live here: which paths there are (api.py).

Starlette goes on to the next route when a path fits and its method does not, so that PUT on a path of its own
would meet a pattern further down (`/traffic/{workload}`) and be told that there is no workload of that name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

Endpoint = Callable[[Request], Awaitable[Response]]


class Path(Route):
    """`Path("/things", GET=list_them, POST=add_one)`. The first path that fits is the one that is meant."""

    def __init__(self, path: str, **by_method: Endpoint) -> None:
        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await by_method[method](request)

        super().__init__(path, endpoint, methods=list(by_method))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child_scope
