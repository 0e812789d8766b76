"""What earlier generators of this cluster have left behind when they were killed, and the verdict on it.

Here: finding their journals, reading everything back, remembering the verdict.
Must not live here: the file (journal.py), what "lost" means (kvnode.checkers.ledger).

A journal is deleted when there is a verdict on it; one that cannot be judged now (nodes that do not answer) is tried
again with every check. Journals of other clusters are left to their own successors, and deleted when they are old.
Where nothing can be known (a folder that cannot be read, a journal that was given up) the verdict is unknown.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kvnode.checkers import Verdict
from traffic.verify.final_reads import QuorumReads
from traffic.verify.journal import DeadJournal, dead_journals
from traffic.verify.journal_keeping import why_unusable
from traffic.verify.write_ledger import merged, read_back

CLAIM = "no acknowledged write of an earlier generator that was killed is lost or counted wrong"
READS_AT_ONCE = 4
AGE_S_MAX = 7 * 86_400.0


@dataclass
class Recovered:
    """Of whom, and how much."""

    processes: int = 0
    counters: int = 0
    puts: int = 0


class JournalRecovery:
    """The journals of the dead in `folder`. `cluster` is this cluster's identity, "" while it is not known."""

    def __init__(self, folder: Path, reads: QuorumReads) -> None:
        self._folder = folder
        self._reads = reads
        self._left: list[DeadJournal] = []
        self._verdict: Verdict | None = None  # on all that was judged so far
        self._why_blind: str | None = None
        self._judging = asyncio.Lock()
        self.recovered = Recovered()

    async def take(self, cluster: str) -> None:
        """Look for journals of this cluster's dead, and judge them."""
        self._why_blind = why_unusable(self._folder)
        found = await asyncio.to_thread(self._read, cluster)
        for journal in found:
            self.recovered.processes += 1
            self.recovered.counters += journal.counters
            self.recovered.puts += journal.puts
        self._left += found
        await self.verdict()

    async def verdict(self) -> Verdict | None:
        """On all that was recovered; None if that is nothing."""
        async with self._judging:
            verdicts = await self._judge() if self._left else []
            if self._verdict is not None:
                verdicts.append(self._verdict)
            if self._why_blind is not None:
                verdicts.append(Verdict.not_known(CLAIM, f"no journals can be read: {self._why_blind}"))
            return replace(merged(verdicts), claim=CLAIM) if verdicts else None

    async def _judge(self) -> list[Verdict]:
        """Read everything back; the verdicts on what cannot be judged yet."""
        kv_reads, counter_reads = await read_back(
            [one.ledger for one in self._left], self._reads, READS_AT_ONCE
        )
        unknown: list[Verdict] = []
        for journal in list(self._left):
            verdict = await asyncio.to_thread(journal.ledger.check, kv_reads, counter_reads)
            if verdict.status == "unknown" and verdict.acknowledged:
                unknown.append(verdict)
                continue
            journal.let_go(delete=True)
            self._left.remove(journal)
            if journal.given_up:
                verdict = Verdict.not_known(
                    CLAIM, f"{journal.name} had given its journal up before it was killed"
                )
            if journal.given_up or verdict.status != "unknown":
                self._verdict = merged([self._verdict, verdict] if self._verdict else [verdict])
        return unknown

    def summary(self) -> dict[str, Any]:
        """For people and JSON."""
        status = self._verdict.status if self._verdict else None
        if status != "violated" and (self._left or self._why_blind):
            status = "unknown"
        return {
            "processes": self.recovered.processes,
            "counters": self.recovered.counters,
            "puts": self.recovered.puts,
            "status": status,
        }

    def close(self) -> None:
        """What was not judged stays for the next."""
        for journal in self._left:
            journal.let_go(delete=False)
        self._left = []

    def _read(self, cluster: str) -> list[DeadJournal]:
        taken: list[DeadJournal] = []
        try:
            found = dead_journals(self._folder)
        except OSError:  # `_why_blind` says more
            return []
        for journal in found:
            try:
                journal.read(r=self._reads.quorum)
            except OSError:  # its writer deleted it between our look and our lock
                journal.let_go(delete=False)
                continue
            if journal.cluster == cluster and (journal.puts or journal.counters or journal.given_up):
                taken.append(journal)
            else:
                # Nothing was ever answered to who never knew its cluster: there is nothing to judge.
                useless = journal.cluster in ("", cluster) or time.time() - journal.written_at_s > AGE_S_MAX
                journal.let_go(delete=useless)
        return taken
