"""The runtime: everything that a node does to time, peers, disks and chance goes through it.

The components of a node (membership, replication, ...) are written against these protocols only. net/ and storage/ plug
in sockets and SQLite; sim/ plugs in a virtual clock, a simulated network and a disk that forgets what was not
synced. So one and the same code serves real requests and replays a seed.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from kvnode.messages import Message


class Cancellable(Protocol):
    """Something that was scheduled and may be called off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Time. `now_ms` never goes back; `wall_ms` is what the computer believes the date to be, and may."""

    def now_ms(self) -> float: ...

    def wall_ms(self) -> float: ...

    def sleep_ms(self, duration_ms: float) -> Awaitable[None]: ...

    def call_later_ms(self, delay_ms: float, callback: Callable[[], None]) -> Cancellable: ...


class Network(Protocol):
    """Messages to peers. They may be lost, late, doubled or out of order, and nobody is told.

    One thing is promised: what arrives was sent no longer than config.maintenance.message_age_s_max before. What is
    older (it lay in the socket of a node that stood still, say) is refused.
    """

    def send(self, peer: str, message: Message) -> None: ...


Handlers = dict[type[Any], Callable[[str, Any], None]]
"""What a component does with each kind of message that is for it: called with (peer, message)."""


class Row(NamedTuple):
    """One record on disk. `record` None deletes. checksum: 64 bits over key and record, verified by the reader.

    A row that is committed with checksum 0 is given one by a disk that can be damaged.
    """

    table: str
    partition: int
    key: str
    record: bytes | None
    checksum: int = 0


LowBits = tuple[int, tuple[int, ...]]
"""(mask, wanted): rows whose checksum has, under the mask, one of these values."""
ANY: LowBits = (0, (0,))


ROWS_DROPPED = "rows-dropped"
"""The row of table `meta`, partition 0, in which a disk says that it has dropped rows which it could not read.

Its record is a JSON list of their partitions; -1 stands for one that could not be read either. Whoever counted on them
deletes it once the conclusions are durable.
"""


class SyncStats(msgspec.Struct, frozen=True):
    """Percentiles of how long a sync takes (ms); None if there was none lately."""

    p50: float | None = None
    p95: float | None = None
    max: float | None = None


class DiskStats(msgspec.Struct, frozen=True):
    """What a disk has done since the start.

    batch_mean: rows per commit. log_bytes: what a restart has to read. rows_moved_total: from the log into the tables.
    no_room: why it takes no writes; empty if it does. set_aside: files of past damage. dropped: what could not be read.
    """

    commits_total: int = 0
    records_total: int = 0
    batch_mean: float | None = None
    sync_ms: SyncStats = SyncStats()
    log_bytes: int = 0
    rows_moved_total: int = 0
    no_room: str = ""
    set_aside: list[str] = []
    dropped: list[str] = []


class Disk(Protocol):
    """A durable store of rows in tables.

    `commit` takes effect for this node's own reads at once, all rows or none; the future it returns resolves when
    the rows survive a crash. Commits become durable in the order in which they were made. Many commits share a sync.
    """

    def get(self, table: str, partition: int, key: str) -> tuple[bytes, int] | None:
        """(record, checksum) or None."""

    def scan(self, table: str, partition: int, *, after: str = "", limit: int = 1000) -> Sequence[Row]:
        """Rows of one partition in key order, from the first key beyond `after`.

        There may be fewer than `limit`, if they are long. No row at all: there is none any more.
        """

    def checksums(
        self, table: str, partition: int | None = None, *, low_bits: LowBits = ANY
    ) -> Iterator[tuple[int, str, int]]:
        """(partition, key, checksum) of every row (of one partition), in order, without reading the records."""

    def count(self, table: str) -> int:
        """How many rows a table has."""

    def commit(self, rows: Sequence[Row]) -> Future[None]: ...

    async def checkpoint(self) -> dict[str, Any]:
        """Tidy up: shorten what a restart has to read. Answers figures for /stats; OSError if it cannot be done."""
        ...

    def describe(self) -> DiskStats:
        """For /stats."""


class Random(Protocol):
    """Chance; a seeded generator in simulation. (random.Random has these methods.)"""

    def random(self) -> float: ...

    def getrandbits(self, bits: int, /) -> int: ...

    def shuffle(self, items: list[Any], /) -> None: ...


def _no_other_disk(why: str) -> None:
    raise RuntimeError(f"this runtime cannot begin anew: {why}")


@dataclass(frozen=True, slots=True)
class Runtime:
    """Clock, network, disk and chance, and how to start work of one's own.

    spawn: runs a coroutine in the background under a name. An exception in it is a broken invariant: it ends the
    node loudly (the real world) or fails the run (simulation), it is never swallowed.
    log: writes one event with its facts to the node's log.
    begin_anew: the disk must not be used (and why): end this life, set the disk aside, and begin one on an empty disk.
    """

    clock: Clock
    network: Network
    disk: Disk
    random: Random
    spawn: Callable[[Coroutine[Any, Any, None], str], None]
    log: Callable[..., None]
    begin_anew: Callable[[str], None] = _no_other_disk
