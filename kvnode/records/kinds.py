"""The kinds of data: how their states are encoded in records, merged, and told from what is no record.

Must not live here: where records stand, and who has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar

import msgspec

from kvnode.messages import COUNTER, KV
from kvnode.records.checksum import checksum
from kvnode.runtime import Row
from kvnode.versions import PnCounter, Siblings

State = Siblings | PnCounter
S = TypeVar("S", Siblings, PnCounter)

_FALSE = b"\xc2"  # in msgpack


class Kind(Generic[S]):
    """One kind of data: how its states are encoded, and which state is the empty one."""

    def __init__(self, name: str, empty: S) -> None:
        self.name = name
        self.empty: S = empty
        self.decode: Callable[[bytes], S] = msgspec.msgpack.Decoder(type(empty)).decode

    def disk_key(self, key: str) -> str:
        """Where a key of this kind stands on disk: kinds never collide."""
        return f"{self.name}/{key}"


KVS = Kind(KV, Siblings())
COUNTERS = Kind(COUNTER, PnCounter())
KINDS: dict[str, Kind[Siblings] | Kind[PnCounter]] = {KV: KVS, COUNTER: COUNTERS}
encode_state = msgspec.msgpack.Encoder().encode


class Mutation(msgspec.Struct, frozen=True):
    """A new state of one key, to be stored and sent. base: the record that it was made from; None: there was none."""

    kind: str
    key: str
    record: bytes
    base: bytes | None

    @property
    def merged(self) -> Self:
        """The same where this state is held already, or more than `base` may be: it can only be merged in."""
        return msgspec.structs.replace(self, base=self.record)


def _merge(one: State, other: State) -> State:
    if isinstance(one, Siblings):
        assert isinstance(other, Siblings)
        return one.merge(other)
    assert isinstance(other, PnCounter)
    return one.merge(other)


def merge_records(kind: str, one: bytes, other: bytes) -> bytes:
    """The record of the merged state of two records of one kind."""
    if one == other:
        return one
    decode = KINDS[kind].decode
    first, second = decode(one), decode(other)
    merged = _merge(first, second)
    if merged is second:
        return other
    return one if merged is first else encode_state(merged)


def is_whole(disk_key: str, record: bytes, known: int) -> bool:
    """Whether a row is what was written, and is a record."""
    kind = KINDS.get(disk_key.partition("/")[0])
    if kind is None or checksum(disk_key, record) != known:
        return False
    try:
        kind.decode(record)
    except msgspec.MsgspecError:
        return False
    return True


def is_shown(kind: str, row: Row) -> bool:
    """Whether a row is listed: whole, and not deleted. Most deleted ones are told at one look at their states."""
    if row.record is None:
        return False
    try:
        is_value = kind != KV or bool(KVS.decode(row.record).values)
    except msgspec.MsgspecError:
        return False
    return is_value and checksum(row.key, row.record) == row.checksum


def is_tombstone(row: Row) -> bool:
    """Whether a row is whole and says nothing but "deleted".

    Most that are not are told by one look at the end of their record. There stand, a byte each, whether the last
    version was deleted and whether it was written with mode=lww.
    """
    if row.record is None or row.record[-2:-1] == _FALSE or not is_whole(row.key, row.record, row.checksum):
        return False
    return not KVS.decode(row.record).values
