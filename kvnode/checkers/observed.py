"""What the checkers of reads are told: acknowledged writes, and what a read returned. Kept as versions, not as values.

Must not live here: judging (staleness.py, sessions.py), and the final reads (ledger.py).

A counter fits in the same frame: an actor's running totals only grow, so `(actor, increments + decrements)` names one
update as a dot does, and a counter that was read is a version vector.

Times are seconds of the client's own monotonic clock: a write counts for a read only if its acknowledgement had
arrived before the read was sent. No wall clock, and no clock of a node, is compared with another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from kvnode.versions import FORGOTTEN, Dot

KEYS_MAX = 10_000
WRITES_PER_KEY_MAX = 16


class SiblingLike(Protocol):
    """One version of a key, as an acknowledgement or a read tells it.

    vector_clock: with its own dot; issued_under: without, if it is known; issued_under_dots: single writes that
    its writer had seen beside that.
    """

    @property
    def dot(self) -> str: ...

    @property
    def vector_clock(self) -> Mapping[str, int]: ...

    @property
    def issued_under(self) -> Mapping[str, int] | None: ...

    @property
    def issued_under_dots(self) -> Sequence[str]: ...


class Past(Struct, frozen=True):
    """What a writer had seen: all writes up to these counters of each store, and single writes beside that.

    (kvnode.versions.Context says the same and pays for a canonical form; these are made by the million and asked once.)
    """

    vector: Mapping[str, int] = {}
    dots: tuple[Dot, ...] = ()

    def covers(self, dot: Dot) -> bool:
        """Whether the write `dot` had been seen."""
        return self.vector.get(dot.store, 0) >= dot.counter or (bool(self.dots) and dot in self.dots)

    def may_have_covered(self, dot: Dot) -> bool:
        """The same, or else that it was relieved of old stores, and that of the dot may be among them."""
        return self.covers(dot) or (FORGOTTEN in self.vector and dot.store not in self.vector)


class Write(Struct):
    """One acknowledged write of a key. past: what its writer had seen. at_s: when its acknowledgement arrived.

    follows_all: it had seen every earlier write that is kept of its key (Acknowledged knows).
    """

    dot: Dot
    past: Past
    at_s: float
    w: int
    follows_all: bool = False

    @classmethod
    def of_put(
        cls,
        dot: str,
        vector_clock: Mapping[str, int],
        *,
        at_s: float,
        w: int,
        issued_under: Mapping[str, int] | None = None,
        issued_under_dots: Sequence[str] = (),
    ) -> Write:
        """From the answer to a PUT."""
        own = Dot.parse(dot)
        return cls(own, past_of(own, vector_clock, issued_under, issued_under_dots), at_s, w)

    @classmethod
    def of_counter(cls, actor: str, increments: int, decrements: int = 0, *, at_s: float, w: int) -> Write:
        """From totals of an actor that were acknowledged."""
        total = increments + decrements
        return cls(Dot(actor, total), Past({actor: total - 1}), at_s, w)


class Seen:
    """What one read returned of one key: the dots of its versions, and their pasts."""

    __slots__ = ("_pasts", "dots")

    def __init__(self, dots: Sequence[Dot], pasts: Sequence[Past]) -> None:
        self.dots = dots
        self._pasts = pasts

    @classmethod
    def of_siblings(cls, siblings: Sequence[SiblingLike]) -> Seen:
        """From the siblings of a GET; none if there was no such key."""
        dots, pasts = [], []
        for sibling in siblings:
            dot = Dot.parse(sibling.dot)
            dots.append(dot)
            pasts.append(past_of(dot, sibling.vector_clock, sibling.issued_under, sibling.issued_under_dots))
        return cls(dots, pasts)

    @classmethod
    def of_counter(cls, actors: Mapping[str, tuple[int, int]]) -> Seen:
        """From each actor's (increments, decrements)."""
        totals = {actor: increments + decrements for actor, (increments, decrements) in actors.items()}
        return cls([Dot(actor, total) for actor, total in totals.items() if total], [Past(totals)])

    def holds(self, dot: Dot) -> bool:
        """Whether the read returned this write, or one that was, or may have been, made with knowledge of it."""
        if dot in self.dots:
            return True
        return any(past.may_have_covered(dot) for past in self._pasts)

    def __str__(self) -> str:
        return ", ".join(map(str, self.dots)) or "nothing"


class Acknowledged:
    """The newest acknowledged writes of each key, in the order of their acknowledgements.

    n: how many replicas a key has. Invariant: at most keys_max keys (those written longest ago are forgotten), and
    WRITES_PER_KEY_MAX writes of each.
    """

    def __init__(self, n: int = 3, *, keys_max: int = KEYS_MAX) -> None:
        self.n = n
        self._keys_max = keys_max
        self._writes: dict[str, deque[Write]] = {}

    def __len__(self) -> int:
        return len(self._writes)

    def add(self, key: str, write: Write) -> None:
        """A write of `key` was acknowledged."""
        known = self._writes.pop(key, None)
        if known is None:
            known = deque(maxlen=WRITES_PER_KEY_MAX)
            write.follows_all = True
        else:
            write.follows_all = known[-1].follows_all and write.past.covers(known[-1].dot)
        known.append(write)
        self._writes[key] = known
        if len(self._writes) > self._keys_max:
            del self._writes[next(iter(self._writes))]

    def newest_first(self, key: str, before_s: float) -> Iterator[Write]:
        """The writes of `key` that were acknowledged by then."""
        for write in reversed(self._writes.get(key, ())):
            if write.at_s <= before_s:
                yield write

    def find(self, key: str, dot: Dot) -> Write | None:
        """The acknowledged write with this dot, if it is still kept."""
        for write in reversed(self._writes.get(key, ())):
            if write.dot == dot:
                return write
        return None

    def is_promised(self, *, w: int, r: int) -> bool:
        """Whether a read of r replicas must meet a write that w have acknowledged.

        One disk is one failure, even with r = n: so w=1 promises nothing where there are more replicas.
        """
        return w + r > self.n and (w > 1 or self.n == 1)


def past_of(
    dot: Dot,
    vector_clock: Mapping[str, int],
    issued_under: Mapping[str, int] | None,
    issued_under_dots: Sequence[str] = (),
) -> Past:
    """What the writer of `dot` had seen; where that is not told, its clock without its own dot (see ledger.py)."""
    if issued_under is None:
        issued_under = {**vector_clock, dot.store: min(vector_clock.get(dot.store, 0), dot.counter - 1)}
    return Past(issued_under, tuple(map(Dot.parse, issued_under_dots)) if issued_under_dots else ())
