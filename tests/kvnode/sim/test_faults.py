"""A node that fails in a callback fails the run: a real one would have ended."""

from __future__ import annotations

from typing import Any

import pytest

from kvnode.membership import Swim
from kvnode.sim.scenarios import replay


def test_a_broken_invariant_in_the_handling_of_a_message_is_a_violation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. An answer that the network doubled was counted twice. 2. The assertion that says so failed in a callback: the
    loop printed it and went on, and the run was called fine."""
    heard, count = Swim.heard, iter(range(10**9))

    def fails_once(self: Any, peer: str) -> None:
        heard(self, peer)
        if next(count) == 1000:
            raise AssertionError("planted")

    monkeypatch.setattr(Swim, "heard", fails_once)
    violations = replay(1, scenario="crash-and-restart").violations
    assert violations == ["a node failed: AssertionError('planted')"]
