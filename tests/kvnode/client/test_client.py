"""The client against scripted servers: what it sends, when it goes on to another node, and what it says went wrong."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kvnode.client import Client
from kvnode.errors import BadRequest, Conflict, KvError, NotFound, QuorumUnmet, Unreachable


class Node:
    """A server that answers every request with `status` and `body`, and notes what came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[tuple[str, str, Any]] = []
        self.status = 200
        self.body: Any = {"node": name}
        self.hang_up = False
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                sent = json.loads(self.rfile.read(length)) if length else None
                node.requests.append((self.command, self.path, sent))
                if node.hang_up:
                    self.close_connection = True
                    return
                data = node.body if isinstance(node.body, bytes) else json.dumps(node.body).encode()
                self.send_response(node.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    servers = [Node("node-1"), Node("node-2")]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def client(nodes: list[Node]) -> Client:
    return Client([node.url for node in nodes], timeout_s=1.0)


@contextmanager
def dead_url() -> Iterator[str]:
    """A port that refuses connections: bound, so that nobody else gets it, but without a listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def paused_url() -> Iterator[str]:
    """A listener that nobody serves: as a node under SIGSTOP, it takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


# --- what is sent ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "request_"),
    [
        (lambda c: c.put("a", {"x": 1}), ("PUT", "/kv/a", {"value": {"x": 1}})),
        (
            lambda c: c.put("a", 1, context="ctx", r=1, w=3, mode="lww"),
            ("PUT", "/kv/a?r=1&w=3&mode=lww", {"value": 1, "context": "ctx"}),
        ),
        (lambda c: c.put("tweet/17", None), ("PUT", "/kv/tweet%2F17", {"value": None})),
        (lambda c: c.get("a b&c?d#é/%"), ("GET", "/kv/a%20b%26c%3Fd%23%C3%A9%2F%25", None)),
        (lambda c: c.get("a", r=3), ("GET", "/kv/a?r=3", None)),
        (lambda c: c.delete("a", context="ctx", w=1), ("DELETE", "/kv/a?w=1&context=ctx", None)),
        (lambda c: c.replicas("a/b"), ("GET", "/kv/a%2Fb/replicas", None)),
        (
            lambda c: c.increment("likes", "me", 5, 1, w=2),
            ("POST", "/counter/likes?w=2", {"actor": "me", "increments": 5, "decrements": 1}),
        ),
        (
            lambda c: c.increment("likes", increments=0, decrements=2, w=2),
            ("POST", "/counter/likes?w=2", {"increment": 0, "decrement": 2}),
        ),
        (lambda c: c.counter("likes", r=1), ("GET", "/counter/likes?r=1", None)),
        (lambda c: c.counter_replicas("likes"), ("GET", "/counter/likes/replicas", None)),
        (lambda c: c.health(0), ("GET", "/health", None)),
        (lambda c: c.info(0), ("GET", "/info", None)),
        (lambda c: c.ring(0, key="a"), ("GET", "/ring?key=a", None)),
        (lambda c: c.members(0), ("GET", "/members", None)),
        (lambda c: c.stats(0), ("GET", "/stats", None)),
        (
            lambda c: c.faults(0, {"node-2": {"cut": True}}),
            ("POST", "/faults", {"rules": {"node-2": {"cut": True}}}),
        ),
    ],
)
def test_each_method_is_one_request(
    client: Client, nodes: list[Node], call: Callable[[Client], Any], request_: tuple[str, str, Any]
) -> None:
    assert call(client) == {"node": "node-1"}
    assert nodes[0].requests == [request_]


def test_a_node_is_named_by_place_url_or_name(nodes: list[Node]) -> None:
    client = Client([node.url for node in nodes], names=["node-1", "node-7"])
    assert [client.info(which)["node"] for which in (1, nodes[1].url, nodes[1].url + "/", "node-7")] == [  # type: ignore[typeddict-item]
        "node-2"
    ] * 4
    for unknown in (2, -1, "node-2", "http://127.0.0.1:1"):
        with pytest.raises(BadRequest, match=r"no node .*; there are node-1 \(http.*, or 0 to 1"):
            client.info(unknown)


def test_keys_are_fetched_page_by_page_from_one_node(client: Client, nodes: list[Node]) -> None:
    pages = iter([{"keys": ["a", "b"], "next": "b"}, {"keys": ["c"], "next": None}])

    nodes[1].body = next(pages)
    listing = client.keys("t/", node="node-2", kind="kv")
    assert [next(listing), next(listing)] == ["a", "b"]
    nodes[1].body = next(pages)
    assert list(listing) == ["c"]
    assert [path for _, path, _ in nodes[1].requests] == [
        "/keys?prefix=t%2F&limit=1000&kind=kv",
        "/keys?prefix=t%2F&after=b&limit=1000&kind=kv",
    ]
    assert nodes[0].requests == []


