"""What a workload asks for: one value for each operation that goes over the wire.

Here: the vocabulary between workloads (which know no HTTP) and stores (which know no tweets).
"""

from __future__ import annotations

from msgspec import Struct


class Put(Struct, frozen=True, kw_only=True):
    """Store `value` under `key`. `kind` is the word under which people count it ("tweet"); `persona` who
    did it."""

    kind: str
    persona: str
    key: str
    value: str


class Get(Struct, frozen=True, kw_only=True):
    """Read the value of `key`."""

    kind: str
    persona: str
    key: str


class Add(Struct, frozen=True, kw_only=True):
    """Add to the counter `key`. The running total that goes over the wire is the driver's business."""

    kind: str
    persona: str
    key: str
    amount: int = 1


Operation = Put | Get | Add
