"""Local clusters: a supervisor that keeps node processes, and the way to command it.

    from kvnode.cluster import LocalCluster
    cluster = LocalCluster.attach_or_start()

or `python -m kvnode.cluster start`. Reading order: contract.py (what can be asked), local.py, control.py (how it gets
there), supervisor.py (who hears it), processes/manager.py (what it does), processes/children.py and
processes/watchdog.py, then faults/ (what is wrong, and who made it so); ports.py, state.py and paths.py are values and
files.

Names are imported when first used: `python -m kvnode.cluster` is then at its main, where Ctrl-C is answered in a word,
before most of it is read.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvnode.cluster.contract import NodeInfo, NodeState, NodeStatus, SidecarInfo
    from kvnode.cluster.errors import (
        AlreadyRunning,
        BadCommand,
        ClusterError,
        NodeFailed,
        NotRunning,
        StartFailed,
    )
    from kvnode.cluster.local import LocalCluster

__all__ = [
    "AlreadyRunning",
    "BadCommand",
    "ClusterError",
    "LocalCluster",
    "NodeFailed",
    "NodeInfo",
    "NodeState",
    "NodeStatus",
    "NotRunning",
    "SidecarInfo",
    "StartFailed",
]

_HOME = {
    **dict.fromkeys(("NodeInfo", "NodeState", "NodeStatus", "SidecarInfo"), "contract"),
    "LocalCluster": "local",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"kvnode.cluster.{_HOME.get(name, 'errors')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
