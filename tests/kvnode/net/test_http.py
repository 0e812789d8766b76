"""The API of a node without a socket: which methods there are, who may ask, and how long a request holds the loop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvnode.config import HEAVY_READS_MAX, HEAVY_READS_WAITING_MAX, ClusterConfig, NodeAddress
from kvnode.messages import KV
from kvnode.net.clock import WallClock
from kvnode.net.connection import Request, Response
from kvnode.net.http import Api
from kvnode.net.views import Views
from kvnode.node import Node
from kvnode.records.checksum import checksum
from kvnode.records.records import KVS, encode_state
from kvnode.runtime import Row, Runtime
from kvnode.storage import SqliteDisk
from kvnode.versions import Context, Dot

CONFIG = ClusterConfig("http", "http", (NodeAddress("node-1", "127.0.0.1", 1, 1),), replicas=1)
HOLD_MS_MAX = 20.0
ROW_COUNT = 150_000


class NoPeers:
    """runtime.Network, and what Views wants of it, of a node that is alone."""

    refused_count = 0

    def send(self, peer: str, message: Any) -> None:
        raise AssertionError(f"nobody is there: {peer}")

    def describe(self, round_trip: Any) -> dict[str, Any]:
        return {}

    def __getattr__(self, name: str) -> int:
        return 0


async def ask(api: Api, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
    path, _, query = target.encode().partition(b"?")
    lines = {b"host": b"127.0.0.1"} | ({b"content-type": b"application/json"} if body else {})
    lines |= {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    request = Request(method, path, query, lines, keeps=True)
    request.body = body
    return await api.answer(request)


def with_api(directory: Path, scenario: Callable[[Api, Node], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        tasks: list[asyncio.Task[None]] = []
        disk, network = SqliteDisk(directory), NoPeers()
        runtime = Runtime(
            WallClock(),
            network,
            disk,
            random.Random(1),
            lambda work, name: tasks.append(asyncio.get_running_loop().create_task(work)),
            lambda event, **facts: None,
        )
        node = Node(runtime, CONFIG, "node-1")
        await node.open()
        await scenario(Api(node, Views(node, network), lambda faults: {}), node)  # type: ignore[arg-type]
        await node.close()
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        await disk.close()

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("PATCH", "/kv/k", "GET, PUT, DELETE"),
        ("DELETE", "/counter/k", "GET, POST"),
        ("PUT", "/trace/1f", "GET"),
        ("DELETE", "/metrics", "GET"),
        ("POST", "/stats", "GET"),
        ("GET", "/repair", "POST"),
    ],
)
def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(
    tmp_path: Path, method: str, target: str, allow: str
) -> None:
    async def scenario(api: Api, node: Node) -> None:
        response = await ask(api, method, target)
        assert response.status == 405
        assert b"allow: %b\r\n" % allow.encode() in response.more

    with_api(tmp_path, scenario)


def test_a_page_of_another_site_may_not_keep_a_node_busy_but_a_person_may_follow_a_link(
    tmp_path: Path,
) -> None:
    async def scenario(api: Api, node: Node) -> None:
        for target in ("/keys", "/merkle", "/stats", "/kv/k"):
            refused = await ask(api, "GET", target, sec_fetch_site="cross-site", sec_fetch_dest="image")
            assert (refused.status, json.loads(refused.body)["title"]) == (403, "Forbidden")
        for site in ("none", "same-origin", "same-site"):
            assert (await ask(api, "GET", "/keys", sec_fetch_site=site)).status == 200
        link = await ask(api, "GET", "/stats", sec_fetch_site="cross-site", sec_fetch_dest="document")
        assert link.status == 200

    with_api(tmp_path, scenario)


def test_of_many_heavy_reads_some_wait_and_the_rest_is_told_to_come_back(tmp_path: Path) -> None:
    async def scenario(api: Api, node: Node) -> None:
        most = HEAVY_READS_MAX + HEAVY_READS_WAITING_MAX
        await node.runtime.disk.commit(rows_of(node, 2000, deleted=True))
        answers = await asyncio.gather(*(ask(api, "GET", "/keys") for _ in range(most + 3)))
        refused = [answer for answer in answers if answer.status == 429]
        assert [answer.status for answer in answers].count(200) == most
        assert len(refused) == 3
        assert all(answer.more == b"retry-after: 1\r\n" for answer in refused)
        assert (await ask(api, "GET", "/keys")).status == 200, "the gate is open again"

    with_api(tmp_path, scenario)


# --- the loop -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def turns_ms(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How much CPU (of this thread, so that other programs do not matter) each turn of a callback takes within it."""
    taken: list[float] = []
    run = asyncio.events.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began_s = time.thread_time()
        run(handle)
        taken.append((time.thread_time() - began_s) * 1000.0)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.events.Handle, "_run", timed)
        yield taken


