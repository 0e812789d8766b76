"""Quorum writes and reads per second, latency percentiles and start-up time of a three-node cluster on this computer.

    python scripts/bench_cluster.py [--seconds 5] [--connections 32] [--against etcd] [--pairs 5]
    python scripts/bench_cluster.py --cpu [--operations 10000] [--against etcd]

Closed loop: each connection sends its next request when the last was answered; connections are spread over all
nodes; values have 100 bytes; every acknowledgement comes after an fsync on w=2 of 3 replicas. With --against etcd a
three-node etcd (its JSON gateway, fsync as by default) is measured in turn, pair by pair, and ratios are printed:
absolute figures of a shared computer mean little. etcd's guarantee is the stronger one (linearizable, by consensus);
the comparison says what quorums without consensus cost and save. Its JSON gateway costs etcd more than gRPC does, so
its own gRPC benchmark (`etcdctl check perf`, a minute) is printed beside it, unless --no-grpc.

--cpu counts instead what an operation costs: CPU time of each node and of this client (all on the same cores), and
syncs. That is the figure to work by on a computer that others use too.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import math
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial

import cpu_meter

from kvnode.cluster import LocalCluster
from traffic.stores.http import Pool

VALUE = "x" * 100
STRONGER = (
    "etcd's guarantee is stronger: its writes and reads are linearizable; ours are quorums without consensus."
)
_SAID = re.compile(r"throughput|slowest|stddev", re.IGNORECASE)
Request = tuple[str, str, bytes | None]
"""Method, path, JSON body."""


@dataclass
class Target:
    """A database under test: its addresses, and how it is asked to write and to read key number i.

    pids: its processes by name. syncs: how many its disks have done so far.
    """

    name: str
    urls: list[str]
    put: Callable[[int], Request]
    get: Callable[[int], Request]
    pids: dict[str, int] = field(default_factory=dict)
    syncs: Callable[[], int] = lambda: 0


@dataclass
class Figure:
    """What one run measured. latencies_ms: sorted."""

    per_second: float
    latencies_ms: list[float]
    errors: int

    def percentile(self, share: float) -> float:
        """The latency below which this share of the operations stayed."""
        return self.latencies_ms[min(len(self.latencies_ms) - 1, int(len(self.latencies_ms) * share))]


# The client runs on the same cores as the databases: what it can prepare, it prepares once.
_once = lru_cache(maxsize=10_000)
_KVNODE_BODY = json.dumps({"value": VALUE}).encode()


@_once
def kvnode_put(number: int) -> Request:
    return "PUT", f"/kv/bench-{number}", _KVNODE_BODY


@_once
def kvnode_get(number: int) -> Request:
    return "GET", f"/kv/bench-{number}?r=2", None


def _etcd_body(number: int, **more: str) -> bytes:
    return json.dumps({"key": base64.b64encode(f"bench-{number}".encode()).decode(), **more}).encode()


@_once
def _etcd_put(number: int) -> Request:
    return "POST", "/v3/kv/put", _etcd_body(number, value=base64.b64encode(VALUE.encode()).decode())


@_once
def _etcd_get(number: int) -> Request:
    return "POST", "/v3/kv/range", _etcd_body(number)


@contextlib.contextmanager
def kvnode_cluster() -> Iterator[tuple[Target, float]]:
    """Three nodes of ours, in a state folder of their own; also how many seconds they took to be ready."""
    with tempfile.TemporaryDirectory(prefix="quorum-lab-bench-") as folder:
        started = time.perf_counter()
        with LocalCluster.start(f"bench-{os.getpid()}", base_port=free_port(), state_dir=folder) as cluster:
            startup_s = time.perf_counter() - started
            urls = list(cluster.urls)
            pids = {node.name: node.pid for node in cluster.nodes if node.pid is not None}
            syncs = partial(cpu_meter.kvnode_syncs, urls)
            yield Target("kvnode", urls, kvnode_put, kvnode_get, pids, syncs), startup_s


@contextlib.contextmanager
def etcd_cluster() -> Iterator[Target]:
    """Three etcd members on free ports, ended and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="quorum-lab-bench-etcd-") as folder:
        ports = [(free_port(), free_port()) for _ in range(3)]
        members = ",".join(f"m{i}=http://127.0.0.1:{peer}" for i, (_, peer) in enumerate(ports))
        urls = [f"http://127.0.0.1:{client}" for client, _ in ports]
        pids = {}
        with contextlib.ExitStack() as stack:
            for i, (client, peer) in enumerate(ports):
                log = stack.enter_context(open(f"{folder}/m{i}.log", "wb"))  # noqa: PTH123
                command = [
                    "etcd",
                    *("--name", f"m{i}", "--data-dir", f"{folder}/m{i}"),
                    *("--listen-client-urls", f"http://127.0.0.1:{client}"),
                    *("--advertise-client-urls", f"http://127.0.0.1:{client}"),
                    *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
                    *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
                    *("--initial-cluster", members, "--initial-cluster-token", f"bench-{os.getpid()}"),
                ]
                process = subprocess.Popen(command, stdout=log, stderr=log)
                stack.callback(_end, process)
                pids[f"m{i}"] = process.pid
            target = Target("etcd", urls, _etcd_put, _etcd_get, pids, partial(cpu_meter.etcd_syncs, urls))
            asyncio.run(_until_serving(target))
            yield target


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that is free now, and so is the one 10000 above it (the peers')."""
    while True:
        port = random.randrange(20_000, 22_700)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


async def _until_serving(target: Target) -> None:
    end = time.monotonic() + 20.0
    for url in target.urls:
        pool = Pool(url, connections_max=1)
        while True:
            with contextlib.suppress(Exception):
                if (await pool.request(*target.put(0))).status == 200:
                    break
            if time.monotonic() > end:
                raise SystemExit(f"{target.name} at {url} did not serve within 20 s")
            await asyncio.sleep(0.1)
        await pool.close()


async def measure(
    target: Target,
    make: Callable[[int], Request],
    *,
    connections: int,
    seconds: float = 60.0,
    operations: float = math.inf,
    keys: int,
) -> Figure:
    """Run closed loops for `seconds`, or until so many operations were sent, and count."""
    per_node = [
        connections // len(target.urls) + (i < connections % len(target.urls))
        for i in range(len(target.urls))
    ]
    pools = [
        Pool(url, connections_max=max(1, count)) for url, count in zip(target.urls, per_node, strict=True)
    ]
    latencies: list[float] = []
    errors = sent = 0
    end = time.perf_counter() + seconds

    async def worker(pool: Pool, seed: int) -> None:
        nonlocal errors, sent
        chance = random.Random(seed).random
        while (started := time.perf_counter()) < end and sent < operations:
            sent += 1
            answer = await pool.request(*make(int(chance() * keys)))
            if answer.status == 200:
                latencies.append((time.perf_counter() - started) * 1000.0)
            else:
                errors += 1

    started = time.perf_counter()
    await asyncio.gather(
        *(
            worker(pool, 1000 * i + j)
            for i, (pool, count) in enumerate(zip(pools, per_node, strict=True))
            for j in range(count)
        )
    )
    took = time.perf_counter() - started
    for pool in pools:
        await pool.close()
    if not latencies:
        raise SystemExit(f"{target.name}: no operation succeeded ({errors} failed)")
    return Figure(len(latencies) / took, sorted(latencies), errors)


async def fill(target: Target, keys: int) -> None:
    """Write every key once, so that reads find something."""
    pools = [Pool(url, connections_max=16) for url in target.urls]
    numbers = iter(range(keys))

    async def worker(pool: Pool) -> None:
        for number in numbers:
            await pool.request(*target.put(number))

    await asyncio.gather(*(worker(pool) for pool in pools for _ in range(16)))
    for pool in pools:
        await pool.close()


def cpu_line(target: Target, title: str, verb: str, *, connections: int, operations: int, keys: int) -> str:
    """What an operation costs, after a tenth as many that only warm up."""
    make = target.put if verb == "put" else target.get
    run(measure(target, make, connections=connections, operations=operations // 10, keys=keys))
    before = cpu_meter.read(target.pids, target.syncs)
    figure = run(measure(target, make, connections=connections, operations=operations, keys=keys))
    after = cpu_meter.read(target.pids, target.syncs)
    return cpu_meter.line(f"{target.name}: {title}", before, after, len(figure.latencies_ms))


def grpc_figure(target: Target) -> str:
    """What etcd's own benchmark says of the same members: 500 clients, values of 1024 bytes, at most 8000 writes/s."""
    tool = shutil.which("etcdctl")
    if tool is None:
        return "etcd's own gRPC benchmark: not available here (etcdctl is not installed; Debian: etcd-client)"
    endpoints = ",".join(target.urls)
    command = [tool, "--endpoints", endpoints, "check", "perf", "--load=l"]
    environment = {**os.environ, "ETCDCTL_API": "3"}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=150, check=False
        )
    except subprocess.TimeoutExpired:
        return "etcd's own gRPC benchmark: etcdctl check perf did not end within 150 s"
    said = [line.strip() for line in ended.stdout.replace("\r", "\n").splitlines() if _SAID.search(line)]
    told = "; ".join(said) or f"said nothing (exit {ended.returncode}): {ended.stderr.strip()[-200:]}"
    return f"etcd's own gRPC benchmark (etcdctl check perf --load=l, 500 clients, values of 1 kB): {told}"


def _line(name: str, figure: Figure) -> str:
    percentiles = "  ".join(
        f"p{int(share * 100)} {figure.percentile(share):7.2f} ms" for share in (0.5, 0.95, 0.99)
    )
    failed = f"  {figure.errors} failed" if figure.errors else ""
    return f"{name:<34} {figure.per_second:9.0f}/s   {percentiles}{failed}"


def run(coroutine: object) -> Figure:
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(coroutine)  # type: ignore[arg-type]
    return asyncio.run(coroutine)  # type: ignore[arg-type]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement (default 5)")
    parser.add_argument("--connections", type=int, default=32, help="over all nodes (default 32)")
    parser.add_argument("--keys", type=int, default=1000, help="distinct keys (default 1000)")
    parser.add_argument("--pairs", type=int, default=5, help="with --against: interleaved pairs (default 5)")
    parser.add_argument(
        "--cpu", action="store_true", help="CPU time and syncs an operation, instead of rates"
    )
    parser.add_argument("--operations", type=int, default=10_000, help="with --cpu: how many (default 10000)")
    parser.add_argument(
        "--no-grpc", action="store_true", help="with --against: leave out etcd's own benchmark"
    )
    parser.add_argument("--against", choices=["etcd"], help="measure a rival in the same minutes")
    return parser.parse_args()


def main() -> int:
    arguments = options()
    if arguments.against == "etcd" and shutil.which("etcd") is None:
        print("etcd is not installed (Debian: apt-get install etcd-server)", file=sys.stderr)
        return 2
    print(
        f"{os.cpu_count()} cores, {arguments.connections} connections, values of {len(VALUE)} bytes, 3 nodes, w=r=2"
    )
    plans = [
        ("quorum writes", "put", arguments.connections),
        ("quorum reads", "get", arguments.connections),
        ("quorum writes, one connection", "put", 1),
    ]
    with contextlib.ExitStack() as stack:
        ours, startup_s = stack.enter_context(kvnode_cluster())
        print(f"start-up: three nodes ready after {startup_s:.2f} s")
        targets = [ours]
        if arguments.against:
            targets.append(stack.enter_context(etcd_cluster()))
        for target in targets:
            run(fill(target, arguments.keys))
        if arguments.cpu:
            for title, verb, connections in plans:
                count = arguments.operations if connections > 1 else arguments.operations // 5
                for target in targets:
                    many = {"connections": connections, "operations": count, "keys": arguments.keys}
                    print(cpu_line(target, title, verb, **many), flush=True)
            return 0
        pairs = arguments.pairs if arguments.against else 1
        for title, verb, connections in plans:
            rates: dict[str, list[float]] = {target.name: [] for target in targets}
            for _ in range(pairs):
                for target in targets:
                    make = target.put if verb == "put" else target.get
                    work = measure(
                        target, make, connections=connections, seconds=arguments.seconds, keys=arguments.keys
                    )
                    figure = run(work)
                    rates[target.name].append(figure.per_second)
                    print(_line(f"{target.name}: {title}", figure), flush=True)
            if arguments.against:
                ratios = [mine / theirs for mine, theirs in zip(*rates.values(), strict=True)]
                print(
                    f"    {title}: kvnode / {arguments.against} = {statistics.median(ratios):.2f}"
                    f" (median of {pairs} pairs, {min(ratios):.2f} to {max(ratios):.2f})"
                )
        if arguments.against:
            print(STRONGER)
            if not arguments.no_grpc:
                print(grpc_figure(targets[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
