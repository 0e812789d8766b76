"""Dots as text."""

from __future__ import annotations

import pytest

from kvnode.versions import Dot, node_of


def test_a_dot_prints_as_store_colon_counter_and_is_read_back() -> None:
    dot = Dot("node-1.3f2a91c205d8b7aa", 17)
    assert str(dot) == "node-1.3f2a91c205d8b7aa:17"
    assert Dot.parse(str(dot)) == dot
    assert node_of(dot.store) == "node-1"


@pytest.mark.parametrize("text", ["", ":", "node-1", "node-1:", ":7", "node-1:x", "node-1:-1"])
def test_what_is_no_dot_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="expected STORE:COUNTER"):
        Dot.parse(text)
