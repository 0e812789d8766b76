"""The pulse: every panel has it. (That it beats while the kernel lives: tests/labkit/test_session.py.)"""

from __future__ import annotations

from labkit.panels import Cockpit, PostTweet, ReplicaView
from labkit.panels.pulse import Pulse, pulse


def test_it_says_what_the_page_must_know_to_hear_it() -> None:
    one = Pulse()
    one.tick()
    assert (one.beat, one.me) == (1, one.model_id)


def test_every_panel_notices_that_its_kernel_has_ended(lab) -> None:
    lab.put("tweet/1", '{"text": "hi"}')
    cockpit = Cockpit(lab)
    for panel in (cockpit, cockpit.show("rate"), PostTweet(lab), ReplicaView(lab, "tweet/1")):
        assert pulse() in panel.children
        assert "lab-panel" in panel._dom_classes
