"""A storm of writes, kill -9 in the middle of it, and afterwards nothing that was acknowledged is missing.

Independent of the traffic generators: plain threads, the client for people, and the ledger. Short by default; harder
by hand:

    QUORUM_LAB_STORM_RATE=500 QUORUM_LAB_STORM_DOWN_S=10 pytest -s tests/live/test_durability_kills.py
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kvnode.checkers import Ledger, Verdict
from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.errors import KvError, NotFound

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]
FinalReads = Callable[[Client, Ledger], Verdict]

RATE_PER_S = float(os.environ.get("QUORUM_LAB_STORM_RATE", "100"))
BEFORE_S = float(os.environ.get("QUORUM_LAB_STORM_BEFORE_S", "1.5"))
DOWN_S = float(os.environ.get("QUORUM_LAB_STORM_DOWN_S", "2"))
AFTER_S = float(os.environ.get("QUORUM_LAB_STORM_AFTER_S", "3"))
THREADS = 8
HOT_KEYS = 20
COUNTERS = 10
AGREE_WITHIN_S = 15.0


class Storm:
    """Threads that write at a steady rate and note in a ledger what was acknowledged."""

    def __init__(self, urls: list[str], *, w: int = 2, seed: int = 7) -> None:
        self.ledger = Ledger()
        self.touched: set[str] = set()
        self.counters: set[str] = set()
        self.errors: dict[str, int] = {}
        self.surprises: list[BaseException] = []
        self.done = 0
        self.longest_gap_s = 0.0
        self.took_s = 0.0
        self._last_success = time.monotonic()
        self._w = w
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number, urls[number % len(urls) :] + urls, seed))
            for number in range(THREADS)
        ]

    def __enter__(self) -> Storm:
        self._last_success = self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in self._threads)
        self._note_gap()
        self.took_s = time.monotonic() - self._started

    def _note_gap(self) -> None:
        now = time.monotonic()
        self.longest_gap_s = max(self.longest_gap_s, now - self._last_success)
        self._last_success = now

    def _run(self, number: int, urls: list[str], seed: int) -> None:
        client, chance = Client(urls[:3], timeout_s=4.0), random.Random(seed * 1000 + number)
        totals = dict.fromkeys((f"storm/counter/{n}" for n in range(COUNTERS)), (0, 0))
        period_s = THREADS / RATE_PER_S
        due = time.monotonic() + chance.random() * period_s
        serial = 0
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                due = max(due + period_s, time.monotonic() - period_s)
                serial += 1
                dice = chance.random()
                if dice < 0.4:
                    self._count(client, f"actor-{number}", chance.choice(sorted(totals)), totals)
                elif dice < 0.7:
                    self._put(client, f"storm/{number}/{serial}", serial)
                elif dice < 0.95:
                    self._put(
                        client, f"storm/hot/{chance.randrange(HOT_KEYS)}", serial, read_first=dice > 0.85
                    )
                else:
                    self._put(client, f"storm/hot/{chance.randrange(HOT_KEYS)}", None, delete=True)
        except BaseException as error:  # noqa: BLE001 - a thread's failure must fail the test
            self.surprises.append(error)

    def _put(
        self, client: Client, key: str, value: Any, *, read_first: bool = False, delete: bool = False
    ) -> None:
        context = None
        try:
            if read_first:
                context = _context(client, key)
            if delete:
                answer = client.delete(key, context=context, w=self._w)
            else:
                answer = client.put(key, value, context=context, w=self._w)
        except KvError as error:
            with self._lock:
                self.touched.add(key)
                self._failed(error)
                if not error.definite:
                    self.ledger.indefinite_put(key)
            return
        with self._lock:
            self.touched.add(key)
            self.ledger.acknowledged(answer, deleted=delete)
            self._succeeded()

    def _count(self, client: Client, actor: str, key: str, totals: dict[str, tuple[int, int]]) -> None:
        increments, decrements = totals[key]
        totals[key] = (increments + 2, decrements + 1)
        try:
            client.increment(key, actor, *totals[key], w=self._w)
        except KvError as error:
            with self._lock:
                self.counters.add(key)
                self._failed(error)
                self.ledger.unanswered_counter(key, actor, *totals[key])
            return
        with self._lock:
            self.counters.add(key)
            self.ledger.acknowledged_counter(key, actor, *totals[key], w=self._w)
            self._succeeded()

    def _succeeded(self) -> None:
        self.done += 1
        self._note_gap()

    def _failed(self, error: KvError) -> None:
        kind = f"{type(error).__name__} {'definite' if error.definite else 'indefinite'}"
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def report(self) -> str:
        return (
            f"{self.done} writes acknowledged ({self.done / self.took_s:.0f}/s), errors {self.errors or 'none'}, "
            f"longest gap without a success {self.longest_gap_s:.2f} s"
        )


def _context(client: Client, key: str) -> str | None:
    try:
        return client.get(key)["context"]
    except NotFound as error:
        context: str | None = error.extra.get("context")
        return context


def seconds_until_replicas_agree(client: Client, storm: Storm) -> float:
    """Poll every key's replicas until all are reachable and have equal digests; fails after AGREE_WITHIN_S."""
    started = time.monotonic()
    open_questions: list[tuple[Callable[[str], Any], str]]
    open_questions = [(client.replicas, key) for key in sorted(storm.touched)]
    open_questions += [(client.counter_replicas, key) for key in sorted(storm.counters)]
    while True:
        open_questions = [(ask, key) for ask, key in open_questions if not _agree(ask(key)["replicas"])]
        waited_s = time.monotonic() - started
        if not open_questions:
            return waited_s
        left = [key for _, key in open_questions]
        assert waited_s < AGREE_WITHIN_S, (
            f"{len(left)} keys differ after {waited_s:.0f} s, such as {left[:5]}"
        )


