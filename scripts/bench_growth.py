"""How a three-node cluster fares as it grows: memory, restart, repair and speed at 10^3, 10^5 and 10^6 keys.

    python scripts/bench_growth.py [--keys 1000,100000,1000000] [--rounds 5] [--seconds 5] [--connections 32]

The keys (values of 100 bytes) are not sent through the API, which would take a quarter of an hour for a million: while
the nodes are down, their data files are written through the nodes' own storage engine, in the exact format. All that
is measured is measured on real nodes that then start on these files:

- restart: kill -9, then the time from starting the process until it says that it serves;
- memory: the greatest resident memory of the nodes after all the rest;
- repair: node-3 alone holds a newer version of 100 keys, behind a cut network with all trees built. The clock runs
  from healing the network until all Merkle roots of all nodes are equal; bytes are all that left on the links
  meanwhile, probes included;
- writes and reads per second: closed loops as in bench_cluster.py, w=r=2, keys drawn from all that there are. The
  clusters of all sizes run side by side and take turns, slice by slice: so the speed that a shared machine has at one
  moment or another is the same for all.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import requests
from bench_cluster import VALUE, Target, free_port, kvnode_get, kvnode_put, measure, run

from kvnode.cluster import LocalCluster
from kvnode.records.checksum import checksum
from kvnode.records.records import encode_state
from kvnode.ring import Ring
from kvnode.runtime import Row
from kvnode.storage import SqliteDisk
from kvnode.versions import Context, Dot, Siblings

STORE = "node-1.00000000000000aa"  # wrote the keys, long ago
DIFFERING = 100
GROUP = 5_000
PATIENCE_S = 120.0


@dataclass
class Growth:
    """What was measured at one size; writes and reads: a second, slice by slice."""

    keys: int
    restart_s: float
    repair_s: float
    repair_kb: float
    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)


def rows(keys: int, ring: Ring) -> Iterator[Row]:
    """The keys as a node stores them."""
    for number in range(keys):
        yield row_of(number, Siblings(), Dot(STORE, number + 1), ring)


def row_of(number: int, before: Siblings, dot: Dot, ring: Ring) -> Row:
    """One more write of key `number`, which supersedes `before`."""
    key, value = f"bench-{number}", f'"{VALUE}"'.encode()
    state, _ = before.write(dot, value, context=before.context, timestamp=1.0)
    disk_key, record = f"kv/{key}", encode_state(state)
    return Row("records", ring.partition_of(key), disk_key, record, checksum(disk_key, record))


async def write_rows(directory: Path, rows: list[Row]) -> None:
    """Commit rows to a data file that no node has open."""
    disk = SqliteDisk(directory)
    for first in range(0, len(rows), GROUP):
        await disk.commit(rows[first : first + GROUP])
    await disk.close()


async def fill(directories: list[Path], keys: int, ring: Ring) -> None:
    """Write all keys into one data file, and give every node a copy with its own identity."""
    with tempfile.TemporaryDirectory(dir=directories[0].parent) as folder:
        await write_rows(Path(folder), sorted(rows(keys, ring), key=lambda row: (row.partition, row.key)))
        for directory in directories:
            disk = SqliteDisk(directory)
            identity = disk.scan("meta", 0)
            await disk.close()
            shutil.copyfile(Path(folder) / "data.sqlite", directory / "data.sqlite")
            await write_rows(directory, list(identity))


def roots(url: str) -> list[str]:
    """One node's Merkle roots."""
    answer: list[str] = requests.get(f"{url}/merkle", timeout=PATIENCE_S).json()["roots"]
    return answer


def stats(url: str) -> dict[str, Any]:
    """One node's figures."""
    answer: dict[str, Any] = requests.get(f"{url}/stats", timeout=PATIENCE_S).json()
    return answer


def sent_bytes(urls: list[str]) -> int:
    """All that left on all links."""
    return sum(link["bytes_sent_total"] for url in urls for link in stats(url)["links"].values())


