"""Single-decree Paxos: a majority of acceptors decides one value, whoever proposes, dies or is slow meanwhile.

(Lamport, "Paxos Made Simple", 2001, section 2.) A proposer first collects promises for its ballot from a majority,
then proposes: the value accepted in the greatest ballot that it was told of, else its own. So once a majority has
accepted a value, every later ballot proposes that same value, and a proposer that died midway leaves a decision that
any other can finish.

Pure: no messages, no disk, no time. The caller makes an acceptor durable before it tells anybody of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kvnode.messages import Ballot
from kvnode.ring import RingState
from kvnode.versions.bounds import Count

NO_BALLOT: Ballot = (0, "")


class Acceptor(msgspec.Struct, frozen=True, array_like=True):
    """What one acceptor has promised and accepted on what follows `epoch`.

    Invariant: accepted is None, or its ballot is at most `promised`.
    """

    epoch: Count = 0
    promised: Ballot = NO_BALLOT
    accepted: tuple[Ballot, RingState] | None = None

    def prepare(self, ballot: Ballot) -> Acceptor:
        """After a Prepare: promises `ballot`, unless a greater one is promised already."""
        return self if ballot < self.promised else Acceptor(self.epoch, ballot, self.accepted)

    def accept(self, ballot: Ballot, value: RingState) -> Acceptor:
        """After an Accept: accepts, unless a greater ballot is promised."""
        return self if ballot < self.promised else Acceptor(self.epoch, ballot, (ballot, value))


class Proposer:
    """One ballot of one proposer: counts what the acceptors told.

    value: what it proposes; the caller's, until the promises show that another one may be decided already.
    beaten_by: the greatest ballot that refused this one, if any did.
    """

    def __init__(self, ballot: Ballot, value: RingState, acceptors: Iterable[str]) -> None:
        self.ballot = ballot
        self.value = value
        self.acceptors = frozenset(acceptors)
        self.beaten_by: Ballot | None = None
        self._promises: dict[str, tuple[Ballot, RingState] | None] = {}
        self._acceptances: set[str] = set()

    @property
    def majority(self) -> int:
        """How many acceptors decide."""
        return len(self.acceptors) // 2 + 1

    @property
    def promise_count(self) -> int:
        """How many have promised."""
        return len(self._promises)

    @property
    def acceptance_count(self) -> int:
        """How many have accepted."""
        return len(self._acceptances)

    @property
    def may_propose(self) -> bool:
        """A majority has promised: the value is settled, phase 2 may begin."""
        return len(self._promises) >= self.majority

    @property
    def is_decided(self) -> bool:
        """A majority has accepted: the value is decided, for ever."""
        return len(self._acceptances) >= self.majority

    def promised(self, acceptor: str, promised: Ballot, accepted: tuple[Ballot, RingState] | None) -> None:
        """An answer to Prepare. What comes after phase 2 began changes nothing."""
        if self._take(acceptor, promised) and not self.may_propose:
            self._promises[acceptor] = accepted
            if self.may_propose:
                found = [each for each in self._promises.values() if each is not None]
                if found:
                    self.value = max(found, key=lambda each: each[0])[1]

    def accepted(self, acceptor: str, promised: Ballot) -> None:
        """An answer to Accept."""
        if self._take(acceptor, promised):
            self._acceptances.add(acceptor)

    def _take(self, acceptor: str, promised: Ballot) -> bool:
        if acceptor in self.acceptors and promised == self.ballot:
            return True
        if promised > self.ballot and (self.beaten_by is None or promised > self.beaten_by):
            self.beaten_by = promised
        return False
