"""What replicas say to each other to find out what differs (anti_entropy/exchange.py tells when).

Checksums and node hashes are packed, 8 bytes each (messages/packing.py).
"""

from __future__ import annotations

import msgspec

from kvnode.versions.bounds import Checksum, Count, Id, Place


class CompareRoots(msgspec.Struct, frozen=True, array_like=True, tag="compare-roots"):
    """The exclusive-or of my Merkle roots of some partitions. Answered by Roots, and only in the same epoch.

    partitions: one bit each (messages/packing.py).
    """

    id: Id
    trace_id: int
    partitions: bytes
    root: Checksum
    epoch: Count


class Roots(msgspec.Struct, frozen=True, array_like=True, tag="roots"):
    """My roots of those partitions in ascending order, packed; nothing if their exclusive-or is yours.

    durable: all that they count is durable. incomplete: of which of these partitions I may lack what was acknowledged,
    one bit each. reaped_epoch: the last in which I have dropped a tombstone.
    """

    id: Id
    roots: bytes
    durable: bool
    incomplete: bytes = b""
    reaped_epoch: Count = 0


class CompareNodes(msgspec.Struct, frozen=True, array_like=True, tag="compare-nodes"):
    """My hashes, packed, of all nodes of one level that stand right under these, in one partition's tree.

    Answered by Differing.
    """

    id: Id
    trace_id: int
    partition: Place
    level: Place
    parents: tuple[Place, ...]
    hashes: bytes


class Differing(msgspec.Struct, frozen=True, array_like=True, tag="differing"):
    """Which of those hashes are not mine (indices within their level), and, packed, what mine are."""

    id: Id
    indices: tuple[Place, ...]
    hashes: bytes


class CompareSingleDiffs(msgspec.Struct, frozen=True, array_like=True, tag="compare-single-diffs"):
    """Some nodes of one partition's tree would differ by these records alone, if each differs by one alone.

    records: those that I hold; merge them into yours. others: the checksums, packed, of those that I do not hold.
    wants_records: send me what I lack; else I only offer what I have. Answered by SinglesAnswer.
    """

    id: Id
    trace_id: int
    partition: Place
    records: tuple[tuple[str, str, bytes], ...]
    others: bytes
    wants_records: bool
    epoch: Count


class SingleDiffsAnswer(msgspec.Struct, frozen=True, array_like=True, tag="single-diffs-answer"):
    """Yours are merged and durable here. My records that you do not have, and which of the others I do not know either.

    unknown: packed. complete: the records are all that you do not have; else there was no room for more.
    """

    id: Id
    records: tuple[tuple[str, str, bytes], ...]
    unknown: bytes
    complete: bool


class CompareLeaves(msgspec.Struct, frozen=True, array_like=True, tag="compare-leaves"):
    """The checksums, packed, of all my records under these leaves of one partition. Answered by LeafAnswer.

    wants_records: send me what I do not have; else I only offer what I have.
    """

    id: Id
    trace_id: int
    partition: Place
    leaves: tuple[Place, ...]
    checksums: bytes
    wants_records: bool = True


class LeafAnswer(msgspec.Struct, frozen=True, array_like=True, tag="leaf-answer"):
    """My records that you do not have, and the checksums, packed, of those of yours that I do not have.

    complete: these are all of both; else there was no room for more, and another question is needed.
    """

    id: Id
    records: tuple[tuple[str, str, bytes], ...]
    wanted: bytes
    complete: bool
