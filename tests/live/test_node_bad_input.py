"""Bad input to every endpoint of a real node: a 4xx problem document that says what was wrong, and service goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from kvnode.cluster import LocalCluster
from kvnode.config import KEY_BYTES_MAX
from kvnode.messages import Hello, Moment, Ping, decode, encode
from kvnode.net.frames import FrameReader

SpeakAs = Callable[..., socket.socket]

pytestmark = pytest.mark.live

JSON = {"Content-Type": "application/json"}
DEEP = b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HUGE = b'{"value":"' + b"x" * 20_000_000 + b'"}'
LONG_KEY = "x" * 10_240

# Every endpoint, with a request that is right.
ENDPOINTS: dict[str, tuple[str, str, bytes]] = {
    "put": ("PUT", "/kv/k", b'{"value": 1}'),
    "get": ("GET", "/kv/k", b""),
    "delete": ("DELETE", "/kv/k", b""),
    "kv replicas": ("GET", "/kv/k/replicas", b""),
    "add": ("POST", "/counter/k", b'{"increment": 1}'),
    "count": ("GET", "/counter/k", b""),
    "counter replicas": ("GET", "/counter/k/replicas", b""),
    "keys": ("GET", "/keys", b""),
    "health": ("GET", "/health", b""),
    "info": ("GET", "/info", b""),
    "ring": ("GET", "/ring", b""),
    "members": ("GET", "/members", b""),
    "stats": ("GET", "/stats", b""),
    "metrics": ("GET", "/metrics", b""),
    "merkle": ("GET", "/merkle", b""),
    "repair": ("POST", "/repair", b""),
    "faults": ("POST", "/faults", b'{"rules": {}}'),
}
WITH_BODY = ("put", "add", "faults")
WITH_KEY = ("put", "get", "delete", "kv replicas", "add", "count", "counter replicas")
CHANGES = ("put", "delete", "add", "faults", "repair")


class Case(NamedTuple):
    """One bad request. why: what the problem's detail must say."""

    name: str
    method: str
    target: str
    body: bytes
    headers: dict[str, str]
    status: int
    why: str


def of_every_endpoint() -> Iterator[Case]:
    for name, (method, target, body) in ENDPOINTS.items():
        sent = JSON if body else {}
        yield Case(
            f"{name}: foreign Host", method, target, body, {**sent, "Host": "evil.example"}, 403, "host"
        )
        yield Case(f"{name}: no such parameter", method, target + "?colour=red", body, sent, 400, "'colour'")
        wrong = "PATCH" if name != "metrics" else "DELETE"
        yield Case(f"{name}: {wrong}", wrong, target, b"", {}, 405, f"{wrong} /")
        yield Case(f"{name}: unknown method", "BREW", target, b"", {}, 400, "no HTTP request")
    for name in CHANGES:
        method, target, body = ENDPOINTS[name]
        sent = JSON if body else {}
        for header in (
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "null"},
        ):
            yield Case(f"{name}: {header}", method, target, body, {**sent, **header}, 403, "another site")


def of_bodies() -> Iterator[Case]:
    for name in WITH_BODY:
        method, target, _ = ENDPOINTS[name]
        for what, body, status, why in (
            ("not JSON", b"not json", 400, "not JSON"),
            ("empty", b"", 400, "the body is empty"),
            ("wrong type", b"[1, 2]", 400, "Expected `object`, got `array`"),
            ("unknown field", b'{"colour": 1}', 400, "field `"),
            ("invalid UTF-8", b'{"value": "\xff\xfe", "rules": {}}', 400, "not UTF-8"),
            ("deep nesting", DEEP, 400, ""),
            ("20 MB", HUGE, 413, "more than"),
        ):
            yield Case(f"{name}: {what}", method, target, body, JSON, status, why)
        text = {"Content-Type": "text/plain"}
        yield Case(f"{name}: text/plain", method, target, b"{}", text, 415, "expected application/json")
        yield Case(f"{name}: no content-type", method, target, b"{}", {}, 415, "without a content-type")


def of_keys_and_quorums() -> Iterator[Case]:
    for name in WITH_KEY:
        method, target, body = ENDPOINTS[name]
        sent = JSON if body else {}
        for what, key, why in (
            ("key of 10 kB", LONG_KEY, f"expected at most {KEY_BYTES_MAX}"),
            ("key no UTF-8", "%FF", "not UTF-8"),
            ("key with NUL", "a%00", "NUL"),
        ):
            bad = target.replace("/k/", f"/{key}/") if "replicas" in name else target[:-1] + key
            yield Case(f"{name}: {what}", method, bad, body, sent, 400, why)
    for name, letter in (("put", "w"), ("delete", "w"), ("add", "w"), ("get", "r"), ("count", "r")):
        method, target, body = ENDPOINTS[name]
        for value in ("9", "0", "abc", "-1", "", "1.5"):
            query = f"{target}?{letter}={value}"
            sent = JSON if body else {}
            yield Case(
                f"{name}: {letter}={value}",
                method,
                query,
                body,
                sent,
                400,
                "expected a whole number from 1 to 3",
            )


