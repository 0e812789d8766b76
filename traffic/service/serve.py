"""The service as a process: its port, its signals, its end.

Here: binding, the ready line, a graceful stop, ending with the parent.
Must not live here: endpoints (api.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import uvicorn

from traffic.control.generator import Generator
from traffic.discovery import Address, state_folder
from traffic.fleet.commands import Command, Engine
from traffic.fleet.coordinator import CannotBegin, Fleet
from traffic.fleet.in_process import InProcess
from traffic.load.driver import Settings
from traffic.process import calm_collector
from traffic.service.access import Access, link
from traffic.service.api import Api
from traffic.stores.kvnode import connect

HOST = "127.0.0.1"
JOURNALS = "traffic-journals"
PORT_BUSY = 3
BROKEN = 1
GRACE_S = 2
CONNECTIONS_MAX = 256
PROBE_TIMEOUT_S = 2.0


class CannotServe(Exception):
    """Why the service does not start, in one line."""

    def __init__(self, reason: str, exit_status: int) -> None:
        super().__init__(reason)
        self.exit_status = exit_status


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: it would raise the signal again at the end, and exit would not
    be 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Service:
    """How it is served. processes: how many send; one sends in this process."""

    port: int
    start: bool
    exit_with_stdin: bool
    seed: int | None
    processes: int = 1


async def serve(addresses: Sequence[Address], settings: Settings, service: Service) -> int:
    """Serve until a signal or, if asked, the end of standard input; 0, or 1 if the generator broke."""
    port, processes = service.port, service.processes
    listener = bind(port)
    journals = state_folder() / JOURNALS
    generator = Generator(await connect(addresses), settings=settings, seed=service.seed, journals=journals)
    engine: Engine = (
        InProcess(generator)
        if processes == 1
        else Fleet(generator, processes=processes, settings=settings, journals=journals)
    )
    access = Access.make(port)
    api = Api(engine, access)
    server = _server(api)

    def stop() -> None:
        api.closing.set()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    generator.failed.add_done_callback(lambda _: stop())
    if service.exit_with_stdin:
        _stop_at_end_of_stdin(stop)
    try:
        await engine.begin()
    except CannotBegin as error:
        access.close()
        raise CannotServe(str(error), BROKEN) from None
    calm_collector()
    if service.start:
        await engine.tell(Command("start"))
    looking = asyncio.create_task(api.keep_looking())
    looking.add_done_callback(lambda _: stop())  # it never ends by itself
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():  # noqa: ASYNC110 uvicorn has no event for it
        await asyncio.sleep(0.005)
    print(f"ready traffic http://{HOST}:{port}", flush=True)
    if sys.stdout.isatty() and (control := link(port)):
        print(f"status page, with control over failures: {control}", flush=True)
    await serving
    access.close()
    await api.pbs.close()
    broken = looking.exception() if looking.done() else None
    looking.cancel()
    if broken is not None:
        generator.give_up(f"the service could not look: {type(broken).__name__}: {broken}")
    return await _close(engine)


def _server(api: Api) -> _Server:
    return _Server(
        uvicorn.Config(
            api.application(),
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=CONNECTIONS_MAX,
        )
    )


async def _close(engine: Engine) -> int:
    broken = engine.why_broken()
    await engine.close()
    if broken is None:
        return 0
    print(f"traffic: {broken}", file=sys.stderr)
    return BROKEN


def bind(port: int) -> socket.socket:
    """The listening socket; CannotServe says who has the port if it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise CannotServe(f"cannot listen on {HOST}:{port}: {error.strerror}", PORT_BUSY) from None
        if is_own_service(port):
            reason = (
                f"a traffic service of Quorum Lab runs at http://{HOST}:{port} already; use it, or --port"
            )
        else:
            reason = f"port {port} is taken by another program; choose another one with --port"
        raise CannotServe(reason, PORT_BUSY) from None
    listener.listen(128)
    listener.setblocking(False)
    return listener


def is_own_service(port: int) -> bool:
    """Whether what answers there is this service."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/api/real/traffic/stats")
        return connection.getresponse().headers.get("X-Quorum-Lab") == "traffic"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop_at_end_of_stdin(stop: Callable[[], None]) -> None:
    """The portable way to end with the parent: its end of the pipe closes, however it died. A thread,
    because an event loop cannot watch every kind of standard input (a file, /dev/null)."""
    loop = asyncio.get_running_loop()

    def watch() -> None:
        with contextlib.suppress(OSError):  # no standard input at all: it has ended, too
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending anyway
            loop.call_soon_threadsafe(stop)

    threading.Thread(target=watch, name="end of stdin", daemon=True).start()
