"""The Faults panel: every verb of the cluster, under one lease; and the chart of the round trips achieved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster import NotRunning
from labkit.figures.round_trips import round_trips, round_trips_rows
from labkit.panels.faults import ALL_LINKS, Faults, broken_html
from labkit.panels.sides import sides


class Held:
    """A double of a leased cluster: whatever is called is written down."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.closed = False
        self.nodes = [
            SimpleNamespace(name=f"node-{n}", state="running", rules={}, clock_skew_ms=0.0, disk_delay_ms=0.0)
            for n in (1, 2, 3)
        ]

    def lease(self, holder: str) -> Held:
        return self

    def client(self, **options: Any) -> Any:
        return SimpleNamespace(stats=lambda name: {"links": {}})

    def close(self) -> None:
        self.closed = True

    def __getattr__(self, verb: str) -> Callable[..., None]:
        return lambda *arguments, **options: self.calls.append((verb, arguments, options))


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def panel(lab: Any, held: Held) -> Iterator[Faults]:
    made = Faults(lab, held)  # type: ignore[arg-type]
    yield made
    made.close()


def test_each_button_breaks_the_node_that_is_chosen(panel: Faults, held: Held) -> None:
    panel.node.value = "node-2"
    for label in ("Kill", "Restart", "Pause", "Resume", "Wipe", "Cut off"):
        panel.verbs[label].click()
    verbs = ["kill", "restart", "pause", "resume", "wipe", "isolate"]
    assert held.calls == [(verb, ("node-2",), {}) for verb in verbs]


def test_what_is_chosen_when_a_button_is_pressed_is_meant_also_if_its_turn_comes_later(
    lab: Any, panel: Faults, held: Held
) -> None:
    """1. A restart is under way. 2. Kill is pressed for node-1. 3. node-2 is chosen, for the next thing to be done:
    node-2 was killed."""
    lab.hold = []
    panel.verbs["Kill"].click()
    panel.skew.value = 500
    panel.part.click()
    panel.delay.value = 50
    panel.node.value = "node-2"
    panel.skew.value = 700
    panel.side.value = "node-3 | node-1, 2"
    panel.link.value = "node-1 – node-3"
    for command in lab.hold:
        command()
    assert held.calls == [
        ("kill", ("node-1",), {}),
        ("skew", ("node-1", 500), {}),
        ("partition", ([["node-1"], ["node-2", "node-3"]],), {}),
        ("delay", (50.0,), {"distribution": "fixed", "nodes": None}),
        ("skew", ("node-2", 700), {}),
    ]


def test_a_command_that_failed_says_so_in_the_panel_and_names_the_node(
    lab: Any, panel: Faults, held: Held
) -> None:
    lab.problem = "node-2 is not paused"
    panel.node.value = "node-2"
    panel.verbs["Resume"].click()
    for refresh in lab.refreshers:
        refresh()
    assert "✗ failed: resuming node-2: node-2 is not paused" in panel.said.value


