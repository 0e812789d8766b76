"""Is all stock accounted for? Movements of units go in, final reads are compared, a verdict comes out.

Whoever moves units tells what was asked for and what was acknowledged; this file only judges.
Must not live here: sending, reading, and how stock is kept.

The claim, for each shelf (one product in one warehouse):

    opening + restocked + arrived - shipped - departed = final,        and never below 0,

in bounds, since some movements were asked for and never answered: whatever was acknowledged is in the final
count, whatever was asked for may be. So with `in` and `out` for the two directions:

    in acknowledged - out asked  <=  final  <=  in asked - out acknowledged,

which is an equality once everything is answered. The sums over shelves give the same per product and in total;
a departure without an arrival is a unit in transit. What is acknowledged while the final reads are going on may
be missing in them: so the lower bounds are those of a `snapshot` taken before the first read.

A final count that is too high means that a removal was overwritten (somebody was sent a unit that still stands
on the shelf, and will be sold again); too low, that an addition was. *Oversold* is what that leads to: units
taken from a shelf that, by its own movements, held them no longer. It is counted movement by movement, giving a
shelf the benefit of additions that were not answered yet, so it is a lower bound.

Never below 0 is judged on every read that anybody tells of and, where the store keeps shares, on this keeper's
share of a final read: a share below 0 is an oversell even while the units of others hide it in the sum.

What is promised. That acknowledged units are found again rests on quorums that meet and on more than one disk; who
judges says whether all movements had that. Without it conservation is at risk, and so is what follows from it: a
shelf on which a removal was lost is sold twice. Never below 0 rests on no quorum, so it is judged whatever w was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kvnode.checkers.verdict import Verdict

CLAIM = "stock is conserved and never negative"

Cause = Literal["opening", "restock", "arrival", "shipment", "departure"]
INWARD: tuple[Cause, ...] = ("opening", "restock", "arrival")
CAUSES: tuple[Cause, ...] = (*INWARD, "shipment", "departure")

Shelf = tuple[str, str]
"""(warehouse, sku)."""


@dataclass(frozen=True)
class Movements:
    """Units that came to a shelf or left it. Invariant: acknowledged <= asked, in both directions."""

    in_asked: int = 0
    in_acknowledged: int = 0
    out_asked: int = 0
    out_acknowledged: int = 0

    @property
    def level(self) -> int:
        """What the shelf can hold at most, as far as its movements were answered."""
        return self.in_asked - self.out_acknowledged


Snapshot = Mapping[Shelf, Movements]


@dataclass(frozen=True)
class Found:
    """A final read of one shelf. units: those that the movements told here should explain (this keeper's share, where
    the store keeps shares); total: all of them."""

    units: int
    total: int


@dataclass(frozen=True)
class _Finding:
    """One line of evidence. The greatest damage is told first, whatever shelf it befell. by_quorum: whether a weak
    quorum can be the cause."""

    units: int
    text: str
    by_quorum: bool = True


class StockBooks:
    """Every movement of one keeper of stock (one process), and every read that it has seen."""

    def __init__(self) -> None:
        self._shelves: dict[Shelf, Movements] = {}
        self._oversold: dict[Shelf, int] = {}
        self._lowest: dict[Shelf, int] = {}
        self._acknowledged: dict[Cause, int] = dict.fromkeys(CAUSES, 0)
        self.w_min: int | None = None  # the fewest replicas that acknowledged a movement, as far as told

    # --- what happened ------------------------------------------------------------------------------------

    def asked(self, warehouse: str, sku: str, cause: Cause, units: int) -> None:
        """A movement is about to be sent: from now on it may happen."""
        assert units > 0, f"{cause} of {units} units"
        moved = self.movements(warehouse, sku)
        if cause in INWARD:
            moved = replace(moved, in_asked=moved.in_asked + units)
        else:
            moved = replace(moved, out_asked=moved.out_asked + units)
        self._shelves[warehouse, sku] = moved

    def acknowledged(
        self, warehouse: str, sku: str, cause: Cause, units: int, *, w: int | None = None
    ) -> None:
        """A movement that was asked for is durable, at w replicas."""
        if w is not None:
            self.w_min = min(w, self.w_min or w)
        moved = self.movements(warehouse, sku)
        self._acknowledged[cause] += units
        if cause in INWARD:
            moved = replace(moved, in_acknowledged=moved.in_acknowledged + units)
            assert moved.in_acknowledged <= moved.in_asked, f"{cause} was never asked for"
        else:
            short = units - max(moved.level, 0)
            if short > 0:
                self._oversold[warehouse, sku] = self._oversold.get((warehouse, sku), 0) + short
            moved = replace(moved, out_acknowledged=moved.out_acknowledged + units)
            assert moved.out_acknowledged <= moved.out_asked, f"{cause} was never asked for"
        self._shelves[warehouse, sku] = moved

    def seen(self, warehouse: str, sku: str, total: int) -> None:
        """Some read of the shelf, at any time, has answered this."""
        if total < self._lowest.get((warehouse, sku), 0):
            self._lowest[warehouse, sku] = total

    # --- what is known ------------------------------------------------------------------------------------

    def movements(self, warehouse: str, sku: str) -> Movements:
        return self._shelves.get((warehouse, sku), Movements())

    def snapshot(self) -> Snapshot:
        """All movements as they stand now, for a `judge` of reads that begin now."""
        return dict(self._shelves)

    def off(self, warehouse: str, sku: str, units: int, *, since: Movements) -> int:
        """By how many units a read that began at `since` lies outside its bounds; 0: it may be right. Above 0: too
        many units."""
        now = self.movements(warehouse, sku)
        lowest = since.in_acknowledged - now.out_asked
        highest = now.in_asked - since.out_acknowledged
        return max(units - highest, 0) + min(units - lowest, 0)

    @property
    def oversold(self) -> int:
        """Units taken from shelves that did not hold them."""
        return sum(self._oversold.values())

    @property
    def negative(self) -> int:
        """How many shelves some read has shown below 0."""
        return len(self._lowest)

    @property
    def unanswered(self) -> int:
        """Units of movements that were asked for and not acknowledged (yet)."""
        return sum(
            moved.in_asked - moved.in_acknowledged + moved.out_asked - moved.out_acknowledged
            for moved in self._shelves.values()
        )

    # --- the verdict --------------------------------------------------------------------------------------

    def judge(
        self, found: Mapping[Shelf, Found | None], *, since: Snapshot, at_risk: bool = False
    ) -> Verdict:
        """Compare the final reads (None: could not be read) of all shelves with their movements. `since` was
        taken before the first of these reads. at_risk: some movement was acknowledged by so few replicas that
        nobody promised to find it again."""
        findings: list[_Finding] = []
        unread: list[str] = []
        too_many = missing = final = others = 0
        for shelf in sorted(self._shelves):
            read = found.get(shelf)
            if read is None:
                unread.append(f"{_named(shelf)} could not be read")
                continue
            final += read.units
            others += read.total - read.units
            off = self.off(*shelf, read.units, since=since.get(shelf, Movements()))
            too_many += max(off, 0)
            missing += max(-off, 0)
            findings += self._of_shelf(shelf, read, off)
        findings += self._of_the_run()
        findings.sort(key=lambda finding: -finding.units)
        evidence = [finding.text for finding in findings]
        moved = self._acknowledged
        facts: dict[str, float] = {
            "opening_units": moved["opening"],
            "restocked_units": moved["restock"],
            "shipped_units": moved["shipment"],
            "in_transit_units": moved["departure"] - moved["arrival"],
            "final_units": final,
            "units_of_others": others,
            "unanswered_units": self.unanswered,
            "units_too_many": too_many,
            "units_missing": missing,
            "oversold_units": self.oversold,
            "negative_shelves": self.negative,
        }
        if any(not (at_risk and finding.by_quorum) for finding in findings):
            return Verdict.broken(CLAIM, evidence + unread, facts)
        if unread:
            return Verdict.not_known(CLAIM, evidence + unread, facts)
        if not any(moved.values()):
            return Verdict.not_known(
                CLAIM, "no movement was acknowledged, so there was nothing to check", facts
            )
        return Verdict.not_promised(CLAIM, evidence, facts) if at_risk else Verdict.holds(CLAIM, facts)

    def _of_shelf(self, shelf: Shelf, read: Found, off: int) -> list[_Finding]:
        """What is wrong with one final read."""
        findings: list[_Finding] = []
        if off:
            moved = self.movements(*shelf)
            unsure = moved.in_asked - moved.in_acknowledged + moved.out_asked - moved.out_acknowledged
            findings.append(
                _Finding(
                    abs(off),
                    f"{_named(shelf)}: {moved.in_acknowledged} in - {moved.out_acknowledged} out"
                    f"{f' (and {unsure} unanswered)' if unsure else ''}, the final read holds {read.units}: "
                    f"{abs(off)} {'too many' if off > 0 else 'missing'}",
                )
            )
        if read.units < 0:
            findings.append(
                _Finding(-read.units, f"{_named(shelf)}: {-read.units} taken that were never there", False)
            )
        if read.total < 0 and read.total != read.units:
            findings.append(_Finding(-read.total, f"{_named(shelf)}: the final read is {read.total}", False))
        return findings

    def _of_the_run(self) -> list[_Finding]:
        """What was wrong before the end."""
        return [
            _Finding(units, f"{_named(shelf)}: {units} taken when there were none left (oversold)")
            for shelf, units in sorted(self._oversold.items())
        ] + [
            _Finding(-units, f"{_named(shelf)}: a read during the run answered {units}", False)
            for shelf, units in sorted(self._lowest.items())
        ]


def _named(shelf: Shelf) -> str:
    warehouse, sku = shelf
    return f"{sku!r} in {warehouse}"
