"""Answering peers: stores what they send and tells what is held here. Says Stored only when it is durable.

What was addressed by an older ring is refused. What was addressed by a newer one is served: its sender counts on this
node, and knows better; meanwhile this node asks for that ring. What a former member offers is refused once tombstones
were swept without it (tombstones/epochs.py).
"""

from __future__ import annotations

from kvnode.context import NodeContext
from kvnode.messages import Fetch, Fetched, Message, Refused, Stored, StoreMany, StoreRecord
from kvnode.runtime import Handlers


class Replica:
    """The passive side of replication."""

    def __init__(self, node: NodeContext) -> None:
        self._ring, self._epochs = node.ring, node.epochs
        self._records, self._incomplete = node.records, node.incomplete
        self._network, self._observer = node.runtime.network, node.observer

    def handlers(self) -> Handlers:
        """What is done with each message that is for this component."""
        return {StoreRecord: self.on_store, StoreMany: self.on_store_many, Fetch: self.on_fetch}

    def on_store(self, peer: str, question: StoreRecord) -> None:
        """Merge one record; acknowledge once it is durable."""
        if question.epoch != self._ring.epoch and self._epochs.refuses_epoch(peer, question):
            return
        if peer not in self._ring.known and self._refuse_late(peer, question.id):
            return
        send, observer, id_, trace_id = self._network.send, self._observer, question.id, question.trace_id
        observer.received(trace_id, peer)

        def on_durable(ok: bool) -> None:
            if id_:
                observer.durable(trace_id, ok)
                send(peer, Stored(id_) if ok else Refused(id_, "could not store it"))

        self._records.merge_in(
            question.kind, question.key, question.record, on_durable, base_checksum=question.base_checksum
        )

    def on_store_many(self, peer: str, question: StoreMany) -> None:
        """Merge several records; acknowledge once all are durable."""
        if question.epoch != self._ring.epoch and self._epochs.refuses_epoch(peer, question):
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
                self._network.send(peer, answer)

        for kind, key, record in question.records:
            self._records.merge_in(kind, key, record, on_durable)

    def _refuse_late(self, peer: str, id_: int) -> bool:
        """A node that is not a member may offer what is older than a tombstone that was swept since it was one."""
        refusal = self._epochs.refusal_if_late(peer, id_)
        if refusal and id_:
            self._network.send(peer, refusal)
        return refusal is not None

    def on_fetch(self, peer: str, question: Fetch) -> None:
        """Tell what is durable here."""
        if question.epoch != self._ring.epoch and self._epochs.refuses_epoch(peer, question):
            return
        self._observer.read(question.trace_id, peer)
        self._network.send(peer, self.held(question.kind, question.key, question.id))

    def held(self, kind: str, key: str, id_: int = 0) -> Fetched:
        """What is durable here of one key."""
        record = self._records.durable(kind, key)
        stored_at = self._records.stored_at(kind, key) or 0.0
        return Fetched(id_, record, stored_at, self._incomplete.counts(key))
