"""What the tests of the inventory world share."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from kvnode.checkers import Verdict
from traffic.workloads.inventory import Inventory


@pytest.fixture
def inventory() -> Callable[..., Inventory]:
    """inventory(seed, hour=11, bug=None, tag="test"): a world whose clock stands still."""

    def make(seed: int = 1, *, hour: float = 11, bug: str | None = None, tag: str = "test") -> Inventory:
        bugs = frozenset((bug,)) if bug else frozenset[str]()
        return Inventory(Random(seed), tag=tag, bugs=bugs, hour_of_day=lambda: hour)

    return make


@pytest.fixture
def finished() -> Callable[..., Any]:
    """await finished(bench): stop, wait for what is under way on the wire, and answer the one verdict on stock."""

    async def finish(bench: Any) -> Verdict:
        bench.driver.stop()
        assert await bench.driver.drained(30)
        (verdict,) = await bench.workload.check(bench.write_ledger.reads)
        ledger = await bench.write_ledger.check()
        assert ledger.status == "ok", ledger.evidence
        assert isinstance(verdict, Verdict)
        return verdict

    return finish