def of_one_endpoint() -> Iterator[Case]:
    broken = [(b"garbage", "not a context"), (b"A" * 5000, "context: not a context")]
    for text_, why in broken:
        body = b'{"value": 1, "context": "' + text_ + b'"}'
        yield Case(f"put: context {text_[:8]!r}", "PUT", "/kv/k", body, JSON, 400, why)
        yield Case(
            f"delete: context {text_[:8]!r}", "DELETE", f"/kv/k?context={text_.decode()}", b"", {}, 400, why
        )
    yield Case("put: mode", "PUT", "/kv/k?mode=foo", b'{"value": 1}', JSON, 400, "mode=foo: expected replace")
    yield Case("keys: limit", "GET", "/keys?limit=100000", b"", {}, 400, "from 1 to 1000")
    yield Case("keys: kind", "GET", "/keys?kind=cow", b"", {}, 400, "expected kv or counter")
    yield Case(
        "faults: stranger", "POST", "/faults", b'{"rules": {"node-9": {}}}', JSON, 400, "no peer of this node"
    )
    yield Case(
        "faults: loss", "POST", "/faults", b'{"rules": {"node-2": {"loss": 7}}}', JSON, 400, "expected 0 to 1"
    )
    yield Case(
        "add: negative", "POST", "/counter/k", b'{"increment": -5}', JSON, 400, "increment=-5: expected 0 to"
    )
    yield Case("merkle: partition", "GET", "/merkle?partition=256", b"", {}, 400, "from 0 to 255")
    yield Case("merkle: peer", "GET", "/merkle?partition=1&peer=node-9", b"", {}, 400, "no peer of this node")
    yield Case("trace: no id", "GET", "/trace/xyz", b"", {}, 400, "expected up to 16 hex")
    yield Case("no such path", "GET", "/nothing", b"", {}, 404, "known: /kv/{key}")
    yield Case("no key", "PUT", "/kv/", b'{"value": 1}', JSON, 404, "no such path")


CASES = (*of_every_endpoint(), *of_bodies(), *of_keys_and_quorums(), *of_one_endpoint())


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10.0)
    try:
        connection.putrequest(method, target, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body or method in ("PUT", "POST"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    state = tmp_path_factory.mktemp("bad-input")
    with LocalCluster.start("exp-core-input", nodes=3, base_port=17_100, state_dir=state) as cluster:
        yield cluster


@pytest.fixture
def port(cluster: LocalCluster) -> Iterator[int]:
    """node-1's HTTP port; after the test all nodes are the processes they were, and serve."""
    pids = [node.pid for node in cluster.nodes]
    yield cluster.nodes[0].http_port
    assert [node.pid for node in cluster.nodes] == pids
    for node in cluster.nodes:
        assert ask(node.http_port, "GET", "/health").status == 200


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_bad_input_is_answered_by_a_problem_that_says_what_was_wrong(port: int, case: Case) -> None:
    answer = ask(port, case.method, case.target, case.body, case.headers)
    assert answer.status == case.status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.problem["status"] == case.status
    assert case.why in answer.problem["detail"]
    assert answer.problem["definite"] is True
    assert len(answer.problem["detail"]) < 400


@pytest.mark.parametrize("name", ENDPOINTS)
def test_each_endpoint_accepts_the_request_that_is_right(port: int, name: str) -> None:
    method, target, body = ENDPOINTS[name]
    ask(port, "PUT", "/kv/k", b'{"value": 1}', JSON)
    assert ask(port, method, target, body, JSON if body else {}).status == 200


def test_a_made_up_context_ends_no_node(port: int, cluster: LocalCluster) -> None:
    from kvnode.replication.context_tokens import ContextTokens
    from kvnode.versions import Context, VersionVector

    stores = [json.loads(ask(node.http_port, "GET", "/info").body)["store_id"] for node in cluster.nodes]
    known = json.loads((cluster.folder / "cluster.json").read_text())
    context = Context(VersionVector.of(dict.fromkeys(stores, 2**40)))
    for secret, why in ((None, "made up"), ("a guess at it", "made up"), (known["secret"], "not issued yet")):
        forged = ContextTokens(secret, known["cluster_id"]).issue("made-up", context)
        body = json.dumps({"value": 1, "context": forged}).encode()
        for node in cluster.nodes:
            answer = ask(node.http_port, "PUT", "/kv/made-up", body, JSON)
            assert (answer.status, answer.problem["definite"]) == (400, True)
            assert why in answer.problem["detail"]


def test_what_one_node_handed_out_is_good_at_every_other_and_after_a_restart(
    port: int, cluster: LocalCluster
) -> None:
    ask(port, "PUT", "/kv/passed-on", b'{"value": 0}', JSON)
    for number, node in enumerate(cluster.nodes, 1):
        context = json.loads(ask(port, "GET", "/kv/passed-on").body)["context"]
        body = json.dumps({"value": number, "context": context}).encode()
        assert ask(node.http_port, "PUT", "/kv/passed-on", body, JSON).status == 200
        other = ask(node.http_port, "PUT", "/kv/another-key", body, JSON)
        assert (other.status, other.problem["definite"]) == (400, True)
    assert json.loads(ask(port, "GET", "/kv/passed-on").body)["siblings"][0]["value"] == len(cluster.nodes)


# --- bytes that are no HTTP ----------------------------------------------------------------------------------


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10.0)


def read_all(stream: socket.socket) -> bytes:
    parts = []
    while part := stream.recv(65_536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET /kv/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nno colon here\r\n\r\n",
        b"\x00" * 4096,
    ],
)
def test_what_is_no_http_is_answered_by_a_problem_and_the_connection_ends(port: int, garbage: bytes) -> None:
    with connect(port) as stream:
        stream.sendall(garbage)
        answer = read_all(stream)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 400


