"""The service over the store in memory, and a stand-in for the supervisor of its cluster."""

from __future__ import annotations

import asyncio
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from traffic.control.generator import Generator
from traffic.fleet.in_process import InProcess
from traffic.load.driver import Settings
from traffic.service.access import Access
from traffic.service.api import Api
from traffic.stores.memory import MemoryStore

HEADERS = {"Host": "127.0.0.1:7342"}
TOKEN = "the-token-of-this-test"


class Service:
    """The application and a generator on the test client's event loop, which its lifespan messages frame."""

    def __init__(self, store: MemoryStore, access: Access | None = None) -> None:
        self._store = store
        self._access = access
        self._application: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return
        await receive()
        generator = Generator(self._store, settings=Settings(rate=200), seed=1)
        api = Api(InProcess(generator), self._access)
        self._application = api.application()
        await generator.begin()
        looking = asyncio.create_task(api.keep_looking())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        looking.cancel()
        await generator.close()
        await send({"type": "lifespan.shutdown.complete"})


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(latency_s=0.0005)


@pytest.fixture
def client(store: MemoryStore) -> Iterator[TestClient]:
    with TestClient(Service(store), headers=HEADERS, raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of this test's own."""
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def guarded(store: MemoryStore, state_folder: Path) -> Iterator[TestClient]:
    """A client of a service whose token is TOKEN, which the client does not carry."""
    with TestClient(Service(store, Access(TOKEN)), headers=HEADERS, raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def carrying() -> dict[str, str]:
    """The header that carries the token of `guarded`."""
    return {"Authorization": f"Bearer {TOKEN}"}


class Supervisor:
    """Hears commands over a socket as the real one does, and answers what a test wants."""

    def __init__(self, folder: Path, store: MemoryStore) -> None:
        self.heard: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {"ok": True}
        self.state_file = folder / "memory" / "state.json"
        self.state_file.parent.mkdir()
        self._store = store
        self._socket = folder / "s"
        self.writes()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer.heard.append(json.loads(self.rfile.readline()))
                self.wfile.write(json.dumps(outer.answer).encode() + b"\n")

        self._server = socketserver.ThreadingUnixStreamServer(str(self._socket), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def writes(self, **facts: dict[str, Any]) -> None:
        """A state file in which nodes are as told, `node_2={"state": "dead"}`; the others are well."""
        named = {name.replace("_", "-"): one for name, one in facts.items()}
        nodes = [
            {"name": name, "url": self._store.url(name), "state": "running", **named.get(name, {})}
            for name in self._store.nodes
        ]
        fresh = self.state_file.with_suffix(".new")
        fresh.write_text(json.dumps({"nodes": nodes, "socket": str(self._socket), "topology": None}))
        fresh.replace(self.state_file)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def supervisor(state_folder: Path, store: MemoryStore) -> Iterator[Supervisor]:
    """The supervisor of the store's nodes."""
    made = Supervisor(state_folder, store)
    yield made
    made.close()
