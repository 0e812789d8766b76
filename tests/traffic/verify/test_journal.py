"""The journal: what a killed process leaves behind, read back into a ledger; nothing of the living is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvnode.checkers import CounterRead, SiblingRead
from traffic.stores.base import PutReply
from traffic.stores.totals import CounterTotals
from traffic.verify.journal import SUFFIX, DeadJournal, Journal, dead_journals

DOT = "node-1.3f2a91c205d8b7aa"


def put_reply(key: str, number: int, past: int = 0) -> PutReply:
    return PutReply(key, f"{DOT}:{number}", {DOT: number}, "node-1", 2, issued_under={DOT: past})


def added(counter: CounterTotals, amount: int, journal: Journal, *, acknowledged: bool = True) -> None:
    totals = counter.add(amount)
    journal.sending(counter)
    if acknowledged:
        journal.acknowledged(counter, totals, w=2, n=3)
        counter.acknowledge(totals)


def only_dead_journal(folder: Path) -> DeadJournal:
    [journal] = dead_journals(folder)
    journal.read(r=2)
    return journal


def test_a_dead_process_leaves_what_was_sent_and_what_was_acknowledged(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "traffic-1", cluster="c1")
    likes = CounterTotals("tweet/1/likes", "traffic-1")
    added(likes, 3, journal)
    added(likes, 4, journal, acknowledged=False)
    journal.put(put_reply("tweet/1", 17), w=2, n=3)
    journal.close(keep=True)
    dead = only_dead_journal(tmp_path)
    assert (dead.cluster, dead.actors, dead.puts, dead.counters) == ("c1", {"traffic-1"}, 1, 1)
    held = {"tweet/1": [SiblingRead(f"{DOT}:17", {DOT: 17})]}
    for total, status in ((2, "violated"), (3, "ok"), (7, "ok"), (8, "violated")):
        read = CounterRead(total, {"traffic-1": (total, 0)})
        assert dead.ledger.check(held, {"tweet/1/likes": read}).status == status, total
    lost = dead.ledger.check({"tweet/1": []}, {"tweet/1/likes": CounterRead(3, {"traffic-1": (3, 0)})})
    assert (lost.status, lost.lost) == ("violated", 1)


def test_a_later_put_answers_for_the_earlier_one_that_it_had_seen(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "traffic-1", cluster="c1")
    journal.put(put_reply("doc/1", 1), w=2, n=3)
    journal.put(put_reply("doc/1", 2, past=1), w=2, n=3)
    journal.close(keep=True)
    held = {"doc/1": [SiblingRead(f"{DOT}:2", {DOT: 2}, {DOT: 1})]}
    assert only_dead_journal(tmp_path).ledger.check(held, {}).status == "ok"


def test_decrements_and_weak_quorums_are_kept_apart(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "traffic-1", cluster="c1")
    stock = CounterTotals("stock/berlin/a1", "traffic-1")
    added(stock, 10, journal)
    totals = stock.add(-4)
    journal.sending(stock)
    journal.acknowledged(stock, totals, w=1, n=3)
    journal.close(keep=True)
    verdict = only_dead_journal(tmp_path).ledger.check(
        {}, {"stock/berlin/a1": CounterRead(6, {"traffic-1": (10, 4)})}
    )
    assert verdict.status == "at risk"


def test_a_journal_of_the_living_is_left_alone_and_one_that_ended_well_is_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "traffic-1")
    assert dead_journals(tmp_path) == []
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_only_one_successor_gets_it_and_who_has_no_verdict_leaves_it(tmp_path: Path) -> None:
    Journal(tmp_path, "traffic-1").close(keep=True)
    [first] = dead_journals(tmp_path)
    assert dead_journals(tmp_path) == []
    first.let_go(delete=False)
    [second] = dead_journals(tmp_path)
    second.let_go(delete=True)
    assert list(tmp_path.iterdir()) == []


def test_the_cluster_may_become_known_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "traffic-1")
    journal.belongs_to("c1")
    journal.close(keep=True)
    assert only_dead_journal(tmp_path).cluster == "c1"


def test_it_stays_within_two_segments_and_live_counters_go_along(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "traffic-1", cluster="c1", segment_bytes=4096)
    likes = CounterTotals("tweet/1/likes", "traffic-1")
    for number in range(1, 500):
        added(likes, 1, journal)
        journal.put(put_reply(f"tweet/{number}", number), w=2, n=3)
    assert sum(path.stat().st_size for path in tmp_path.glob(f"*{SUFFIX}")) <= 2 * 4096
    journal.close(keep=True)
    dead = only_dead_journal(tmp_path)
    assert dead.cluster == "c1"
    assert 20 < dead.puts < 200
    held = {key: [SiblingRead(f"{DOT}:{key.split('/')[1]}", {DOT: 500})] for key in dead.ledger.keys}
    assert "tweet/499" in held
    for total, status in ((498, "violated"), (499, "ok"), (500, "violated")):
        read = CounterRead(total, {"traffic-1": (total, 0)})
        assert dead.ledger.check(held, {"tweet/1/likes": read}).status == status, total


@pytest.mark.parametrize("rubbish", [b"", b"QLJ1", b"x" * 300, b"QLJ1" + b"\xff" * 5000])
def test_a_damaged_journal_is_no_traceback(tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / f"traffic-1.1{SUFFIX}").write_bytes(rubbish)
    dead = only_dead_journal(tmp_path)
    assert dead.puts == dead.counters == 0
    dead.let_go(delete=True)


KILLED = """
import sys, os, signal
from pathlib import Path
from traffic.verify.journal import Journal
from traffic.stores.totals import CounterTotals
journal, counter = Journal(Path(sys.argv[1]), "traffic-1", cluster="c1"), CounterTotals("likes", "traffic-1")
for number in range(1, 1001):
    totals = counter.add(1)
    journal.sending(counter)
    if number < 1000:
        journal.acknowledged(counter, totals, w=2, n=3)
        counter.acknowledge(totals)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_outlives_kill_9_to_the_last_operation(tmp_path: Path) -> None:
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], timeout=30, check=False, env=os.environ
    )
    assert died.returncode == -signal.SIGKILL
    dead = only_dead_journal(tmp_path)
    for total, status in ((998, "violated"), (999, "ok"), (1000, "ok"), (1001, "violated")):
        read = CounterRead(total, {"traffic-1": (total, 0)})
        assert dead.ledger.check({}, {"likes": read}).status == status, total
