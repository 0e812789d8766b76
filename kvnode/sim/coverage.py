"""What the runs of each scenario have met: in which share of its seeds each fault, request and check happened.

A simulation proves only what it produces and checks only what it looks at. So what it must produce is listed here, and
counts as covered where it happens in at least RARE_SHARE of the seeds of some scenario.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

RARE_SHARE = 0.05
CHECKED = "checked: "
FAULTS = (
    "crash",
    "crash that lost unsynced rows",
    "crash after a sync that nobody heard of",
    "all crash at once",
    "stop in order",
    "rolling restart",
    "pause",
    "partition",
    "partial partition",
    "partial partition in a change of the ring",
    "one-way cut",
    "loss",
    "delay",
    "lie",
    "clock skew",
    "clock skew of days",
    "coarse clocks",
    "slow disk",
    "full disk",
    "all disks full at once",
    "start on a full disk",
    "failing writes",
    "write refused by a disk",
    "damaged row",
    "damaged row found",
    "damaged row on a full disk",
    "row dropped at a start",
    "lost disk",
    "lost disk in a storm",
    "lost disk of a store that was being refilled",
    "lost disk when another is behind",
    "2 stores lost at a time",
    "folder put back",
    "folder put back while another is away",
    "older folder noticed",
    "join begun",
    "leave begun",
    "remove begun",
    "crash in a hand-over",
    "hints alone",
)
ASKED = (
    "asked: r or w of 1",
    "asked: r or w of 2",
    "asked: r or w of 3",
    "asked: r or w of 5",
    "asked: mode=lww",
    "asked: a decrement",
    "asked: a change without an actor",
    "asked: a counter in mid-run",
    "asked: the same again through another node",
    "asked: many keys at once",
    "asked: large values",
    "fallback acknowledged",
    "request forwarded",
)
WANTED = (*FAULTS, *ASKED)


@dataclass
class Seen:
    """How many seeds of a scenario were run, and in how many of them each event happened."""

    seed_count: int = 0
    events: Counter[str] = field(default_factory=Counter)

    def add(self, counts: Mapping[str, int]) -> None:
        """One more seed."""
        self.seed_count += 1
        self.events.update(event for event, count in counts.items() if count)

    def share(self, event: str) -> float:
        """Of the seeds."""
        return self.events[event] / self.seed_count if self.seed_count else 0.0


def lines(seen: Mapping[str, Seen]) -> Iterable[str]:
    """The table: a row for each event that must happen and for each check, a column for each scenario."""
    names = list(seen)
    checks = sorted({event for each in seen.values() for event in each.events if event.startswith(CHECKED)})
    width = max(len(event) for event in (*WANTED, *checks))
    yield f"{'share of the seeds in which it happened (%)':{width}}  " + "  ".join(names)
    for event in (*WANTED, *checks):
        shares = (f"{100.0 * seen[name].share(event):{len(name)}.0f}" for name in names)
        mark = "  <- rare" if event in rare(seen) else ""
        yield f"{event:{width}}  " + "  ".join(shares) + mark


def rare(seen: Mapping[str, Seen]) -> list[str]:
    """What must happen, and does so in less than RARE_SHARE of the seeds of every scenario; and such checks."""
    checks = {event for each in seen.values() for event in each.events if event.startswith(CHECKED)}
    return [
        event
        for event in (*WANTED, *sorted(checks))
        if max((each.share(event) for each in seen.values()), default=0.0) < RARE_SHARE
    ]
