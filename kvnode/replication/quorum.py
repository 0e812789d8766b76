"""Counting answers: how many are needed, how many came, and whether it can still be enough.

A pure accumulator (Riak's get core is built the same way): it sends nothing and knows no time.
"""

from __future__ import annotations


class Quorum:
    """`need` of `n` replicas must answer, and every pending owner as well.

    pending: who takes the partition over and has not acknowledged yet. They count towards no quorum.
    Invariant: len(got) + failed_count <= n.
    """

    __slots__ = ("failed_count", "got", "n", "need", "pending", "pending_lost")

    def __init__(self, need: int, n: int, pending: tuple[str, ...] = ()) -> None:
        assert 1 <= need <= n, f"a quorum of {need} out of {n}"
        self.pending = pending
        self.pending_lost = False
        self.need = need
        self.n = n
        self.got: list[str] = []
        self.failed_count = 0

    def add(self, replica: str) -> None:
        """One more replica answered as hoped."""
        if replica in self.pending:
            self.pending = tuple(each for each in self.pending if each != replica)
            return
        assert replica not in self.got, f"{replica} answered twice"
        self.got.append(replica)

    def fail(self, count: int = 1) -> None:
        """So many replicas will not answer any more."""
        self.failed_count += count

    def fail_pending(self) -> None:
        """A pending owner will not answer any more."""
        self.pending_lost = True

    @property
    def met(self) -> bool:
        """Enough have answered."""
        return len(self.got) >= self.need and not self.pending

    @property
    def lost(self) -> bool:
        """Even if all others answer, it cannot be enough any more."""
        return self.n - self.failed_count < self.need or self.pending_lost
