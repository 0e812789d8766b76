"""The service's answers held against its own /openapi.json by generated requests, good and bad, with traffic on.

No 5xx but the documented ones, no undocumented status, no body of another form; and the service goes on.
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
EXAMPLES = 12
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
ENDLESS = "/api/real/stream"


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_every_answer_is_a_documented_one(
    live_cluster: Callable[..., Any], serve: Callable[..., Any], mode: GenerationMode
) -> None:
    service = serve(live_cluster(nodes=3), "--rate", "20")
    session = requests.Session()
    tried = 0
    for result in schemathesis.openapi.from_url(f"{service.url}/openapi.json").get_all_operations():
        operation = result.ok()
        if operation.path == ENDLESS:
            continue

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
            case.call_and_validate(session=session, timeout=30, checks=CHECKS)

        try:
            answers_as_documented()
        except Exception as error:
            if type(error).__name__ in ("Unsatisfiable", "SkipTest"):
                continue  # this operation has nothing that could be sent wrong
            raise
        # What a generated change set off (thousands a second, a preset) would slow the next cases down.
        assert session.post(f"{service.url}/api/real/traffic/stop", timeout=10).status_code == 200
    print(f"{tried} generated requests ({mode.value})")
    assert tried > 8 * EXAMPLES
    assert service.stats["success"] is True


def test_document_names_every_path_that_the_service_has(
    live_cluster: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    service = serve(live_cluster(nodes=1), "--no-start", "--r", "1", "--w", "1")
    document = service.get("/openapi.json")
    for path, item in document["paths"].items():
        allowed = {method.upper() for method in item if method != "parameters"}
        filled = path.format(workload="twitter", preset="classroom", key="k")
        refused = requests.patch(service.url + filled, timeout=10)
        assert refused.status_code == 405, path
        assert {name for name in refused.headers["Allow"].split(", ") if name != "HEAD"} == allowed, path
