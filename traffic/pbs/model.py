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

t is the client's: from having the answer to the write to sending the read. The way from a node to the client and back
is part of the write and of the read here: under links of 20 ms, one millisecond more is five points of freshness.

Delays are not drawn one by one but a write, and a read, at a time, each as one trace saw it. Replicas on one computer
share its disk and its processors: when one sync is slow, so is the other, and so is the answer to the client. And a
write meets the reads of others that were under way at about the same time (never its own), since a computer has slow
moments and quick ones.

Here: the model, and reading its delays out of traces.
Must not live here: making requests (measure.py), and judging reads (kvnode.checkers.staleness).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from traffic.stores.base import TraceEvent

TRIALS = 20_000
NEAR = 5  # so many writes before and after are at about the same time

# What nodes note in a trace.
SENT_WRITE, STORED, HEARD_STORED = "sent the record to", "stored", "heard stored from"
SENT_READ, GOT_READ, HEARD_READ = "asked", "was asked by", "heard the record from"


class OfWrite(NamedTuple):
    """The delays of one write in ms. here: until it was durable at its coordinator. others: of each other replica (W,
    A). to_client: from the commit until the client had the answer."""

    here: float
    others: tuple[tuple[float, float], ...]
    to_client: float = 0.0

    def committed(self, w: int) -> float:
        """When the w-th acknowledgement was in, since the write was sent."""
        return sorted((self.here, *(there + back for there, back in self.others)))[w - 1]


class OfRead(NamedTuple):
    """The delays of one read in ms. others: of each other replica (R, S). from_client: from the client's sending it
    until its coordinator began."""

    others: tuple[tuple[float, float], ...]
    from_client: float = 0.0


def described(writes: Iterable[OfWrite], reads: Iterable[OfRead]) -> str:
    """The mean of every delay, and of how many."""
    writes, reads = list(writes), list(reads)
    parts = {
        "W": [there for write in writes for there, _ in write.others],
        "A": [back for write in writes for _, back in write.others],
        "R": [there for read in reads for there, _ in read.others],
        "S": [back for read in reads for _, back in read.others],
        "own store": [write.here for write in writes],
        "to the client": [write.to_client for write in writes],
        "from the client": [read.from_client for read in reads],
    }
    return ", ".join(f"{name} {_mean(found):.1f} ms ({len(found)})" for name, found in parts.items())


def write_of(trace: Iterable[TraceEvent]) -> tuple[OfWrite, float] | None:
    """The delays of one write out of its trace, and when it was sent (wall clock, ms); None if the trace is not
    whole."""
    sent: dict[str, float] = {}
    stored: dict[str, float] = {}
    heard: dict[str, float] = {}
    coordinator = ""
    for event in trace:
        if event.event == SENT_WRITE:
            coordinator = event.node
            sent[event.peer] = event.at_ms
        elif event.event == STORED:
            stored[event.node] = event.at_ms
        elif event.event == HEARD_STORED:
            heard[event.peer] = event.at_ms
    if (
        not sent
        or coordinator not in stored
        or not (sent.keys() <= stored.keys() and sent.keys() <= heard.keys())
    ):
        return None
    sent_ms = min(sent.values())
    others = tuple((stored[peer] - sent_ms, heard[peer] - stored[peer]) for peer in sent)
    return OfWrite(stored[coordinator] - sent_ms, others), sent_ms


def read_of(trace: Iterable[TraceEvent]) -> tuple[OfRead, float] | None:
    """The delays of one read out of its trace, and when it was sent (wall clock, ms); None if the trace is not
    whole."""
    sent: dict[str, float] = {}
    got: dict[str, float] = {}
    heard: dict[str, float] = {}
    for event in trace:
        if event.event == SENT_READ:
            sent[event.peer] = event.at_ms
        elif event.event == GOT_READ:
            got[event.node] = event.at_ms
        elif event.event == HEARD_READ:
            heard[event.peer] = event.at_ms
    if not sent or not (sent.keys() <= got.keys() and sent.keys() <= heard.keys()):
        return None
    sent_ms = min(sent.values())
    return OfRead(tuple((got[peer] - sent_ms, heard[peer] - got[peer]) for peer in sent)), sent_ms


def probability_fresh(
    writes: Mapping[int, OfWrite],
    reads: Mapping[int, tuple[float, OfRead]],
    *,
    r: int,
    w: int,
    random: Random,
    trials: int = TRIALS,
) -> float:
    """The share of reads that return the write, if another coordinator serves them.

    Both by the number of the write, in the order in which they were made. reads: each with the t (ms) at which it was
    sent.
    """
    if not (writes and reads):
        raise ValueError("no delays to draw from: expected at least one write and one read")
    numbers, others = list(writes), list(reads)
    n = len(writes[numbers[0]].others) + 1
    if not (n >= 2 and 1 <= r <= n and 1 <= w <= n):
        raise ValueError(f"n={n}, r={r}, w={w}: expected n >= 2, and r and w from 1 to n")
    fresh = 0
    for _ in range(trials):
        number = random.choice(numbers)
        write = writes[number]
        near = [
            other for other in range(number - NEAR, number + NEAR + 1) if other != number and other in reads
        ]
        t_ms, read = reads[random.choice(near or others)]
        read_ms = write.committed(w) + write.to_client + t_ms + read.from_client
        fresh += _is_fresh(write, read, random.randrange(n - 1), r=r, read_ms=read_ms)
    return fresh / trials


def _is_fresh(write: OfWrite, read: OfRead, reader: int, *, r: int, read_ms: float) -> bool:
    """One throw: a read that replica `reader` (among the others of the write) begins at read_ms."""
    arrivals = [there for there, _ in write.others]
    answers = [(0.0, arrivals.pop(reader) <= read_ms)]
    for arrived_ms, (out_ms, back_ms) in zip((write.here, *arrivals), read.others, strict=True):
        answers.append((out_ms + back_ms, arrived_ms <= read_ms + out_ms))
    answers.sort()
    return any(fresh for _, fresh in answers[:r])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
