"""A node's answers held against its own /openapi.json by generated requests, good and bad.

No 5xx but the documented ones, no undocumented status, no body of another form; and the node goes on serving.
QUORUM_LAB_GENERATED says how many requests each node gets, good and bad together.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis.generation import GenerationMode

pytestmark = [pytest.mark.live, pytest.mark.timeout(900)]
OPERATIONS = 24
EXAMPLES = max(15, int(os.environ.get("QUORUM_LAB_GENERATED", "0")) // OPERATIONS // 2)
NODES = (0, 1, 2) if "QUORUM_LAB_GENERATED" in os.environ else (0,)


@pytest.mark.parametrize("number", NODES)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_every_answer_is_a_documented_one(
    live_cluster: Callable[..., Any], tried: Callable[..., int], mode: GenerationMode, number: int
) -> None:
    url = live_cluster(nodes=3).urls[number]
    session = requests.Session()

    def reset() -> None:  # a fault that was set would slow the next ones down
        assert requests.post(f"{url}/faults", json={"rules": {}}, timeout=15).status_code == 200

    sent = 0
    result: Any
    for result in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        sent += tried(result.ok(), mode, examples=EXAMPLES, session=session, then=reset)
        assert session.get(f"{url}/health", timeout=5).json()["status"] == "ok"
    print(f"{sent} generated requests ({mode.value})")
    assert sent > 10 * EXAMPLES


def test_document_names_every_path_that_the_node_serves(live_cluster: Callable[..., Any]) -> None:
    url = live_cluster(nodes=1).urls[0]
    documented = requests.get(f"{url}/openapi.json", timeout=5).json()["paths"]
    unknown = requests.get(f"{url}/no-such-path", timeout=5).json()["detail"]
    served = {path.strip() for path in unknown.partition("known:")[2].split(",")}
    assert served == {path for path in documented if not path.endswith("/replicas")}
