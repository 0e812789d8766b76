"""Probabilistically bounded staleness, predicted and measured (Bailis et al., VLDB 2012).

    python scripts/pbs.py [--writes 2500] [--rate 60] [--mean-ms 20] [--r 1] [--w 1]

Starts a cluster of three nodes, delays every link by an exponential delay, writes with w and reads with r through
another node at 0, 1, 5, 20 and 50 ms after each acknowledgement, with read repair off. Prints the measured share of
fresh reads beside the one that the WARS model predicts from the delays in the traces. Ends with status 1 if they differ
by more than --within percentage points anywhere.

Every sync takes --disk-ms longer, which has it run beside a node's other work. Within it, as on a fast disk, it would
hold a read up until the write is there: reads would be fresher than links alone can make them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from random import Random

from kvnode.cluster import LocalCluster
from kvnode.cluster.errors import ClusterError
from traffic.pbs.measure import Measurement, PbsRun, Wish
from traffic.stores.kvnode import KvnodeStore

NODES = 3
T_MS = [0.0, 1.0, 5.0, 20.0, 50.0]


def main() -> int:
    """Measure, predict and compare; the exit status says whether they agree."""
    options = arguments()
    print(
        f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}; N={NODES}, r={options.r}, "
        f"w={options.w}, exponential link delays with a mean of {options.mean_ms:g} ms, {options.writes} writes at "
        f"{options.rate:g}/s, seed {options.seed}",
        flush=True,
    )
    began_s = time.monotonic()
    try:
        cluster = LocalCluster.start(
            options.name, NODES, base_port=options.base_port, replicas=NODES, fresh=True
        )
    except ClusterError as error:
        print(f"pbs: {error}", file=sys.stderr)
        return 2
    with cluster:
        before = exchanged(cluster)
        measurement = asyncio.run(measure(cluster, options))
        brought = exchanged(cluster) - before
    measurement.predict(Random(options.seed))
    print("\n".join(measurement.table()))
    print(f"one-way delays from traces: {measurement.delays}")
    print(
        f"anti-entropy went on, and brought {brought} records in all, of {2 * options.writes} that replication had to "
        f"bring: it can have touched at most {50.0 * brought / options.writes:.1f} % of the reads"
    )
    print(f"requests failed: {measurement.failed}; took {time.monotonic() - began_s:.0f} s")
    return judged(measurement, options)


def judged(measurement: Measurement, options: argparse.Namespace) -> int:
    """0 if every point has enough reads and predicted and measured agree."""
    worst = max(measurement.points, key=lambda point: point.difference)
    enough = min(point.reads for point in measurement.points) >= options.samples
    agree = worst.difference <= options.within
    print(
        f"greatest difference {worst.difference:.1f} points at t = {worst.t_ms:g} ms, "
        f"at most {options.within:g} wanted: " + ("they agree" if agree else "they do not agree")
    )
    if not enough:
        print(f"fewer than {options.samples} reads at some point")
    return 0 if agree and enough else 1


async def measure(cluster: LocalCluster, options: argparse.Namespace) -> Measurement:
    """Prepare on fast links, measure on slow ones."""
    names = [node.name for node in cluster.nodes]
    store = KvnodeStore(cluster.urls, names, replicas=NODES, connections_max=64)
    wish = Wish(options.r, options.w, T_MS, writes=options.writes, writes_per_s=options.rate)
    run = PbsRun(store, wish, random=Random(options.seed))
    try:
        await run.prepare()
        await asyncio.to_thread(cluster.delay, options.mean_ms, distribution="exponential")
        for name in names if options.disk_ms else ():
            await asyncio.to_thread(cluster.slow_disk, name, options.disk_ms)
        return await run.run()
    finally:
        await store.close()


def exchanged(cluster: LocalCluster) -> int:
    """How many records anti-entropy has sent so far, on all nodes."""
    client = cluster.client()
    return sum(
        int(client.stats(node.name)["repairs"]["exchange_records_sent_total"]) for node in cluster.nodes
    )


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--writes", type=int, default=2_500, help="each is read once at every t")
    parser.add_argument("--rate", type=float, default=60.0, help="writes a second")
    parser.add_argument("--samples", type=int, default=2_000, help="reads that every t needs at least")
    parser.add_argument("--mean-ms", type=float, default=20.0, help="mean of the exponential one-way delays")
    parser.add_argument("--disk-ms", type=float, default=1.0, help="that every sync takes longer")
    parser.add_argument("--r", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--w", type=int, choices=(1, 2, 3), default=1)
    parser.add_argument("--within", type=float, default=5.0, help="percentage points")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cluster", "--name", dest="name", default="pbs", help="of the cluster")
    parser.add_argument("--base-port", type=int, default=12_990)
    options = parser.parse_args()
    if options.writes < 1 or options.rate <= 0 or options.mean_ms <= 0:
        parser.error("expected --writes of at least 1, and --rate and --mean-ms greater than 0")
    return options


if __name__ == "__main__":
    sys.exit(main())
