"""What all judges have in common: they count what they have judged, and say what was broken."""

from __future__ import annotations

from collections import Counter

from kvnode.sim.observer import Operation

VIOLATIONS_MAX = 20


class Judge:
    """One kind of promise. violations: at most VIOLATIONS_MAX, the first; counts: those of the run.

    Invariant: "checked: ..." in counts is how often a promise was really judged, not how often it was looked at.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts
        self.violations: list[str] = []

    def judge(self, promise: str, broken: str = "") -> None:
        """This promise was judged; broken: how, if it was."""
        self._counts[f"checked: {promise}"] += 1
        if broken and len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(broken)


def told(operation: Operation) -> str:
    """An operation in words, to find it in the log of the run."""
    request = operation.request
    return (
        f"{operation.answered_s:.3f} s, {type(request).__name__} {request.key} "
        f"of {operation.session or 'nobody'} through {operation.node}"
    )


def needed(asked: int | None, replicas: int) -> int:
    """How many replicas a request needs: r or w, 2 unless it says so."""
    return min(2, replicas) if asked is None else asked
