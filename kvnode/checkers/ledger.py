"""The ledger: keeps every acknowledged write and, at the end, asks whether the database still has it.

Must not live here: sending and reading. Whoever writes tells the ledger what was answered, and brings the final
quorum reads; the ledger only judges. It is not thread-safe: writers in several threads share a lock.

An acknowledged put is lost if the final quorum read neither holds its dot nor a version whose *past* (the
context it was issued under) covers the dot. The past, not the printed vector clock, decides: a clock {a:
17} includes the version's own dot a:17, and would seem to cover a sibling a:16 that its writer never saw.
That hole in plain version vectors is what dots are for (Preguiça et al., "Dotted Version Vectors", 2010,
section 3). A past is a vector and, beside it, single dots. Where it is not told, the vector clock stands
for it with its own entry one less than the dot, which is what a put without a context means.

A past may have been relieved of old stores (versions.FORGOTTEN). Then it does not say whether it covered a dot of such
a store. The ledger goes by what it was told before: who has seen a write has seen what its writer had seen. What it
cannot judge so makes its verdict unknown; it does not guess. That happens only where the write that covered it was
itself never answered, and its key has outlived a dozen crashes since.

An acknowledged delete is lost if something is there again that it had seen: its tombstone itself may have
been reaped. So may that of a delete that is at risk, or whose outcome is not known; where there was one, a put
that is missing may have been deleted by it, and is not held against the database.

So that memory is bounded by the keys and not by the writes, a dot is forgotten as soon as another
acknowledged put covers it: from then on the later put answers for both. A put at risk (w + r <= n) never
takes over from a safe one.

A counter keeps running totals of each actor. At the end an actor's totals must be at least the last
acknowledged and at most the last sent ones (so exactly those, if everything was answered), and the value
must be their sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kvnode.checkers.observed import SiblingLike
from kvnode.checkers.verdict import Status, Verdict, shortened
from kvnode.versions.dots import Dot
from kvnode.versions.vectors import FORGOTTEN

CLAIM = "no acknowledged write was lost"

Totals = tuple[int, int]
"""(increments, decrements)."""


@dataclass(frozen=True)
class SiblingRead:
    """One sibling of a final quorum read: a SiblingLike."""

    dot: str
    vector_clock: Mapping[str, int]
    issued_under: Mapping[str, int] | None = None
    deleted: bool = False
    issued_under_dots: Sequence[str] = ()

    @classmethod
    def of(cls, sibling: Mapping[str, Any]) -> SiblingRead:
        """From a sibling as GET /kv/{key} answers it."""
        return cls(
            dot=str(sibling["dot"]),
            vector_clock=sibling["vector_clock"],
            issued_under=sibling.get("issued_under"),
            deleted=bool(sibling.get("deleted", False)),
            issued_under_dots=sibling.get("issued_under_dots", ()),
        )


@dataclass(frozen=True)
class CounterRead:
    """A final quorum read of a counter: its value and each actor's (increments, decrements)."""

    value: int
    actors: Mapping[str, Totals]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> CounterRead:
        """From what GET /counter/{key} answers."""
        actors: Mapping[str, Mapping[str, int]] = answer["actors"]
        return cls(
            int(answer["value"]),
            {actor: (entry["increments"], entry["decrements"]) for actor, entry in actors.items()},
        )


class _Past(NamedTuple):
    """What a writer had seen. by_others: what those had seen whom it saw; its own vector may be relieved of it."""

    vector: Mapping[str, int]
    dots: frozenset[Dot]
    by_others: Mapping[str, int] = {}


@dataclass
class _Put:
    past: _Past
    w: int
    safe: bool
    deleted: bool


@dataclass
class _Actor:
    """Invariant: acknowledged_safe <= acknowledged <= sent, in both parts."""

    acknowledged_safe: Totals = (0, 0)
    acknowledged: Totals = (0, 0)
    sent: Totals = (0, 0)


@dataclass
class _Findings:
    lost_safe: int = 0
    lost_at_risk: int = 0
    unread: int = 0
    unjudged: int = 0
    counters_checked: int = 0
    counters_wrong: int = 0
    evidence: list[str] = field(default_factory=list)


