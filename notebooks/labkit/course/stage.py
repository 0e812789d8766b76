"""The stage: one experiment at a time breaks the cluster, and what it broke is whole again when it leaves.

Two experiments at once would share the links, and neither would know what it measured. The cluster's lease undoes
everything at the end, after an error, and when this kernel dies.
Must not live here: what an experiment does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from kvnode.cluster import ClusterError, LocalCluster
from kvnode.errors import KvError
from labkit.errors import LabError, Timeout
from labkit.waiting import wait_until

WAIT_S_MAX = 60.0
WHOLE_WITHIN_S = 8.0
_taken = threading.Lock()


@contextmanager
def on_stage(cluster: LocalCluster, what: str) -> Iterator[LocalCluster]:
    """The cluster, on which faults may be made until the block ends. LabError if it cannot be had, or not be mended."""
    if not _taken.acquire(timeout=WAIT_S_MAX):
        raise LabError(
            "Another experiment is still running.", do="wait for its end, then run this cell again"
        )
    try:
        with ExitStack() as after:
            try:
                held = after.enter_context(cluster.lease(what))
            except ClusterError as error:
                raise LabError("The cluster cannot be held for this experiment.", why=str(error)) from error
            _wait_until_whole(held)
            yield held
            try:
                after.close()
            except ClusterError as error:
                raise LabError(
                    f"After {what} something is left broken.",
                    why=str(error),
                    do="run the first cell again: it resets",
                ) from error
    finally:
        _taken.release()


def _wait_until_whole(cluster: LocalCluster) -> None:
    """A node that the experiment before had killed runs again, but the others need a moment to believe it.

    Nodes that somebody else keeps dead or cut off are not waited for in vain: after a while the experiment begins, and
    its guards tell.
    """
    client = cluster.client(timeout_s=1.0)
    running = [info.name for info in cluster.nodes if info.state == "running"]

    def all_alive() -> bool:
        with suppress(KvError):
            seen = [client.health(name)["members"] for name in running]
            return all(members.get(name) == "alive" for members in seen for name in running)
        return False

    with suppress(Timeout):
        wait_until(all_alive, what="all nodes to see each other", timeout_s=WHOLE_WITHIN_S, interval_s=0.05)
