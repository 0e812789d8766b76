"""Many checksums, or many partitions, in few bytes of a message: 8 bytes a checksum, one bit a partition.

Must not live here: what they mean (anti_entropy/exchange.py). What a peer sent may be anything: it is read as far
as it makes sense.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable

_BYTES = 8


def pack(checksums: Collection[int]) -> bytes:
    """Checksums and node hashes (64 bits, signed) one after the other."""
    return struct.pack(f"<{len(checksums)}q", *checksums)


def unpack(data: bytes) -> tuple[int, ...]:
    """The same back; what is left at the end and is no whole checksum does not count."""
    count = len(data) // _BYTES
    return struct.unpack_from(f"<{count}q", data)


def pack_places(places: Iterable[int], count: int) -> bytes:
    """Some of the numbers from 0 to count - 1, one bit each."""
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits.to_bytes((count + 7) // 8, "little")


def unpack_places(data: bytes, count: int) -> list[int]:
    """The same back, in ascending order."""
    bits = int.from_bytes(data[: (count + 7) // 8], "little")
    return [place for place in range(count) if bits >> place & 1]
