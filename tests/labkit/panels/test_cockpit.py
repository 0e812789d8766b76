"""The cockpit: every control does what it says, gives feedback at once, and tells of errors."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from labkit.lab import NodeFacts
from labkit.panels import Cockpit
from labkit.panels.charts import FIGURES
from labkit.panels.cockpit import TICKS_PER_DRAWING
from labkit.panels.controls import Button, Control
from labkit.panels.nodes import node_html, opinions
from labkit.samples import sample_from_stats
from labkit.worlds import COUNTERS, SHORT, TITLES
from traffic.load.registry import WORKLOADS


def find(widget, css_class: str):
    """The widget of that class below `widget`."""
    if css_class in getattr(widget, "_dom_classes", ()):
        return widget
    for child in getattr(widget, "children", ()):
        found = find(child, css_class)
        if found is not None:
            return found
    return None


@pytest.mark.parametrize(
    ("css_class", "call"),
    [
        ("lab-kill-node-2", ("kill", "node-2")),
        ("lab-pause-node-1", ("pause", "node-1")),
        ("lab-resume-node-3", ("resume", "node-3")),
        ("lab-restart-node-2", ("restart", "node-2")),
        ("lab-cut-off-node-2", ("isolate", "node-2")),
        ("lab-heal", ("heal", None)),
        ("lab-start", ("start_traffic", None)),
        ("lab-stop", ("stop_traffic", None)),
        ("lab-reset", ("reset", None)),
    ],
)
def test_each_button_does_the_one_thing_it_says(lab, css_class: str, call) -> None:
    find(Cockpit(lab), css_class).click()
    assert lab.calls == [call]


def test_sliders_and_choices_set_what_they_name(lab) -> None:
    cockpit = Cockpit(lab)
    find(cockpit, "lab-rate").value = 200
    find(cockpit, "lab-delay").value = 50
    find(cockpit, "lab-r").value = 1
    find(cockpit, "lab-w").value = 3
    assert lab.calls == [
        ("set_rate", 200),
        ("delay", 50),
        ("set_quorum", (1, None)),
        ("set_quorum", (None, 3)),
    ]


def test_sliders_wait_for_the_end_of_a_drag(lab) -> None:
    cockpit = Cockpit(lab)
    assert not find(cockpit, "lab-rate").continuous_update
    assert not find(cockpit, "lab-delay").continuous_update


def test_a_button_is_disabled_and_says_so_while_its_command_is_carried_out(lab) -> None:
    cockpit = Cockpit(lab)
    button = find(cockpit, "lab-kill-node-2")
    lab.hold = []
    button.click()
    assert button.disabled
    assert button.description == "working…"
    button.click()
    lab.run_for(1)
    assert button.disabled, "a tick must not give the button back before the command ended"
    assert len(lab.hold) == 1, "a second click is not a second command"
    lab.hold.pop()()
    assert button.description == "Kill"


def test_a_light_tells_the_state_in_words_and_the_buttons_follow(lab) -> None:
    cockpit = Cockpit(lab)
    light = find(cockpit, "lab-light-node-2")
    assert "running" in light.value
    find(cockpit, "lab-kill-node-2").click()
    lab.run_for(1, dead="node-2")
    assert "✕ dead" in light.value
    assert find(cockpit, "lab-kill-node-2").disabled
    assert not find(cockpit, "lab-restart-node-2").disabled
    find(cockpit, "lab-restart-node-2").click()
    lab.run_for(1)
    assert "● running" in light.value
    assert not find(cockpit, "lab-kill-node-2").disabled


def test_a_node_that_is_cut_off_says_so(lab) -> None:
    cockpit = Cockpit(lab)
    find(cockpit, "lab-cut-off-node-3").click()
    lab.run_for(1)
    assert "cut off" in find(cockpit, "lab-light-node-3").value


def test_an_error_stands_in_the_status_line(lab) -> None:
    cockpit = Cockpit(lab)
    lab.problem = "node-2 is <dead>"
    find(cockpit, "lab-pause-node-2").click()
    lab.run_for(1)
    line = find(cockpit, "lab-status-line").value
    assert "failed: pausing node-2: node-2 is &lt;dead&gt;" in line


def test_a_change_made_elsewhere_moves_the_slider_without_sending_it_back(lab) -> None:
    cockpit = Cockpit(lab)
    lab.values["rate"] = 320
    lab.run_for(1)
    assert find(cockpit, "lab-rate").value == 320
    assert lab.calls == []


def test_a_rate_beyond_the_sliders_end_is_shown_and_not_cut_down(lab) -> None:
    cockpit = Cockpit(lab)
    lab.values.update(rate=2500, r=9)
    lab.run_for(1)
    assert find(cockpit, "lab-rate").value == 2500
    assert find(cockpit, "lab-r").value == 2
    assert lab.calls == []


def test_an_older_report_does_not_move_the_slider_back(lab) -> None:
    cockpit = Cockpit(lab)
    lab.hold = []
    slider = find(cockpit, "lab-rate")
    slider.value = 400
    lab.run_for(1)  # the service still reports 50
    assert slider.value == 400


def test_counters_are_the_services_own(lab) -> None:
    cockpit = Cockpit(lab)
    lab.run_for(1)
    sample = lab.history.latest
    assert f"<b>{sample.counts['view']:.0f}</b>" in find(cockpit, "lab-counters").value


def test_every_chart_shows_the_newest_sample_after_a_tick(lab) -> None:
    cockpit = Cockpit(lab)
    cockpit.slots.value = 6
    before = {name: list(chart.arrays) for name, chart in cockpit.charts.items()}
    assert set(before) == set(FIGURES)
    lab.run_for(1, dead="node-2")
    assert all(chart.arrays != before[name] for name, chart in cockpit.charts.items())


def test_the_same_chart_is_given_out_each_time_and_a_wrong_name_says_which_there_are(lab) -> None:
    cockpit = Cockpit(lab)
    assert cockpit.chart("load") is cockpit.chart("load")
    with pytest.raises(ValueError, match="there are rate, latency, load"):
        cockpit.chart("speed")


@pytest.mark.parametrize("nodes", [1, 5, 9])
def test_there_is_one_row_a_node(make_lab, nodes: int) -> None:
    lab = make_lab(nodes)
    cockpit = Cockpit(lab)
    assert list(cockpit.rows) == [f"node-{number}" for number in range(1, nodes + 1)]
    assert find(cockpit, "lab-w").options == tuple(range(1, min(3, nodes) + 1))


def test_every_control_has_a_name_that_tells_it_from_all_others(lab) -> None:
    def controls(widget) -> Iterator[Control]:
        if isinstance(widget, Control):
            yield widget
        for child in getattr(widget, "children", ()):
            yield from controls(child)

    names = [
        f"{one.description} {one.subject}".strip() if isinstance(one, Button) else one.label
        for one in controls(Cockpit(lab))
    ]
    assert len(names) == len(set(names)) == 15 + 4 + 4 + 3 + 2  # nodes, settings, commands, view, charts
    assert all(names)
    assert "Kill node-2" in names


def two_worlds(lab, stats_at, second: float, **collab) -> None:
    """A sample in which people also write together."""
    told = stats_at(second)
    told["workloads"]["collab"] = {
        "running": True, "achieved_rate": 21.4, "target_rate": 20.0, "operations_total": 164, "errors_total": 2,
        "counts": {"create": 60, "open": 63, "edit": 40, "merge": 1, "resolve": 0}, "bug": None,
        "latency_ms": {"p50": 3.0, "p95": 9.0, "p99": 12.0}, "longest_gap_s": 0.4,
        "world": {"collisions": 7, "edits_lost": 0}, **collab,
    }  # fmt: skip
    lab.history.add(sample_from_stats(told, second))


def test_all_worlds_are_in_sight_and_another_one_can_be_chosen(lab, stats_at) -> None:
    cockpit = Cockpit(lab)
    lab.run_for(1)
    for second in (40.0, 40.5):
        two_worlds(lab, stats_at, second)
    cockpit.refresh()
    assert "● Twitter" in cockpit._worlds.value and "● Editor <b>21 op/s</b>" in cockpit._worlds.value
    assert "○ Warehouses <b>at rest</b>" in cockpit._worlds.value
    lab.values.update(rate=20, w=1)
    find(cockpit, "lab-world").value = "Editor"
    assert lab.chosen_world == "collab"
    assert lab.calls == [], "to look at a world changes nothing"
    tiles = find(cockpit, "lab-counters").value
    assert "<b>7</b><span>collisions</span>" in tiles and "<b>2</b><span>failed</span>" in tiles
    assert (find(cockpit, "lab-rate").value, find(cockpit, "lab-w").value) == (20, 1)
    cockpit.refresh()
    asked = next(one for one in cockpit._charts._figure("rate")["data"] if one["name"] == "asked for")
    assert asked["y"][-1] == 20.0
    assert not find(cockpit, "lab-stop").disabled
    lab.chosen_world = "twitter"  # as a reset does
    cockpit.refresh()
    assert find(cockpit, "lab-world").value == "Twitter"
    assert "tweets" in find(cockpit, "lab-counters").value
    assert cockpit._charts.world == "twitter"


def test_a_known_mistake_that_is_on_is_said_beside_its_world(lab, stats_at) -> None:
    cockpit = Cockpit(lab)
    two_worlds(lab, stats_at, 40.0, bug="lww")
    cockpit.refresh()
    assert "! the last writer wins" in cockpit._worlds.value


def test_the_words_are_those_of_the_worlds_that_there_are() -> None:
    assert set(SHORT) == set(TITLES) == set(COUNTERS) == set(WORKLOADS)
    for name, world in WORKLOADS.items():
        made = world.make(Random(0), "test")
        known = {"kind": set(made.kinds), "world": set(made.counts()) or {"refused_out_of_stock", "oversold"}}
        assert [one for one in COUNTERS[name] if one[2] not in known[one[1]]] == []


def test_a_node_that_joins_gets_a_row_and_one_that_leaves_loses_it(lab) -> None:
    cockpit = Cockpit(lab)
    row = cockpit.rows["node-2"]
    lab.states["node-4"] = "running"
    lab.run_for(1)
    assert list(cockpit.rows) == ["node-1", "node-2", "node-3", "node-4"]
    assert cockpit.rows["node-2"] is row
    find(cockpit, "lab-kill-node-4").click()
    assert lab.calls == [("kill", "node-4")]
    del lab.states["node-4"]
    lab.run_for(1)
    assert find(cockpit, "lab-kill-node-4") is None


def test_two_charts_are_in_sight_and_a_menu_chooses_which(lab) -> None:
    cockpit = Cockpit(lab)
    assert list(cockpit.charts) == ["rate", "latency"]
    find(cockpit, "lab-menu-2").value = "hints"
    assert find(cockpit, "lab-chart-hints") is cockpit.charts["hints"]
    assert find(cockpit, "lab-chart-latency") is None


def test_charts_that_nobody_looks_at_are_not_sent(lab) -> None:
    cockpit = Cockpit(lab)
    latency = cockpit.charts["latency"]
    find(cockpit, "lab-menu-2").value = "hints"
    sent = latency.sent_bytes
    lab.run_for(1)
    lab.run_for(1)
    assert latency.sent_bytes == sent
    cockpit.show("latency")
    for _ in range(TICKS_PER_DRAWING):
        lab.run_for(1)
    assert latency.sent_bytes > sent


def test_a_changed_setting_is_drawn_at_once_and_not_at_every_second_tick(lab) -> None:
    cockpit = Cockpit(lab)
    lab.run_for(1)  # draws
    for rate in (100, 150):
        before = cockpit.charts["rate"].sent_bytes
        lab.values["rate"] = rate
        lab.run_for(0.25)
        assert cockpit.charts["rate"].sent_bytes > before


def test_large_is_for_the_last_row_and_can_be_switched_at_any_time(lab) -> None:
    cockpit = Cockpit(lab)
    shown = cockpit.show("load")
    lab.run_for(1)
    assert title_size(cockpit) < 20
    cockpit.large = True
    lab.run_for(1)
    assert "lab-large" in shown._dom_classes
    assert "lab-large" in cockpit._dom_classes
    assert title_size(cockpit) >= 20
    assert find(cockpit, "lab-text-size").value == "large"
    find(cockpit, "lab-text-size").value = "normal"
    lab.run_for(1)
    assert "lab-large" not in cockpit._dom_classes
    assert title_size(cockpit) < 20
    assert Cockpit(lab, large=True).large


def title_size(cockpit) -> int:
    """Of the first chart's title, in px."""
    return cockpit.charts["rate"].skeleton["layout"]["title"]["font"]["size"]


