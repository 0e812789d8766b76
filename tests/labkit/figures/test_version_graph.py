"""The graph of versions: arrows from what was seen to what was written then, and what became of each."""

from __future__ import annotations

from typing import Any

from labkit.figures.version_graph import (
    depths_of,
    is_replaced,
    nearest_seen,
    short_dot,
    version_graph,
    version_graph_rows,
)


def version(dot: str, value: str, seen: dict[str, int], **more: Any) -> dict[str, Any]:
    return {"dot": dot, "value": value, "issued_under": seen, "node": dot.partition(".")[0], **more}


A1 = version("node-1.aa:1", "soup", {})
A2 = version("node-1.aa:2", "salad", {"node-1.aa": 1})
A3 = version("node-1.aa:3", "bread", {"node-1.aa": 2})
B1 = version("node-2.bb:1", "pizza", {"node-1.aa": 1})
ALL = [A1, A2, A3, B1]


def edges(figure: dict[str, Any]) -> int:
    return len(figure["data"][0]["x"]) // 3


def test_each_version_points_to_the_last_that_its_writer_had_seen_and_to_no_earlier_one() -> None:
    assert [short_dot(one) for one in nearest_seen(A3, ALL)] == ["node-1:2"]
    assert [short_dot(one) for one in nearest_seen(B1, ALL)] == ["node-1:1"]
    assert nearest_seen(A1, ALL) == []
    assert edges(version_graph(ALL)) == 3
    assert list(depths_of(ALL).values()) == [0, 1, 2, 1]


def test_siblings_are_filled_and_what_was_seen_is_hollow() -> None:
    figure = version_graph(ALL)
    there, replaced = figure["data"][1:]
    assert (there["name"], len(there["x"])) == ("still there", 2)
    assert (replaced["name"], len(replaced["x"])) == ("replaced", 2)
    assert all(symbol.endswith("-open") for symbol in replaced["marker"]["symbol"])
    assert (
        figure["summary"]
        == "2 siblings are there, “bread” and “pizza”: neither writer had seen the other's; 2 replaced."
    )


def test_who_resolves_has_seen_both() -> None:
    both = version("node-3.cc:1", "all", {"node-1.aa": 3, "node-2.bb": 1})
    figure = version_graph([*ALL, both])
    assert edges(figure) == 5
    assert figure["summary"] == "One version is there, “all”; 4 were replaced."
    assert version_graph_rows([*ALL, both])[-1]["had seen"] == "node-1:1, node-1:2, node-1:3, node-2:1"


def test_a_single_dot_in_the_past_counts_as_seen() -> None:
    blind = version("node-2.bb:5", "blind", {})
    after = version("node-2.bb:6", "after", {}, issued_under_dots=["node-2.bb:5"])
    assert is_replaced(blind, [blind, after])
    assert not is_replaced(after, [blind, after])


def test_what_last_writer_wins_dropped_says_that_nobody_had_seen_it(recorded: Any) -> None:
    figure = version_graph(recorded["watch"].versions)
    assert "“at 10” though nobody had seen it" in figure["summary"]
    words = [one["text"] for one in figure["layout"]["annotations"]]
    assert "Bob: <b>at 10</b><br>(gone, and nobody had seen it)" in words
    assert "Alice: <b>at 9</b>" in words


def test_the_lunch_break_as_it_was_played(recorded: Any) -> None:
    figure = version_graph(recorded["lunch"].versions)
    assert figure["summary"].startswith("2 siblings are there")
    rows = version_graph_rows(recorded["lunch"].versions)
    assert [row["now"] for row in rows] == ["replaced", "replaced", "there", "there"]
    assert "node-2:" in rows[2]["concurrent with"]


def test_a_tombstone_a_double_and_nothing_at_all() -> None:
    gone = version("node-1.aa:4", "", {"node-1.aa": 3}, deleted=True)
    figure = version_graph([A3, gone, gone])
    assert figure["data"][1]["marker"]["symbol"] == ["square-x"]
    assert "“deleted”" in figure["summary"]
    assert version_graph([])["summary"] == "Nobody has written this key yet."
    assert version_graph_rows([]) == []


def test_two_versions_of_one_node_at_one_depth_stand_beside_each_other() -> None:
    one, other = version("node-1.aa:1", "x", {}), version("node-1.aa:2", "y", {})
    places = [(trace["x"], trace["y"]) for trace in version_graph([one, other])["data"][1:]]
    assert len(set(zip(*places[0], strict=True))) == 2
