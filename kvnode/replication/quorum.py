"""Counting answers: how many are needed, how many came, and whether it can still be enough.

A pure accumulator (Riak's get core is built the same way): it sends nothing and knows no time.
"""

from __future__ import annotations


class Quorum:
    """`need` of `n` replicas must answer.

    Invariant: len(got) + failed_count <= n.
    """

    __slots__ = ("failed_count", "got", "n", "need")

    def __init__(self, need: int, n: int) -> None:
        assert 1 <= need <= n, f"a quorum of {need} out of {n}"
        self.need = need
        self.n = n
        self.got: list[str] = []
        self.failed_count = 0

    def add(self, replica: str) -> None:
        """One more replica answered as hoped."""
        assert replica not in self.got, f"{replica} answered twice"
        self.got.append(replica)

    def fail(self, count: int = 1) -> None:
        """So many replicas will not answer any more."""
        self.failed_count += count

    @property
    def met(self) -> bool:
        """Enough have answered."""
        return len(self.got) >= self.need

    @property
    def lost(self) -> bool:
        """Even if all others answer, it cannot be enough any more."""
        return self.n - self.failed_count < self.need
