"""Rights: which units on a shelf this process may take. The arithmetic that never oversells.

Here: one shelf's rights as one actor holds them.
Must not live here: operations, shelves of others, time.

The method is escrow (O'Neil, "The escrow transactional method", TODS 11(4), 1986, section 3) in the form that
bounded counters gave it (Balegas et al., "Extending eventually consistent cloud databases for enforcing numeric
invariants", SRDS 2015, section IV): the right to take a unit belongs to one actor, which got it by adding that unit
itself, and which takes units only against its rights, without asking anybody. A unit passes through these states:

    received  its addition was acknowledged: it is durable, and the right to take it is this actor's
    reserved  promised to an order or a transfer (O'Neil's quantity in escrow)
    spent     its removal was asked for. Answered or not, the right is gone: an unanswered removal may have happened,
              and what may have happened must not happen again

Rights cannot be taken over from an actor that is gone: nobody can know that its last removal is not still under way.
They are simply not sold. (Passing them on needs an agreement on who is gone: a register, or a transaction.)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Rights:
    """Of one actor on one shelf. Invariant: 0 <= spent + reserved <= received."""

    received: int = 0
    reserved: int = 0
    spent: int = 0

    @property
    def free(self) -> int:
        """Units that may still be promised to somebody."""
        return self.received - self.reserved - self.spent

    def receive(self, units: int) -> None:
        """The addition of these units was acknowledged."""
        self.received += units
        self._check()

    def reserve(self, units: int) -> bool:
        """Promise units; False, and nothing has changed, if there are not enough."""
        if units > self.free:
            return False
        self.reserved += units
        self._check()
        return True

    def release(self, units: int) -> None:
        """Take a promise back: the order did not come about, and no removal was asked for."""
        self.reserved -= units
        self._check()

    def spend(self, units: int) -> None:
        """The removal of promised units is about to be sent. There is no way back."""
        self.reserved -= units
        self.spent += units
        self._check()

    def _check(self) -> None:
        assert self.reserved >= 0, f"more was released or spent than promised: {self}"
        assert 0 <= self.spent + self.reserved <= self.received, f"more was promised than received: {self}"
