"""Stock: conserved and never negative, judged from movements and final reads; and what it looks like when it is not."""

from __future__ import annotations

from kvnode.checkers.verdict import Verdict
from traffic.workloads.inventory.stock_check import Cause, Found, Movements, StockBooks

LONDON, TOKYO = ("london", "mug"), ("tokyo", "mug")


def moved(books: StockBooks, shelf: tuple[str, str], cause: Cause, units: int) -> None:
    """A movement that was answered."""
    books.asked(*shelf, cause, units)
    books.acknowledged(*shelf, cause, units)


def judged(books: StockBooks, *, at_risk: bool = False, **units: int | None) -> Verdict:
    """The verdict over final reads, by warehouse; nobody else keeps stock."""
    found = {(name, "mug"): None if one is None else Found(one, one) for name, one in units.items()}
    return books.judge(found, since=books.snapshot(), at_risk=at_risk)


def two_shelves() -> StockBooks:
    """40 opened in London, 15 sold, 5 sent to Tokyo, 10 restocked: 30 and 5."""
    books = StockBooks()
    moved(books, LONDON, "opening", 40)
    moved(books, LONDON, "shipment", 15)
    moved(books, LONDON, "departure", 5)
    moved(books, TOKYO, "arrival", 5)
    moved(books, LONDON, "restock", 10)
    return books


def test_stock_that_is_all_there_is_ok() -> None:
    verdict = judged(two_shelves(), london=30, tokyo=5)
    assert verdict.status == "ok"
    assert verdict.facts["opening_units"] + verdict.facts["restocked_units"] == 50
    assert verdict.facts["shipped_units"] + verdict.facts["final_units"] == 50
    assert verdict.facts["in_transit_units"] == 0


def test_a_unit_too_many_is_a_lost_removal() -> None:
    verdict = judged(two_shelves(), london=31, tokyo=5)
    assert verdict.status == "violated"
    assert verdict.evidence == ("'mug' in london: 50 in - 20 out, the final read holds 31: 1 too many",)
    assert verdict.facts["units_too_many"] == 1


def test_a_missing_unit_is_a_lost_addition() -> None:
    verdict = judged(two_shelves(), london=30, tokyo=3)
    assert verdict.status == "violated"
    assert verdict.facts["units_missing"] == 2
    assert "the final read holds 3: 2 missing" in verdict.evidence[0]


def test_errors_on_two_shelves_do_not_cancel_out() -> None:
    verdict = judged(two_shelves(), london=32, tokyo=3)
    assert verdict.status == "violated"
    assert (verdict.facts["units_too_many"], verdict.facts["units_missing"]) == (2, 2)


def test_an_unanswered_removal_may_have_happened_or_not() -> None:
    books = two_shelves()
    books.asked(*LONDON, "shipment", 3)
    for units, status in ((26, "violated"), (27, "ok"), (30, "ok"), (31, "violated")):
        assert judged(books, london=units, tokyo=5).status == status, units
    assert judged(books, london=30, tokyo=5).facts["unanswered_units"] == 3


def test_an_unanswered_addition_may_have_happened_or_not() -> None:
    books = two_shelves()
    books.asked(*TOKYO, "restock", 4)
    for units, status in ((4, "violated"), (5, "ok"), (9, "ok"), (10, "violated")):
        assert judged(books, london=30, tokyo=units).status == status, units


def test_a_departure_without_arrival_is_in_transit() -> None:
    books = two_shelves()
    moved(books, LONDON, "departure", 2)
    verdict = judged(books, london=28, tokyo=5)
    assert verdict.status == "ok"
    assert verdict.facts["in_transit_units"] == 2


def test_what_is_acknowledged_during_the_final_reads_may_be_missing_in_them() -> None:
    """1. London is read: 30. 2. A shipment of 4 is asked for and acknowledged. 3. Tokyo is read, and judged."""
    books = two_shelves()
    before = books.snapshot()
    moved(books, LONDON, "shipment", 4)
    reads = {LONDON: Found(30, 30), TOKYO: Found(5, 5)}
    assert books.judge(reads, since=before).status == "ok"
    assert books.judge(reads, since=books.snapshot()).status == "violated"