def test_where_the_cluster_does_not_answer_nothing_is_said_to_be_whole(
    panel: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.look()
    assert "nothing is broken" in panel.broken.value

    class Gone:
        @property
        def nodes(self) -> list[Any]:
            raise NotRunning("the cluster lab does not run")

    monkeypatch.setattr(panel, "_held", Gone())
    panel.look()
    assert "cannot be told: the cluster lab does not run" in panel.broken.value


def test_sides_links_scatter_and_topology(panel: Faults, held: Held) -> None:
    panel.side.value = "node-2 | node-1, 3"
    panel.part.click()
    panel.reconnect.click()
    panel.link.value = "node-1 – node-3"
    panel.delay.value = 50
    panel.scatter.value = "exponential"
    panel.topology.value = "three-regions"
    panel.topology.value = "none"
    assert held.calls == [
        ("partition", ([["node-2"], ["node-1", "node-3"]],), {}),
        ("reconnect", (), {}),
        ("delay", (50.0,), {"distribution": "fixed", "nodes": ("node-1", "node-3")}),
        ("delay", (50.0,), {"distribution": "exponential", "nodes": ("node-1", "node-3")}),
        ("topology", ("three-regions",), {}),
        ("delay", (0,), {}),
    ]
    assert ALL_LINKS in panel.link.options


def test_a_clock_and_a_disk_are_the_chosen_nodes(panel: Faults, held: Held) -> None:
    panel.node.value = "node-3"
    panel.skew.value = -5000
    panel.disk.value = 50
    assert held.calls == [("skew", ("node-3", -5000), {}), ("slow_disk", ("node-3", 50), {})]


def test_choosing_another_node_shows_its_clock_and_disk_and_changes_nothing(
    panel: Faults, held: Held
) -> None:
    """1. The clock of node-1 is set back. 2. node-2 is chosen. 3. The slider must not claim that its clock is wrong."""
    panel.skew.value = -5000
    held.nodes[0].clock_skew_ms = -5000.0
    held.nodes[1].disk_delay_ms = 50.0
    panel.look()
    held.calls.clear()
    panel.node.value = "node-2"
    assert (panel.skew.value, panel.disk.value) == (0, 50)
    panel.node.value = "node-1"
    assert (panel.skew.value, panel.disk.value) == (-5000, 0)
    assert held.calls == []


def test_undo_all_gives_back_what_the_lease_did_and_the_controls_say_so_without_a_command(
    panel: Faults, held: Held
) -> None:
    panel.delay.value = 200
    panel.scatter.value = "long tail"
    panel.skew.value = 900
    held.calls.clear()
    panel.undo.click()
    assert held.calls == [("undo", (), {})]
    assert (panel.delay.value, panel.scatter.value, panel.skew.value) == (0, "none", 0)
    panel.delay.value = 70
    assert held.calls[1:] == [("delay", (70.0,), {"distribution": "fixed", "nodes": None})]


def test_closing_gives_the_lease_back_and_ends_the_thread(lab: Any, held: Held) -> None:
    panel = Faults(lab, held)  # type: ignore[arg-type]
    panel.close()
    assert held.closed
    assert not panel._ticker.alive


def test_what_is_broken_is_said_in_words() -> None:
    fine = SimpleNamespace(name="node-1", state="running", rules={}, clock_skew_ms=0.0, disk_delay_ms=0.0)
    assert "✓ nothing is broken" in broken_html([fine])  # type: ignore[list-item]
    wrong = SimpleNamespace(
        name="node-2", state="paused", rules={"node-1": {"cut": True}, "node-3": {"delay_ms": 5.0}},
        clock_skew_ms=-5000.0, disk_delay_ms=9.0,
    )  # fmt: skip
    text = broken_html([fine, wrong])  # type: ignore[list-item]
    for word in ("node-2 paused", "1 cut", "1 slow link", "clock of node-2 -5000 ms", "disk of node-2 +9 ms"):
        assert word in text


# --- sides ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "ways"), [(2, 1), (3, 3), (4, 7), (5, 15), (9, 10)])
def test_nodes_are_divided_each_way_once(count: int, ways: int) -> None:
    nodes = [f"node-{number}" for number in range(1, count + 1)]
    found = sides(nodes)
    assert len(found) == ways
    assert all(sorted([*one, *other]) == sorted(nodes) and one and other for one, other in found.values())
    assert len({frozenset(map(frozenset, pair)) for pair in found.values()}) == ways
    assert next(iter(found)).startswith("node-1 | node-2" if count > 1 else "")


# --- the chart -----------------------------------------------------------------------------------------------------


STATS = {
    "node-1": {"links": {"node-2": {"round_trip_ms": {"p50": 101.0, "p95": 140.0, "samples": 9}}}},
    "node-2": {"links": {"node-1": {"round_trip_ms": {"p50": 99.0, "p95": 130.0, "samples": 3}}}},
}
RULES = {"node-1": {"node-2": {"delay_ms": 50.0}}, "node-2": {"node-1": {"delay_ms": 50.0}}, "node-3": {}}


def test_a_link_shows_what_was_set_beside_what_is_achieved() -> None:
    rows = round_trips_rows(STATS, {**RULES, "node-3": {"node-1": {"cut": True}}})
    assert [row["link"] for row in rows] == ["node-1 – node-2", "node-1 – node-3", "node-2 – node-3"]
    assert (rows[0]["set_ms"], rows[0]["p50_ms"], rows[0]["p95_ms"]) == (100.0, 101.0, 140.0)
    figure = round_trips(rows)
    assert figure["data"][2]["text"] == ["  101 ms", "  ✕ cut", "  nothing comes back"]
    assert figure["summary"] == (
        "The slowest round trip is node-1 – node-2: 101 ms (set: 100 ms); cut: node-1 – node-3."
    )


def test_a_link_to_a_node_that_does_not_answer_shows_nothing_of_the_past() -> None:
    rows = round_trips_rows({"node-1": STATS["node-1"]}, RULES)
    assert rows[0]["p50_ms"] is None


def test_no_node_has_told_anything_yet() -> None:
    assert round_trips([])["summary"] == "No round trip was measured yet."
    assert round_trips_rows({}, {}) == []
