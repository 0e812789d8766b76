"""The document beside the routes: nothing served is left out, nothing described is missing."""

from __future__ import annotations

import asyncio

from starlette.routing import Route

from traffic.control.generator import Generator
from traffic.fleet.in_process import InProcess
from traffic.load.driver import Settings
from traffic.service.api import Api
from traffic.service.openapi import describe
from traffic.stores.memory import MemoryStore


def test_it_has_every_route_with_its_methods_and_no_other() -> None:
    async def routes() -> dict[str, set[str]]:
        generator = Generator(MemoryStore(), settings=Settings(rate=1), seed=1)
        application = Api(InProcess(generator)).application()
        await generator.close()
        return {
            route.path.replace(":path", ""): {method.lower() for method in route.methods or ()} - {"head"}
            for route in application.routes
            if isinstance(route, Route)
        }

    document = describe({"twitter": ("rmw-likes",)}, presets=["classroom"], n=3, list_max=200)
    described = {path: set(item) - {"parameters"} for path, item in document["paths"].items()}
    assert described == asyncio.run(routes())


def test_the_timestamp_of_the_stats_says_that_it_is_milliseconds() -> None:
    document = describe({"twitter": ()}, presets=["classroom"], n=3, list_max=200)
    stats = document["paths"]["/api/real/traffic/stats"]["get"]["responses"]["200"]
    timestamp = stats["content"]["application/json"]["schema"]["properties"]["timestamp"]
    assert "milliseconds since 1970" in timestamp["description"]
