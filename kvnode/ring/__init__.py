"""Where a key lives: key -> partition -> preference list. Knows nothing of who is alive.

ring.py (partitions on nodes) <- state.py (epochs, members, the change under way) <- placement.py (both, as known now).
"""

from kvnode.ring.placement import Placement
from kvnode.ring.ring import Ring, key_hash
from kvnode.ring.state import MOVING, STABLE, RingState

__all__ = ["MOVING", "STABLE", "Placement", "Ring", "RingState", "key_hash"]