def rows_of(
    node: Node, count: int, *, deleted: bool, value: bytes = b'"value"', partition: int | None = None
) -> list[Row]:
    rows: list[Row] = []
    for number in itertools.count():
        if len(rows) == count:
            break
        key = f"key/{number:06}"
        at = node.ring.partition_of(key)
        if partition not in (None, at):
            continue
        dot = Dot("node-1.00112233aabbccdd", number + 1)
        state, _ = KVS.empty.write(
            dot, b"" if deleted else value, context=Context(), timestamp=1.5, deleted=deleted, lww=False
        )
        record, disk_key = encode_state(state), f"{KV}/{key}"
        rows.append(Row("records", at, disk_key, record, checksum(disk_key, record)))
    return rows


@pytest.mark.timeout(300)
@pytest.mark.parametrize("deleted", [False, True], ids=["keys", "tombstones"])
def test_no_request_holds_the_loop_however_much_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    """1. A class deleted its 150,000 keys. 2. Each GET /keys looked at all tombstones in one turn of 1.4 s. 3. Probes
    were not answered, and the peers suspected the node.
    """

    async def fill(api: Api, node: Node) -> None:
        rows = rows_of(node, ROW_COUNT, deleted=deleted)
        for first in range(0, ROW_COUNT, 5000):
            await node.runtime.disk.commit(rows[first : first + 5000])
        await node.runtime.disk.checkpoint()

    async def scenario(api: Api, node: Node) -> None:
        for target in ("/keys?limit=1000", "/merkle", "/stats", "/metrics", "/ring", "/kv/key/1/replicas"):
            with turns_ms(monkeypatch) as taken:
                answers = await asyncio.gather(*(ask(api, "GET", target) for _ in range(6)))
            assert [answer.status for answer in answers] == [200] * 6
            print(f"{target}: longest turn {max(taken):.1f} ms of {len(taken)}")
            assert max(taken) < HOLD_MS_MAX, target
        keys = json.loads((await ask(api, "GET", "/keys?limit=3")).body)["keys"]
        assert keys == ([] if deleted else ["key/000000", "key/000001", "key/000002"])

    with_api(tmp_path, fill)
    with_api(tmp_path, scenario)


def test_large_values_are_looked_at_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1. A scan read as many rows as were asked for. 2. A hundred values of a megabyte held the loop for a second."""

    async def scenario(api: Api, node: Node) -> None:
        rows = rows_of(node, 256, deleted=False, value=b'"%b"' % (b"x" * 500_000), partition=0)
        for row in rows:
            await node.runtime.disk.commit([row])
        await node.runtime.disk.checkpoint()
        found = list(node.runtime.disk.scan("records", 0, limit=1000))
        assert 2 <= len(found) < 10
        with turns_ms(monkeypatch) as taken:
            listed = json.loads((await ask(api, "GET", "/keys?limit=1000")).body)["keys"]
            assert len(listed) == 256
            await node.scrub.once(lambda: 0.5)
        assert max(taken) < HOLD_MS_MAX

    with_api(tmp_path, scenario)


def test_the_largest_values_hold_the_loop_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'{"value": "%b"}' % (b"x" * 1_000_000)
    brackets = b'{"value": [%b1]}' % (b"[]," * 330_000)

    async def scenario(api: Api, node: Node) -> None:
        with turns_ms(monkeypatch) as taken:
            for key, body in (("text", text), ("text", text), ("text", text), ("brackets", brackets)):
                assert (await ask(api, "PUT", f"/kv/{key}?mode=siblings", body)).status == 200
            for target in ("/kv/text", "/kv/brackets", "/kv/text/replicas"):
                assert (await ask(api, "GET", target)).status == 200
        print(f"longest turn {max(taken):.1f} ms")
        assert max(taken) < HOLD_MS_MAX

    with_api(tmp_path, scenario)
