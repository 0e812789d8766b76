"""A verdict reads the same in words, in numbers and in JSON."""

from __future__ import annotations

from kvnode.checkers import Verdict, merged, worst
from kvnode.checkers.verdict import EVIDENCE_COUNT_MAX


def test_each_way_to_stand_has_a_constructor() -> None:
    made = [
        Verdict.holds("c", {"reads": 1}),
        Verdict.not_promised("c", ["e"], {"reads": 1}),
        Verdict.not_known("c", "why", {"reads": 1}),
        Verdict.broken("c", ["e"], {"reads": 1}),
    ]
    assert [one.status for one in made] == ["ok", "at risk", "unknown", "violated"]
    assert made[2].evidence == ("why",)
    assert [worst(made[:count]) for count in (0, 1, 2, 3, 4)] == [
        "unknown",
        "ok",
        "at risk",
        "unknown",
        "violated",
    ]


def test_facts_are_told_in_words_and_numbers() -> None:
    verdict = Verdict.holds("c", {"reads": 1234567, "out_of_date_ms_max": 12.3456})
    assert str(verdict) == "reads 1234567, out of date ms max 12.35: ok"
    assert hash(verdict) == hash(Verdict.holds("c", {"reads": 1}))


def test_as_json_has_every_count_and_the_facts() -> None:
    plain = Verdict(status="ok", claim="c", acknowledged=2).as_json()
    assert (plain["acknowledged"], plain["lost"], plain["facts"]) == (2, 0, {})
    with_facts = Verdict.broken("c", ["e"], {"reads": 1}).as_json()
    assert (with_facts["facts"], with_facts["evidence"]) == ({"reads": 1}, ["e"])
    assert with_facts["summary"] == "reads 1: violated"


def test_merging_takes_the_worst_sums_counts_and_keeps_the_greatest_of_what_is_a_maximum() -> None:
    both = merged(
        [
            Verdict.holds("c", {"reads": 3, "out_of_date_ms_max": 5.0}),
            Verdict.broken("c", ["e"], {"reads": 4, "out_of_date_ms_max": 2.0, "stale_reads": 1}),
        ]
    )
    assert both.facts == {"reads": 7, "out_of_date_ms_max": 5.0, "stale_reads": 1}
    assert (both.status, both.evidence) == ("violated", ("e",))


def test_evidence_is_shortened() -> None:
    evidence = Verdict.broken("c", [str(number) for number in range(100)]).evidence
    assert len(evidence) == EVIDENCE_COUNT_MAX + 1
    assert evidence[-1] == "… and 80 more"
