"""A bench for the judges: three nodes, a former one, a clock and an oracle, to which a test tells a run by hand."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.messages import COUNTER, KV, Message
from kvnode.operations import Add, Count, Get, Put, Request
from kvnode.records.checksum import checksum
from kvnode.records.kinds import encode_state
from kvnode.replication.context_tokens import ContextTokens
from kvnode.replication.hints import Hint
from kvnode.ring import Placement, Ring
from kvnode.runtime import Row
from kvnode.sim.disk import DurableState
from kvnode.sim.observer import Operation
from kvnode.sim.oracle import Oracle
from kvnode.versions import Context, Dot, PnCounter, Siblings, Version

NAMES = ("node-1", "node-2", "node-3")
_RING = Ring.build(NAMES, replicas=3, partitions=16)


class Bench:
    """One run, told by hand. now_s: its clock."""

    def __init__(self) -> None:
        self.write, self.pruned, self.sibling = write, pruned, sibling
        self.now_s = 1.0
        self.contexts = ContextTokens("secret", "cluster")
        self.world = SimpleNamespace(
            names=(*NAMES, "node-4"),
            counts=Counter(),
            config=SimpleNamespace(replicas=3),
            contexts=self.contexts,
            durable_states={name: DurableState() for name in (*NAMES, "node-4")},
            loop=SimpleNamespace(time=lambda: self.now_s),
            network=SimpleNamespace(message_age_s_max=1.0),
            lives={},
        )
        self.oracle = Oracle(self.world)  # type: ignore[arg-type]
        self._operation_count = 0

    @property
    def violations(self) -> list[str]:
        """All that the judges have found so far."""
        self.oracle.violations.clear()
        self.oracle.ended()
        return self.oracle.violations

    # --- what happens -------------------------------------------------------------------------------------

    def send(self, request: Request, *, session: str = "Alice", node: str = "node-1") -> Operation:
        """A client sends this."""
        self._operation_count += 1
        self.now_s += 0.1
        operation = Operation(
            number=self._operation_count, session=session, node=node, request=request, sent_s=self.now_s
        )
        self.oracle.sent(operation)
        return operation

    def answer(self, operation: Operation, status: int, **body: Any) -> None:
        """It is answered so."""
        self.now_s += 0.1
        operation.answered_s, operation.status, operation.body = self.now_s, status, body
        self.oracle.answered(operation)

    def durable(self, node: str, *rows: Row) -> None:
        """These rows become durable."""
        self.oracle.durable(node, rows)
        self.world.durable_states[node].tables.apply(rows)

    def lose(self, node: str) -> None:
        """A disk is lost."""
        self.oracle.lost(node)
        self.world.durable_states[node] = DurableState()

    def tell(self, sender: str, receiver: str, message: Message) -> None:
        """A node sends this to another one."""
        self.oracle.message(sender, receiver, message)

    def run_nodes(self, placement: Placement | None = None) -> None:
        """All nodes run, and know this ring, or one of all three."""
        if placement is None:
            placement = SimpleNamespace(  # type: ignore[assignment]
                nodes=NAMES,
                preference_lists=_RING.preference_lists,
                partition_of=_RING.partition_of,
                holders=lambda partition: _RING.preference_lists[partition],
                pending=lambda key: (),
            )
        hints = SimpleNamespace(dropped_count=0)
        self.world.lives = {
            name: SimpleNamespace(node=SimpleNamespace(ring=placement, hints=hints)) for name in NAMES
        }

    # --- rows ---------------------------------------------------------------------------------------------

    def store(self, key: str, *versions: Version, at: tuple[str, ...] = NAMES) -> None:
        """These versions of a key become durable at these nodes."""
        for node in at:
            self.durable(node, self.row(f"{KV}/{key}", encode_state(Siblings(tuple(versions)))))

    def count(self, key: str, *entries: tuple[str, int, int], at: tuple[str, ...] = NAMES) -> None:
        """These totals become durable at these nodes."""
        for node in at:
            self.durable(node, self.row(f"{COUNTER}/{key}", encode_state(PnCounter(tuple(entries)))))

    def row(self, disk_key: str, record: bytes | None) -> Row:
        """One row of records."""
        key = disk_key.partition("/")[2]
        known = 0 if record is None else checksum(disk_key, record)
        return Row("records", _RING.partition_of(key), disk_key, record, known)

    def hint(self, peer: str, key: str, *versions: Version, gone: bool = False) -> Row:
        """A hint for a peer, or its deletion."""
        record = encode_state(Hint(peer, KV, key, encode_state(Siblings(tuple(versions))), 0.0))
        return Row("hints", _RING.partition_of(key), f"{peer}/{KV}/{key}", None if gone else record, 1)

    # --- whole operations ---------------------------------------------------------------------------------

    def put(self, key: str, version: Version, *, by: tuple[str, ...] = NAMES[:2], **how: Any) -> None:
        """A PUT, made durable at who acknowledges it, and answered as it should be."""
        session = how.pop("session", "Alice")
        request = Put(key, None if version.deleted else version.value, **how)
        operation = self.send(request, session=session)
        self.store(key, version, at=by)
        self.answer(operation, 200, **self.put_answer(key, version, by=by))

    def put_answer(self, key: str, version: Version, *, by: tuple[str, ...] = NAMES[:2]) -> dict[str, Any]:
        """The answer that belongs to this version."""
        return {
            "key": key,
            "dot": str(version.dot),
            "node": version.node,
            "context": self.contexts.issue(key, version.seen),
            "issued_under": version.past.vector.as_dict(),
            "issued_under_dots": [str(dot) for dot in version.past.dots],
            "timestamp": version.timestamp,
            "w": 2,
            "acknowledged_by": list(by),
        }

    def get(
        self,
        key: str,
        *versions: Version,
        by: tuple[str, ...] = NAMES[:2],
        session: str = "Alice",
        **more: Any,
    ) -> None:
        """A GET that shows these versions, answered by these replicas."""
        operation = self.send(Get(key), session=session)
        status, body = self.get_answer(key, *versions, by=by)
        self.answer(operation, status, **body | more)

    def get_answer(
        self, key: str, *versions: Version, by: tuple[str, ...] = NAMES[:2]
    ) -> tuple[int, dict[str, Any]]:
        """The answer that shows these versions."""
        siblings = Siblings(tuple(versions))
        shown = siblings.shown
        body: dict[str, Any] = {"key": key, "r": 2, "answered_by": list(by), "node": by[0]}
        if versions:
            body["siblings"] = [sibling(version) for version in versions]
            body["context"] = self.contexts.issue(key, siblings.context)
        if shown is None:
            return 404, body | {"definite": True}
        return 200, body | {"value": json.loads(shown.value), "conflict": len(versions) > 1}

    def add(self, key: str, actor: str, up: int, down: int = 0, *, by: tuple[str, ...] = NAMES[:2]) -> None:
        """An actor's totals, made durable at who acknowledges them."""
        operation = self.send(Add(key, actor, up, down))
        self.count(key, (actor, up, down), at=by)
        self.answer(
            operation, 200, actor=actor, increments=up, decrements=down, w=2, acknowledged_by=list(by)
        )

    def read_counter(
        self,
        key: str,
        *entries: tuple[str, int, int],
        by: tuple[str, ...] = NAMES[:2],
        value: int | None = None,
    ) -> None:
        """A counter read that shows these totals."""
        actors = {actor: {"increments": up, "decrements": down} for actor, up, down in entries}
        total = sum(up - down for _, up, down in entries) if value is None else value
        operation = self.send(Count(key))
        self.answer(operation, 200, key=key, value=total, actors=actors, r=2, answered_by=list(by))


