"""Bytes of a data file are overwritten while its node is down; afterwards everything is there again, on all replicas.

Whatever was hit, the node comes back by itself: a file that is no longer whole is set aside and the store rebuilt; a
damaged row is dropped and rebuilt. The log and /stats say which.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvnode.checkers import CounterRead, Ledger, SiblingRead
from kvnode.client import Client
from kvnode.cluster import LocalCluster
from kvnode.errors import Unreachable

pytestmark = pytest.mark.live

StartCluster = Callable[..., LocalCluster]
KEY_COUNT = 200
COUNTERS = tuple(f"counted/{number}" for number in range(10))
SEEDS = range(4)
PAGE = 4096
Damage = Callable[[bytearray, random.Random], None]


class Store:
    """A cluster, what was acknowledged on it, and whether it still holds that."""

    def __init__(self, cluster: LocalCluster, until: Callable[..., None]) -> None:
        self.cluster = cluster
        self.client: Client = cluster.client()
        self.ledger = Ledger()
        self.until = until
        self._totals = dict.fromkeys(COUNTERS, 0)
        self._written = 0

    def write(self) -> None:
        for number in range(KEY_COUNT):
            self._written += 1
            value = f"value {self._written} of many " * 4
            self.ledger.acknowledged(self.client.put(f"key/{number}", value, w=3), deleted=False)
        for key in COUNTERS:
            self._totals[key] += 3
            self.client.increment(key, "actor", self._totals[key], w=3)
            self.ledger.acknowledged_counter(key, "actor", self._totals[key], 0)

    def damage(self, node: str, damage: Damage, chance: random.Random) -> None:
        """With all that is in the logs moved into the file first: it is then what the node will read."""
        told = self.client.maintain("checkpoint", node=node)
        assert told["maintenance"]["checkpoint"]["error"] == "", told
        self.cluster.kill(node)
        path = self.data_file(node)
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("pragma wal_checkpoint(truncate)").fetchone()
        content = bytearray(path.read_bytes())
        damage(content, chance)
        path.write_bytes(content)
        self.cluster.restart(node)

    def data_file(self, node: str) -> Path:
        return next(info.data_dir for info in self.cluster.nodes if info.name == node) / "data.sqlite"

    def stats(self, node: str) -> dict[str, Any]:
        return self.client.stats(node)

    def log(self, node: str) -> list[dict[str, Any]]:
        lines = (self.data_file(node).parent / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def wait_until_verified(self, node: str) -> None:
        def is_verified() -> bool:
            try:
                return bool(self.stats(node)["scrub"]["rounds_total"] >= 1)
            except Unreachable:
                return False  # it has met damage while in use, and begins anew on an empty file

        self.until(is_verified, within_s=30, what="all rows are verified")

    def check(self) -> None:
        """All replicas hold the same of every key, a read of all three finds everything, nothing is lost."""
        keys = [f"key/{number}" for number in range(KEY_COUNT)]
        self.until(
            lambda: (
                all(self._agree(self.client.replicas(key)) for key in keys)
                and all(self._agree(self.client.counter_replicas(key)) for key in COUNTERS)
            ),
            within_s=30,
            what="all replicas of all keys are equal",
        )
        names = self.client.names
        self.until(  # a replica that lost something counts towards no r before
            lambda: not any(self.stats(name)["refill"]["partitions"] for name in names),
            within_s=30,
            what="all stores are complete",
        )
        reads = {key: [SiblingRead.of(s) for s in self.client.get(key, r=3)["siblings"]] for key in keys}
        counts = {key: CounterRead.of(self.client.counter(key, r=3)) for key in COUNTERS}
        verdict = self.ledger.check(reads, counts)
        assert (verdict.status, verdict.lost) == ("ok", 0), str(verdict)

    @staticmethod
    def _agree(answer: Any) -> bool:
        digests = [replica["digest"] for replica in answer["replicas"]]
        return len(digests) == 3 and None not in digests and len(set(digests)) == 1


def first_page(content: bytearray, chance: random.Random) -> None:
    content[:100] = chance.randbytes(100)


def inner_page(content: bytearray, chance: random.Random) -> None:
    at = next(at for at in range(PAGE, len(content), PAGE) if content[at] == 2)
    content[at : at + 64] = chance.randbytes(64)


def one_row(content: bytearray, chance: random.Random) -> None:
    at = content.index(b" of many ", chance.randrange(PAGE, len(content) // 2))
    content[at : at + 9] = b"!damaged!"


def type_of_a_checksum(content: bytearray, chance: random.Random) -> None:
    """One bit of a row says that its checksum is a float. SQLite's own integrity check calls that sound."""
    at = content.index(
        b"kv/key/", PAGE
    )  # in front of it: the types of the columns, and a partition of 0 to 2 bytes
    content[content.index(b"\x06", at - 3, at)] = 7


