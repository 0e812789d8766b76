"""The pulse: it beats while the lab ticks, and every panel has it."""

from __future__ import annotations

from labkit.panels import Cockpit, PostTweet, ReplicaView
from labkit.panels.pulse import BEATS_EVERY_TICKS, Pulse, pulse


def test_it_beats_once_a_second_and_not_at_every_tick() -> None:
    one = Pulse()
    for _ in range(10 * BEATS_EVERY_TICKS):
        one.tick()
    assert one.beat == 10
    assert one.me == one.model_id


def test_every_panel_notices_that_its_kernel_has_ended(lab) -> None:
    lab.put("tweet/1", '{"text": "hi"}')
    cockpit = Cockpit(lab)
    for panel in (cockpit, cockpit.show("rate"), PostTweet(lab), ReplicaView(lab, "tweet/1")):
        assert pulse() in panel.children
        assert "lab-panel" in panel._dom_classes
