"""A node's answers held against its own /openapi.json by generated requests, good and bad.

No 5xx but the documented ones, no undocumented status, no body of another form; and the node goes on serving.
"""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis.generation import GenerationMode

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
EXAMPLES = 15


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_every_answer_is_a_documented_one(
    live_cluster: Callable[..., Any], tried: Callable[..., int], mode: GenerationMode
) -> None:
    url = live_cluster(nodes=3).urls[0]
    session = requests.Session()

    def reset() -> None:  # a fault that was set would slow the next ones down
        assert requests.post(f"{url}/faults", json={"rules": {}}, timeout=15).status_code == 200

    sent = 0
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
