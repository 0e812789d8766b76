"""Where a key lives: key -> partition -> preference list. Knows nothing of who is alive."""

from kvnode.ring.ring import Ring, key_hash

__all__ = ["Ring", "key_hash"]
