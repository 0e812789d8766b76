"""Pure values that order events without a clock: dots, version vectors, siblings and PN-counters.

Nothing here knows a node, a network or a disk. All values are immutable and canonical: two replicas that hold the
same state encode it to the same bytes, so that a digest of the bytes is a digest of the state.
"""

from kvnode.versions.counters import PnCounter
from kvnode.versions.dots import Dot, StoreId, node_of
from kvnode.versions.siblings import Context, Siblings, Version
from kvnode.versions.vectors import FORGOTTEN, VersionVector

__all__ = [
    "FORGOTTEN",
    "Context",
    "Dot",
    "PnCounter",
    "Siblings",
    "StoreId",
    "Version",
    "VersionVector",
    "node_of",
]