def wait_for(what: str, condition: Any, pause_s: float = 0.05) -> None:
    """Poll; end the script if it does not come true."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"not within {PATIENCE_S:.0f} s: {what}")
        time.sleep(pause_s)


def restart(cluster: LocalCluster, node: str) -> float:
    """Kill a node, start it again; seconds until it serves, by its own process."""
    cluster.kill(node)
    started = time.perf_counter()
    cluster.restart(node)
    return time.perf_counter() - started


def repair(cluster: LocalCluster, ring: Ring) -> tuple[float, float]:
    """Seconds and kilobytes to bring 100 newer versions from one node to the others."""
    urls = list(cluster.urls)
    cluster.kill("node-3")
    asyncio.run(renew_some(cluster.nodes[2].data_dir, ring))
    cluster.isolate("node-3")
    cluster.restart("node-3")
    wait_for("trees are built and differ", lambda: len({tuple(roots(url)) for url in urls}) == 2)
    before, started = sent_bytes(urls), time.perf_counter()
    cluster.heal()
    wait_for("all roots are equal", lambda: len({tuple(roots(url)) for url in urls}) == 1)
    return time.perf_counter() - started, (sent_bytes(urls) - before) / 1000.0


async def renew_some(directory: Path, ring: Ring) -> None:
    """Give 100 keys of a data file a newer version."""
    disk = SqliteDisk(directory)
    store = (disk.get("meta", 0, "store-id") or (b"", 0))[0].decode()
    count = disk.count("records")
    newer = []
    for place in range(DIFFERING):
        number = place * (count // DIFFERING)
        before, _ = Siblings().write(Dot(STORE, number + 1), b"0", context=Context(), timestamp=1.0)
        newer.append(row_of(number, before, Dot(store, 1_000_000 + place), ring))
    await disk.commit(newer)
    await disk.close()


@contextlib.contextmanager
def grown(keys: int) -> Iterator[tuple[LocalCluster, Growth]]:
    """A running cluster of this size, its restart and its repair measured."""
    with tempfile.TemporaryDirectory(prefix="quorum-lab-growth-") as folder:
        name, port = f"growth-{keys}-{os.getpid()}", free_port()
        with LocalCluster.start(name, base_port=port, state_dir=folder) as cluster:
            directories = [node.data_dir for node in cluster.nodes]
        ring = Ring.build(("node-1", "node-2", "node-3"), replicas=3, partitions=256)
        asyncio.run(fill(directories, keys, ring))
        with LocalCluster.start(name, state_dir=folder) as cluster:
            restart_s = max(restart(cluster, f"node-{number}") for number in (1, 2, 3))
            yield cluster, Growth(keys, restart_s, *repair(cluster, ring))


def load(cluster: LocalCluster, growth: Growth, *, connections: int, seconds: float) -> None:
    """A slice of writes and one of reads."""
    target = Target("kvnode", list(cluster.urls), kvnode_put, kvnode_get)
    for request, rates in ((kvnode_put, growth.writes), (kvnode_get, growth.reads)):
        measured = measure(target, request, connections=connections, seconds=seconds, keys=growth.keys)
        rates.append(run(measured).per_second)


def resident_mb(cluster: LocalCluster) -> float:
    """The greatest resident memory of its nodes."""
    return max(psutil.Process(node.pid).memory_info().rss for node in cluster.nodes if node.pid) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", default="1000,100000,1000000", help="sizes (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="slices of each load (default 5)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one slice (default 5)")
    parser.add_argument("--connections", type=int, default=32, help="over all nodes (default 32)")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.keys.split(",")]
    print(
        f"{os.cpu_count()} cores, {arguments.connections} connections, values of {len(VALUE)} bytes, 3 nodes, w=r=2,"
        f" medians of {arguments.rounds} interleaved slices of {arguments.seconds:g} s"
    )
    with contextlib.ExitStack() as clusters:
        found = [clusters.enter_context(grown(size)) for size in sizes]
        for _ in range(arguments.rounds):
            for cluster, growth in found:
                load(cluster, growth, connections=arguments.connections, seconds=arguments.seconds)
        print(f"{'keys':>9} {'memory':>10} {'restart':>9} {'repair of 100':>22} {'writes':>10} {'reads':>10}")
        for cluster, growth in found:
            print(
                f"{growth.keys:>9} {resident_mb(cluster):>7.0f} MB {growth.restart_s:>7.2f} s"
                f" {growth.repair_s:>8.2f} s {growth.repair_kb:>8.0f} kB"
                f" {median(growth.writes):>8.0f}/s {median(growth.reads):>8.0f}/s"
            )
    for what in ("writes", "reads"):
        rates = [getattr(growth, what) for _, growth in found]
        medians = [median(each) for each in rates]
        rounds = [min(each) / max(each) for each in zip(*rates, strict=True)]
        print(
            f"{what}: the slowest size has {min(medians) / max(medians):.0%} of the fastest"
            f" (in single rounds {min(rounds):.0%} to {max(rounds):.0%})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
