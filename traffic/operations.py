"""What a workload asks for: one value for each operation that goes over the wire.

Here: the vocabulary between workloads (which know no HTTP) and stores (which know no tweets).

Every operation has a `kind`, the word under which people count it ("tweet"), and a `persona`, who did it.
`region` is where that persona lives: if the nodes of the cluster lie in regions, those of the same region
are asked first; otherwise it is only a label. `session` names one client's thread of operations: what it
wrote or read once it should see again (monotonic reads and read-your-writes are judged per session).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Mode = Literal["replace", "siblings", "lww"]
"""What a put without a context does: supersede what its coordinator holds; nothing at all (so that siblings
stay); or leave it to the clocks (last writer wins)."""


class Put(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="op", tag="put"):
    """Store `value` under `key`. With `context`, the one that a read or a put answered, it supersedes exactly
    what was seen then; `mode` says what happens without one (by default "replace")."""

    kind: str
    persona: str
    key: str
    value: str
    context: str | None = None
    mode: Mode | None = None
    region: str | None = None
    session: str | None = None


class Get(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="op", tag="get"):
    """Read the value of `key`, with all its siblings, by quorum."""

    kind: str
    persona: str
    key: str
    region: str | None = None
    session: str | None = None


class Add(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="op", tag="add"):
    """Add `amount` to the counter `key`; a negative amount takes away. The running totals that go over the
    wire are the driver's business."""

    kind: str
    persona: str
    key: str
    amount: int = 1
    region: str | None = None
    session: str | None = None


class Count(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="op", tag="count"):
    """Read the counter `key` by quorum."""

    kind: str
    persona: str
    key: str
    region: str | None = None
    session: str | None = None


class Maintain(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="op", tag="maintain"):
    """Ask one node for night work: "repair" (compare with every live peer now, and mend) or "sweep" (let go
    of tombstones that nobody needs any more). It has no key."""

    kind: str
    persona: str
    task: Literal["repair", "sweep"]
    key: str = ""
    region: str | None = None
    session: str | None = None


Operation = Put | Get | Add | Count | Maintain
WRITES = (Put, Add)
