"""Attach or start: how a session finds its cluster and its traffic service.

Lives here: environment variables, ports, and the sentence that tells what happened. Bounded in time; whatever
goes wrong becomes one LabError. A started service is a sidecar of its cluster and ends with it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from kvnode.cluster import ClusterError, LocalCluster, paths
from kvnode.cluster.paths import Paths
from labkit.errors import LabError
from labkit.launch import BASE_PORT_VARIABLE, CLUSTER_VARIABLE, TRAFFIC_PORT, TRAFFIC_PORT_VARIABLE
from labkit.launch.service import TrafficService
from labkit.launch.traffic_start import EarlyStart, find_or_start_traffic

HUB_VARIABLE = "JUPYTERHUB_USER"
NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Found:
    """What a session works with, and how it came to be."""

    cluster: LocalCluster
    traffic: TrafficService
    summary: str


def find_or_start(*, nodes: int | None = None) -> Found:
    """The running cluster with its traffic service, or a new one; LabError when neither can be had."""
    name = os.environ.get(CLUSTER_VARIABLE, "quorum-lab")
    base_port = _port_from(BASE_PORT_VARIABLE)
    try:
        with paths.opening(Paths.of(name), timeout_s=paths.OPENING_TIMEOUT_S):
            return _find_or_start(name, nodes, base_port)
    except ClusterError as error:
        raise LabError(
            f"The cluster {name} can neither be found nor started.",
            why=str(error),
            do="run the cell once more; if it stays, look at the log that the reason names",
        ) from error


def _find_or_start(name: str, nodes: int | None, base_port: int | None) -> Found:
    # On a hub, loopback belongs to all students: without a token any of them could write to another's nodes.
    token = HUB_VARIABLE in os.environ
    wanted = _port_from(TRAFFIC_PORT_VARIABLE) or TRAFFIC_PORT
    with EarlyStart(name, wanted) as early:
        cluster = LocalCluster.attach_or_start(name, nodes, base_port=base_port, token=token)
    try:
        started = early.service()
        traffic, found = (started, False) if started else find_or_start_traffic(cluster, wanted)
        return Found(cluster, traffic, summary_of(cluster, traffic, found_traffic=found))
    except (ClusterError, LabError):
        cluster.stop()
        raise


def summary_of(cluster: LocalCluster, traffic: TrafficService, *, found_traffic: bool) -> str:
    """One friendly sentence: what was found, what was started, and when it ends."""
    infos = cluster.nodes
    count = NUMBER_WORDS[len(infos)] if len(infos) < len(NUMBER_WORDS) else str(len(infos))
    ports = ", ".join(str(info.http_port) for info in infos)
    if cluster.owned:
        return (
            f"Started {count} database nodes (ports {ports}) and the traffic service ({traffic.url}). "
            "They end with this notebook's kernel."
        )
    summary = f"Attached to the running cluster {cluster.name}: {count} nodes (ports {ports})"
    summary += f" and its traffic service ({traffic.url})." if found_traffic else (
        f"; started a traffic service for it ({traffic.url}), which ends with that cluster."
    )  # fmt: skip
    down = [f"{info.name} is {info.state}" for info in infos if info.state != "running"]
    return summary + (f" Note: {', '.join(down)}; press Restart or Reset." if down else "")


def _port_from(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise LabError(f"{variable} is {text!r}.", why="a port is a number from 1 to 65535")
    return int(text)
