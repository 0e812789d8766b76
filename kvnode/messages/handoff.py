"""What nodes say about the ring: which is newer, what follows it (handoff/paxos.py), and how far a change has come."""

from __future__ import annotations

import msgspec

from kvnode.ring import RingState
from kvnode.versions.bounds import Count, Id

Ballot = tuple[Count, str]
"""(round, store id): the names of attempts to decide, ordered, never used twice."""


class Stale(msgspec.Struct, frozen=True, array_like=True, tag="stale"):
    """That question is of an older ring than mine, so it is refused, nothing was stored, and here is mine."""

    id: Id
    ring: RingState


class AskRing(msgspec.Struct, frozen=True, array_like=True, tag="ask-ring"):
    """Your ring is newer than mine: send it. Answered by RingNews."""


class RingNews(msgspec.Struct, frozen=True, array_like=True, tag="ring-news"):
    """This ring was decided."""

    ring: RingState


class Prepare(msgspec.Struct, frozen=True, array_like=True, tag="prepare"):
    """Paxos, phase 1, on what follows this epoch: promise to take part in no earlier ballot. Answered by Promise."""

    id: Id
    epoch: Count
    ballot: Ballot


class Accept(msgspec.Struct, frozen=True, array_like=True, tag="accept"):
    """Paxos, phase 2: accept this value in this ballot. Answered by Accepted."""

    id: Id
    epoch: Count
    ballot: Ballot
    value: RingState


class Promise(msgspec.Struct, frozen=True, array_like=True, tag="promise"):
    """What this acceptor has promised and accepted so far, durably. counts: it may vote on this epoch at all.

    A promise of another ballot than was asked for is a refusal, which tells what beat it.
    """

    id: Id
    promised: Ballot
    accepted: tuple[Ballot, RingState] | None
    counts: bool


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted"):
    """The same after an Accept: it is accepted if no later ballot was promised."""

    id: Id
    promised: Ballot
    accepted: tuple[Ballot, RingState] | None
    counts: bool


class CheckEmptiness(msgspec.Struct, frozen=True, array_like=True, tag="check-emptiness"):
    """Do you still hold anything of an earlier membership? Answered by Emptiness: who joins must begin with nothing."""

    id: Id


class Emptiness(msgspec.Struct, frozen=True, array_like=True, tag="emptiness"):
    """So many records and hints are here, durably."""

    id: Id
    records: Count
    hints: Count


class Progress(msgspec.Struct, frozen=True, array_like=True, tag="progress"):
    """Of the partitions that I take over in this epoch so many are complete here, durably."""

    epoch: Count
    done: Count
    total: Count
