"""The ring's figure: a tick for each partition that a node holds, hatched while it is on its way."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from kvnode.ring import Ring
from labkit.figures.balance import balance, balance_rows
from labkit.figures.ring import RingNow, ring, ring_rows


def names(count: int) -> tuple[str, ...]:
    return tuple(f"node-{number}" for number in range(1, count + 1))


def lists(count: int) -> tuple[tuple[str, ...], ...]:
    return Ring.build(names(count), replicas=3, partitions=256).preference_lists


TAKEN = frozenset(place for place, owners in enumerate(lists(4)) if "node-4" in owners)
JOINING = RingNow(
    names(4),
    lists(3),
    {"node-4": TAKEN},
    {"node-4": frozenset(sorted(TAKEN)[:80])},
    {**dict.fromkeys(names(3), 612), "node-4": None},
    {"node-1": 17.2},
    "node-4 is joining",
    {"tweet/alice": 131},
)


def ticks(figure: dict[str, Any], name: str) -> int:
    return sum(len(trace["theta"]) for trace in figure["data"] if trace.get("name") == name)


def test_each_node_has_a_tick_for_each_partition_that_it_holds() -> None:
    figure = ring(RingNow(names(5), lists(5)))
    counts = {name: ticks(figure, name) for name in names(5)}
    assert counts == {"node-1": 149, "node-2": 166, "node-3": 154, "node-4": 147, "node-5": 152}
    assert sum(ticks(figure, f"{name}, on its way") for name in names(5)) == 0


def test_what_is_on_its_way_is_hatched_until_it_has_arrived() -> None:
    figure = ring(JOINING)
    assert (ticks(figure, "node-4"), ticks(figure, "node-4, on its way")) == (80, 109)
    hatched = next(trace for trace in figure["data"] if trace.get("name") == "node-4, on its way")
    assert hatched["marker"]["pattern"]["shape"] == "/"
    assert "80 of 189" in figure["layout"]["annotations"][0]["text"]
    assert "node-4 is to take over 189, of which 80 have arrived" in figure["summary"]
    assert "keys on a node: 612 to 612" in figure["summary"]


def test_the_number_of_traces_does_not_hang_on_what_is_under_way() -> None:
    """Plotly would otherwise take one node's ticks for another's while it redraws."""
    still = RingNow(names(4), lists(4), mine={"tweet/alice": 131})
    assert len(ring(JOINING)["data"]) == len(ring(still)["data"])


def test_the_newest_node_is_outside_and_no_circle_reaches_into_the_next() -> None:
    bars = [trace for trace in ring(JOINING)["data"] if trace["type"] == "barpolar" and trace["r"]]
    spans = {trace["name"]: (trace["base"], trace["base"] + max(trace["r"])) for trace in bars}
    order = [spans[name] for name in names(4)]
    assert order == sorted(order)
    assert all(inner[1] < outer[0] for inner, outer in pairwise(order))


def test_a_key_that_is_pointed_at_has_a_mark_at_each_owner() -> None:
    marks = next(trace for trace in ring(JOINING)["data"] if trace.get("name") == "tweet/alice")
    assert len(marks["r"]) == 3


def test_the_numbers_stand_in_a_table_too() -> None:
    row = ring_rows(JOINING)[3]
    assert row == {
        "node": "node-4", "partitions held": 0, "takes over": 189, "of these arrived": 80, "keys": None,
        "requests/s": None,
    }  # fmt: skip


def test_before_anything_is_known_an_empty_ring_is_drawn() -> None:
    assert ring(RingNow((), ()))["summary"].startswith("0 nodes")


def test_shares_stand_beside_the_even_one() -> None:
    kinds = {"data": {"node-1": 30, "node-2": 10}, "reads": {"node-1": 0, "node-2": 0}}
    figure = balance(kinds)
    assert figure["data"][0]["y"] == [75.0, 25.0]
    assert figure["data"][-1]["name"] == "even share: 50 %"
    assert "data: node-1 has most, 75 %" in figure["summary"]
    assert [row["share (%)"] for row in balance_rows(kinds)] == [75.0, 25.0, 0.0, 0.0]
