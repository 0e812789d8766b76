"""The cockpit: every control does what it says, gives feedback at once, and tells of errors."""

from __future__ import annotations

import pytest

from labkit.panels import Cockpit
from labkit.panels.cockpit import FIGURES


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
