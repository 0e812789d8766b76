"""How a notebook carries the token of the traffic service: from this user's file, to that one endpoint, in a link."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from labkit.errors import LabError
from labkit.launch.service import TrafficService, token_file
from traffic.service import access

Heard = list[tuple[str, str | None, dict[str, object]]]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path))


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def service(heard: Heard) -> Iterator[TrafficService]:
    """A double that writes down what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            heard.append((self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield TrafficService(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def port_of(service: TrafficService) -> int:
    return int(service.url.rsplit(":", 1)[1])


def test_both_sides_agree_on_where_the_token_lies() -> None:
    assert token_file(7342) == access.token_file(7342)


def test_the_link_to_the_page_carries_the_token(service: TrafficService) -> None:
    assert service.page == f"{service.url}/"
    made = access.Access.make(port_of(service))
    assert service.page == f"{service.url}/#token={made.token}" == access.link(port_of(service))


def test_the_token_goes_where_nodes_are_broken_and_nowhere_else(
    service: TrafficService, heard: Heard
) -> None:
    token = access.Access.make(port_of(service)).token
    service.fault("kill", node="node-2")
    service.start()
    assert heard == [
        ("/api/real/cluster/faults", f"Bearer {token}", {"action": "kill", "node": "node-2"}),
        ("/api/real/traffic/start", None, {}),
    ]


def test_a_service_that_is_gone_is_one_sentence() -> None:
    with pytest.raises(LabError, match="does not answer"):
        TrafficService("http://127.0.0.1:9").fault("heal")


def test_panels_of_one_tick_share_one_answer_and_an_old_one_is_asked_for_anew(
    service: TrafficService, heard: Heard
) -> None:
    service.recent_stats()
    for _ in range(3):
        service.recent_stats(within_s=60)
    assert len(heard) == 1
    service.recent_stats(within_s=0)
    assert len(heard) == 2
