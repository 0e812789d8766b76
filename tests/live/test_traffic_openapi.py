"""The service's answers held against its own /openapi.json by generated requests, good and bad, with traffic on.

No 5xx but the documented ones, no undocumented status, no body of another form; and the service goes on.
"""

import os
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis.generation import GenerationMode

EXAMPLES = int(os.environ.get("QUORUM_LAB_OPENAPI_EXAMPLES", "12"))
"""How many requests for each operation, good and bad ones each; 72 make more than 2,000 in all."""
pytestmark = [pytest.mark.live, pytest.mark.timeout(max(300, EXAMPLES * 20))]
FILLED = {
    "workload": "twitter",
    "preset": "classroom",
    "key": "k",
    "tweet_id": "t",
    "table": "series",
    "name": "main.js",
}
ENDLESS = "/api/real/stream"


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_every_answer_is_a_documented_one(
    live_cluster: Callable[..., Any],
    serve: Callable[..., Any],
    tried: Callable[..., int],
    mode: GenerationMode,
) -> None:
    service = serve(live_cluster(nodes=3), "--rate", "20")
    session = requests.Session()
    sent = 0
    result: Any
    for result in schemathesis.openapi.from_url(f"{service.url}/openapi.json").get_all_operations():
        operation = result.ok()
        if operation.path != ENDLESS:
            sent += tried(operation, mode, examples=EXAMPLES, session=session)
        # What a generated change set off (thousands a second, a preset) would slow the next cases down.
        assert session.post(f"{service.url}/api/real/traffic/stop", timeout=10).status_code == 200
    print(f"{sent} generated requests ({mode.value})")
    assert sent > 8 * EXAMPLES
    assert service.stats["success"] is True


def test_document_names_every_path_that_the_service_has(
    live_cluster: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    service = serve(live_cluster(nodes=1), "--no-start", "--r", "1", "--w", "1")
    document = service.get("/openapi.json")
    for path, item in document["paths"].items():
        allowed = {method.upper() for method in item if method != "parameters"}
        filled = path.format_map(FILLED)
        refused = requests.patch(service.url + filled, timeout=10)
        assert refused.status_code == 405, path
        assert {name for name in refused.headers["Allow"].split(", ") if name != "HEAD"} == allowed, path


def test_a_key_with_a_nul_byte_is_a_bad_request(
    live_cluster: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    """It was a 503, "no node could read it", since each node had refused the key."""
    service = serve(live_cluster(nodes=1), "--no-start", "--r", "1", "--w", "1")
    answer = requests.get(f"{service.url}/api/real/cluster/read_test/%00", timeout=10)
    assert answer.status_code == 400, answer.text
    assert "NUL" in answer.json()["detail"]