class Ledger:
    """Every acknowledged write of one run.

    r: the read quorum of the final reads; a write is safe (the promise extends to it) if w + r > n, and it was not
    sloppy.
    """

    def __init__(self, *, r: int = 2) -> None:
        self.r = r
        self.acknowledged_puts = 0
        self.acknowledged_counter_updates = 0
        self.indefinite = 0
        self.at_risk = 0
        self.forgotten = 0  # puts for which a later put answers
        self.unjudged = (
            0  # in the last check: what may have been covered by a past that was relieved of its store
        )
        self._puts: dict[str, dict[Dot, _Put]] = {}
        self._maybe_deleted: set[str] = set()
        self._counters: dict[str, dict[str, _Actor]] = {}

    # --- what happened ----------------------------------------------------------------------------------

    def acknowledged_put(
        self,
        key: str,
        version: SiblingLike,
        *,
        w: int = 2,
        n: int = 3,
        deleted: bool = False,
        sloppy: bool = False,
    ) -> None:
        """A PUT or DELETE was answered with 200, as this version, by w of n replicas.

        sloppy: fallbacks may be among them, so the promise does not extend to it.
        """
        self.acknowledged_puts += 1
        own = Dot.parse(version.dot)
        past = _past(own, version)
        live = self._puts.setdefault(key, {})
        for other_dot, other in live.items():
            if _covers(past, other_dot):
                past = _seen_by_others(past, other.past)
        put = _Put(past, w, self._is_safe(w, n, sloppy), deleted)
        if deleted and not put.safe:
            self._maybe_deleted.add(key)
        for other_dot, other in list(live.items()):
            if _covers(put.past, other_dot) and (put.safe or not other.safe):
                del live[other_dot]
                self.forgotten += 1
        if any(_covers(other.past, own) and (other.safe or not put.safe) for other in live.values()):
            self.forgotten += 1  # its answer came late: a put that had seen it was answered first
        else:
            live[own] = put

    def acknowledged(self, answer: Mapping[str, Any], *, n: int = 3, deleted: bool = False) -> None:
        """The same, from the body of the answer."""
        self.acknowledged_put(
            answer["key"],
            SiblingRead.of(answer),
            w=answer["w"],
            n=n,
            deleted=deleted,
            sloppy=bool(answer.get("sloppy", False)),
        )

    def indefinite_put(self, key: str, *, deleted: bool = False) -> None:
        """A PUT or DELETE was sent and its outcome is not known: it may or may not be there at the end."""
        if deleted:
            self._maybe_deleted.add(key)
        self.indefinite += 1

    def acknowledged_counter(
        self, key: str, actor: str, increments: int, decrements: int = 0, *, w: int = 2, n: int = 3
    ) -> None:
        """The running totals of `actor` were answered with 200."""
        self.acknowledged_counter_updates += 1
        entry = self._actor(key, actor)
        totals = (increments, decrements)
        entry.sent = _most(entry.sent, totals)
        entry.acknowledged = _most(entry.acknowledged, totals)
        if self._is_safe(w, n):
            entry.acknowledged_safe = _most(entry.acknowledged_safe, totals)

    def unanswered_counter(self, key: str, actor: str, increments: int, decrements: int = 0) -> None:
        """The running totals of `actor` were sent and their outcome is not known."""
        entry = self._actor(key, actor)
        entry.sent = _most(entry.sent, (increments, decrements))

    def sent_meanwhile(self, key: str, actor: str, increments: int, decrements: int = 0) -> None:
        """The running totals of `actor` have grown beyond what this ledger was told of: a later ledger keeps the rest.
        Where this one knows nothing of that actor at that counter it has nothing to judge."""
        entry = self._counters.get(key, {}).get(actor)
        if entry is not None:
            entry.sent = _most(entry.sent, (increments, decrements))

    # --- what to read, and the verdict ------------------------------------------------------------------

    @property
    def keys(self) -> list[str]:
        """The keys that `check` needs a final read of, sorted."""
        return sorted(key for key, puts in self._puts.items() if puts)

    @property
    def counters(self) -> list[str]:
        """The counters that `check` needs a final read of, sorted."""
        return sorted(self._counters)

    def check(
        self,
        kv_reads: Mapping[str, Sequence[SiblingRead] | None],
        counter_reads: Mapping[str, CounterRead | None] | None = None,
    ) -> Verdict:
        """Judge the final quorum reads: all siblings of each key, tombstones too; None for what could not be
        read."""
        findings = _Findings()
        for key in self.keys:
            self._check_key(key, kv_reads.get(key), findings)
        for key in self.counters:
            self._check_counter(key, (counter_reads or {}).get(key), findings)
        self.unjudged = findings.unjudged
        acknowledged = self.acknowledged_puts + self.acknowledged_counter_updates
        status: Status
        if findings.lost_safe or findings.counters_wrong:
            status = "violated"
        elif findings.unread or findings.unjudged or not acknowledged:
            status = "unknown"
        else:
            status = "at risk" if self.at_risk else "ok"
        if not acknowledged:
            findings.evidence.append("no write was acknowledged, so there was nothing to check")
        return Verdict(
            status=status,
            claim=CLAIM,
            acknowledged=acknowledged,
            lost=findings.lost_safe + findings.lost_at_risk,
            at_risk=self.at_risk,
            counters_checked=findings.counters_checked,
            counters_wrong=findings.counters_wrong,
            evidence=shortened(findings.evidence),
        )

    # --- inside -----------------------------------------------------------------------------------------

    def _is_safe(self, w: int, n: int, sloppy: bool = False) -> bool:
        safe = not sloppy and w + self.r > n and (w > 1 or n == 1)  # one disk is one failure, even with r = n
        self.at_risk += not safe
        return safe

    def _actor(self, key: str, actor: str) -> _Actor:
        return self._counters.setdefault(key, {}).setdefault(actor, _Actor())

    def _check_key(self, key: str, siblings: Sequence[SiblingRead] | None, findings: _Findings) -> None:
        puts = self._puts[key]
        if siblings is None:
            findings.unread += len(puts)
            findings.evidence.append(f"{key!r} could not be read")
            return
        held: dict[Dot, _Past] = {}
        for sibling in siblings:
            dot = Dot.parse(sibling.dot)
            known = puts.get(dot)
            held[dot] = known.past if known else _past(dot, sibling)
        for dot, put in puts.items():
            if dot in held or any(_covers(past, dot) for past in held.values()):
                continue
            if put.deleted and not any(_covers(put.past, other) for other in held):
                continue  # the tombstone was reaped; what it said still holds
            if key in self._maybe_deleted:
                continue
            deletes = [
                other.past for other in puts.values() if other.deleted
            ]  # their tombstones may be reaped
            if any(_may_have_covered(past, dot) for past in (*held.values(), *deletes)):
                findings.unjudged += 1
                findings.evidence.append(
                    f"{key!r}: {dot}, of a store that the context read does not name any more"
                )
                continue
            if put.safe:
                findings.lost_safe += 1
            else:
                findings.lost_at_risk += 1
            found = (
                ", ".join(f"{other} issued under {dict(past.vector)}" for other, past in held.items())
                or "nothing"
            )
            findings.evidence.append(
                f"{key!r}: {dot} was acknowledged with w={put.w}, the read holds {found}"
            )

    def _check_counter(self, key: str, read: CounterRead | None, findings: _Findings) -> None:
        if read is None:
            findings.unread += 1
            findings.evidence.append(f"counter {key!r} could not be read")
            return
        findings.counters_checked += 1
        wrong: list[str] = []
        for actor, entry in sorted(self._counters[key].items()):
            final = read.actors.get(actor, (0, 0))
            said = f"counter {key!r}, actor {actor}: totals {final}"
            if not _at_least(final, entry.acknowledged_safe):
                findings.lost_safe += 1
                wrong.append(f"{said}, acknowledged {entry.acknowledged_safe}")
            elif not _at_least(final, entry.acknowledged):
                findings.lost_at_risk += 1
                findings.evidence.append(f"{said}, acknowledged {entry.acknowledged} at w=1")
            if not _at_least(entry.sent, final):
                wrong.append(f"{said}, but only {entry.sent} were ever sent")
        total = sum(increments - decrements for increments, decrements in read.actors.values())
        if read.value != total:
            wrong.append(f"counter {key!r}: value {read.value}, but its actors sum to {total}")
        findings.counters_wrong += bool(wrong)
        findings.evidence.extend(wrong)


