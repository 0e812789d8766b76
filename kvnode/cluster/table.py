"""What runs where, as a table of plain text.

Not here: colours and widgets (labkit), and where the rows come from (local.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kvnode.cluster.faults import Rules
from kvnode.cluster.state import NodeInfo, SidecarInfo


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two spaces apart."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def status_table(nodes: Sequence[NodeInfo], sidecars: Sequence[SidecarInfo]) -> str:
    """One line a process: name, state, process id, where it answers, and why it is not running."""
    rows = [["NAME", "STATE", "PID", "URL", "NOTE"]]
    for node in nodes:
        rows.append([node.name, node.state, str(node.pid or "-"), node.url, _note(node)])
    for sidecar in sidecars:
        where = sidecar.ready_line.rpartition(" ")[2] if "http" in sidecar.ready_line else "-"
        rows.append([sidecar.name, sidecar.state, str(sidecar.pid or "-"), where, sidecar.reason])
    return aligned(rows)


def _note(node: NodeInfo) -> str:
    if node.reason:
        return node.reason
    return f"restarted {node.restarts}x" if node.restarts else ""


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


def topology_lines(topology: Mapping[str, Any] | None) -> list[str]:
    """The named topology that is set, and which node lies where; nothing if there is none."""
    if topology is None:
        return []
    places = ", ".join(f"{node} in {region}" for node, region in topology["regions"].items())
    return [f"topology {topology['name']}, factor {topology['factor']:g}: {places}"]


def _words(rule: dict[str, object]) -> str:
    """All that is set on a link: one that is cut keeps its delay for the time when it is healed."""
    words = ["cut"] if rule.get("cut") else []
    if rule.get("delay_ms"):
        scatter = f" on average ({rule['distribution']})" if "distribution" in rule else ""
        words.append(f"{rule['delay_ms']:g} ms each way{scatter}")
    words += [f"± {rule['jitter_ms']:g} ms"] if rule.get("jitter_ms") else []
    words += [f"{float(str(rule['loss'])):.0%} lost"] if rule.get("loss") else []
    return ", ".join(words)
