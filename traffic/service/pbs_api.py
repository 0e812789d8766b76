"""The endpoint that measures staleness: POST begins, GET shows the points as they come, DELETE ends.

Here: bodies and statuses.
Must not live here: measuring (traffic/pbs/live.py).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from traffic.pbs.live import LiveMeasurement
from traffic.pbs.measure import Wish
from traffic.service.answers import JSONResponse
from traffic.service.bodies import body_of
from traffic.service.problems import Problem
from traffic.stores.base import TrafficStore


class PbsApi:
    """No token: it writes keys of its own, within bounds, as whoever is on this machine may do anyway."""

    def __init__(self, store: TrafficStore) -> None:
        self._live = LiveMeasurement(store)

    async def begin(self, request: Request) -> Response:
        """A new measurement takes the place of the one that runs."""
        wish = await body_of(request, Wish)
        try:
            await self._live.begin(wish or Wish())
        except ValueError as error:
            raise Problem(400, str(error)) from None
        return self._answer()

    async def show(self, request: Request) -> Response:
        return self._answer()

    async def end(self, request: Request) -> Response:
        await self._live.end()
        return self._answer()

    async def close(self) -> None:
        """The service ends."""
        await self._live.end()

    def _answer(self) -> Response:
        return JSONResponse({"success": True, **self._live.as_json()})