def anywhere(content: bytearray, chance: random.Random) -> None:
    for _ in range(4):
        at = chance.randrange(len(content) - 32)
        content[at : at + 32] = chance.randbytes(32)


@pytest.fixture
def store(live_cluster: StartCluster, until: Callable[..., None]) -> Store:
    store = Store(live_cluster(nodes=3), until)
    store.write()
    return store


@pytest.mark.parametrize("damage", [first_page, inner_page], ids=["first page", "inner page"])
def test_a_damaged_file_is_set_aside_reported_and_rebuilt(store: Store, damage: Damage) -> None:
    before = store.client.info("node-2")["store_id"]
    store.damage("node-2", damage, random.Random(1))
    set_aside = store.stats("node-2")["storage"]["set_aside"]
    assert len(set_aside) == 1
    assert (store.data_file("node-2").parent / set_aside[0]).exists()
    (event,) = (event for event in store.log("node-2") if event["event"] == "data_file_set_aside")
    assert event["kept"] == set_aside[0]
    assert event["why"]
    assert store.client.info("node-2")["store_id"] != before
    store.check()


def test_a_damaged_row_is_reported_and_rebuilt_and_the_file_is_kept(store: Store) -> None:
    before = store.client.info("node-2")["store_id"]
    store.damage("node-2", one_row, random.Random(1))
    store.wait_until_verified("node-2")
    stats = store.stats("node-2")
    assert stats["corrupt_records_total"] == 1
    assert stats["storage"]["set_aside"] == []
    (event,) = (event for event in store.log("node-2") if event["event"] == "record_corrupt")
    assert event["key"].startswith("kv/key/")
    assert store.client.info("node-2")["store_id"] != before, "it had forgotten a write of its own, perhaps"
    store.check()


def test_a_checksum_of_another_type_costs_one_row_and_no_start(store: Store) -> None:
    """1. One bit made a checksum a float. 2. Five of five starts died of it."""
    store.damage("node-2", type_of_a_checksum, random.Random(1))
    (what,) = store.stats("node-2")["storage"]["dropped"]
    assert "key 'kv/key/" in what or "X'6B762F6B6579" in what
    assert any(event["event"] == "row_dropped" for event in store.log("node-2"))
    assert store.stats("node-2")["storage"]["set_aside"] == []
    store.check()


def test_whatever_is_overwritten_everything_comes_back(store: Store) -> None:
    told = 0
    for seed in SEEDS:
        node = f"node-{seed % 3 + 1}"
        lines_before = len(store.log(node))
        store.damage(node, anywhere, random.Random(seed))
        store.wait_until_verified(node)
        store.check()
        events = [line["event"] for line in store.log(node)[lines_before:]]
        told += bool({"data_file_set_aside", "record_corrupt", "row_dropped"}.intersection(events))
        store.write()
    assert told >= len(SEEDS) // 2, "128 random bytes of such a small file seldom hit only empty space"
