"""What the command line prints of nodes, faults, leases and topologies."""

from kvnode.cluster.faults.rules import FaultPlan, Slow
from kvnode.cluster.faults.topologies import Topology
from kvnode.cluster.state import NodeInfo
from kvnode.cluster.table import faults_lines, lease_lines, status_table, topology_lines

NODES = ("node-1", "node-2", "node-3")


def info(name: str, **changes: object) -> NodeInfo:
    where = {"name": name, "url": "http://127.0.0.1:9999", "host": "127.0.0.1", "http_port": 9999}
    process = {
        "peer_port": 19999,
        "pid": 17,
        "state": "running",
        "data_dir": "/d",
        "log_file": "/d/log.jsonl",
    }
    return NodeInfo.of({**where, **process, **changes})


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
        .delayed(Slow(50, 5, 0.1), ("node-1", "node-3"))
        .cut("node-2", "node-3", both_ways=False)
    )
    assert faults_lines(plan.all_rules()) == [
        "node-1 <-> node-3: 50 ms each way, ± 5 ms, 10% lost",
        "node-2 --> node-3: cut",
    ]


def test_a_link_that_is_cut_and_slow_says_both() -> None:
    slow = FaultPlan(NODES).delayed(Slow(50, distribution="exponential"), ("node-1", "node-2"))
    assert faults_lines(slow.cut("node-1", "node-2").all_rules()) == [
        "node-1 <-> node-2: cut, 50 ms each way on average (exponential)"
    ]


def test_a_topology_says_where_each_node_lies() -> None:
    assert topology_lines(None) == []
    assert topology_lines(Topology("three-regions", 0.5).describe(NODES)) == [
        "topology three-regions, factor 0.5: node-1 in Washington DC, node-2 in London, node-3 in Tokyo"
    ]


def test_a_lease_says_whose_faults_they_are_and_one_that_broke_nothing_says_nothing() -> None:
    held = {"holder": "Alice tells Bob", "pid": 17, "faults": 4, "stopped": ["node-3"]}
    assert lease_lines([held, {"holder": "idle", "pid": 18, "faults": 0, "stopped": []}]) == [
        "on lease to Alice tells Bob (process 17), and undone at its end: 4 faults; node-3 stopped"
    ]