def test_headers_without_end_are_refused(port: int) -> None:
    with connect(port) as stream:
        stream.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        answer = b""
        try:
            for _ in range(300):
                stream.sendall(b"X-Filler: " + b"x" * 8000 + b"\r\n")
            answer = read_all(stream)
        except ConnectionError:
            answer = answer or b"HTTP/1.1 431 "  # it hung up while we were still sending
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_half_requests_hold_up_nobody(port: int) -> None:
    slow = [connect(port) for _ in range(50)]
    try:
        for number, stream in enumerate(slow):
            whole = b'PUT /kv/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{"value"'
            stream.sendall(whole[: 1 + number * 2])
        started = time.monotonic()
        for _ in range(20):
            assert ask(port, "GET", "/health").status == 200
        assert time.monotonic() - started < 2.0
    finally:
        for stream in slow:
            stream.close()


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with connect(port) as stream:
        for number in range(30):
            body = b'{"value": %d}' % number
            head = b"PUT /kv/piped HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            stream.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        stream.sendall(b"GET /kv/piped HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = read_all(stream)
    assert answer.count(b"HTTP/1.1 200 ") == 31
    assert b'"value":29' in answer.rpartition(b"HTTP/1.1 200 ")[2]


def test_head_has_no_body(port: int) -> None:
    with connect(port) as stream:
        stream.sendall(b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = read_all(stream).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert body == b""


# --- the peer port ------------------------------------------------------------------------------------------


def framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x00\x00",
        framed(b"\xc1 no msgpack"),
        framed(encode(Ping("node-2", ()))),
        framed(encode(Hello("abc", "node-2")).replace(b"abc", b"\xff\xfe\xfd")),
        framed(encode(Hello("another cluster", "node-2"))),
        framed(b"\x97\xa5hello\xa1x\xa1y\xc4\x00\xa0\x01" + b"\x91" * 4_000),
        struct.pack(">I", 30_000_000) + b"x" * 1000,
    ],
    ids=[
        "HTTP",
        "empty frame",
        "no msgpack",
        "no hello",
        "no UTF-8",
        "another cluster",
        "lists within lists",
        "a stranger's large frame",
    ],
)
def test_a_stranger_on_the_peer_port_is_cut_off(port: int, cluster: LocalCluster, sent: bytes) -> None:
    with connect(cluster.nodes[0].peer_port) as stream:
        stream.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert read_all(stream) == b""


def test_half_frames_of_a_member_hold_up_nobody(port: int, cluster: LocalCluster, speak_as: SpeakAs) -> None:
    with speak_as(cluster, "node-2", "node-1") as stream:
        stream.sendall(struct.pack(">I", 8_000_000))
        for _ in range(200):
            stream.sendall(b"x" * 1000)
        started = time.monotonic()
        assert ask(port, "PUT", "/kv/k", b'{"value": 1}', JSON).status == 200
        assert time.monotonic() - started < 1.0


def test_a_member_that_talks_nonsense_is_cut_off_and_ends_no_node(
    port: int, cluster: LocalCluster, speak_as: SpeakAs
) -> None:
    """1. A second Hello on one connection was taken for an answer: AttributeError, and the end of the node."""
    cluster_id = json.loads(ask(port, "GET", "/info").body)["cluster_id"]
    hello = framed(encode(Hello(cluster_id, "node-2")))
    nonsense = (
        hello,
        framed(encode(["store", 1, 2, "no-such-kind", "k", b"\xff"])),
        framed(encode(["store", 1, 2, "kv", "k", b"\xff"])),
        framed(encode(["forward", 1, 2, b"no request"])),
        framed(encode(["compare-nodes", 1, 2, 99_999, 7, [[999, 1]]])),
        framed(encode(["compare-leaves", 1, 2, 99_999, [999], []])),
        framed(encode(["leaf-answer", 1, [["cow", "k", b"\xff"]], ["no slash"]])),
        framed(encode(["no such message"])),
        framed(b"\x97\xa5hello\xa1x\xa1y\xc4\x00\xa0\x01" + b"\x91" * 4_000),
    )
    for words in nonsense:
        with (
            speak_as(cluster, "node-2", "node-1") as stream,
            contextlib.suppress(ConnectionError, TimeoutError),
        ):
            stream.settimeout(0.3)
            stream.sendall(words)
            heard = [decode(payload) for payload in FrameReader().feed(read_all(stream))]
            assert all(isinstance(message, Moment) for message in heard), heard
