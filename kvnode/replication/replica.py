"""Answering peers: stores what they send and tells what is held here. Says Stored only when it is durable.

What was addressed by an older ring is refused. What was addressed by a newer one is served: its sender counts on this
node, and knows better; meanwhile this node asks for that ring. What a former member offers is refused once tombstones
were swept without it (tombstones/reaper.py).
"""

from __future__ import annotations

from collections.abc import Callable

from kvnode.messages import Fetch, Fetched, Message, Refused, Stored, StoreMany, StoreRecord
from kvnode.observe import Traces
from kvnode.records.incomplete import Incomplete
from kvnode.records.records import Records
from kvnode.ring import Placement
from kvnode.runtime import Runtime


class Replica:
    """The passive side of replication."""

    def __init__(
        self,
        runtime: Runtime,
        ring: Placement,
        records: Records,
        incomplete: Incomplete,
        traces: Traces,
        refuse_other_epoch: Callable[[str, int, int], bool],
        why_too_late: Callable[[str], str],
    ) -> None:
        self._runtime = runtime
        self._why_too_late = why_too_late
        self._ring = ring
        self._refuse_other_epoch = refuse_other_epoch
        self._records = records
        self._incomplete = incomplete
        self._traces = traces

    def on_store(self, peer: str, question: StoreRecord) -> None:
        """Merge one record; acknowledge once it is durable."""
        if question.epoch != self._ring.epoch and self._refuse_other_epoch(peer, question.id, question.epoch):
            return
        if peer not in self._ring.known and self._refuse_late(peer, question.id):
            return
        send, id_, trace_id = self._runtime.network.send, question.id, question.trace_id
        self._traces.note(trace_id, "received the record from", peer)

        def on_durable(ok: bool) -> None:
            if id_:
                self._traces.note(trace_id, "stored" if ok else "could not store")
                send(peer, Stored(id_) if ok else Refused(id_, "could not store it"))

        self._records.merge_in(
            question.kind, question.key, question.record, on_durable, base_checksum=question.base_checksum
        )

    def on_store_many(self, peer: str, question: StoreMany) -> None:
        """Merge several records; acknowledge once all are durable."""
        if question.epoch != self._ring.epoch and self._refuse_other_epoch(peer, question.id, question.epoch):
            return
        if peer not in self._ring.known and self._refuse_late(peer, question.id):
            return
        missing = len(question.records)
        all_ok = True

        def on_durable(ok: bool) -> None:
            nonlocal missing, all_ok
            missing -= 1
            all_ok = all_ok and ok
            if not missing and question.id:
                answer: Message = (
                    Stored(question.id) if all_ok else Refused(question.id, "could not store all")
                )
                self._runtime.network.send(peer, answer)

        for kind, key, record in question.records:
            self._records.merge_in(kind, key, record, on_durable)

    def _refuse_late(self, peer: str, id_: int) -> bool:
        """Who is no member may offer what is older than a tombstone that was swept since it was one."""
        why = self._why_too_late(peer)
        if why and id_:
            self._runtime.network.send(peer, Refused(id_, why))
        return bool(why)

    def on_fetch(self, peer: str, question: Fetch) -> None:
        """Tell what is durable here."""
        if question.epoch != self._ring.epoch and self._refuse_other_epoch(peer, question.id, question.epoch):
            return
        self._traces.note(question.trace_id, "was asked by", peer)
        record = self._records.durable(question.kind, question.key)
        stored_at = self._records.stored_at(question.kind, question.key) or 0.0
        counts = not self._incomplete or self._ring.partition_of(question.key) not in self._incomplete
        self._runtime.network.send(peer, Fetched(question.id, record, stored_at, counts))
