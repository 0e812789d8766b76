"""What the clients of one run know of what they wrote, and what they may hold against the database.

Promises judged: no acknowledged write is lost; each counter holds at least what was acknowledged and at most what was
sent; no dot is answered twice; no resurrection: no read shows what a write or delete had seen that was acknowledged
before it began; a read meets every write that was acknowledged before it began; of last-writer-wins writes the greatest
is there. All of them for requests with r + w > N and a w of at least half of N: the others are asked, and promise
nothing.

Must not live here: what is asked (client.py), and what the disks say (oracle/).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kvnode.checkers import CounterRead, Ledger, SiblingRead
from kvnode.versions import FORGOTTEN

Past = tuple[dict[str, int], list[str]]
"""What a write was issued under: a vector, and single dots."""
Stamp = tuple[float, str, int]
Totals = tuple[int, int]


class BeforeRead(NamedTuple):
    """What a read that begins now must meet, and must not show again."""

    unreplaced: list[str]
    replacing: list[str]


class Known:
    """The writes of all clients of one run. n: replicas of a key; r: of the final reads. violations: in words.

    strict: False where requests are sloppy: then reads promise nothing before the end.
    """

    def __init__(self, *, n: int, r: int, strict: bool = True) -> None:
        self._n = n
        self._r = r
        self._strict = strict
        self.ledger = Ledger(r=r)
        self._dots: dict[str, str] = {}
        self._pasts: dict[str, Past] = {}
        self._w: dict[str, int] = {}
        self._unreplaced: dict[str, set[str]] = {}
        self._of_key: dict[str, list[str]] = {}
        self._tombstones: set[str] = set()
        self._maybe_deleted: set[str] = set()
        self._greatest: dict[str, Stamp] = {}
        self._nameless: dict[str, tuple[list[int], list[int]]] = {}
        self.violations: list[str] = []

    @property
    def keys(self) -> list[str]:
        """The keys of values that must be read in the end, sorted."""
        return sorted({*self.ledger.keys, *self._greatest})

    @property
    def counters(self) -> list[str]:
        """The counters that must be read in the end, sorted."""
        return sorted({*self.ledger.counters, *self._nameless})

    # --- values -------------------------------------------------------------------------------------------

    def unanswered(self, key: str, *, deleted: bool, definite: bool) -> None:
        """A PUT or DELETE was refused, or not answered."""
        if deleted and not definite:
            self._maybe_deleted.add(key)
        self.ledger.indefinite_put(key, deleted=key in self._maybe_deleted)

    def dot_answered(self, key: str, dot: str) -> None:
        """A write was answered with this dot: no other ever is."""
        before = self._dots.setdefault(dot, key) if dot not in self._dots else self._dots[dot] + " before"
        if before != key:
            self.violations.append(f"dot {dot} was answered twice, for {before} and {key}")

    def acknowledged(self, key: str, answer: Mapping[str, Any], *, deleted: bool) -> None:
        """A PUT or DELETE under a context, or one that replaces what its coordinator held, was acknowledged."""
        dot, w = answer["dot"], answer["w"]
        self.ledger.acknowledged(answer, n=self._n, deleted=deleted)
        past = self._pasts[dot] = (answer["issued_under"], answer.get("issued_under_dots", []))
        self._w[dot] = w
        self._of_key.setdefault(key, []).append(dot)
        if deleted:
            self._tombstones.add(dot)
        unreplaced = self._unreplaced.setdefault(key, set())
        unreplaced.difference_update(
            [other for other in unreplaced if _covers(past, other) and self._answers_for(dot, other)]
        )
        if not any(
            _covers(self._pasts[other], dot) and self._answers_for(other, dot) for other in unreplaced
        ):
            unreplaced.add(dot)

    def _answers_for(self, dot: str, other: str) -> bool:
        """Whether this write, which has replaced the other, is met in its place: it may itself be at risk."""
        return self._is_met(dot, self._r) or self._w[dot] >= self._w[other]

    def acknowledged_lww(self, key: str, answer: Mapping[str, Any]) -> None:
        """A PUT with mode=lww was acknowledged, of a key that is never written otherwise."""
        if self._is_promised(answer["w"], self._r):
            self._greatest[key] = max(self._greatest.get(key, (0.0, "", 0)), _stamp(answer))

    def before_read(self, key: str) -> BeforeRead:
        """What there is before a read is sent."""
        return BeforeRead(sorted(self._unreplaced.get(key, ())), list(self._of_key.get(key, ())))

    def read(self, key: str, siblings: list[Mapping[str, Any]], before: BeforeRead, r: int) -> None:
        """A read of r replicas was answered: it meets what was acknowledged before it began, and nothing is back."""
        if not self._strict:
            return
        self._look_for_gaps(key, [dot for dot in before.unreplaced if self._is_met(dot, r)], siblings)
        self._look_for_revenants(key, [dot for dot in before.replacing if self._is_met(dot, r)], siblings)

    def _is_met(self, dot: str, r: int) -> bool:
        return self._is_promised(self._w[dot], r)

    def _is_promised(self, w: int, r: int) -> bool:
        return w + r > self._n and 2 * w >= self._n

    def _look_for_gaps(self, key: str, acknowledged: list[str], siblings: list[Mapping[str, Any]]) -> None:
        """With r + w > N a read meets each write that was acknowledged before it began, or what replaced it.

        But for a tombstone, which may have been reaped: what it said must hold (_look_for_revenants). And but for what
        a delete of unknown outcome may have removed, before its tombstone was reaped.
        """
        if key in self._maybe_deleted:
            return
        pasts = [(sibling["issued_under"], sibling.get("issued_under_dots", [])) for sibling in siblings]
        found = {sibling["dot"] for sibling in siblings}
        for dot in acknowledged:
            if dot not in found | self._tombstones and not any(
                _covers(past, dot) or _may_have_covered(past, dot) for past in pasts
            ):
                self.violations.append(f"{key}: a read did not see {dot}, which was acknowledged before")

    def _look_for_revenants(self, key: str, replacing: list[str], siblings: list[Mapping[str, Any]]) -> None:
        """No resurrection: nothing is there that one of these acknowledged writes had seen, and so replaced."""
        for sibling in siblings:
            for dot in replacing:
                if _covers(self._pasts[dot], sibling["dot"]):
                    what = "deleted" if dot in self._tombstones else "replaced"
                    self.violations.append(
                        f"{key}: {sibling['dot']} is back, which {dot} had seen and {what}"
                    )

    # --- counters -----------------------------------------------------------------------------------------

    def sent_total(self, key: str, actor: str, totals: Totals) -> None:
        """An actor's running totals are about to be sent."""
        self.ledger.unanswered_counter(key, actor, *totals)

    def acknowledged_total(self, key: str, actor: str, totals: Totals, w: int) -> None:
        """They were acknowledged."""
        self.ledger.acknowledged_counter(key, actor, *totals, w=w, n=self._n)

    def sent_nameless(self, key: str, change: int) -> None:
        """A change without an actor is about to be sent, once."""
        self._nameless.setdefault(key, ([], []))[0].append(change)

    def acknowledged_nameless(self, key: str, change: int, w: int) -> None:
        """It was acknowledged."""
        if self._is_promised(w, self._r):
            self._nameless[key][1].append(change)

    # --- the end ------------------------------------------------------------------------------------------

    def judge(
        self, kv_reads: dict[str, list[Mapping[str, Any]]], counter_reads: dict[str, Mapping[str, Any]]
    ) -> None:
        """Judge the final reads: what could not be read is missing in them."""
        for key in set(self.keys) - set(kv_reads) | set(self.counters) - set(counter_reads):
            self.violations.append(f"{key} could not be read in the end")
        for key, siblings in kv_reads.items():
            replacing = [dot for dot in self._of_key.get(key, ()) if self._is_met(dot, self._r)]
            self._look_for_revenants(key, replacing, siblings)
            if key in self._greatest:
                self._judge_lww(key, siblings)
        for key, answer in counter_reads.items():
            if key in self._nameless:
                self._judge_nameless(key, answer)
        verdict = self.ledger.check(
            {key: [SiblingRead.of(sibling) for sibling in siblings] for key, siblings in kv_reads.items()},
            {key: CounterRead.of(answer) for key, answer in counter_reads.items()},
        )
        if verdict.status == "violated" or (verdict.status == "unknown" and not self.ledger.unjudged):
            self.violations += [f"{verdict.claim}: {verdict}", *verdict.evidence]

    def _judge_lww(self, key: str, siblings: list[Mapping[str, Any]]) -> None:
        """One version is left, and none with a greater stamp was ever acknowledged."""
        stamps = sorted(map(_stamp, siblings))
        if len(stamps) != 1 or stamps[0] < self._greatest[key]:
            self.violations.append(
                f"{key}: of mode=lww {stamps} are left; the greatest that was acknowledged is {self._greatest[key]}"
            )

    def _judge_nameless(self, key: str, answer: Mapping[str, Any]) -> None:
        """Between what was acknowledged and what was sent, as each was sent once."""
        sent, done = self._nameless[key]
        up = sum(entry["increments"] for entry in answer["actors"].values())
        down = sum(entry["decrements"] for entry in answer["actors"].values())
        for found, of_sent, of_done in (
            (up, sum(each for each in sent if each > 0), sum(each for each in done if each > 0)),
            (down, -sum(each for each in sent if each < 0), -sum(each for each in done if each < 0)),
        ):
            if not of_done <= found <= of_sent:
                self.violations.append(
                    f"counter {key}: holds {found}, acknowledged without an actor were {of_done}, sent {of_sent}"
                )


def _stamp(write: Mapping[str, Any]) -> Stamp:
    store, _, counter = write["dot"].rpartition(":")
    return write["timestamp"], store, int(counter)


def _may_have_covered(past: Past, dot: str) -> bool:
    """Whether it was relieved of stores, and that of the dot may be among them."""
    return FORGOTTEN in past[0] and dot.rpartition(":")[0] not in past[0]


def _covers(past: Past, dot: str) -> bool:
    store, _, counter = dot.rpartition(":")
    return past[0].get(store, 0) >= int(counter) or dot in past[1]
