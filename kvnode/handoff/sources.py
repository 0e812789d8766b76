"""From how many owners a store must have all of a partition before it may count as complete there. Pure.

With r + w > N an acknowledged write is on w of the N owners, and w is taken to be at least half of them. One that has
lost its disk holds it no more, and is still counted among the N: nothing that it lacks may be taken for not written. So
it counts as no source, and a majority of *all* owners must be heard, or else each of those that are left: those that
are neither being refilled themselves nor lost for good (removed by force). With fewer than w stores lost, one of them
has the write.

If all others are being refilled too, no source is left, and each is complete once it has heard that from all: so a
cluster that has lost everything comes back to service by itself, and nobody waits for each other for ever.
"""

from __future__ import annotations


def sources_needed(owner_count: int, *, asked_count: int, incomplete_count: int, lost_count: int = 0) -> int:
    """How many complete owners must have given all that they hold.

    owner_count: N. asked_count: the owners besides this node. incomplete_count: those of them that said they are being
    refilled. lost_count: those that are lost for good.
    """
    majority = owner_count // 2 + 1
    return max(0, min(majority, asked_count - incomplete_count - lost_count))
