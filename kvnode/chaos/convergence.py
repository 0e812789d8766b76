"""Whether the replicas of a running cluster hold the same, judged by their Merkle roots (GET /merkle).

Two ways to ask. `differing` is for a cluster at rest: which partitions differ now. `SeenEqual` is for one that is being
written to, where some partition is always on its way: it looks again and again, and a partition counts once all its
replicas have been seen equal. From then on all that was acknowledged before SeenEqual was made is on each of them.
Must not live here: what is done about a difference (the nodes themselves).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kvnode.errors import KvError

if TYPE_CHECKING:
    from kvnode.client import Client

LOOK_AGAIN_S = 0.05


class Roots:
    """Looks at all nodes at the same moment, as far as that is possible."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pool = ThreadPoolExecutor(len(client.names))

    def differing(self) -> set[int] | None:
        """The partitions whose replicas differ; None if a node did not answer."""
        try:
            owners = self._client.ring(self._client.names[0])["preference_lists"]
            answers = self._pool.map(self._client.merkle, self._client.names)
            roots = {name: answer["roots"] for name, answer in zip(self._client.names, answers, strict=True)}
        except KvError:
            return None
        return {
            partition
            for partition, names in enumerate(owners)
            if len({roots[name][partition] for name in names}) > 1
        }

    def wait_until_equal(self, within_s: float) -> float | None:
        """Wait until no partition differs; how long that took, or None if it is not so in time."""
        return self._wait(lambda differing: differing == set(), within_s)

    def wait_until_seen_equal(self, within_s: float) -> float | None:
        """The same for a cluster that is written to: wait until each partition has been seen equal once."""
        return self._wait(SeenEqual().note, within_s)

    def _wait(self, is_enough: Callable[[set[int] | None], bool], within_s: float) -> float | None:
        began_s = time.monotonic()
        while not is_enough(self.differing()):
            if time.monotonic() - began_s > within_s:
                return None
            time.sleep(LOOK_AGAIN_S)
        return time.monotonic() - began_s

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown()


class SeenEqual:
    """left: the partitions that no look has found equal yet; None before the first look."""

    def __init__(self) -> None:
        self.left: set[int] | None = None

    def note(self, differing: set[int] | None) -> bool:
        """What one look found; True once every partition has been equal in some look."""
        if differing is not None:
            self.left = set(differing) if self.left is None else self.left & differing
        return self.left == set()


def describe(differing: Sequence[int] | set[int] | None) -> str:
    """One line about what `differing` found."""
    if differing is None:
        return "a node did not answer"
    some = ", ".join(str(partition) for partition in sorted(differing)[:5])
    return f"{len(differing)} partitions differ, such as {some}" if differing else "all partitions are equal"
