"""What this node holds: records in memory and on its disk, their Merkle trees, and what may be missing from them."""
