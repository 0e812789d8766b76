"""Probabilistically bounded staleness: how likely is a fresh read t after a write was acknowledged?

Bailis, Venkataraman, Franklin, Hellerstein, Stoica: "Probabilistically Bounded Staleness for Practical Partial
Quorums", VLDB 2012, sections 4 and 5. The WARS model has four one-way delays between a coordinator and a replica:

    W  from sending a write to its being durable there      A  its acknowledgement back
    R  from sending a read to its arriving there            S  the answer back

A write is committed when the w-th acknowledgement is in. A read that is sent t later is fresh if among its first r
answers there is one of a replica that the write had reached before the read did. No formula is needed for that, only
many throws of dice (section 5.1).

Where a coordinator is a replica itself, as here, nothing travels to its own store: W is the time of one sync, and A, R
and S are nothing (section 4.2, "proxying operations"). So with r = 1 the reader's coordinator answers from its own
store, and the read is fresh if the write has arrived there.

Here: the model, and reading its delays out of traces. Not here: making requests (pbs_run.py), and judging reads
(kvnode.checkers.staleness).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from traffic.stores.base import TraceEvent

TRIALS = 20_000

# What nodes note in a trace.
SENT_WRITE, STORED, HEARD_STORED = "sent the record to", "stored", "heard stored from"
SENT_READ, GOT_READ, HEARD_READ = "asked", "was asked by", "heard the record from"


@dataclass
class Delays:
    """One-way delays in ms, as they were seen. write_here: how long a coordinator's own store took."""

    write: list[float] = field(default_factory=list)
    acknowledgement: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    response: list[float] = field(default_factory=list)
    write_here: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        parts = {
            "W": self.write,
            "A": self.acknowledgement,
            "R": self.read,
            "S": self.response,
            "own store": self.write_here,
        }
        return ", ".join(f"{name} {_mean(found):.1f} ms ({len(found)})" for name, found in parts.items())


def learn_write(story: Iterable[TraceEvent], delays: Delays, *, w: int) -> float | None:
    """Take W and A out of the story of one write. Answers when it was committed (wall clock of the coordinator, ms);
    None if the story is not whole."""
    sent: dict[str, float] = {}
    stored: dict[str, float] = {}
    heard: dict[str, float] = {}
    coordinator = began_ms = None
    for event in story:
        if event.event == SENT_WRITE:
            coordinator = event.node
            began_ms = event.at_ms if began_ms is None else began_ms
            sent[event.peer] = event.at_ms
        elif event.event == STORED:
            stored[event.node] = event.at_ms
        elif event.event == HEARD_STORED:
            heard[event.peer] = event.at_ms
    if coordinator is None or began_ms is None or coordinator not in stored:
        return None
    for peer, sent_ms in sent.items():
        if peer in stored:
            delays.write.append(stored[peer] - sent_ms)
            if peer in heard:
                delays.acknowledgement.append(heard[peer] - stored[peer])
    delays.write_here.append(max(0.0, stored[coordinator] - began_ms))
    acknowledged = sorted((stored[coordinator], *heard.values()))
    return acknowledged[w - 1] if len(acknowledged) >= w else None


def learn_read(story: Iterable[TraceEvent], delays: Delays) -> float | None:
    """Take R and S out of the story of one read. Answers when its coordinator sent it (wall clock, ms)."""
    sent: dict[str, float] = {}
    got: dict[str, float] = {}
    for event in story:
        if event.event == SENT_READ:
            sent[event.peer] = event.at_ms
        elif event.event == GOT_READ:
            got[event.node] = event.at_ms
        elif event.event == HEARD_READ and event.peer in got and event.peer in sent:
            delays.read.append(got[event.peer] - sent[event.peer])
            delays.response.append(event.at_ms - got[event.peer])
    return min(sent.values(), default=None)


def probability_fresh(
    delays: Delays,
    *,
    n: int,
    r: int,
    w: int,
    t_ms: Sequence[float],
    random: Random,
    trials: int = TRIALS,
) -> float:
    """The share of reads that return the write, if they are sent t after its commit, through another coordinator.

    t_ms: values of t; every trial draws one of them, so that the t's that were really achieved can be given. Delays are
    drawn independently of each other (section 4.1).
    """
    if not (n >= 2 and 1 <= r <= n and 1 <= w <= n):
        raise ValueError(f"n={n}, r={r}, w={w}: expected n >= 2, and r and w from 1 to n")
    fresh = sum(_is_fresh(delays, n, r, w, random.choice(t_ms), random.choice) for _ in range(trials))
    return fresh / trials


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _is_fresh(
    delays: Delays, n: int, r: int, w: int, t_ms: float, draw: Callable[[Sequence[float]], float]
) -> bool:
    """One throw. Replica 0 coordinates the write, replica 1 the read."""
    others = range(1, n)
    arrives = [draw(delays.write_here), *(draw(delays.write) for _ in others)]
    heard = sorted([arrives[0], *(arrives[other] + draw(delays.acknowledgement) for other in others)])
    read_ms = heard[w - 1] + t_ms
    answers = []
    for replica in range(n):
        asked_ms = answered_ms = 0.0
        if replica != 1:
            asked_ms = draw(delays.read)
            answered_ms = asked_ms + draw(delays.response)
        answers.append((answered_ms, arrives[replica] <= read_ms + asked_ms))
    answers.sort()
    return any(fresh for _, fresh in answers[:r])
