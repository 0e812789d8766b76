"""What runs where, as a table of plain text.

Must not live here: colours and widgets (labkit), and where the rows come from (local.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvnode.cluster.contract import ClusterState, LeaseInfo, NodeInfo, Rules, SidecarInfo, TopologyInfo


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def status_table(nodes: Sequence[NodeInfo], sidecars: Sequence[SidecarInfo]) -> str:
    """One line a process: name, state, process id, where it answers, and why it is not running."""
    rows = [["NAME", "STATE", "PID", "URL", "NOTE"]]
    for node in nodes:
        note = node.reason or (f"restarted {node.restarts}x" if node.restarts else "")
        rows.append([node.name, node.state, str(node.pid or "-"), node.url, note])
    for sidecar in sidecars:
        where = sidecar.ready_line.rpartition(" ")[2] if "http" in sidecar.ready_line else "-"
        rows.append([sidecar.name, sidecar.state, str(sidecar.pid or "-"), where, sidecar.reason])
    return aligned(rows)


def faults_lines(faults: dict[str, Rules]) -> list[str]:
    """Each faulty link in words; a pair with the same rule both ways is one line."""
    lines = []
    for sender, rules in sorted(faults.items()):
        for receiver, rule in sorted(rules.items()):
            back = faults.get(receiver, {}).get(sender)
            if back == rule and receiver < sender:
                continue  # said already
            arrow = "<->" if back == rule else "-->"
            lines.append(f"{sender} {arrow} {receiver}: {_words(rule)}")
    return lines


def wrong_lines(state: ClusterState) -> list[str]:
    """All that is wrong, a line each: links, clocks and disks, what troubles the supervisor, and who holds a lease."""
    return [
        *topology_lines(state.topology),
        *faults_lines({node.name: node.rules for node in state.nodes if node.rules}),
        *([f"note: {state.trouble}"] if state.trouble else []),
        *node_fault_lines(state.nodes),
        *lease_lines(state.leases),
    ]


def node_fault_lines(nodes: Sequence[NodeInfo]) -> list[str]:
    """What is wrong with nodes themselves, in words."""
    lines = []
    for node in nodes:
        if node.clock_skew_ms:
            which_way = "ahead" if node.clock_skew_ms > 0 else "behind"
            lines.append(f"{node.name}: clock {abs(node.clock_skew_ms):g} ms {which_way}")
        if node.disk_delay_ms:
            lines.append(f"{node.name}: disk {node.disk_delay_ms:g} ms slower at each sync")
    return lines


def topology_lines(topology: TopologyInfo | None) -> list[str]:
    """The named topology that is set, and which node lies where; nothing if there is none."""
    if topology is None:
        return []
    where = ", ".join(f"{node} in {region}" for node, region in topology.regions.items())
    return [f"topology {topology.name}, factor {topology.factor:g}: {where}"]


def lease_lines(leases: Sequence[LeaseInfo]) -> list[str]:
    """Whose faults these are, where somebody holds them on lease: they end with that holder."""
    lines = []
    for lease in leases:
        parts = [f"{lease.faults} fault{'' if lease.faults == 1 else 's'}"] if lease.faults else []
        parts += [f"{', '.join(lease.stopped)} stopped"] if lease.stopped else []
        if parts:
            who = f"{lease.holder} (process {lease.pid})" if lease.holder else f"process {lease.pid}"
            lines.append(f"on lease to {who}, and undone at its end: {'; '.join(parts)}")
    return lines


def _words(rule: dict[str, Any]) -> str:
    """All that is set on a link: one that is cut keeps its delay for the time when it is healed."""
    words = ["cut"] if rule.get("cut") else []
    if rule.get("delay_ms"):
        scatter = f" on average ({rule['distribution']})" if "distribution" in rule else ""
        words.append(f"{rule['delay_ms']:g} ms each way{scatter}")
    words += [f"± {rule['jitter_ms']:g} ms"] if rule.get("jitter_ms") else []
    words += [f"{rule['loss']:.0%} lost"] if rule.get("loss") else []
    words += [f"{rule['bytes_per_s']:g} bytes/s each way"] if rule.get("bytes_per_s") else []
    return ", ".join(words)
