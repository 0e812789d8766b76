"""Session guarantees: what one client may expect of its own thread of operations, whichever replicas it talks to.

Of the four of Terry et al. ("Session Guarantees for Weakly Consistent Replicated Data", PDIS 1994, section 3) the two
that reads can break:

- *read your writes*: a read returns every write of its session that was acknowledged before the read was sent, or a
  version made with knowledge of it.
- *monotonic reads*: a read returns all that earlier reads of its session had returned, or versions made with knowledge
  of it.

Both are judged by versions: a session's next read must cover what the session has written and seen.

What is promised. With r + w > n, read your writes. Monotonic reads only for what had been acknowledged when the second
read began: a write still on its way may be seen by one read, through a replica that has it, and missed by the next
(the new-old inversion of regular registers; Attiya, Bar-Noy and Dolev, "Sharing Memory Robustly in Message-Passing
Systems", JACM 1995, close it by writing back before the read answers, which Dynamo does not). Such reads are counted,
and make the verdict "at risk", not "violated".

Operations of one session that overlap are judged by what had been answered before the later one was sent.
"""

from __future__ import annotations

from typing import NamedTuple

from kvnode.checkers.observed import Acknowledged, Seen, Write
from kvnode.checkers.verdict import EVIDENCE_COUNT_MAX, Verdict
from kvnode.versions import Dot

READ_YOUR_WRITES = "every read returned what its session had written"
MONOTONIC_READS = "no read went back behind what its session had seen"

THREADS_MAX = 20_000  # pairs of (session, key)
DOTS_MAX = 32  # that are kept of one pair, of writes and of reads


class _Thread:
    """What one session knows of one key."""

    __slots__ = ("seen", "written")

    def __init__(self) -> None:
        self.written: list[Write] = []
        self.seen: list[tuple[Dot, float]] = []  # and when the read that returned it was answered


class _Guarantee:
    """One claim and what speaks for and against it."""

    def __init__(self, claim: str) -> None:
        self.claim = claim
        self.reads = 0
        self.missed = 0
        self.broken = 0
        self.not_promised = 0
        self.evidence_of_broken: list[str] = []
        self.evidence_of_missed: list[str] = []

    def judged(self, missed: list[_Missed], *, promised: bool) -> None:
        """One more read to which the claim applies, and what it missed; promised: that it would miss nothing."""
        self.reads += 1
        self.not_promised += not promised
        if not missed:
            return
        self.missed += 1
        worst = next((one for one in missed if one.promised), missed[0])
        self.broken += worst.promised
        evidence = self.evidence_of_broken if worst.promised else self.evidence_of_missed
        if len(evidence) < EVIDENCE_COUNT_MAX:
            evidence.append(worst.summary)

    def verdict(self, counted_as: str) -> Verdict:
        facts: dict[str, float] = {"reads": self.reads, counted_as: self.missed}
        if self.broken:
            return Verdict.broken(self.claim, self.evidence_of_broken, facts)
        if self.missed or self.not_promised:
            return Verdict.not_promised(self.claim, self.evidence_of_missed, facts)
        if not self.reads:
            return Verdict.not_known(self.claim, "no session read a key that it had touched before", facts)
        return Verdict.holds(self.claim, facts)


class _Missed(NamedTuple):
    summary: str
    promised: bool


class Sessions:
    """Judges the reads of sessions as they come.

    acknowledged: all acknowledged writes, of whichever session; they tell what a later read was promised. Invariant: at
    most threads_max pairs of session and key are kept; the one not used for longest is forgotten.
    """

    def __init__(self, acknowledged: Acknowledged, *, threads_max: int = THREADS_MAX) -> None:
        self._acknowledged = acknowledged
        self._threads_max = threads_max
        self._threads: dict[tuple[str, str], _Thread] = {}
        self._read_your_writes = _Guarantee(READ_YOUR_WRITES)
        self._monotonic_reads = _Guarantee(MONOTONIC_READS)

    def __len__(self) -> int:
        return len(self._threads)

    def wrote(self, session: str, key: str, write: Write) -> None:
        """A write of this session was acknowledged."""
        thread = self._thread(session, key)
        if thread.written:
            kept = [earlier for earlier in thread.written if not write.past.covers(earlier.dot)]
            thread.written = [*kept[-(DOTS_MAX - 1) :], write]
        else:
            thread.written = [write]

    def read(
        self, session: str, key: str, seen: Seen, *, started_s: float, answered_s: float, r: int
    ) -> None:
        """A read of this session, sent at started_s with r, was answered with this."""
        thread = self._thread(session, key)
        if thread.written:
            self._check_written(session, key, thread, seen, started_s, r)
        if thread.seen:
            self._check_seen(session, key, thread, seen, started_s, r)
        known = [(dot, answered_s) for dot in seen.dots]
        unheld = [earlier for earlier in thread.seen if not seen.holds(earlier[0])]
        thread.seen = [*unheld, *known][-DOTS_MAX:] if unheld else known[-DOTS_MAX:]

    def verdicts(self) -> list[Verdict]:
        """Read your writes, and monotonic reads."""
        return [
            self._read_your_writes.verdict("without_own_write"),
            self._monotonic_reads.verdict("gone_back"),
        ]

    # --- inside -------------------------------------------------------------------------------------------

    def _thread(self, session: str, key: str) -> _Thread:
        thread = self._threads.pop((session, key), None) or _Thread()
        self._threads[session, key] = thread
        if len(self._threads) > self._threads_max:
            del self._threads[next(iter(self._threads))]
        return thread

    def _check_written(
        self, session: str, key: str, thread: _Thread, seen: Seen, started_s: float, r: int
    ) -> None:
        missed: list[_Missed] = []
        applies = False
        all_promised = True
        for write in thread.written:
            if write.at_s > started_s:
                continue
            applies = True
            promised = self._acknowledged.is_promised(w=write.w, r=r)
            all_promised = all_promised and promised
            if not seen.holds(write.dot):
                after_ms = (started_s - write.at_s) * 1000.0
                summary = (
                    f"{session} wrote {write.dot} under {key!r} (w={write.w}) and {after_ms:.1f} ms later "
                    f"read {seen} (r={r})"
                )
                missed.append(_Missed(summary, promised))
        if applies:
            self._read_your_writes.judged(missed, promised=all_promised)

    def _check_seen(
        self, session: str, key: str, thread: _Thread, seen: Seen, started_s: float, r: int
    ) -> None:
        missed: list[_Missed] = []
        applies = False
        none_lacks_promise = True
        for dot, at_s in thread.seen:
            if at_s > started_s:
                continue
            applies = True
            write = self._acknowledged.find(key, dot)
            by_quorums = write is not None and self._acknowledged.is_promised(w=write.w, r=r)
            none_lacks_promise = none_lacks_promise and (write is None or by_quorums)
            if not seen.holds(dot):
                acknowledged = write is not None and write.at_s <= started_s
                promised = by_quorums and acknowledged
                summary = (
                    f"{session} read {dot} under {key!r} and {(started_s - at_s) * 1000.0:.1f} ms later read "
                    f"{seen} (r={r})" + ("" if acknowledged else "; that write was not acknowledged by then")
                )
                missed.append(_Missed(summary, promised))
        if applies:
            self._monotonic_reads.judged(missed, promised=none_lacks_promise)