def _past(dot: Dot, version: SiblingLike) -> _Past:
    dots = frozenset(map(Dot.parse, version.issued_under_dots))
    if version.issued_under is not None:
        return _Past(version.issued_under, dots)
    own = min(version.vector_clock.get(dot.store, 0), dot.counter - 1)
    return _Past({**version.vector_clock, dot.store: own}, dots)


def _seen_by_others(past: _Past, other: _Past) -> _Past:
    """The past of somebody who has seen a write of that other past."""
    news = {
        store: max(count, past.by_others.get(store, 0))
        for seen in (other.vector, other.by_others)
        for store, count in seen.items()
        if count > past.vector.get(store, 0) and store != FORGOTTEN
    }
    dots = past.dots | {dot for dot in other.dots if not _covers(past, dot)}
    return (
        past._replace(dots=dots, by_others={**past.by_others, **news}) if news or dots != past.dots else past
    )


def _covers(past: _Past, dot: Dot) -> bool:
    return (
        max(past.vector.get(dot.store, 0), past.by_others.get(dot.store, 0)) >= dot.counter
        or dot in past.dots
    )


def _may_have_covered(past: _Past, dot: Dot) -> bool:
    """Whether the past was relieved of stores, and this one may be among them."""
    return FORGOTTEN in past.vector and dot.store not in past.vector


def _most(one: Totals, other: Totals) -> Totals:
    return max(one[0], other[0]), max(one[1], other[1])


def _at_least(one: Totals, other: Totals) -> bool:
    return one[0] >= other[0] and one[1] >= other[1]
