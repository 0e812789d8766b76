"""A session on doubles of a cluster and a service: what a reset does, and in which order; who is known after a join."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster.contract import MembershipChange
from labkit import session as sessions
from labkit.errors import LabError
from labkit.launch import opening
from labkit.live.ticker import Ticker
from labkit.panels.pulse import pulse
from labkit.session import Session
from labkit.waiting import wait_until


def node_info(name: str) -> SimpleNamespace:
    """A row of the supervisor's table."""
    return SimpleNamespace(name=name, state="running", reason="", killed=False, http_port=1, pid=3, rules={})


class FakeCluster:
    """Three nodes; a fourth may join."""

    replicas = 3

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.names = ["node-1", "node-2", "node-3"]
        self.change: MembershipChange | None = None

    def state(self) -> SimpleNamespace:
        return SimpleNamespace(nodes=[node_info(name) for name in self.names], change=self.change)

    def client(self) -> Any:
        return SimpleNamespace(names=tuple(self.names))

    def reset(self) -> None:
        self.calls.append("cluster: reset")

    def heal(self) -> None:
        self.calls.append("cluster: heal")

    def stop(self) -> None:
        self.calls.append("cluster: stop")


class FakeTraffic:
    """A service whose nodes may be ill for a while."""

    def __init__(self, calls: list[str], stats_at: Callable[..., dict[str, Any]]) -> None:
        self.calls = calls
        self._stats_at = stats_at
        self.second = 0.0
        self.looks_until_well = 0

    def stats(self) -> dict[str, Any]:
        self.second += 0.25
        self.looks_until_well -= 1
        return self._stats_at(self.second, dead="node-2" if self.looks_until_well > 0 else None)

    def __getattr__(self, verb: str) -> Callable[..., None]:
        return lambda **settings: self.calls.append(f"traffic: {verb} {settings or ''}".strip())


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def session(
    calls: list[str], stats_at: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    monkeypatch.setattr(Ticker, "start", lambda ticker: ticker)  # the test ticks
    made = Session(FakeCluster(calls), FakeTraffic(calls, stats_at), "a summary")  # type: ignore[arg-type]
    yield made
    made._worker.stop()


def test_a_reset_rests_mends_waits_for_all_lights_and_only_then_begins_the_ledger(
    session: Session, calls: list[str]
) -> None:
    session.history.mark("node-2 killed", 1.0)
    session.traffic.looks_until_well = 3  # type: ignore[attr-defined]
    session.reset()
    assert calls == [
        "traffic: stop",
        "cluster: reset",
        "traffic: configure {'world': 'twitter', 'r': 2, 'w': 2, 'loop': 'open', 'bug': None, 'rate': 50}",
        "traffic: configure {'world': 'collab', 'r': 2, 'w': 2, 'loop': 'open', 'bug': None}",
        "traffic: configure {'world': 'inventory', 'r': 2, 'w': 2, 'loop': 'open', 'bug': None}",
        "traffic: reset",
        "traffic: start",
    ]
    assert session.traffic.looks_until_well <= 0  # type: ignore[attr-defined]
    assert session.history.marks == []


def test_a_reset_does_not_wait_for_ever_for_a_node_that_stays_ill(
    session: Session, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "WELL_S_MAX", 0.2)
    session.traffic.looks_until_well = 10_000  # type: ignore[attr-defined]
    session.reset()
    assert calls[-2:] == ["traffic: reset", "traffic: start"]


def test_after_a_join_the_notebooks_client_knows_the_new_node(session: Session) -> None:
    cluster: Any = session.cluster
    before = session.client
    cluster.names.append("node-4")
    cluster.change = MembershipChange("join", "node-4")
    session._tick()
    assert session.client is before, "it is not a member yet"
    cluster.change.finished = True
    session._tick()
    assert session.client.names == ("node-1", "node-2", "node-3", "node-4")
    assert [mark.text for mark in session.history.marks] == ["node-4 joined"]
    assert session.node("node-4").state == "running"


def test_healing_is_one_command_to_the_cluster(session: Session, calls: list[str]) -> None:
    session.heal()
    assert calls == ["cluster: heal"]


def test_the_pulse_beats_while_a_tick_waits_for_a_service_that_hangs(
    calls: list[str], stats_at: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The traffic service hangs; each question ends after 5 s. 2. The pulse beat at every fourth tick. 3. After 6 s
    without a beat every panel said that its kernel had ended, and took no click."""
    monkeypatch.setattr(sessions, "BEAT_EVERY_S", 0.01)
    traffic = FakeTraffic(calls, stats_at)
    made = Session(FakeCluster(calls), traffic, "a summary")  # type: ignore[arg-type]
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> dict[str, Any]:
        hangs.set()
        assert goes_on.wait(20)
        return stats_at(1.0)

    traffic.stats = hang  # type: ignore[method-assign]
    try:
        assert hangs.wait(10)
        ticks, beats = made.ticker.ticks, pulse().beat
        wait_until(lambda: pulse().beat >= beats + 3, what="the pulse to beat", timeout_s=10)
        assert made.ticker.ticks == ticks
        goes_on.set()
    finally:
        goes_on.set()
        made._stop_threads()
    beats = pulse().beat
    assert not made._heart.alive
    assert pulse().beat == beats


def test_opening_a_session_does_not_wait_for_pandas() -> None:
    """It takes longer to import than all the rest; only tables need it."""
    code = "import sys, labkit.session; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_plotly_is_on_its_way_to_the_page_while_the_cluster_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(sessions, "plotly_script", lambda: made.append("script"))

    def find_or_start(**_: Any) -> Any:
        made.append("cluster")
        raise LabError("not today")

    monkeypatch.setattr(opening, "find_or_start", find_or_start)
    monkeypatch.setattr(Session, "_current", None)
    with pytest.raises(LabError):
        Session.open()
    assert made == ["script", "cluster"]
