"""The side of an exchange that answers: what differs here, what is known here, what the peer lacks (exchange.py asks).

Whatever a peer asks is bounded here, and may make no sense: then it is refused.
"""

from __future__ import annotations

import contextlib
from functools import reduce
from operator import xor

from kvnode.anti_entropy.schedule import ExchangeSchedule
from kvnode.config import BATCH_RECORDS_MAX
from kvnode.context import NodeContext
from kvnode.messages import UNDECODABLE, Refused
from kvnode.messages.anti_entropy import (
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    CompareSingleDiffs,
    Differing,
    LeafAnswer,
    Roots,
    SingleDiffsAnswer,
)
from kvnode.messages.packing import pack, pack_places, unpack, unpack_places
from kvnode.records.batches import batch_of, carried
from kvnode.records.checksum import checksum
from kvnode.records.merkle import LEAF_COUNT, LEVELS, children_of
from kvnode.runtime import Handlers


class Responder:
    """The answering side of one node. sent_count: records sent in answers."""

    def __init__(self, context: NodeContext, schedule: ExchangeSchedule) -> None:
        self._runtime = context.runtime
        self._ring = context.ring
        self._records = context.records
        self._incomplete = context.incomplete
        self._epochs = context.epochs
        self._schedule = schedule
        self.sent_count = 0

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {
            CompareRoots: self.on_roots,
            CompareNodes: self.on_nodes,
            CompareSingleDiffs: self.on_single_diffs,
            CompareLeaves: self.on_leaves,
        }

    def on_roots(self, peer: str, question: CompareRoots) -> None:
        """Which of the peer's roots are not ours. Just after the start, ours have to be worked out first."""
        self._runtime.spawn(self._answer_roots(peer, question), "compare roots")

    async def _answer_roots(self, peer: str, question: CompareRoots) -> None:
        if question.epoch != self._ring.settled_epoch:
            if not self._epochs.refuses_epoch(peer, question):
                self._runtime.network.send(peer, Refused(question.id, "this node is not in that epoch yet"))
            return
        if refusal := self._epochs.refusal_if_late(peer, question.id):
            self._runtime.network.send(peer, refusal)
            return
        await self._records.build_forest()
        shared = unpack_places(question.partitions, self._ring.partitions)
        roots = list(map(self._records.forest.root, shared))
        differ = reduce(xor, roots, 0) != question.root
        is_durable = False
        with contextlib.suppress(OSError):  # the roots count what is still on its way to disk: wait for that
            await self._runtime.disk.commit([])
            is_durable = True
        incomplete = self._incomplete.among(shared)
        answer = Roots(
            question.id,
            pack(roots) if differ else b"",
            is_durable,
            pack_places(incomplete, self._ring.partitions) if incomplete else b"",
            self._epochs.reaped_epoch,
        )
        self._runtime.network.send(peer, answer)

    def on_nodes(self, peer: str, question: CompareNodes) -> None:
        """Which of the peer's nodes of one tree are not ours."""
        level, theirs = question.level, unpack(question.hashes)
        is_level = 0 <= question.partition < self._ring.partitions and level in (1, 2)
        parents = question.parents if is_level and len(question.parents) <= LEVELS[level - 1] else ()
        if not parents or not all(0 <= parent < LEVELS[level - 1] for parent in parents):
            self._runtime.network.send(peer, Refused(question.id, "no such node of a tree"))
            return
        self._schedule.asked()
        ours = self._records.forest.hashes(question.partition, level)
        places = zip(children_of(parents), theirs, strict=False)
        differing = tuple(index for index, known in places if ours[index] != known)
        self._runtime.network.send(
            peer, Differing(question.id, differing, pack([ours[index] for index in differing]))
        )

    def on_single_diffs(self, peer: str, question: CompareSingleDiffs) -> None:
        """Merge what the peer has found to be its own; answer, when that is durable, with what is better here."""
        if question.epoch != self._ring.epoch and self._epochs.refuses_epoch(peer, question):
            return
        refusal = self._epochs.refusal_if_late(peer, question.id)
        if not 0 <= question.partition < self._ring.partitions:
            refusal = Refused(question.id, "no such partition")
        elif len(question.others) > len(pack(range(LEAF_COUNT))):
            refusal = Refused(question.id, "more differences than leaves")
        if refusal:
            self._runtime.network.send(peer, refusal)
            return
        self._schedule.asked()
        self._runtime.spawn(self._answer_single_diffs(peer, question), "compare singles")

    async def _answer_single_diffs(self, peer: str, question: CompareSingleDiffs) -> None:
        records, send = self._records, self._runtime.network.send
        others, better, stored = set(unpack(question.others)), list[str](), list[bool]()
        for kind, key, record in question.records:
            try:
                disk_key, before = f"{kind}/{key}", records.latest(kind, key)
                records.merge_in(kind, key, record, stored.append)
            except UNDECODABLE as error:
                self._runtime.log("exchange_refused", level="error", peer=peer, error=str(error))
                stored.append(False)
                continue
            if before is not None:
                others.discard(checksum(disk_key, before))
            if records.latest(kind, key) != record:
                better.append(disk_key)
        found = records.under(question.partition, others, bits=-1) if others else {}
        if len(stored) < len(question.records):
            with contextlib.suppress(OSError):
                await self._runtime.disk.commit([])  # stands behind all of them
        all_stored = len(stored) == len(question.records) and all(stored)
        lacking = (*better, *found.values()) if question.wants_records else ()
        answer, are_all = batch_of(carried(self._records, lacking))
        self.sent_count += len(answer)
        send(
            peer,
            SingleDiffsAnswer(question.id, answer, pack(others.difference(found)), are_all and all_stored),
        )

    def on_leaves(self, peer: str, question: CompareLeaves) -> None:
        """Send what the peer does not have, ask for what is not here; both bounded: the next round goes on."""
        leaves = {leaf for leaf in question.leaves if 0 <= leaf < LEAF_COUNT}
        if not (0 <= question.partition < self._ring.partitions and leaves):
            self._runtime.network.send(peer, Refused(question.id, "no such leaf of a tree"))
            return
        ours = self._records.under(question.partition, sorted(leaves))
        theirs = unpack(question.checksums)
        known_there = set(theirs)
        missing = (key for known, key in ours.items() if known not in known_there)
        records, are_all = batch_of(carried(self._records, missing if question.wants_records else ()))
        self.sent_count += len(records)
        wanted = [known for known in theirs if known not in ours]
        complete = are_all and len(wanted) <= BATCH_RECORDS_MAX
        answer = LeafAnswer(question.id, records, pack(wanted[:BATCH_RECORDS_MAX]), complete)
        self._runtime.network.send(peer, answer)