def sibling(version: Version) -> dict[str, Any]:
    """A version as an answer shows it."""
    shown: dict[str, Any] = {
        "dot": str(version.dot),
        "value": None if version.deleted else json.loads(version.value),
        "timestamp": version.timestamp,
        "issued_under": version.past.vector.as_dict(),
        "issued_under_dots": [str(dot) for dot in version.past.dots],
    }
    return shown | ({"deleted": True} if version.deleted else {})


def write(
    counter: int,
    *over: Version,
    node: str = "node-1",
    text: str | None = "",
    lww_at: float | None = None,
    dots: tuple[Dot, ...] = (),
) -> Version:
    """The `counter`-th write of a node's store, over what its writer had seen; text None deletes, lww_at replaces."""
    past = Siblings(tuple(sorted(over, key=lambda version: version.dot))).context
    context = Context.of(past.vector, past.floor, (*past.dots, *dots))
    value = b"" if text is None else json.dumps(text or f"{node} {counter}").encode()
    return Version(
        f"{node}.{node[-1] * 16}",
        counter,
        context,
        value,
        float(counter) if lww_at is None else lww_at,
        text is None,
        lww_at is not None,
    )


def pruned(version: Version) -> Version:
    """The same write, whose past says nothing of any store any more."""
    return Version(
        version.store,
        version.counter,
        version.past.without(dict(version.past.vector.entries)),
        version.value,
        version.timestamp,
        version.deleted,
        version.lww,
    )


@pytest.fixture
def bench() -> Bench:
    """A run that has only just begun."""
    return Bench()
