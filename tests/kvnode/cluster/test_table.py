"""What the command line prints of nodes, faults, leases and topologies."""

from pathlib import Path

from kvnode.cluster.contract import Bandwidth, Delay, LeaseInfo, NodeInfo, NodeState
from kvnode.cluster.faults.rules import FaultPlan
from kvnode.cluster.faults.topologies import Topology
from kvnode.cluster.table import faults_lines, lease_lines, status_table, topology_lines

NODES = ("node-1", "node-2", "node-3")


def info(name: str, state: NodeState = "running", pid: int | None = 17, reason: str = "") -> NodeInfo:
    return NodeInfo(
        name=name,
        host="127.0.0.1",
        http_port=9999,
        peer_port=19999,
        url="http://127.0.0.1:9999",
        pid=pid,
        process_start="",
        state=state,
        reason=reason,
        since_ms=0,
        restarts=0,
        data_dir=Path("/d"),
        log_file=Path("/d/log.jsonl"),
        rules={},
    )


def test_columns_line_up_and_a_dead_node_says_why() -> None:
    table = status_table([info("node-1"), info("node-2", state="dead", pid=None, reason="killed")], [])
    assert table.splitlines() == [
        "NAME    STATE    PID  URL                    NOTE",
        "node-1  running  17   http://127.0.0.1:9999",
        "node-2  dead     -    http://127.0.0.1:9999  killed",
    ]


def test_a_link_with_the_same_fault_both_ways_is_one_line() -> None:
    plan = (
        FaultPlan(NODES)
        .delayed(Delay(50, 5, 0.1, nodes=("node-1", "node-3")))
        .cut("node-2", "node-3", both_ways=False)
    )
    assert faults_lines(plan.all_rules()) == [
        "node-1 <-> node-3: 50 ms each way, ± 5 ms, 10% lost",
        "node-2 --> node-3: cut",
    ]


def test_a_link_that_is_cut_and_slow_says_both() -> None:
    slow = FaultPlan(NODES).delayed(Delay(50, distribution="exponential", nodes=("node-1", "node-2")))
    assert faults_lines(slow.cut("node-1", "node-2").all_rules()) == [
        "node-1 <-> node-2: cut, 50 ms each way on average (exponential)"
    ]


def test_a_narrow_link_says_its_rate() -> None:
    narrow = FaultPlan(NODES).limited(Bandwidth(50_000, nodes=("node-1", "node-2")))
    assert faults_lines(narrow.all_rules()) == ["node-1 <-> node-2: 50000 bytes/s each way"]


def test_a_topology_says_where_each_node_lies() -> None:
    assert topology_lines(None) == []
    assert topology_lines(Topology("three-regions", 0.5).describe(NODES)) == [
        "topology three-regions, factor 0.5: node-1 in Washington DC, node-2 in London, node-3 in Tokyo"
    ]


def test_a_lease_says_whose_faults_they_are_and_one_that_broke_nothing_says_nothing() -> None:
    held = LeaseInfo("Alice tells Bob", 17, 4, ["node-3"])
    assert lease_lines([held, LeaseInfo("idle", 18, 0, [])]) == [
        "on lease to Alice tells Bob (process 17), and undone at its end: 4 faults; node-3 stopped"
    ]
