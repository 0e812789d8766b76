"""The ring's panel: two buttons, sentences in place of tracebacks, and a picture that follows the nodes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster import BadCommand
from labkit.errors import LabError
from labkit.growth import Growth
from labkit.panels.ring import RingPanel


@pytest.fixture
def growth(ring_cluster: Any) -> Growth:
    traffic = SimpleNamespace(stats=dict)
    return Growth(SimpleNamespace(cluster=ring_cluster, traffic=traffic))


@pytest.fixture
def panel(lab: Any, ring_cluster: Any, growth: Growth) -> Iterator[RingPanel]:
    submit = lab.submit

    def refusing(doing: str, action: Any, *, done: Any = None) -> None:
        """As the session's worker does: a refusal is a sentence, and the thread goes on."""

        def guarded() -> None:
            try:
                action()
            except LabError as error:
                lab.problem_said = str(error)

        submit(doing, guarded, done=done)

    lab.submit = refusing
    made = RingPanel(lab, ring_cluster, growth, mine=["tweet/alice"])
    made._ticker.stop()  # a test looks when it wants to
    yield made
    made.close()


def said(panel: RingPanel) -> str:
    return str(panel._said.value)


def test_join_by_button_fills_the_new_circle_and_ends_in_a_sentence(
    panel: RingPanel, ring_cluster: Any, growth: Growth
) -> None:
    assert "Press Join" in said(panel) and "3 nodes" in panel.picture.summary
    panel.join_button.click()
    ring_cluster.arrived = 100
    panel.look()
    assert "node-4 is joining (data moves)." in said(panel)
    assert "node-4 is to take over 189, of which 75 have arrived" in panel.picture.summary
    ring_cluster.finish()
    growth.wait()
    panel.look()
    assert "node-4 joined in" in said(panel) and "4 nodes" in panel.picture.summary
    assert panel.who.options == ("node-1", "node-2", "node-3", "node-4") and panel.who.value == "node-4"


def test_a_second_press_while_one_joins_is_a_sentence_and_gone_when_it_is_over(
    panel: RingPanel, ring_cluster: Any, growth: Growth
) -> None:
    panel.join_button.click()
    panel.join_button.click()
    assert "One change at a time: node-4 is joining" in said(panel)
    ring_cluster.finish()
    growth.wait()
    panel.look()
    assert "One change" not in said(panel) and "node-4 joined" in said(panel)


def test_leave_at_three_nodes_says_why_not(panel: RingPanel, ring_cluster: Any) -> None:
    ring_cluster.refusal = BadCommand(
        "node-3 cannot leave: 2 members would be left, but each key has 3 replicas"
    )
    panel.who.value = "node-3"
    panel.leave_button.click()
    assert "node-3 cannot leave: each key has 3 copies" in said(panel)
    assert "Let a node join first." in said(panel)
    panel.look()
    assert "node-3 cannot leave" in said(panel), "it stays until the next press"


def test_a_ring_that_nobody_tells_is_said_so(panel: RingPanel, ring_cluster: Any) -> None:
    ring_cluster.silent = {"node-1", "node-2", "node-3"}
    panel.look()
    assert "The ring cannot be seen" in said(panel)
    ring_cluster.silent = set()
    panel.look()
    assert "cannot be seen" not in said(panel)


def test_what_was_seen_is_kept_as_a_picture(panel: RingPanel) -> None:
    kept = panel.keep()
    panel.now = panel.now.__class__((), ())
    assert "3 nodes" in kept().summary
