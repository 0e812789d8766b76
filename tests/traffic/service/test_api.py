"""The endpoints over the store in memory: bodies, statuses, guards; never a traceback."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from traffic.stores.memory import MemoryStore, Version

FILLED = {
    "workload": "twitter",
    "preset": "classroom",
    "key": "k",
    "tweet_id": "t",
    "table": "series",
    "name": "main.js",
}
SEED_URLS = [
    ("GET", "/api/real/traffic/stats"),
    ("GET", "/api/real/twitter/active_tweets"),
    ("POST", "/api/real/cluster/write_test"),
    ("GET", "/api/real/collab/active_documents"),
    ("GET", "/api/real/inventory/active_products"),
]


def stats(client: TestClient) -> Any:
    return client.get("/api/real/traffic/stats").json()


def until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, "not in time"
        time.sleep(0.02)


def started(client: TestClient, operations: int = 100) -> None:
    assert client.post("/api/real/traffic/start").json() == {"success": True, "running": True}
    until(lambda: stats(client)["operations_total"] >= operations)


def test_stats_have_every_field_before_anything_runs(client: TestClient) -> None:
    snapshot = stats(client)
    assert snapshot["success"] is True
    assert snapshot["running"] is False
    twitter = snapshot["workloads"]["twitter"]
    assert twitter["counts"] == dict.fromkeys(
        ("tweet", "like", "retweet", "comment", "view", "read", "tally"), 0
    )
    assert set(twitter["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert (twitter["target_rate"], twitter["achieved_rate"]) == (200, 0)
    assert set(snapshot["nodes"]) == {"node-1", "node-2", "node-3"}
    assert snapshot["nodes"]["node-1"]["healthy"] is True
    assert snapshot["nodes"]["node-1"]["state"] == "alive"
    assert snapshot["convergence"]["share"] is None


def test_start_change_stop(client: TestClient) -> None:
    started(client)
    answer = client.put("/api/real/traffic/twitter", json={"rate": 400, "w": 3, "pattern": "even"}).json()
    assert (answer["success"], answer["target_rate"], answer["w"], answer["r"]) == (True, 400, 3, 2)
    until(lambda: 350 < stats(client)["workloads"]["twitter"]["achieved_rate"] < 450)
    assert client.post("/api/real/traffic/stop", json={"workload": "twitter"}).json()["running"] is False
    until(lambda: stats(client)["workloads"]["twitter"]["in_flight"] == 0)
    total = stats(client)["operations_total"]
    time.sleep(0.3)
    assert stats(client)["operations_total"] == total
    assert sum(stats(client)["workloads"]["twitter"]["counts"].values()) == total


def test_active_tweets_come_from_the_database(client: TestClient, store: MemoryStore) -> None:
    started(client, 300)
    client.post("/api/real/traffic/stop")
    answer = client.get("/api/real/twitter/active_tweets?limit=5").json()
    assert answer["success"] is True
    assert len(answer["tweets"]) == 5
    assert answer["total_active"] >= 5
    for tweet in answer["tweets"]:
        stored = json.loads(store.values[f"tweet/{tweet['tweet_id']}"][0].value)
        assert (tweet["author"], tweet["text"]) == (stored["author"], stored["text"])
        likes = store.counters.get(f"tweet/{tweet['tweet_id']}/likes", {})
        assert tweet["likes"] == sum(actor.increments for actor in likes.values())
        assert tweet["vector_clock"]
    created = [tweet["created_at"] for tweet in answer["tweets"]]
    assert created == sorted(created, reverse=True)


def test_a_tweet_that_somebody_else_wrote_is_listed_too(client: TestClient, store: MemoryStore) -> None:
    own = json.dumps({"author": "teacher", "text": "hello", "created_at": "2026-01-01T00:00:00+00:00"})
    store.values["tweet/mine"] = [Version(own, 9)]
    store.values["tweet/odd"] = [Version("just words", 8)]
    store.values["tweet/number"] = [Version(17, 7)]
    tweets = {
        tweet["tweet_id"]: tweet for tweet in client.get("/api/real/twitter/active_tweets").json()["tweets"]
    }
    assert tweets["mine"]["author"] == "teacher"
    assert tweets["odd"]["text"] == "just words"
    assert tweets["number"]["text"] == "17"


def test_popular_tweets_come_most_liked_first(client: TestClient) -> None:
    started(client, 400)
    tweets = client.get("/api/real/twitter/active_tweets?order=popular&limit=5").json()["tweets"]
    likes = [tweet["likes"] for tweet in tweets]
    assert likes == sorted(likes, reverse=True)
    assert likes[0] > 0


def test_write_test_and_read_test(client: TestClient) -> None:
    report = client.post("/api/real/cluster/write_test").json()
    assert report["success"] is True
    assert [result["node"] for result in report["results"]] == ["node-1", "node-2", "node-3"]
    assert all(result["status"] == "ok" and result["latency_ms"] >= 0 for result in report["results"])
    read = client.get(f"/api/real/cluster/read_test/{report['test_key']}").json()
    assert {result["value"] for result in read["results"]} == {"written through node-3"}
    missing = client.get("/api/real/cluster/read_test/no/such/key")
    assert missing.status_code == 404
    assert "no/such/key" in missing.json()["detail"]


def test_one_dead_node_is_named_and_the_rest_goes_on(client: TestClient, store: MemoryStore) -> None:
    store.dead = {"node-2"}
    until(lambda: stats(client)["nodes"]["node-2"]["state"] == "dead")
    started(client)
    report = client.post("/api/real/cluster/write_test").json()
    assert report["success"] is False
    assert [result["status"] for result in report["results"]] == ["ok", "failed", "ok"]
    assert client.get("/api/real/twitter/active_tweets").status_code == 200
    until(lambda: stats(client)["nodes"]["node-2"]["healthy"] is False)


@pytest.mark.parametrize("running", [False, True])
def test_all_dead_is_a_problem_document_and_never_a_traceback(
    client: TestClient, store: MemoryStore, running: bool
) -> None:
    if running:
        started(client)
    store.dead = set(store.nodes)
    until(lambda: not any(node["healthy"] for node in stats(client)["nodes"].values()))
    for method, url in SEED_URLS:
        response = client.request(method, url)
        expected = 200 if url.endswith("stats") else 503
        assert response.status_code == expected, url
        body = response.json()
        assert body["success"] is (expected == 200)
        assert "Traceback" not in response.text
    verdict = client.post("/api/real/traffic/check").json()
    assert verdict["status"] == "unknown"


def test_check_answers_the_verdict(client: TestClient, store: MemoryStore) -> None:
    started(client, 200)
    verdict = client.post("/api/real/traffic/check").json()
    assert (verdict["status"], verdict["lost"], verdict["counters_wrong"]) == ("ok", 0, 0)
    assert verdict["acknowledged"] > 50
    assert verdict["counters_checked"] > 0
    first, stale, *_ = verdict["verdicts"]
    assert (first["status"], first["acknowledged"]) == ("ok", verdict["acknowledged"])
    assert (stale["status"], stale["facts"]["stale_reads"]) == ("ok", 0)
    store.forgetful = True
    before = stats(client)["operations_total"]
    until(lambda: stats(client)["operations_total"] > before + 200)
    client.post("/api/real/traffic/stop")
    store.forgetful = False
    verdict = client.post("/api/real/traffic/check").json()
    assert verdict["status"] == "violated"
    assert verdict["evidence"]


def test_reset_begins_the_gap_anew(client: TestClient, store: MemoryStore) -> None:
    started(client)
    store.dead = set(store.nodes)
    until(lambda: stats(client)["workloads"]["twitter"]["longest_gap_s"] > 1)
    store.dead = set()
    before = stats(client)["operations_total"]
    until(lambda: stats(client)["operations_total"] > before)
    client.post("/api/real/traffic/reset")
    assert stats(client)["workloads"]["twitter"]["longest_gap_s"] < 1


def test_series_load_as_rows(client: TestClient) -> None:
    started(client)
    until(lambda: len(client.get("/api/real/traffic/series").json()["rows"]) >= 2)
    row = client.get("/api/real/traffic/series").json()["rows"][-1]
    assert {"t_s", "target_rate", "achieved_rate", "p50_ms", "p99_ms"} <= set(row)


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("PUT", "/api/real/traffic/twitter", {}, 400, "expected a JSON body"),
    ("PUT", "/api/real/traffic/twitter", {"content": b"nonsense"}, 400, "makes no sense"),
    ("PUT", "/api/real/traffic/twitter", {"content": b"\xff\xfe{}"}, 400, "makes no sense"),
    ("PUT", "/api/real/traffic/twitter", {"content": b"[" * 20_000}, 400, "makes no sense"),
    ("PUT", "/api/real/traffic/twitter", {"content": b"[]"}, 400, "Expected `object`, got `array`"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"rate": "fast"}'}, 400, "got `str` - at `$.rate`"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"rate": 1e999}'}, 400, ""),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"rate": -1}'}, 400, "between 0 and 5000"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"rate": 5001}'}, 400, "between 0 and 5000"),
    (
        "PUT",
        "/api/real/traffic/twitter",
        {"content": b'{"w": 9}'},
        400,
        "w must be between 1 and 3 (N), got 9",
    ),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"r": 1.5}'}, 400, "$.r"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"pattern": "bursty"}'}, 400, "$.pattern"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"loop": "ajar"}'}, 400, "$.loop"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"workers": 2.5}'}, 400, "$.workers"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"workers": 0}'}, 400, "between 1 and 256, got 0"),
    ("PUT", "/api/real/traffic/twitter", {"content": b'{"rat": 5}'}, 400, "`rat`"),
    ("PUT", "/api/real/traffic/cats", {"content": b'{"rate": 5}'}, 404, "there is: twitter"),
    ("POST", "/api/real/traffic/start", {"content": b'{"workload": "cats"}'}, 404, "there is: twitter"),
    ("POST", "/api/real/traffic/start", {"content": b'{"workload": 3}'}, 400, "$.workload"),
    ("PUT", "/api/real/traffic/twitter", {"content": b"{}" + b" " * 70_000}, 413, "65536 bytes"),
    ("GET", "/api/real/twitter/active_tweets?limit=0", {}, 400, "between 1 and 200"),
    ("GET", "/api/real/twitter/active_tweets?order=odd", {}, 400, "one of newest, popular"),
    ("GET", "/api/real/twitter/active_tweets?limit=abc", {}, 400, "got 'abc'"),
    ("GET", "/api/real/twitter/active_tweets?limit=99999999999999999999", {}, 400, "between 1 and 200"),
    ("GET", "/api/real/cluster/read_test/" + "k" * 600, {}, 400, "got 600"),
    ("GET", "/api/real/nothing", {}, 404, "/api/real/nothing"),
    ("DELETE", "/api/real/traffic/stats", {}, 405, "does not take DELETE"),
    ("GET", "/api/real/traffic/start", {}, 405, "does not take GET"),
    ("BREW", "/api/real/traffic/start", {}, 405, "does not take BREW"),
]


@pytest.mark.parametrize(("method", "url", "more", "status", "says"), BAD)
def test_bad_input_gets_a_problem_document(
    client: TestClient, method: str, url: str, more: dict[str, Any], status: int, says: str
) -> None:
    headers = {"Content-Type": "application/json"} if "content" in more else {}
    response = client.request(method, url, headers=headers, **more)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert says in body["detail"]
    assert stats(client)["success"] is True  # and it goes on serving


def test_every_path_refuses_other_methods_with_405_and_says_which_it_takes(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path, item in paths.items():
        takes = {method.upper() for method in item if method != "parameters"}
        takes |= {"HEAD"} if "GET" in takes else set()
        filled = path.format_map(FILLED)
        for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - takes:
            response = client.request(method, filled)
            assert response.status_code == 405, (method, path, response.text)
            assert set(response.headers["Allow"].split(", ")) == takes, (method, path)


def test_a_key_that_no_node_takes_is_a_bad_request_that_says_why(
    client: TestClient, store: MemoryStore
) -> None:
    """1. `read_test/%00` asked every node. 2. Each refused the key. 3. The answer was 503, as if none was there."""
    store.refused_keys = {"\x00"}
    answer = client.get("/api/real/cluster/read_test/%00")
    assert answer.status_code == 400, answer.text
    assert "holds a NUL byte" in answer.json()["detail"]


GUARDED: list[tuple[dict[str, str], int, str]] = [
    ({"Host": "evil.example"}, 403, "loopback name"),
    ({"Host": "127.0.0.1.evil.example:7342"}, 403, "loopback name"),
    ({"Host": "[::1"}, 403, "loopback name"),
    ({"Origin": "http://evil.example"}, 403, "another site"),
    ({"Origin": "http://127.0.0.1:8888"}, 403, "another site"),
    ({"Origin": "null"}, 403, "another site"),
    ({"Sec-Fetch-Site": "cross-site"}, 403, "another site"),
    ({"Sec-Fetch-Site": "same-site"}, 403, "another site"),
    ({"Content-Type": "text/plain"}, 415, "application/json"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
]


@pytest.mark.parametrize(("headers", "status", "says"), GUARDED)
def test_pages_of_other_sites_cannot_drive_the_traffic(
    client: TestClient, headers: dict[str, str], status: int, says: str
) -> None:
    body = {"content": b"{}"} if "Content-Type" in headers else {}
    response = client.post("/api/real/traffic/start", headers=headers, **body)
    assert (response.status_code, says in response.json()["detail"]) == (status, True)
    assert stats(client)["running"] is False


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:7342", "Origin": "http://localhost:7342", "Sec-Fetch-Site": "same-origin"},
        {"Host": "[::1]:7342"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_own_page_and_programs_may(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/api/real/traffic/start", headers=headers).status_code == 200


def test_a_foreign_host_may_not_even_read(client: TestClient) -> None:
    assert client.get("/api/real/traffic/stats", headers={"Host": "evil.example"}).status_code == 403


def test_a_body_that_grows_without_a_length_is_cut_off(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    response = client.put(
        "/api/real/traffic/twitter", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 413


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    parts = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    texts = {"/": page.text}
    while parts:
        path = parts.pop()
        texts[path] = client.get(path).text
        found = re.findall(r'from "\./([^"]+)"', texts[path])
        parts |= {f"/static/{name}" for name in found} - texts.keys()
    assert len(texts) > 8
    for path, text in texts.items():
        for foreign in ("http://", "https://", "//cdn", "@import", "innerHTML", "eval("):
            assert foreign not in text.replace("http://www.w3.org/2000/svg", ""), path


def test_every_part_of_the_page_has_its_type_and_a_policy_that_runs_no_other_script(
    client: TestClient,
) -> None:
    for path, kind in (("/", "html"), ("/static/main.js", "javascript"), ("/static/page.css", "css")):
        answer = client.get(path)
        assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapi.py", "%2Fetc%2Fpasswd", "__init__.py", "%00"])
def test_nothing_else_is_served_as_a_part(client: TestClient, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_metrics_are_named_and_measured_as_prometheus_wants_them(client: TestClient) -> None:
    started(client, 100)
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples["traffic_operations_total['like', 'twitter']"] > 0
    assert samples["traffic_running['twitter']"] == 1
    assert samples["traffic_running['inventory']"] == 0
    assert 0 < samples["traffic_latency_seconds['0.99', 'twitter']"] < 5
    assert samples["traffic_node_healthy['node-1']"] == 1


def test_presets_are_listed_and_set_all_worlds(client: TestClient) -> None:
    names = [preset["name"] for preset in client.get("/api/real/traffic/presets").json()["presets"]]
    assert {"business-hours", "evening-peak", "night-maintenance", "weekend", "black-friday"} <= set(names)
    answer = client.post("/api/real/traffic/presets/classroom").json()
    assert (answer["running"], answer["workloads"]["twitter"]["target_rate"]) == (True, 20)
    snapshot = stats(client)
    assert all(workload["running"] for workload in snapshot["workloads"].values())
    assert (snapshot["preset"], snapshot["clock"]["weekday"]) == ("classroom", "wednesday")
    assert client.post("/api/real/traffic/presets/nonsense").status_code == 404
    assert client.put("/api/real/traffic/clock", json={"hour": 20}).json()["clock"]["time"] == "20:00"
    assert client.put("/api/real/traffic/clock", json={"hour": 25}).status_code == 400


def test_documents_and_products_are_read_from_the_database(client: TestClient) -> None:
    for name in ("collab", "inventory"):
        client.post("/api/real/traffic/start", json={"workload": name})
        client.put(f"/api/real/traffic/{name}", json={"rate": 300})
    until(lambda: any(one["paragraphs"] for one in listed(client, "collab", "documents")))
    assert all(one["title"] for one in listed(client, "collab", "documents"))
    until(lambda: any(sum(one["stock"].values()) > 0 for one in listed(client, "inventory", "products")))
    product = listed(client, "inventory", "products")[0]
    assert set(product["stock"]) <= {"washington", "london", "tokyo"}
    assert product["kept_as"] == "counters"


def listed(client: TestClient, world: str, name: str) -> Any:
    return client.get(f"/api/real/{world}/active_{name}").json()[name]
