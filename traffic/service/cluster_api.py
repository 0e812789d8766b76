"""The endpoints about the cluster itself: proofs that it is there, and breaking and mending it.

Here: paths' bodies and statuses.
Must not live here: what is broken and how (breaking.py), the supervisor's socket (nodes/supervisor.py), who may
(access.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from traffic.control.generator import Generator
from traffic.nodes.supervisor import NobodyThere, Refused
from traffic.service import tweets
from traffic.service.access import Access
from traffic.service.answers import JSONResponse
from traffic.service.bodies import body_of, but_success
from traffic.service.breaking import Failure, command_of, snapshot
from traffic.service.probes import read_through_every_node, write_through_every_node
from traffic.service.problems import Problem
from traffic.stores.base import NotFound, StoreError

KEY_BYTES_MAX = 512
TWEET_ID_BYTES_MAX = 200
UNDER_WAY_MAX = 8


class Draft(Struct, forbid_unknown_fields=True):
    """Body of a posted tweet."""

    text: str
    author: str = "you"


class ClusterApi:
    """changed: called when something was done, so that the next snapshot is a fresh one."""

    def __init__(self, generator: Generator, access: Access, *, changed: Callable[[], None]) -> None:
        self._generator = generator
        self._access = access
        self._changed = changed
        self._under_way = 0

    def snapshot(self) -> dict[str, Any]:
        """What is broken now, for everybody to see."""
        return snapshot(self._generator.supervisor.state())

    async def faults(self, request: Request) -> Response:
        """What is broken now, and whether this request could change it."""
        allowed = self._access.allows(request.headers.get("authorization"))
        return JSONResponse({"success": True, "allowed": allowed, **self.snapshot()})

    async def do(self, request: Request) -> Response:
        """Break or mend, through the cluster's supervisor. For whoever has the token."""
        self._authorize(request)
        failure = await body_of(request, Failure)
        if failure is None:
            raise Problem(400, 'expected a JSON body such as {"action": "kill", "node": "node-2"}, got none')
        if self._under_way >= UNDER_WAY_MAX:
            raise Problem(429, f"{UNDER_WAY_MAX} commands are under way already")
        self._under_way += 1
        try:
            await self._generator.supervisor.tell(command_of(failure))
        except NobodyThere as error:
            raise Problem(503, str(error)) from None
        except Refused as error:
            raise Problem(400 if error.is_senseless else 409, str(error)) from None
        finally:
            self._under_way -= 1
            self._changed()
        return JSONResponse({"success": True, **self.snapshot()})

    async def read_test(self, request: Request) -> Response:
        key = request.path_params["key"]
        if not 1 <= len(key.encode()) <= KEY_BYTES_MAX:
            raise Problem(400, f"a key has 1 to {KEY_BYTES_MAX} bytes, got {len(key.encode())}")
        report = await read_through_every_node(self._generator, key)
        statuses = {result["status"] for result in report["results"]}
        if "ok" in statuses:
            return JSONResponse(report)
        if "not found" in statuses:
            raise Problem(404, f"no node has the key {key!r}", **but_success(report))
        if statuses == {"refused"}:
            raise Problem(400, f"no node takes this key: {report['results'][0]['detail']}")
        raise Problem(503, "no node could read it", **but_success(report))

    async def write_test(self, request: Request) -> Response:
        report = await write_through_every_node(self._generator)
        if all(result["status"] != "ok" for result in report["results"]):
            raise Problem(503, "no node took the write", **but_success(report))
        return JSONResponse(report)

    async def post_tweet(self, request: Request) -> Response:
        """One tweet of a person's own; no token, since whoever is on this machine may write to the nodes anyway."""
        draft = await body_of(request, Draft)
        if draft is None:
            raise Problem(400, 'expected a JSON body such as {"text": "hello"}, got none')
        text, author = draft.text.strip(), draft.author.strip()
        if not 1 <= len(text) <= tweets.TEXT_MAX:
            raise Problem(400, f"a tweet has 1 to {tweets.TEXT_MAX} letters, got {len(text)}")
        if not 1 <= len(author) <= tweets.AUTHOR_MAX:
            raise Problem(400, f"an author has 1 to {tweets.AUTHOR_MAX} letters, got {len(author)}")
        try:
            return JSONResponse(await tweets.post(self._generator, text, author))
        except StoreError as error:
            raise Problem(503, f"the tweet was not stored: {error}", definite=error.definite) from None

    async def follow_tweet(self, request: Request) -> Response:
        tweet_id = request.path_params["tweet_id"]
        if not 1 <= len(tweet_id.encode()) <= TWEET_ID_BYTES_MAX:
            raise Problem(400, f"an id has 1 to {TWEET_ID_BYTES_MAX} bytes, got {len(tweet_id.encode())}")
        try:
            return JSONResponse(await tweets.follow(self._generator, tweet_id))
        except NotFound as error:
            raise Problem(404, error.detail) from None
        except StoreError as error:
            refused = error.status == 400
            raise Problem(400 if refused else 503, f"the replicas cannot be asked: {error.detail}") from None

    def _authorize(self, request: Request) -> None:
        if self._access.token is None:
            raise Problem(403, f"nobody can break or mend nodes from here: {self._access.why_not}")
        if not self._access.allows(request.headers.get("authorization")):
            port = request.url.port or 80
            raise Problem(
                401,
                "breaking and mending nodes needs the token of this service; "
                f"`python -m traffic page --port {port}` tells its user the link that carries it",
            )
