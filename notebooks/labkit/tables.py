"""What nodes tell of themselves, as a table.

pandas is imported only here and for tables of scenes: it takes longer than everything else that a session imports.
Must not live here: charts (figures), the lights (observe.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kvnode.client import Client
from kvnode.cluster import ClusterError, LocalCluster
from kvnode.errors import KvError
from labkit.errors import LabError

if TYPE_CHECKING:
    import pandas


@contextmanager
def in_one_sentence(what: str) -> Iterator[None]:
    """An error of the database as a LabError: a cell shows the reason and no traceback."""
    try:
        yield
    except (KvError, ClusterError) as error:
        do = "look at the lights in the cockpit; restart or reset"
        raise LabError(what, why=str(error), do=do) from error


def node_table(cluster: LocalCluster, client: Client) -> pandas.DataFrame:
    """Every node as it describes itself: address, process, disk, keys."""
    import pandas

    rows = []
    for info in cluster.status():
        row: dict[str, Any] = {"node": info.name, "state": info.state, "url": info.url, "process": info.pid}
        if info.state == "running":
            with in_one_sentence(f"{info.name} does not tell about itself."):
                stats = client.stats(info.name)
            row |= {"disk (store id)": stats["store_id"], "keys": stats["keys"]}
        rows.append(row)
    return pandas.DataFrame(rows).set_index("node")
