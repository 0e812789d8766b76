"""A node's answers held against its own /openapi.json by generated requests, good and bad.

No 5xx but the documented ones, no undocumented status, no body of another form; and the node goes on serving.
"""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
EXAMPLES = 15
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
"""Not whether a request was taken or refused: a schema cannot say what an opaque context is, or count bytes."""


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_every_answer_is_a_documented_one(live_cluster: Callable[..., Any], mode: GenerationMode) -> None:
    url = live_cluster(nodes=3).urls[0]
    session = requests.Session()
    tried = 0
    for result in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy(mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_documented(case: schemathesis.Case) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(session=session, timeout=10, checks=CHECKS)
            if case.operation.path == "/faults":  # what was set would slow the next cases down
                assert requests.post(f"{url}/faults", json={"rules": {}}, timeout=15).status_code == 200

        try:
            answers_as_documented()
        except Exception as error:
            if type(error).__name__ in ("Unsatisfiable", "SkipTest"):
                continue  # this operation has nothing that could be sent wrong
            raise
        assert session.get(f"{url}/health", timeout=5).json()["status"] == "ok"
    print(f"{tried} generated requests ({mode.value})")
    assert tried > 10 * EXAMPLES


def test_document_names_every_path_that_the_node_serves(live_cluster: Callable[..., Any]) -> None:
    url = live_cluster(nodes=1).urls[0]
    documented = requests.get(f"{url}/openapi.json", timeout=5).json()["paths"]
    unknown = requests.get(f"{url}/no-such-path", timeout=5).json()["detail"]
    served = {path.strip() for path in unknown.partition("known:")[2].split(",")}
    assert served == {path for path in documented if not path.endswith("/replicas")}
