"""A client in the simulation: writes and reads at random, keeps the ledger, and judges at the end.

Promises judged: no acknowledged write is lost; each counter holds at least what was acknowledged and at most what was
sent; no dot is answered twice; no resurrection: no read shows what a write or delete had seen that was acknowledged
before it began; what is refused as definite is nowhere; a read meets every write that was acknowledged before it began.

Most keys are written all the time. A few live briefly: they are written, deleted and left alone, so that their
tombstones can be swept; then they are read, and now and then written again under a context from before.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kvnode.checkers import CounterRead, Ledger, SiblingRead
from kvnode.requests import Add, Count, Get, Put, Request
from kvnode.sim.world import World
from kvnode.versions import FORGOTTEN

KEY_COUNT = 12
_GONE_COUNT_MAX = 8
Past = tuple[dict[str, int], list[str]]
"""What a write was issued under: a vector, and single dots."""


class Client:
    """All the workers of one run share one ledger.

    sloppy_share: of the values' requests. Where there are any, reads promise nothing until the stand-ins have handed
    over: then only the final reads are judged.
    """

    def __init__(self, world: World, *, sloppy_share: float = 0.0) -> None:
        self._world = world
        self._sloppy_share = sloppy_share
        self._ledger = Ledger()
        self._totals: dict[tuple[str, str], int] = {}
        self._contexts: dict[str, str] = {}
        self._dots: dict[str, str] = {}
        self._pasts: dict[str, Past] = {}
        self._unreplaced: dict[str, set[str]] = {}
        self._refused_values: dict[str, set[str]] = {}
        self._of_key: dict[str, list[str]] = {}
        self._tombstones: set[str] = set()
        self._maybe_deleted: set[str] = set()
        self._gone: list[str] = []
        self._brief_counts: Counter[int] = Counter()
        self.acknowledged = 0
        self.refused = 0
        self.violations: list[str] = []

    async def work(self, until_s: float, worker: int, *, rate: float) -> None:
        """About `rate` operations a second through random nodes, each waiting for its answer."""
        chance, loop = self._world.chance, self._world.loop
        number, session = 0, f"worker {worker}"
        while loop.time() < until_s:
            await asyncio.sleep(chance.expovariate(rate))
            key, number = f"key-{chance.randrange(KEY_COUNT)}", number + 1
            node = chance.choice(self._world.names)
            dice = chance.random()
            if dice < 0.34:
                await self._put(node, key, f"worker {worker} value {number}", session)
            elif dice < 0.38:
                await self._delete(node, key, session)
            elif dice < 0.54:
                await self._live_briefly(node, worker, number, session)
            elif dice < 0.78:
                await self._add(node, f"count-{key}", f"actor-{worker}", session)
            else:
                await self._get(node, key, session)

    # --- operations ---------------------------------------------------------------------------------------

    async def _put(self, node: str, key: str, text: str, session: str) -> None:
        chance = self._world.chance
        context = self._contexts.get(key) if chance.random() < 0.4 else None
        mode = "siblings" if context is None and chance.random() < 0.2 else "replace"
        unpacked = None if context is None else self._world.contexts.read(key, context)
        value = f'"{text}"'.encode()
        answer = await self._ask(node, Put(key, value, unpacked, mode, sloppy=self._is_sloppy()), session)
        self._written(key, answer, deleted=False)
        if answer is not None and answer.get("definite"):
            self._refused_values.setdefault(key, set()).add(text)

    async def _live_briefly(self, node: str, worker: int, number: int, session: str) -> None:
        """One step in the life of a key that is left alone once it is deleted."""
        chance = self._world.chance
        key = f"brief-{worker}-{self._brief_counts[worker]}"
        dice = chance.random()
        if self._gone and dice < 0.35:
            await self._get(node, chance.choice(self._gone), session)
        elif self._gone and dice < 0.38:
            await self._put(node, chance.choice(self._gone), f"worker {worker} value {number}", session)
        elif key not in self._contexts:
            await self._put(node, key, f"worker {worker} value {number}", session)
        else:
            self._brief_counts[worker] += 1
            await self._delete(node, key, session)
            self._gone = [*self._gone, key][-_GONE_COUNT_MAX:]

    async def _delete(self, node: str, key: str, session: str) -> None:
        context = self._contexts.get(key)
        unpacked = None if context is None else self._world.contexts.read(key, context)
        answer = await self._ask(node, Put(key, None, unpacked, sloppy=self._is_sloppy()), session)
        self._written(key, answer, deleted=True)

    def _is_sloppy(self) -> bool:
        return self._sloppy_share > 0.0 and self._world.chance.random() < self._sloppy_share

    def _written(self, key: str, answer: dict[str, Any] | None, *, deleted: bool) -> None:
        if answer is None or "dot" not in answer:
            if deleted and not (answer or {}).get("definite"):
                self._maybe_deleted.add(key)
            self._ledger.indefinite_put(key, deleted=key in self._maybe_deleted)
            return
        self._world.counts["stand-in acknowledged"] += bool(answer.get("stand_ins"))
        self._ledger.acknowledged(answer, deleted=deleted)
        self._contexts[key] = answer["context"]
        before = self._dots.setdefault(answer["dot"], key)
        if before != key or answer["dot"] in self._pasts:
            self.violations.append(f"dot {answer['dot']} was answered twice, for {before} and {key}")
        past = self._pasts[answer["dot"]] = (answer["issued_under"], answer.get("issued_under_dots", []))
        self._of_key.setdefault(key, []).append(answer["dot"])
        if deleted:
            self._tombstones.add(answer["dot"])
        unreplaced = self._unreplaced.setdefault(key, set())
        unreplaced.difference_update([dot for dot in unreplaced if _covers(past, dot)])
        if not any(_covers(self._pasts[dot], answer["dot"]) for dot in unreplaced):
            unreplaced.add(answer["dot"])

    async def _add(self, node: str, key: str, actor: str, session: str) -> None:
        total = self._totals[key, actor] = self._totals.get((key, actor), 0) + 1
        self._ledger.unanswered_counter(key, actor, total)
        answer = await self._ask(node, Add(key, actor, total, 0), session)
        if answer is not None and "value" in answer:
            self._ledger.acknowledged_counter(key, actor, total)

    async def _get(self, node: str, key: str, session: str) -> None:
        acknowledged = sorted(self._unreplaced.get(key, ()))
        replacing = list(self._of_key.get(key, ()))
        answer = await self._ask(node, Get(key, sloppy=self._is_sloppy()), session)
        is_read = answer is not None and (answer.get("siblings") or answer.get("status") == 404)
        if answer is not None and is_read and not self._sloppy_share:
            self._look_for_gaps(key, acknowledged, answer.get("siblings", []))
            self._look_for_revenants(key, replacing, answer.get("siblings", []))
        if answer is not None and "context" in answer:
            self._contexts[key] = answer["context"]
            self._world.counts["siblings read"] += answer.get("conflict", False)

    async def _ask(self, node: str, request: Request, session: str) -> dict[str, Any] | None:
        """The body of the answer, a problem document included; None if there was none."""
        answer = await self._world.ask(node, request, session=session)
        if answer is None:
            self.refused += 1
            self._world.counts["request without an answer"] += 1
            return None
        status, body = answer
        if status >= 500:
            self.refused += 1
            self._world.counts["definite refusal" if body["definite"] else "indefinite refusal"] += 1
        else:
            self.acknowledged += 1
        return body

    # --- the end ------------------------------------------------------------------------------------------

    async def judge(self, reader: str) -> None:
        """Read everything back by quorum through one node."""
        kv_reads: dict[str, list[SiblingRead] | None] = {}
        for key in self._ledger.keys:
            answer = await self._world.ask(reader, Get(key))
            if answer is not None and answer[0] in (200, 404):
                siblings = answer[1].get("siblings", [])
                kv_reads[key] = [SiblingRead.of(sibling) for sibling in siblings]
                self._look_for_revenants(key, self._of_key.get(key, []), siblings)
                self._look_for_refused(key, siblings)
        counter_reads: dict[str, CounterRead | None] = {}
        for key in self._ledger.counters:
            answer = await self._world.ask(reader, Count(key))
            if answer is not None and answer[0] == 200:
                counter_reads[key] = CounterRead.of(answer[1])
        verdict = self._ledger.check(kv_reads, counter_reads)
        expected = {"ok"}
        if self._sloppy_share:
            expected.add("at risk")
        if self._ledger.unjudged and kv_reads.keys() == set(self._ledger.keys):
            expected.add("unknown")
            self._world.counts["write not judged, its store pruned"] += self._ledger.unjudged
        if verdict.status not in expected or verdict.lost:
            self.violations += [f"{verdict.claim}: {verdict}", *verdict.evidence]

    def _look_for_gaps(self, key: str, acknowledged: list[str], siblings: list[Mapping[str, Any]]) -> None:
        """With r + w > N a read meets each write that was acknowledged before it began, or what replaced it.

        But for a tombstone, which may have been swept: what it said must hold (_look_for_revenants). And but for what
        a delete of unknown outcome may have removed, before its tombstone was swept.
        """
        if key in self._maybe_deleted:
            return
        pasts = [(sibling["issued_under"], sibling.get("issued_under_dots", [])) for sibling in siblings]
        found = {sibling["dot"] for sibling in siblings}
        for dot in acknowledged:
            if dot not in found | self._tombstones and not any(
                _covers(past, dot) or _may_have_covered(past, dot) for past in pasts
            ):
                self.violations.append(f"{key}: a read did not see {dot}, which was acknowledged before")

    def _look_for_revenants(self, key: str, replacing: list[str], siblings: list[Mapping[str, Any]]) -> None:
        """No resurrection: nothing is there that one of these acknowledged writes had seen, and so replaced."""
        for sibling in siblings:
            for dot in replacing:
                if _covers(self._pasts[dot], sibling["dot"]):
                    what = "deleted" if dot in self._tombstones else "replaced"
                    self.violations.append(
                        f"{key}: {sibling['dot']} is back, which {dot} had seen and {what}"
                    )

    def _look_for_refused(self, key: str, siblings: list[Mapping[str, Any]]) -> None:
        for sibling in siblings:
            if sibling.get("value") in self._refused_values.get(key, ()):
                self.violations.append(f"{key}: {sibling['value']!r} was refused as definite, and is there")


def _may_have_covered(past: Past, dot: str) -> bool:
    """Whether it was relieved of stores, and that of the dot may be among them."""
    return FORGOTTEN in past[0] and dot.rpartition(":")[0] not in past[0]


def _covers(past: Past, dot: str) -> bool:
    store, _, counter = dot.rpartition(":")
    return past[0].get(store, 0) >= int(counter) or dot in past[1]
