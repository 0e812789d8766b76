"""How an answer of the service looks on a terminal."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    "path",
    ["/api/real/traffic/stats", "/api/real/twitter/active_tweets", "/api/real/nothing", "/openapi.json"],
)
def test_a_json_answer_ends_with_its_line(client: TestClient, path: str) -> None:
    """So that the prompt of a terminal does not stand behind the last brace that curl printed."""
    assert client.get(path).text.endswith("}\n")
