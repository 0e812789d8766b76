"""Sweeping tombstones: when may what is left of a deleted key be forgotten?

A tombstone keeps the values that its deleter had seen from coming back. So it may go when no copy of such a value is
left anywhere, and none can be: neither at an owner, nor in a hint, nor at a former owner that has not handed over, nor
in a request or a message that is still under way. A tombstone goes when:

1. all members are alive, settled in one epoch, and no change of the ring is under way;
2. every owner holds exactly this tombstone, durably: nobody holds an older value, and what arrives is merged into it;
3. after that, every request that was under way anywhere has ended: none carries an older value any more;
4. after that, for message_age_s_max: no member held a hint for the partition, or let go of it as a former owner, or
   started anew, or stood still. What was sent before has arrived by then, or is refused (runtime.Network), and nobody
   had anything older left to send. What a member says is on its disk by then: a hint that it has let go of in memory
   alone would be back, and sent again, after a crash.

Then the older values are extinct, and for good. So the last step needs no agreement: each owner is told to drop the
tombstone, if it still is as it was. One that misses this gives it back to the others by the next exchange, and all
drop it in the next round. No older value can come back meanwhile: there is none.

Time is measured by each node on its own clock, as the length of a silence; clocks need not agree. A node that was no
member when this was asked may come back with older values: what it offers is refused if something was reaped since it
left (epochs.py).

By the same proof contexts are relieved of stores that are nobody's any more (pruning.py). For them 2. is: every owner
holds, durably, no version of that store, and one that covers all that the store wrote. So none can come back there.

(Riak calls this "reaping" and leaves its safety to the operator; Cassandra's gc_grace_seconds assumes that a
repair has been run in time. Almeida et al. 2018, "Scalable and accurate causality tracking for eventually consistent
stores", section 5, strips in the same cases.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from kvnode.config import (
    BATCH_RECORDS_MAX,
    REAP_COUNT_MAX,
    REAP_POLL_MS,
    REAP_ROWS,
    REQUEST_TIMEOUT_MS,
    STANDSTILL_MS,
)
from kvnode.context import NodeContext
from kvnode.messages import Refused, Stored
from kvnode.messages.tombstones import AskReapable, DropTombstones, Prunable, Reapable, ReapableAnswer
from kvnode.records.kinds import is_tombstone
from kvnode.ring import STABLE
from kvnode.runtime import Handlers
from kvnode.throttle import Share, Throttle, background_share
from kvnode.tombstones.pruning import Pruning, is_prunable, is_tombstone_of, of_others, parted
from kvnode.tombstones.quiescence import Quiescence
from kvnode.tombstones.survey import Survey

_ATTEMPTS_MAX = 3


class _NotNow(Exception):
    """No tombstone can go at the moment; the message says why."""


class TombstoneStats(msgspec.Struct, frozen=True):
    """What became of tombstones and of what contexts need not say any more; see TombstoneReaper and Pruning."""

    reaped_total: int
    dropped_total: int
    remaining: int
    context_entries_pruned_total: int
    reasons: dict[str, int]


class TombstoneReaper:
    """Both sides of one node: it reaps in the partitions of which it is the first owner, and answers the others.

    store: tells the store id that this node writes under.
    reaped_count: tombstones that went from all owners by this node's word; dropped_count: records dropped here.
    reasons: why tombstones were left in the last round, and how many for each reason.
    """

    def __init__(
        self,
        context: NodeContext,
        quiescence: Quiescence,
        pruning: Pruning,
        *,
        store: Callable[[], str],
        message_age_ms_max: float,
    ) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._rpc = context.rpc
        self._members = context.members
        self._records = context.records
        self._epochs = context.epochs
        self._quiescence = quiescence
        self._pruning = pruning
        self._store = store
        self._message_age_ms_max = message_age_ms_max
        self.reaped_count = 0
        self.dropped_count = 0
        self.remaining = 0
        self.reasons: dict[str, int] = {}

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {AskReapable: self.on_ask, DropTombstones: self.on_drop}

    def describe(self) -> TombstoneStats:
        """For /stats."""
        return TombstoneStats(
            reaped_total=self.reaped_count,
            dropped_total=self.dropped_count,
            remaining=self.remaining,
            context_entries_pruned_total=self._pruning.pruned_count,
            reasons=self.reasons,
        )

    # --- the side that reaps ------------------------------------------------------------------------------

    async def once(self, share: Share = background_share) -> dict[str, Any]:
        """One round over the partitions of which this node is the first owner: what became of their tombstones."""
        self.reasons = {}
        tombstones, overgrown = await self._find(share)
        self.remaining = len(tombstones)
        prunable = await self._of_past_stores(overgrown) if overgrown else []
        reaped, pruned = await asyncio.gather(self._try_all(tombstones), self._try_all(prunable))
        self.remaining -= reaped
        self.reaped_count += reaped
        if reaped or pruned:
            self._runtime.log("swept", tombstones=reaped, remaining=self.remaining, contexts=pruned)
        result = {"swept": reaped, "remaining": self.remaining, "reasons": dict(sorted(self.reasons.items()))}
        return result | ({"contexts_pruned": pruned} if prunable else {})

    async def _find(self, share: Share) -> tuple[list[Reapable], list[Prunable]]:
        """The tombstones of the partitions in which this node reaps, and what speaks of too many stores."""
        found: list[Reapable] = []
        overgrown: list[Prunable] = []
        throttle = Throttle(self._runtime.clock, REAP_ROWS, share)
        for partition, owners in enumerate(self._ring.preference_lists):
            after: str | None = "" if owners[0] == self._node else None
            while after is not None and len(found) < REAP_COUNT_MAX:
                await throttle.rest()
                rows, after = self._records.values_in(partition, after, throttle.budget)
                throttle.budget -= len(rows)
                for row in rows:
                    if is_tombstone(row):
                        found.append((partition, row.key, row.checksum))
                    elif len(overgrown) < BATCH_RECORDS_MAX and (events := self._pruning.past_events(row)):
                        overgrown.append((partition, row.key, tuple(sorted(events.items()))))
        return found, overgrown

    async def _of_past_stores(self, overgrown: list[Prunable]) -> list[Reapable]:
        """Of these the events of stores that no member is any more."""
        try:
            present = (await self._survey([])).stores
        except _NotNow as error:
            self._leave(len(overgrown), str(error))
            return []
        return of_others(overgrown, present)

    async def _try_all(self, found: list[Reapable]) -> int:
        batches = [found[i : i + BATCH_RECORDS_MAX] for i in range(0, len(found), BATCH_RECORDS_MAX)]
        return sum(await asyncio.gather(*(self._try(batch) for batch in batches)))

    async def _try(self, batch: list[Reapable]) -> int:
        try:
            return await self._reap(batch)
        except _NotNow as error:
            self._leave(len(batch), str(error))
            return 0

    async def _reap(self, batch: list[Reapable]) -> int:
        """Ask, wait, ask again and drop, as the rule above has it; how many went."""
        agreed = await self._survey(batch)
        held = self._without(agreed.held, agreed, 0.0)
        if not held:
            return 0
        over = await self._until_older_requests_are_over(held, agreed)
        silence_ms = self._message_age_ms_max + STANDSTILL_MS
        while (left_ms := over.ended_ms + silence_ms - self._runtime.clock.now_ms()) > 0:
            await self._runtime.clock.sleep_ms(left_ms)
        last = await self._survey(held)
        return await self._drop(self._without(last.held, last, last.ended_ms - over.ended_ms))

    def _without(self, held: list[Reapable], survey: Survey, silence_ms: float) -> list[Reapable]:
        """Those whose partitions were quiet for longer than this everywhere."""
        quiet = [each for each in held if survey.quiet_ms[each[0]] > silence_ms]
        self._leave(len(held) - len(quiet), "a hint, a hand-over or a restart in the last moments")
        return quiet

    async def _until_older_requests_are_over(self, held: list[Reapable], agreed: Survey) -> Survey:
        """The first survey of which every member says: the oldest request here began after they had agreed."""
        end_ms = agreed.ended_ms + 2 * REQUEST_TIMEOUT_MS + REAP_POLL_MS
        while True:
            survey = await self._survey(held[:1])
            if survey.began_ms - survey.oldest_ms > agreed.ended_ms:
                return survey
            if survey.began_ms > end_ms:
                raise _NotNow("a request from before is still under way")
            await self._runtime.clock.sleep_ms(REAP_POLL_MS)

    async def _survey(self, batch: list[Reapable]) -> Survey:
        """Ask every member, this node included, one after the other. Raises _NotNow."""
        epoch = self._ring.epoch
        if not self._is_settled(epoch):
            raise _NotNow(self._ring.state.change or "the ring has only just changed")
        clock, began_ms = self._runtime.clock, self._runtime.clock.now_ms()
        survey = Survey(began_ms, began_ms, list(batch), {}, 0.0)
        lacked: dict[Reapable, str] = {}
        for member in self._ring.nodes:
            answer = await self._ask(member, epoch, tuple(batch))
            for index in answer.lacking:
                lacked.setdefault(batch[index], member)
            for partition, quiet_ms in answer.quiet_ms:
                survey.quiet_ms[partition] = min(quiet_ms, survey.quiet_ms.get(partition, quiet_ms))
            survey.oldest_ms = max(survey.oldest_ms, answer.oldest_ms)
            survey.stores.add(answer.store)
        survey.ended_ms = clock.now_ms()
        for each, member in lacked.items():
            what = (
                "just this tombstone" if is_tombstone_of(each) else "what covers all that these stores wrote"
            )
            self._leave(1, f"{member} does not hold {what}")
        survey.held = [each for each in batch if each not in lacked]
        if {partition for partition, _, _ in batch} - survey.quiet_ms.keys():
            raise _NotNow("a member did not answer as expected")
        return survey

    async def _ask(self, member: str, epoch: int, batch: tuple[Reapable, ...]) -> ReapableAnswer:
        if member == self._node:
            return await self._own_answer(batch)
        if not self._members.is_alive(member):
            raise _NotNow(f"{member} is not alive")
        try:
            answer = await self._rpc.ask(member, lambda id_: AskReapable(id_, epoch, *parted(batch)))
        except TimeoutError:
            raise _NotNow(f"{member} did not answer") from None
        if not isinstance(answer, ReapableAnswer) or any(not 0 <= i < len(batch) for i in answer.lacking):
            why = answer.why if isinstance(answer, Refused) else "it knows a newer ring"
            raise _NotNow(f"{member}: {why}")
        return answer

    async def _own_answer(self, batch: tuple[Reapable, ...]) -> ReapableAnswer:
        try:
            return await self._answer(0, batch)
        except OSError:
            raise _NotNow(f"{self._node} cannot write to its disk") from None

    async def _drop(self, batch: list[Reapable]) -> int:
        """Tell every owner at once: an exchange in between would give some of them back."""
        if batch:
            epoch, members = self._ring.epoch, self._ring.nodes  # the ring may change meanwhile
            told = await asyncio.gather(*(self._tell(member, epoch, batch) for member in members))
            missed = [member for member, ok in zip(members, told, strict=True) if not ok]
            if missed:
                raise _NotNow(f"{', '.join(missed)} did not drop what it was told to")
        return len(batch)

    async def _tell(self, member: str, epoch: int, batch: list[Reapable]) -> bool:
        """Tell one owner what it owns of these, again if it does not answer; whether it has dropped them."""
        owned = tuple(each for each in batch if member in self._ring.preference_lists[each[0]])
        for _ in range(_ATTEMPTS_MAX):
            if not owned or self._ring.epoch != epoch or await self._told(member, epoch, owned):
                break
        else:
            return False
        return self._ring.epoch == epoch

    async def _told(self, member: str, epoch: int, owned: tuple[Reapable, ...]) -> bool:
        try:
            if member == self._node:
                await self._let_go(owned)
                return True
            answer = await self._rpc.ask(member, lambda id_: DropTombstones(id_, epoch, *parted(owned)))
        except (TimeoutError, OSError):
            return False
        return isinstance(answer, Stored)

    def _leave(self, count: int, why: str) -> None:
        if count:
            self.reasons[why] = self.reasons.get(why, 0) + count

    # --- the side that answers ----------------------------------------------------------------------------

    def on_ask(self, peer: str, question: AskReapable) -> None:
        """Say what speaks against it here."""
        if self._is_present(peer, question):
            self._runtime.spawn(self._answer_ask(peer, question), "answer a reaper")

    async def _answer_ask(self, peer: str, question: AskReapable) -> None:
        try:
            answer = await self._answer(question.id, (*question.tombstones, *question.prunable))
        except OSError:
            return  # the disk is full: the tombstones stay
        self._runtime.network.send(peer, answer)

    def on_drop(self, peer: str, question: DropTombstones) -> None:
        """Let go of these; Stored when that is durable."""
        if self._is_present(peer, question):
            self._runtime.spawn(self._answer_drop(peer, question), "drop tombstones")

    async def _answer_drop(self, peer: str, question: DropTombstones) -> None:
        try:
            await self._let_go((*question.tombstones, *question.prunable))
        except OSError:
            return  # the disk is full: it will be asked again
        self._runtime.network.send(peer, Stored(question.id))

    def _is_present(self, peer: str, question: AskReapable | DropTombstones) -> bool:
        if self._is_settled(question.epoch):
            return True
        if question.epoch >= self._ring.epoch or not self._epochs.refuses_epoch(peer, question):
            self._runtime.network.send(
                peer, Refused(question.id, f"{self._node} is not settled in that epoch")
            )
        return False

    def _is_settled(self, epoch: int) -> bool:
        ring = self._ring
        return ring.epoch == ring.settled_epoch == epoch and ring.state.phase == STABLE and ring.is_member

    async def _answer(self, id_: int, batch: tuple[Reapable, ...]) -> ReapableAnswer:
        """What is so here at this moment; returned once it survives a crash. OSError if it cannot be made durable."""
        lacking, quiet_ms = [], dict[int, float]()
        for index, each in enumerate(batch):
            partition = each[0]
            if not 0 <= partition < self._ring.partitions:  # bytes from a peer may say anything
                lacking.append(index)
                continue
            if partition not in quiet_ms:
                quiet_ms[partition] = self._quiescence.quiet_ms(partition)
            owns = self._node in self._ring.preference_lists[partition]
            if owns and not self._holds(each):
                lacking.append(index)
        now_ms = self._runtime.clock.now_ms()
        oldest_ms = next((now_ms - round_.started_ms for round_ in self._rpc.rounds), 0.0)
        await self._runtime.disk.commit([])
        return ReapableAnswer(id_, tuple(lacking), tuple(quiet_ms.items()), oldest_ms, self._store())

    def _holds(self, each: Reapable) -> bool:
        if is_tombstone_of(each):
            return self._records.holds(*each)
        return is_prunable(each) and self._pruning.may_go(each[1], each[2])

    async def _let_go(self, batch: tuple[Reapable, ...]) -> None:
        """Forget these, each only as it was. That something was reaped in this epoch is remembered no later."""
        self._epochs.heard_reaped(self._ring.epoch)
        tombstones, prunable = parted(batch)
        if prunable:
            await self._pruning.prune(prunable)
        by_partition: dict[int, dict[str, int]] = {}
        for partition, key, known in tombstones:
            if 0 <= partition < self._ring.partitions:
                by_partition.setdefault(partition, {})[key] = known
        before = self._records.row_count
        for partition, rows in by_partition.items():
            await self._records.drop(partition, rows)
        self.dropped_count += max(0, before - self._records.row_count)