def test_a_proxy_of_the_environment_is_not_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert client.get("a")["node"] == "node-1"


# --- what is answered --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "error", "definite"),
    [
        ({"status": 404, "detail": "no such key", "definite": True, "context": "ctx"}, NotFound, True),
        ({"status": 409, "detail": "32 siblings", "definite": True}, Conflict, True),
        ({"status": 400, "detail": "r=abc: expected 1 to 3", "definite": True}, BadRequest, True),
        ({"status": 503, "detail": "W=2 unmet", "definite": False, "need": 2, "got": 1}, QuorumUnmet, False),
    ],
)
def test_a_problem_document_becomes_its_error(
    client: Client, nodes: list[Node], problem: dict[str, Any], error: type[KvError], definite: bool
) -> None:
    nodes[0].status, nodes[0].body = problem["status"], problem
    with pytest.raises(error) as caught:
        client.put("a", 1)
    assert (caught.value.status, caught.value.detail, caught.value.definite) == (
        problem["status"],
        problem["detail"],
        definite,
    )
    assert nodes[1].requests == [], "an answer is an answer: nobody else is asked"


def test_a_deleted_keys_context_is_kept(client: Client, nodes: list[Node]) -> None:
    nodes[0].status, nodes[0].body = 404, {"status": 404, "detail": "deleted", "context": "ctx"}
    with pytest.raises(NotFound) as caught:
        client.get("a")
    assert caught.value.extra["context"] == "ctx"


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1]", b"\xff\xfe"])
def test_an_answer_that_is_no_kvnodes_says_so(client: Client, nodes: list[Node], body: bytes) -> None:
    nodes[0].body = body
    with pytest.raises(KvError, match=r"node-1 .* not JSON; is it a kvnode\?"):
        client.get("a")


# --- nodes that are gone -------------------------------------------------------------------------------------


def test_a_refused_connection_goes_on_to_the_next_node_and_stays_there(nodes: list[Node]) -> None:
    with dead_url() as dead:
        client = Client([dead, nodes[1].url])
        assert client.put("a", 1)["node"] == "node-2"
        started = time.monotonic()
        for _ in range(20):
            client.put("a", 1)
        assert time.monotonic() - started < 2
        with pytest.raises(Unreachable, match=r"node-1 .* takes no connections") as caught:
            client.put("a", 1, node=0)
    assert caught.value.definite


def test_a_read_goes_on_after_silence(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvnode.client.client.FAILOVER_AFTER_S", 0.2)
    with paused_url() as paused:
        client = Client([paused, nodes[1].url])
        started = time.monotonic()
        assert client.get("a")["node"] == "node-2"
        assert time.monotonic() - started < 1
        assert client.get("a")["node"] == "node-2"
        assert len(nodes[1].requests) == 2


def test_a_write_does_not_go_on_after_silence(nodes: list[Node]) -> None:
    with paused_url() as paused:
        client = Client([paused, nodes[1].url], timeout_s=0.3)
        with pytest.raises(
            Unreachable, match=r"did not answer within 0\.3 s; the write may have been"
        ) as caught:
            client.put("a", 1)
    assert not caught.value.definite
    assert nodes[1].requests == []


def test_a_write_does_not_go_on_after_a_broken_connection(client: Client, nodes: list[Node]) -> None:
    nodes[0].hang_up = True
    with pytest.raises(Unreachable, match="closed the connection without an answer") as caught:
        client.increment("likes", "me", 1)
    assert not caught.value.definite
    assert nodes[1].requests == []


def test_with_all_nodes_gone_the_error_names_each() -> None:
    with dead_url() as one, dead_url() as other:
        client = Client([one, other])
        with pytest.raises(
            Unreachable, match=r"node-1 .* takes no connections; node-2 .* takes no"
        ) as caught:
            client.put("a", 1)
    assert caught.value.definite


def test_threads_share_one_client(client: Client) -> None:
    answers: list[str] = []

    def read() -> None:
        answers.extend(str(client.get("a")["node"]) for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["node-1"] * 100


# --- what makes no sense -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.put("a", object()), "value: not JSON"),
        (lambda c: c.put("a", float("nan")), "value: not JSON"),
        (lambda c: c.put("", 1), "key: expected a text"),
        (lambda c: c.get(17), "key: expected a text"),
        (lambda c: c.get(".."), "key: '..' is a step in a path"),
    ],
)
def test_what_cannot_be_sent_is_refused_before(
    client: Client, nodes: list[Node], call: Callable[[Client], Any], message: str
) -> None:
    with pytest.raises(BadRequest, match=message) as caught:
        call(client)
    assert caught.value.definite
    assert nodes[0].requests == []


@pytest.mark.parametrize("urls", [[], "127.0.0.1:9999", ["ftp://x"], ["http://"]])
def test_a_client_needs_urls(urls: Any) -> None:
    with pytest.raises(BadRequest, match="expected"):
        Client(urls)
