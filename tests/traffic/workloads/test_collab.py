"""The collaborative editor over the store in memory, in virtual time: edits collide, and none is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from traffic.operations import Get, Put
from traffic.stores.memory import MemoryStore
from traffic.workloads.collab import WRITERS_AT_ONCE, Collab
from traffic.workloads.collab_documents import EDITS_PER_DOCUMENT, LIVE_DOCUMENTS, PARAGRAPHS

LWW = frozenset({"lww"})


class Run:
    """How a run ended."""

    def __init__(
        self, workload: Collab, verdict: Any, ledger: Any, recorder: Any, store: MemoryStore
    ) -> None:
        self.workload = workload
        self.verdict = verdict
        self.ledger = ledger
        self.recorder = recorder
        self.store = store
        self.counts = workload.counts()


@pytest.fixture
def whole_run(in_virtual_time: Any, bench_of: Any) -> Callable[..., Run]:
    def whole_run(
        *,
        bugs: frozenset[str] = frozenset(),
        seed: int = 1,
        rate: int = 40,
        duration_s: int = 60,
        disturb: Any = None,
    ) -> Run:
        async def main() -> Run:
            store = MemoryStore(latency_s=0.01, seed=seed)
            workload = Collab(Random(seed), tag="test", bugs=bugs)
            async with bench_of(workload, store, rate=rate) as bench:
                await asyncio.sleep(duration_s / 2)
                if disturb is not None:
                    await disturb(store, workload)
                await asyncio.sleep(duration_s / 2)
                bench.driver.stop()
                assert await bench.driver.drained(10)
                (verdict,) = await workload.check(bench.write_ledger.reads)
                return Run(workload, verdict, await bench.write_ledger.check(), bench.recorder, store)

        run: Run = in_virtual_time(main)
        return run

    return whole_run


def test_edits_collide_and_none_is_lost(whole_run: Callable[..., Run]) -> None:
    run = whole_run()
    assert run.counts["collisions"] > 50
    assert run.counts["automatic_merges"] > 0.5 * run.counts["collisions"]
    assert run.counts["resolved_by_hand"] > 0
    assert run.counts["edits_lost"] == 0
    assert (run.verdict.status, run.verdict.lost) == ("ok", 0)
    assert run.verdict.acknowledged == run.recorder.ok["edit"] + run.recorder.ok["resolve"] > 500
    assert run.ledger.status == "ok"
    assert set(run.recorder.ok) == set(Collab.kinds)
    assert all(run.recorder.ok.values())
    assert run.recorder.errors == 0


def test_the_last_writer_wins_and_edits_are_lost(whole_run: Callable[..., Run]) -> None:
    run = whole_run(bugs=LWW)
    assert run.counts["collisions"] == 0  # nobody notices anything
    assert run.verdict.status == "violated"
    assert run.verdict.lost == run.counts["edits_lost"] > 50
    assert run.verdict.acknowledged > 500
    assert "acknowledged edits" in run.verdict.evidence[0]


def test_the_number_of_lost_edits_is_the_number_really_lost(whole_run: Callable[..., Run]) -> None:
    """What is counted is compared with what the store holds at the end, read here in another way."""
    run = whole_run(bugs=LWW, seed=5)
    held = 0
    for key, versions in run.store.values.items():
        if "/p/" in key:
            held += len({edit for version in versions for edit in json.loads(version.value)["edits"]})
    assert run.verdict.acknowledged - held == run.verdict.lost


def test_it_goes_on_while_a_node_is_dead_or_silent(whole_run: Callable[..., Run]) -> None:
    async def disturb(store: MemoryStore, workload: Collab) -> None:
        store.silent = {"node-2"}
        await asyncio.sleep(5)
        store.silent, store.dead = set(), {"node-3"}
        await asyncio.sleep(5)
        store.dead = set()

    run = whole_run(disturb=disturb)
    assert run.recorder.failed_indefinite > 0  # the silence was met
    assert (run.verdict.status, run.counts["edits_lost"]) == ("ok", 0)
    assert run.ledger.status == "ok"


def test_a_store_that_forgets_is_caught(whole_run: Callable[..., Run]) -> None:
    async def disturb(store: MemoryStore, workload: Collab) -> None:
        store.forgetful = True
        await asyncio.sleep(2)
        store.forgetful = False

    run = whole_run(disturb=disturb)
    assert run.verdict.status == "violated"
    assert run.counts["edits_lost"] > 0


def test_switching_the_bug_on_begins_new_documents(whole_run: Callable[..., Run]) -> None:
    """What was written with contexts stays safe, and what was lost before stays counted when it is off again."""
    seen: list[int] = []

    async def disturb(store: MemoryStore, workload: Collab) -> None:
        seen.append(workload.counts()["edits_lost"])
        workload.bugs = LWW
        await asyncio.sleep(20)
        seen.append(workload.counts()["edits_lost"])
        workload.bugs = frozenset()
        await asyncio.sleep(5)

    run = whole_run(disturb=disturb)
    assert seen[0] == 0 < seen[1] <= run.verdict.lost
    assert not any(document.lww for document in run.workload.documents)
    by_lww = sum(
        len(paragraph.missing)
        for document in run.workload.shelf.published
        if document.lww
        for paragraph in document.paragraphs
    )
    assert by_lww == run.verdict.lost


def test_the_same_seed_plays_the_same_operations(whole_run: Callable[..., Run]) -> None:
    runs = [whole_run(seed=7, duration_s=10) for _ in range(2)]
    assert runs[0].store.calls == runs[1].store.calls
    assert runs[0].store.values == runs[1].store.values


def test_documents_are_bounded_and_published_when_they_are_done(whole_run: Callable[..., Run]) -> None:
    run = whole_run(rate=200, duration_s=40)
    assert run.workload.active <= LIVE_DOCUMENTS
    assert run.workload.shelf.published
    for document in run.workload.shelf.published:
        assert document.edits_acknowledged < EDITS_PER_DOCUMENT + 2 * WRITERS_AT_ONCE
    assert run.verdict.status == "ok"
    longest = max(len(version.value) for versions in run.store.values.values() for version in versions)
    assert longest < 16_384


def test_documents_can_be_listed(whole_run: Callable[..., Run]) -> None:
    run = whole_run(duration_s=20)
    newest = run.workload.documents[0]
    about = json.loads(run.store.values[newest.key][0].value)
    assert (about["document_id"], about["title"]) == (newest.document_id, newest.title)
    assert about["paragraphs"] == PARAGRAPHS
    assert any(document.last_editors for document in run.workload.documents)


def test_thinking_takes_seconds_and_gets_shorter_under_load() -> None:
    def open_visits(rate: float) -> int:
        """Nobody is waited for: every answer comes at once."""
        workload = Collab(Random(3), tag="test")
        visits: list[int] = []
        values: dict[str, str] = {}
        for index in range(int(40 * rate)):
            now_s = 1_790_000_000 + index / rate
            operation = workload.next_operation(now_s)
            if isinstance(operation, Put):
                values[operation.key] = operation.value
                reply: Any = put_reply(operation.key)
            else:
                assert isinstance(operation, Get)
                reply = get_reply(operation.key, values[operation.key])
            workload.answered(operation, reply, now_s)
            visits.append(len(workload._visits))
        return max(visits)

    assert open_visits(4) < WRITERS_AT_ONCE
    assert open_visits(400) <= WRITERS_AT_ONCE + 1


def put_reply(key: str) -> Any:
    from traffic.stores.base import PutReply

    return PutReply(key, "s:1", {}, "node-1", 2, context="c")


def get_reply(key: str, value: str) -> Any:
    from traffic.stores.base import GetReply, Sibling

    return GetReply(key, value, False, [Sibling(value, "s:1", {}, "node-1")], {}, "node-1", context="c")
