"""Every bug can be planted, and is gone afterwards: one that patches a name of yesterday would end the run instead."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.sim.bugs import BUGS, planted
from kvnode.tombstones.reaper import TombstoneReaper
from kvnode.versions import VersionVector


@pytest.mark.parametrize("bug", [None, *BUGS])
def test_a_bug_is_planted_for_its_run_alone(bug: str | None) -> None:
    def parts() -> dict[str, Any]:
        return {**vars(TombstoneReaper), **vars(VersionVector)}

    world: Any = SimpleNamespace(acknowledges_early=False)
    before = parts()
    with planted(bug, world):
        assert world.acknowledges_early == (bug == "acknowledge-early")
        is_patched = parts() != before
    assert parts() == before
    assert is_patched == (bug in ("sweep-early", "prune-unproven", "merge-clocks-wrongly"))


def test_an_unknown_bug_is_refused() -> None:
    world: Any = SimpleNamespace(acknowledges_early=False)
    with pytest.raises(ValueError, match="unknown bug 'misspelt'"), planted("misspelt", world):
        pass
