"""The checksum that every stored row carries: 64 bits over its key and its record.

The disk keeps it, replicas compare it (records/merkle.py), and whoever reads a row verifies it.
"""

from __future__ import annotations

from hashlib import blake2b

from kvnode.ring import key_hash


def checksum(disk_key: str, record: bytes) -> int:
    """64 bits over a key and its record (signed, as SQLite keeps integers)."""
    digest = blake2b(record, digest_size=8, salt=key_hash(disk_key).to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "big", signed=True)