@pytest.mark.parametrize(
    ("said_by", "says"),
    [
        ({"node-1": "alive", "node-3": "alive"}, "peers say alive"),
        ({"node-1": "dead", "node-3": "alive"}, "node-1 says dead"),
        ({"node-1": "dead", "node-3": "dead"}, "node-1, node-3 say dead"),
        ({"node-1": "dead", "node-3": "suspect"}, "node-1 says dead; node-3 says suspect"),
        ({}, ""),  # nobody is there to say it: a node alone, or all others dead
    ],
)
def test_what_peers_say_names_who_says_it(said_by, says: str) -> None:
    facts = NodeFacts("node-2", "running", 9999, peers_say="suspect", said_by=said_by)
    assert opinions(facts) == says
    assert says in node_html(facts)


def test_a_node_that_others_cut_off_is_not_called_dead() -> None:
    others = {"node-2": "dead", "node-3": "dead"}
    html = node_html(NodeFacts("node-1", "running", 9999, peers_say="cut off", said_by=others))
    assert "cut off</span>" in html
    assert "✕ dead" not in html


def test_a_node_that_still_takes_its_data_over_is_joining() -> None:
    assert "joining</span>" in node_html(NodeFacts("node-4", "running", 9999, joining=True))


def test_the_rate_slider_ends_where_a_classroom_does(lab) -> None:
    assert find(Cockpit(lab), "lab-rate").max == 500