def test_more_shipped_than_there_was_is_oversold() -> None:
    books = two_shelves()
    moved(books, TOKYO, "shipment", 3)
    moved(books, TOKYO, "shipment", 4)  # 2 of these 4 were there
    moved(books, TOKYO, "shipment", 1)
    assert books.oversold == 3
    verdict = judged(books, london=30, tokyo=0)
    assert verdict.status == "violated"
    assert verdict.facts["oversold_units"] == 3
    assert any("3 taken when there were none left (oversold)" in line for line in verdict.evidence)


def test_an_unanswered_addition_excuses_what_is_taken_from_it() -> None:
    books = two_shelves()
    books.asked(*TOKYO, "restock", 2)
    moved(books, TOKYO, "shipment", 7)
    assert books.oversold == 0


def test_a_negative_read_in_the_middle_of_the_run_is_a_violation() -> None:
    books = two_shelves()
    for total in (3, 0, -2, -1, 5):
        books.seen(*TOKYO, total)
    verdict = judged(books, london=30, tokyo=5)
    assert verdict.status == "violated"
    assert verdict.evidence == ("'mug' in tokyo: a read during the run answered -2",)


def test_a_share_below_zero_is_seen_though_the_units_of_others_hide_it() -> None:
    books = StockBooks()
    moved(books, LONDON, "opening", 4)
    books.asked(*LONDON, "shipment", 9)  # unanswered: the bounds alone would forgive it
    verdict = books.judge({LONDON: Found(units=-5, total=35)}, since=books.snapshot())
    assert verdict.status == "violated"
    assert verdict.evidence == ("'mug' in london: 5 taken that were never there",)
    assert verdict.facts["units_of_others"] == 40


def test_an_unread_shelf_makes_it_unknown_but_hides_no_violation() -> None:
    assert judged(two_shelves(), london=30, tokyo=None).status == "unknown"
    assert judged(two_shelves(), london=30).status == "unknown"
    worse = judged(two_shelves(), london=29, tokyo=None)
    assert worse.status == "violated"
    assert worse.evidence[-1] == "'mug' in tokyo could not be read"


def test_without_movements_nothing_is_known() -> None:
    assert StockBooks().judge({}, since={}).status == "unknown"


def test_the_greatest_damage_is_told_first() -> None:
    verdict = judged(two_shelves(), london=31, tokyo=0)
    assert "'mug' in tokyo" in verdict.evidence[0]
    assert "'mug' in london" in verdict.evidence[1]


def test_a_stock_take_during_the_run_is_judged_by_what_may_have_happened_meanwhile() -> None:
    books = two_shelves()
    since = books.movements(*LONDON)
    books.asked(*LONDON, "shipment", 2)
    assert [books.off(*LONDON, units, since=since) for units in (27, 28, 30, 31)] == [-1, 0, 0, 1]
    assert since == Movements(in_asked=50, in_acknowledged=50, out_asked=20, out_acknowledged=20)


def test_the_fewest_replicas_that_acknowledged_a_movement_are_known() -> None:
    books = StockBooks()
    assert books.w_min is None
    for w in (3, 1, 2):
        books.asked(*LONDON, "opening", 1)
        books.acknowledged(*LONDON, "opening", 1, w=w)
    assert books.w_min == 1


def test_at_risk_conservation_is_not_promised_and_what_was_found_is_told() -> None:
    assert judged(two_shelves(), at_risk=True, london=30, tokyo=5).status == "at risk"
    for units, says in ((29, "1 missing"), (31, "1 too many")):
        verdict = judged(two_shelves(), at_risk=True, london=units, tokyo=5)
        assert verdict.status == "at risk"
        assert says in verdict.evidence[0]


def test_at_risk_an_oversold_shelf_is_told_and_blames_nobody() -> None:
    books = two_shelves()
    moved(books, TOKYO, "shipment", 8)
    verdict = judged(books, at_risk=True, london=30, tokyo=0)
    assert verdict.status == "at risk"
    assert verdict.facts["oversold_units"] == 3
    assert any("oversold" in line for line in verdict.evidence)


def test_below_zero_is_a_violation_at_any_quorum() -> None:
    books = two_shelves()
    books.seen(*TOKYO, -2)
    assert judged(books, at_risk=True, london=30, tokyo=5).status == "violated"


def test_at_risk_an_unread_shelf_is_unknown_and_the_others_are_told() -> None:
    verdict = judged(two_shelves(), at_risk=True, london=29, tokyo=None)
    assert verdict.status == "unknown"
    assert "1 missing" in verdict.evidence[0]
    assert verdict.evidence[-1] == "'mug' in tokyo could not be read"
