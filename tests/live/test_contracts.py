"""What others may read: the shapes of all answers, the messages between nodes, the commands and options of the shells.

A shape is a list of paths with the kind of what stands there, for instance "operations.put number"; names that are data
(nodes, keys, peers …) are written as *. Something may be added; nothing may go or become another kind of thing, since
somebody's program, lesson or older node reads it. QUORUM_LAB_RECORD_CONTRACTS=1 records anew: then read the difference,
and name in CHANGELOG.md each line that has gone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
import requests

from kvnode import messages

RECORDED = Path(__file__).parent / "contracts"
DATA = re.compile(r"node-\d+(\.[0-9a-f]+)?|[\w-]+:[\w-]+|\d+([.,]\d+)*|.*[\s/].*|[0-9a-f]{8,}|contract")
"""What a name looks like that is data, and not part of the shape."""
SHELLS = {
    "kvnode": [],
    "kvnode.cluster": ["start", "status", "stop", "kill", "pause", "resume", "restart", "wipe", "partition", "delay",
                       "heal", "reset", "join", "leave"],
    "traffic": ["serve", "run", "replay"],
    "labkit.receipts": [],
}  # fmt: skip

EVERYTHING_HAPPENED_S = 30.0
"""Some things stand in an answer only once they have happened: a round of scrubbing, a read that came too early."""

Shapes = dict[str, list[str]]


def shape(answer: Any) -> list[str]:
    """Paths and kinds of an answer, each once, sorted."""
    return sorted(set(_walk("", answer)))


def gone(name: str, now: Shapes, folder: Path = RECORDED) -> Shapes:
    """What was recorded under this name and is not there now, by answer."""
    recorded = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    missing = {what: sorted(set(lines) - set(now.get(what, []))) for what, lines in recorded.items()}
    return {what: lines for what, lines in missing.items() if lines or what not in now}


def compare(name: str, now: Shapes, folder: Path = RECORDED) -> None:
    """Everything recorded under this name is still there. Raises AssertionError with what is missing."""
    if os.environ.get("QUORUM_LAB_RECORD_CONTRACTS"):
        text = json.dumps(now, indent=1, sort_keys=True)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    missing = gone(name, now, folder)
    assert not missing, (
        f"what others may read has gone, or became another kind: {json.dumps(missing, indent=1)}"
    )


def _walk(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{path} object".strip()
        for name, inner in value.items():
            yield from _walk(f"{path}.{'*' if DATA.fullmatch(str(name)) else name}".lstrip("."), inner)
    elif isinstance(value, list):
        yield f"{path} list".strip()
        for inner in value:
            yield from _walk(f"{path}[]", inner)
    elif value is not None:
        kind = "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
        yield f"{path} {kind}".strip()


ANSWER = {"node": "node-1", "links": {"node-2": {"open": True}}, "values": [1, 2.5], "context": None}


def test_a_shape_has_names_and_kinds_and_no_data() -> None:
    said = (
        "links object, links.* object, links.*.open boolean, node text, object, values list, values[] number"
    )
    assert shape(ANSWER) == said.split(", ")


@pytest.mark.parametrize(
    "changed", [{"node": 1}, {"links": {}}, {"links": {"node-2": {"is_open": True}}}, {"values": {}}]
)
def test_a_name_that_goes_or_becomes_another_kind_is_noticed(
    changed: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QUORUM_LAB_RECORD_CONTRACTS", raising=False)
    (tmp_path / "it.json").write_text(json.dumps({"GET /it": shape(ANSWER)}))
    compare("it", {"GET /it": shape({**ANSWER, "more": "is welcome"})}, tmp_path)
    for now in ({"GET /it": shape({**ANSWER, **changed})}, {}):
        with pytest.raises(AssertionError, match="GET /it"):
            compare("it", now, tmp_path)


def test_messages_between_nodes_keep_their_tags_and_places() -> None:
    """They are arrays on the wire, where a field's place is its name, and nodes of two versions meet in a cluster."""
    found: Shapes = {}
    for struct in vars(messages).values():
        if (
            isinstance(struct, type)
            and issubclass(struct, msgspec.Struct)
            and struct.__struct_config__.tag is not None
        ):
            hints = get_type_hints(struct)
            found[str(struct.__struct_config__.tag)] = [
                re.sub(r"kvnode\.[a-z_.]*", "", f"{place} {hints[name]}")
                for place, name in enumerate(struct.__struct_fields__)
            ]
    assert len(found) > 20
    compare("messages", found)


