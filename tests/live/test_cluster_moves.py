"""Nodes that come and go under load, on real processes: nothing acknowledged is lost, every refusal says why."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from kvnode.checkers import Ledger, Verdict
from kvnode.client import Client
from kvnode.cluster import BadCommand, LocalCluster
from kvnode.errors import KvError

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]
Until = Callable[..., None]

RATE_PER_S = 200.0
THREADS = 8
KEYS = 300


class Load:
    """Threads that write at a steady rate through the nodes of the beginning, and note what was acknowledged."""

    def __init__(self, urls: list[str]) -> None:
        self.ledger = Ledger()
        self.done = 0
        self.refusals: Counter[str] = Counter()
        self.indefinite: list[str] = []
        self.surprises: list[BaseException] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number, urls[number % len(urls) :] + urls))
            for number in range(THREADS)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, number: int, urls: list[str]) -> None:
        client, chance = Client(urls[:3], timeout_s=4.0), random.Random(number)
        totals: Counter[str] = Counter()
        period_s = THREADS / RATE_PER_S
        due = time.monotonic() + chance.random() * period_s
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due = max(due + period_s, time.monotonic() - period_s)
                key = f"moves/{chance.randrange(KEYS)}"
                if chance.random() < 0.5:
                    self._put(client, key, chance.random())
                else:
                    totals[key] += 1
                    self._count(client, key, f"actor-{number}", totals[key])
        except BaseException as error:  # noqa: BLE001 - a thread's failure must fail the test
            self.surprises.append(error)

    def _put(self, client: Client, key: str, value: float) -> None:
        try:
            answer = client.put(key, value)
        except KvError as error:
            self._refused(error)
            if not error.definite:
                with self._lock:
                    self.ledger.indefinite_put(key)
            return
        with self._lock:
            self.done += 1
            self.ledger.acknowledged(answer)

    def _count(self, client: Client, key: str, actor: str, total: int) -> None:
        try:
            client.increment(key, actor, total)
        except KvError as error:
            self._refused(error)
            with self._lock:
                self.ledger.unanswered_counter(key, actor, total)
            return
        with self._lock:
            self.done += 1
            self.ledger.acknowledged_counter(key, actor, total)

    def _refused(self, error: KvError) -> None:
        with self._lock:
            self.refusals[f"{error.status} {error.detail}"] += 1
            if not error.definite or not error.detail:
                self.indefinite.append(f"{error.status} {error.detail}")


def test_two_nodes_join_and_two_leave_under_load_and_nothing_is_lost(
    live_cluster: StartCluster, until: Until, final_reads: Callable[..., Verdict]
) -> None:
    cluster = live_cluster()
    moved = []

    def note(what: str, began_s: float) -> None:
        ring = cluster.client().ring(cluster.nodes[-1].name)
        assert ring["moved"] is not None
        moved.append(ring["moved"]["times_ideal"])
        print(f"{what} in {time.monotonic() - began_s:.1f} s, slots moved: {ring['moved']}")

    print()
    with Load(cluster.urls) as load:
        until(lambda: load.done >= RATE_PER_S, within_s=20, what="a second's worth of writes")
        for what in ("node-4 joins", "node-5 joins"):
            began_s = time.monotonic()
            assert cluster.join().name in what
            note(what, began_s)
        for leaver in ("node-1", "node-5"):
            began_s, before = time.monotonic(), load.done
            cluster.leave(leaver)
            note(f"{leaver} leaves", began_s)
            assert load.done > before, "the load goes on meanwhile"
        before = load.done
        until(lambda: load.done >= before + RATE_PER_S, within_s=20, what="the load goes on afterwards")
    verdict = final_reads(cluster.client(), load.ledger)
    print(f"{load.done} writes acknowledged, {verdict}; refused: {dict(load.refusals) or 'none'}")
    assert load.surprises == []
    assert verdict.ok, verdict
    assert verdict.lost == 0
    assert load.indefinite == [], "every refusal is definite and says why"
    assert max(moved) <= 1.5
    assert [node.name for node in cluster.nodes] == ["node-2", "node-3", "node-4"]


def test_the_cluster_starts_again_as_its_moves_have_left_it(live_cluster: StartCluster, until: Until) -> None:
    cluster = live_cluster()
    client = cluster.client()
    client.put("k", "kept")
    cluster.join()
    cluster.kill("node-2")
    until(lambda: client.health("node-1")["members"]["node-2"] == "dead", within_s=10, what="a known death")
    with pytest.raises(BadCommand, match="node-2 is dead and cannot hand its data over; remove it by force"):
        cluster.leave("node-2")
    cluster.leave("node-2", force=True)
    cluster.stop()
    again = live_cluster()
    assert [node.name for node in again.nodes] == ["node-1", "node-3", "node-4"]
    ring = again.client().ring()
    assert (ring["nodes"], ring["phase"]) == (["node-1", "node-3", "node-4"], "stable")
    assert again.client().get("k")["value"] == "kept"
    with pytest.raises(BadCommand, match="2 members would be left, but each key has 3 replicas"):
        again.leave("node-3")


def test_a_join_on_slow_links_is_slow_from_its_first_message_and_ends_with_its_lease(
    live_cluster: StartCluster, until: Until
) -> None:
    cluster = live_cluster()
    with pytest.raises(BadCommand, match="delay and jitter must be from 0 to"):
        cluster.begin_join(delay_ms=-1)
    assert [node.name for node in cluster.nodes] == ["node-1", "node-2", "node-3"]
    with cluster.lease("a class that watches") as held:
        assert held.begin_join(delay_ms=40) == "node-4"
        change = cluster.change
        assert change is not None and (change.what, change.node) == ("join", "node-4")
        faults = cluster.faults()
        assert set(faults["node-4"]) == {"node-1", "node-2", "node-3"}
        assert all(faults[name] == {"node-4": {"delay_ms": 40.0}} for name in ("node-1", "node-2", "node-3"))
        with pytest.raises(BadCommand, match="join of node-4 is under way; one at a time"):
            cluster.begin_join()
    assert cluster.faults() == {}
    until(lambda: cluster.is_settled, within_s=20, what="node-4 is a member")
    assert cluster.client().ring()["nodes"] == ["node-1", "node-2", "node-3", "node-4"]