def _agree(replicas: list[Any]) -> bool:
    return (
        len(replicas) == 3
        and all(replica["reachable"] for replica in replicas)
        and len({replica["digest"] for replica in replicas}) == 1
    )


@pytest.mark.parametrize(
    "victims", [("node-2",), ("node-1", "node-2", "node-3")], ids=["one-node", "all-nodes"]
)
def test_no_acknowledged_write_is_lost_by_kill_9(
    live_cluster: StartCluster, final_reads: FinalReads, victims: tuple[str, ...]
) -> None:
    cluster = live_cluster()
    client = cluster.client()
    with Storm(cluster.urls) as storm:
        time.sleep(BEFORE_S)
        cluster.kill(*victims)
        before = storm.done
        time.sleep(DOWN_S)
        during = storm.done - before
        cluster.restart(*victims)
        before = storm.done
        time.sleep(AFTER_S)
        after = storm.done - before
    agreed_after_s = seconds_until_replicas_agree(client, storm)
    verdict = final_reads(client, storm.ledger)
    print(f"\n{storm.report()}; {during} while {', '.join(victims)} was dead, {after} after the restart")
    print(f"{verdict}; {verdict.counters_checked} counters; replicas agreed after {agreed_after_s:.1f} s")
    assert storm.surprises == []
    assert verdict.ok, verdict
    assert verdict.acknowledged == storm.done
    assert after > 0, "writes go on once the nodes are back"
    assert storm.ledger.forgotten > 0, "overwritten keys were part of the storm"
    if len(victims) == 1:
        assert during > RATE_PER_S * DOWN_S / 4, "two of three nodes carry on"


def test_the_check_notices_that_the_disks_are_gone(
    live_cluster: StartCluster, final_reads: FinalReads, until: Callable[..., None]
) -> None:
    cluster = live_cluster()
    with Storm(cluster.urls) as storm:
        until(lambda: storm.done >= 50, within_s=20, what="something to lose")
    assert final_reads(cluster.client(), storm.ledger).ok
    cluster.wipe("node-1", "node-2", "node-3")
    cluster.restart("node-1", "node-2", "node-3")
    client = cluster.client()
    until(  # then it serves again by itself, and can be asked
        lambda: not any(client.stats(name)["refill"]["partitions"] for name in client.names),
        within_s=20,
        what="all stores know that there is nothing to be had",
    )
    verdict = final_reads(cluster.client(), storm.ledger)
    print(f"\n{verdict}")
    assert verdict.status == "violated"
    assert verdict.lost >= len([key for key in storm.ledger.keys if "/hot/" not in key])
