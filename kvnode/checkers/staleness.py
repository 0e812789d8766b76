"""Staleness: how old was what a read returned?

For each read: the acknowledged writes that it should have known of and missed. A write counts if its acknowledgement
had arrived before the read was sent; it is missed if the read returned neither it nor a version that was made with
knowledge of it. So the answer follows from versions and from one client's own order of events, not from comparing
timestamps of computers.

Three figures (Bailis et al., "Probabilistically Bounded Staleness for Practical Partial Quorums", VLDB 2012, section
3):

- *t-visibility*: of the reads sent t after the newest acknowledgement, the share that returned that write (`curve`).
- *k-staleness*: how many acknowledged versions a read was behind.
- for how long what it returned had been out of date: the time from the first missed acknowledgement to the read.

With r + w > n a read meets every acknowledged write, so a single miss breaks the promise. With less, staleness is not
an error but a measurement: at risk.

Must not live here: predicting staleness (traffic/pbs/model.py), and writes that are gone for good (ledger.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from kvnode.checkers.observed import Acknowledged, Seen
from kvnode.checkers.verdict import EVIDENCE_COUNT_MAX, Verdict

CLAIM = "no read missed a write that was acknowledged before it began"
EDGES_MS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0)


class Visibility(NamedTuple):
    """One point of the t-visibility curve: reads sent from `from_ms` up to `to_ms` after the newest acknowledgement."""

    from_ms: float
    to_ms: float
    reads: int
    fresh: int

    @property
    def share(self) -> float | None:
        """The probability of a fresh read as measured; None without reads."""
        return self.fresh / self.reads if self.reads else None


class Staleness:
    """Judges reads as they come, against the acknowledged writes. Keeps only counts."""

    def __init__(self, acknowledged: Acknowledged, *, edges_ms: Sequence[float] = EDGES_MS) -> None:
        self._acknowledged = acknowledged
        self._edges_ms = tuple(edges_ms)
        self._reads = [0] * len(self._edges_ms)
        self._fresh = [0] * len(self._edges_ms)
        self.reads = 0  # of keys with an acknowledged write
        self.stale = 0
        self.broken = 0  # stale, although w + r > n
        self.not_promised = 0  # reads for which w + r <= n
        self.versions_behind_max = 0
        self.out_of_date_ms_max = 0.0
        self._evidence_of_broken: list[str] = []
        self._evidence_of_stale: list[str] = []

    def read(self, key: str, seen: Seen, *, started_s: float, r: int) -> int:
        """A read of r replicas, sent at started_s, returned this; answers how many versions it was behind."""
        writes = self._acknowledged.newest_first(key, started_s)
        newest = next(writes, None)
        if newest is None:
            return 0
        self.reads += 1
        newest_held = seen.holds(newest.dot)
        self._count(started_s - newest.at_s, newest_held)
        promised = self._acknowledged.is_promised(w=newest.w, r=r)
        self.not_promised += not promised
        if newest_held and newest.follows_all:
            return 0
        missed = [] if newest_held else [newest]
        missed += [write for write in writes if not seen.holds(write.dot)]
        if not missed:
            return 0
        self.stale += 1
        self.versions_behind_max = max(self.versions_behind_max, len(missed))
        late_ms = (started_s - missed[-1].at_s) * 1000.0
        self.out_of_date_ms_max = max(self.out_of_date_ms_max, late_ms)
        broken = next((one for one in missed if self._acknowledged.is_promised(w=one.w, r=r)), None)
        self.broken += broken is not None
        evidence = self._evidence_of_broken if broken else self._evidence_of_stale
        if len(evidence) < EVIDENCE_COUNT_MAX:
            shown = broken or missed[-1]
            evidence.append(
                f"{key!r}: {shown.dot} was acknowledged with w={shown.w}, a read with r={r} that was sent "
                f"{(started_s - shown.at_s) * 1000.0:.1f} ms later returned {seen}"
            )
        return len(missed)

    def _count(self, age_s: float, fresh: bool) -> None:
        place = max(0, bisect_right(self._edges_ms, age_s * 1000.0) - 1)
        self._reads[place] += 1
        self._fresh[place] += fresh

    @property
    def curve(self) -> list[Visibility]:
        """t-visibility as measured so far, one point for each range of t."""
        ends = (*self._edges_ms[1:], float("inf"))
        return list(map(Visibility, self._edges_ms, ends, self._reads, self._fresh))

    def verdict(self) -> Verdict:
        """How the claim stands after the reads so far."""
        facts: dict[str, float] = {"reads": self.reads, "stale_reads": self.stale}
        if self.stale:
            facts["versions_behind_max"] = self.versions_behind_max
            facts["out_of_date_ms_max"] = round(self.out_of_date_ms_max, 1)
        if self.broken:
            return Verdict.broken(CLAIM, self._evidence_of_broken, facts)
        if self.not_promised:
            return Verdict.not_promised(CLAIM, self._evidence_of_stale, facts)
        if not self.reads:
            return Verdict.not_known(CLAIM, "nothing was read of which a write had been acknowledged", facts)
        return Verdict.holds(CLAIM, facts)