def test_commands_and_options_of_the_shells_stay() -> None:
    asked = [
        [module, *words]
        for module, commands in SHELLS.items()
        for words in [[], *([one] for one in commands)]
    ]
    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(map(" ".join, asked), pool.map(_options_of, asked), strict=True))
    compare("shells", found)


def _options_of(words: list[str]) -> list[str]:
    said = subprocess.run(
        [sys.executable, "-P", "-m", *words, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", said.stdout)))


@pytest.mark.live
def test_answers_of_node_and_traffic_service_keep_their_shapes(
    live_cluster: Callable[..., Any], serve: Callable[..., Any], until: Callable[..., None]
) -> None:
    cluster = live_cluster(nodes=3)
    service = serve(cluster, "--rate", "60")
    until(lambda: service.stats["operations_total"] > 200, within_s=30, what="some traffic")
    paths = service.get("/openapi.json")["paths"]
    asked = [("GET", path, None) for path, item in paths.items() if "get" in item and "{" not in path]
    asked = [one for one in asked if one[1] not in ("/", "/metrics", "/openapi.json", "/api/real/stream")]
    asked += [
        ("GET", "/api/real/cluster/read_test/contract", None),
        ("POST", "/api/real/traffic/check", None),
    ]
    for name, url, requested in (
        ("node", cluster.urls[0], list(_of_a_node(cluster.urls[0]))),
        ("traffic", service.url, asked),
    ):
        seen: Shapes = {}
        deadline = time.monotonic() + EVERYTHING_HAPPENED_S
        while True:
            for what, lines in _ask(url, requested).items():
                seen[what] = sorted({*seen.get(what, []), *lines})
            if time.monotonic() > deadline or not gone(name, seen):
                break
        compare(name, seen)


def _of_a_node(url: str) -> Iterator[tuple[str, str, Any]]:
    yield "PUT", "/kv/contract", {"value": {"a": 1}}
    yield "PUT", "/kv/contract?mode=lww", {"value": 2}
    yield "GET", "/kv/contract", None
    yield "POST", "/counter/contract", {"increment": 1}
    yield "POST", "/counter/contract", {"actor": "a", "increments_total": 2, "decrements_total": 1}
    yield "GET", "/counter/contract", None
    yield "GET", "/kv/contract/replicas", None
    yield "GET", "/counter/contract/replicas", None
    for path in (
        "keys",
        "health",
        "info",
        "ring?key=contract",
        "members",
        "stats",
        "merkle?partition=0",
        "faults",
    ):
        yield "GET", f"/{path}", None
    cause = requests.get(f"{url}/kv/contract", timeout=10).json()["cause"]
    yield "GET", f"/trace/{cause}", None
    yield "POST", "/repair", {}
    yield "DELETE", "/kv/contract", None
    yield "GET", "/kv/contract", None
    yield "GET", "/kv/contract?r=9", None
    yield "GET", "/nowhere", None


def _ask(url: str, requested: list[tuple[str, str, Any]]) -> Shapes:
    found: Shapes = {}
    for method, path, body in requested:
        answer = requests.request(method, url + path, json=body, timeout=30)
        name = f"{method} {re.sub(r'/trace/.*', '/trace/{id}', path)} {answer.status_code}"
        found[name] = shape(answer.json() if "json" in answer.headers["content-type"] else "")
    return found
