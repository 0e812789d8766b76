"""Breaking and mending over HTTP: everybody may look, who carries the token may do."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

FILLED = {
    "workload": "twitter",
    "preset": "classroom",
    "key": "k",
    "tweet_id": "t",
    "table": "series",
    "name": "main.js",
}
FAULTS = "/api/real/cluster/faults"
KILL = {"action": "kill", "node": "node-2"}


def test_everybody_sees_what_is_broken(guarded: TestClient, supervisor: Any) -> None:
    assert guarded.get(FAULTS).json()["broken"] == []
    supervisor.writes(node_2={"state": "dead", "reason": "killed", "since_ms": 1.0})
    seen = guarded.get(FAULTS).json()
    assert [one["says"] for one in seen["broken"]] == ["node-2 is dead (killed)"]
    assert seen["nodes"]["node-2"] == {"state": "dead", "reason": "killed", "since_ms": 1.0}
    assert seen["allowed"] is False
    assert guarded.get("/api/real/traffic/stats").json()["faults"]["broken"] == seen["broken"]


def test_who_carries_the_token_may_break(
    guarded: TestClient, supervisor: Any, carrying: dict[str, str]
) -> None:
    assert guarded.get(FAULTS, headers=carrying).json()["allowed"] is True
    answer = guarded.post(FAULTS, json=KILL, headers=carrying)
    assert (answer.status_code, answer.json()["known"]) == (200, True)
    assert supervisor.heard == [{"command": "kill", "nodes": ["node-2"]}]


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer another", "Basic dGhlLXRva2Vu"])
def test_nobody_else_may(guarded: TestClient, supervisor: Any, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = guarded.post(FAULTS, json=KILL, headers=headers)
    assert answer.status_code == 401, answer.text
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "python -m traffic page --port 7342" in answer.json()["detail"]
    assert supervisor.heard == []


def test_a_page_of_another_site_may_not_even_with_the_token(
    guarded: TestClient, supervisor: Any, carrying: dict[str, str]
) -> None:
    headers = {**carrying, "Origin": "http://127.0.0.1:8888"}
    assert guarded.post(FAULTS, json=KILL, headers=headers).status_code == 403
    assert supervisor.heard == []


def test_no_answer_holds_the_token(guarded: TestClient, supervisor: Any, carrying: dict[str, str]) -> None:
    """Loopback is shared: whatever is answered to one user is answered to all."""
    token = carrying["Authorization"].split()[1]
    for path, item in guarded.get("/openapi.json").json()["paths"].items():
        if path.endswith("/stream"):
            continue
        for method in set(item) - {"parameters"}:
            answer = guarded.request(
                method.upper(),
                path.format(
                    workload="twitter",
                    preset="classroom",
                    key="k",
                    tweet_id="t",
                    table="series",
                    name="main.js",
                ),
            )
            assert token not in answer.text, path
            assert token not in str(answer.headers), path


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"ok": False, "kind": "BadCommand", "error": "no node called 'node-9'"}, 400),
        ({"ok": False, "kind": "NodeFailed", "error": "node-2 ended with status 70"}, 409),
        ("nonsense", 503),
    ],
)
def test_what_the_supervisor_refuses_is_said(
    guarded: TestClient, supervisor: Any, carrying: dict[str, str], said: Any, status: int
) -> None:
    supervisor.answer = said
    answer = guarded.post(FAULTS, json=KILL, headers=carrying)
    assert answer.status_code == status, answer.text
    if isinstance(said, dict):
        assert answer.json()["detail"] == said["error"]


def test_without_a_supervisor_it_is_said_that_there_is_none(
    guarded: TestClient, carrying: dict[str, str]
) -> None:
    assert guarded.get(FAULTS).json()["known"] is False
    answer = guarded.post(FAULTS, json=KILL, headers=carrying)
    assert answer.status_code == 503
    assert "no supervisor of this cluster is known here" in answer.json()["detail"]


def test_a_service_without_a_token_says_why_nobody_may(client: TestClient) -> None:
    answer = client.post(FAULTS, json=KILL, headers={"Authorization": "Bearer None"})
    assert (answer.status_code, "without a token" in answer.json()["detail"]) == (403, True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "expected a JSON body"),
        ({"action": "stop"}, "Invalid value 'stop'"),
        ({"action": "kill"}, "missing required field `node`"),
        ({"action": "kill", "node": 2}, "Expected `str`, got `int`"),
        ({"action": "kill", "node": "node-2", "hard": True}, "unknown field `hard`"),
        ({"action": "delay", "delay_ms": "slow"}, "Expected `float`"),
    ],
)
def test_a_body_that_makes_no_sense_is_a_bad_request(
    guarded: TestClient, supervisor: Any, carrying: dict[str, str], body: Any, says: str
) -> None:
    answer = (
        guarded.post(FAULTS, json=body, headers=carrying) if body else guarded.post(FAULTS, headers=carrying)
    )
    assert answer.status_code == 400
    assert says in answer.json()["detail"]
    assert supervisor.heard == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/real/traffic/stats"),
        ("GET", "/api/real/twitter/active_tweets"),
        ("POST", "/api/real/cluster/write_test"),
        ("GET", "/api/real/collab/active_documents"),
    ],
)
def test_the_lines_of_the_demo_need_no_token(guarded: TestClient, method: str, path: str) -> None:
    assert guarded.request(method, path).status_code == 200
