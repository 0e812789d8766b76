"""Clients in the simulation: several workers that ask for everything the API has, at random, through random nodes.

Values: PUT under a context, as a replacement, blind, or last-writer-wins; DELETE; GET. Counters: running totals of an
actor, and changes without one, up and down; reads. Each with the usual quorum or with an r or w from 1 to N. What was
refused or not answered is now and then sent again through another node, as clients do.

Most keys are written all the time. A few live briefly: they are written, deleted and left alone, so that their
tombstones can be reaped; then they are read, and now and then written again under a context from before. Now and then
many new keys are loaded at once, sometimes large ones.

Must not live here: what answers must say (known.py, oracle/).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kvnode.operations import Add, Count, Get, Put, Request
from kvnode.sim.known import Known
from kvnode.sim.world import World

KEY_COUNT = 12
_GONE_COUNT_MAX = 8
_LOADS = ((10, 12), (60, 12), (100, 12), (20, 40_000), (60, 40_000))
"""How many keys are loaded at once, and how many bytes each value has."""
_SENT_AGAIN_MAX = 2


class Client:
    """All the workers of one run share what they know.

    sloppy_share: of the values' requests. quorum: the r and w of most requests; None: they leave it to the database.
    """

    def __init__(self, world: World, *, sloppy_share: float = 0.0, quorum: int | None = None) -> None:
        n = world.config.replicas
        self._world = world
        self._sloppy_share = sloppy_share
        self._quorum = quorum
        self._known = Known(n=n, r=quorum or min(2, n), strict=not sloppy_share)
        self._totals: dict[tuple[str, str], tuple[int, int]] = {}
        self._contexts: dict[str, str] = {}
        self._gone: list[str] = []
        self._brief_counts: Counter[int] = Counter()
        self._load_count = 0
        self.acknowledged = 0
        self.refused = 0

    @property
    def violations(self) -> list[str]:
        """The promises that were found broken, in words."""
        return self._known.violations

    async def work(self, until_s: float, worker: int, *, rate: float) -> None:
        """About `rate` operations a second through random nodes, each waiting for its answer."""
        chance, loop = self._world.chance, self._world.loop
        number, session = 0, f"worker {worker}"
        while loop.time() < until_s:
            await asyncio.sleep(chance.expovariate(rate))
            key, number = f"key-{chance.randrange(KEY_COUNT)}", number + 1
            text = f"worker {worker} value {number}"
            dice = chance.random()
            if dice < 0.28:
                await self._put(key, text, session)
            elif dice < 0.32:
                await self._delete(key, session)
            elif dice < 0.46:
                await self._live_briefly(worker, text, session)
            elif dice < 0.54:
                await self._put_by_clock(text, session)
            elif dice < 0.68:
                await self._add(f"count-{key}", f"actor-{worker}", session)
            elif dice < 0.72:
                await self._add_nameless(f"tally-{chance.randrange(3)}", session)
            elif dice < 0.78:
                counter = chance.choice((f"count-{key}", f"tally-{chance.randrange(3)}"))
                await self._count(counter, session)
            elif dice < 0.781:
                await self._load(worker, session)
            else:
                await self._get(key, session)

    # --- values -------------------------------------------------------------------------------------------

    async def _put(self, key: str, text: str, session: str) -> None:
        chance = self._world.chance
        context = self._contexts.get(key) if chance.random() < 0.4 else None
        mode = "siblings" if context is None and chance.random() < 0.2 else "replace"
        unpacked = None if context is None else self._world.contexts.read(key, context)
        value = f'"{text}"'.encode()
        request = Put(key, value, unpacked, mode, w=self._some_quorum(), sloppy=self._is_sloppy())
        for answer in await self._ask_until_done(request, session):
            self._written(key, answer, deleted=False)

    async def _put_by_clock(self, text: str, session: str) -> None:
        """Last-writer-wins: of some keys all writes are such; in others they meet every other kind."""
        chance, contexts = self._world.chance, self._world.contexts
        key = chance.choice(("clock-0", "clock-1", "mixed-0", "mixed-1"))
        mode, context, value = "lww", None, f'"{text}"'.encode()
        if key.startswith("mixed") and chance.random() < 0.6:
            mode = chance.choice(("replace", "siblings"))
            if key in self._contexts and chance.random() < 0.7:
                mode, context = "replace", contexts.read(key, self._contexts[key])
        self._world.counts["asked: mode=lww"] += mode == "lww"
        request = Put(key, value, context, mode, w=self._some_quorum())
        for answer in await self._ask_until_done(request, session):
            if answer is not None and "dot" in answer:
                self._known.dot_answered(key, answer["dot"])
                self._contexts[key] = answer["context"]
                if key.startswith("clock"):
                    self._known.acknowledged_lww(key, answer)
        if chance.random() < 0.5:
            await self._get(key, session)

    async def _live_briefly(self, worker: int, text: str, session: str) -> None:
        """One step in the life of a key that is left alone once it is deleted."""
        chance = self._world.chance
        key = f"brief-{worker}-{self._brief_counts[worker]}"
        dice = chance.random()
        if self._gone and dice < 0.35:
            await self._get(chance.choice(self._gone), session)
        elif self._gone and dice < 0.38:
            await self._put(chance.choice(self._gone), text, session)
        elif key not in self._contexts:
            await self._put(key, text, session)
        else:
            self._brief_counts[worker] += 1
            await self._delete(key, session)
            self._gone = [*self._gone, key][-_GONE_COUNT_MAX:]

    async def _delete(self, key: str, session: str) -> None:
        is_plain = self._world.chance.random() < 0.3  # then it deletes what a quorum holds
        context = None if is_plain else self._contexts.get(key)
        unpacked = None if context is None else self._world.contexts.read(key, context)
        w = self._some_quorum(at_least=self._world.config.replicas // 2 + 1)
        request = Put(key, None, unpacked, w=w, sloppy=self._is_sloppy())
        for answer in await self._ask_until_done(request, session):
            self._written(key, answer, deleted=True)

    def _written(self, key: str, answer: dict[str, Any] | None, *, deleted: bool) -> None:
        if answer is None or "dot" not in answer:
            self._known.unanswered(key, deleted=deleted, definite=bool((answer or {}).get("definite")))
            return
        self._world.counts["fallback acknowledged"] += bool(answer.get("fallbacks"))
        self._known.dot_answered(key, answer["dot"])
        self._known.acknowledged(key, answer, deleted=deleted)
        self._contexts[key] = answer["context"]

    async def _load(self, worker: int, session: str) -> None:
        """Many new keys at once, through one node: hints, exchanges and handoffs get long."""
        count, size = self._world.chance.choice(_LOADS)
        self._load_count += 1
        name, node = f"load-{worker}-{self._load_count}", self._world.chance.choice(self._world.names)
        value = b'"' + b"x" * size + b'"'
        self._world.counts["asked: many keys at once"] += count >= 60
        self._world.counts["asked: large values"] += size > 10_000

        async def put(number: int) -> None:
            key = f"{name}-{number}"
            answer = await self._ask_through(node, Put(key, value, w=self._quorum), session)
            self._written(key, answer, deleted=False)

        await asyncio.gather(*map(put, range(count)))

    async def _get(self, key: str, session: str) -> None:
        before, r = self._known.before_read(key), self._some_quorum()
        answer = await self._ask(Get(key, r=r, sloppy=self._is_sloppy()), session)
        if answer is not None and (answer.get("siblings") or answer.get("status") == 404):
            needed = min(2, self._world.config.replicas) if r is None else r
            self._known.read(key, answer.get("siblings", []), before, needed)
        if answer is not None and "context" in answer:
            self._contexts[key] = answer["context"]
            self._world.counts["siblings read"] += answer.get("conflict", False)

    # --- counters -----------------------------------------------------------------------------------------

    async def _add(self, key: str, actor: str, session: str) -> None:
        up, down = self._totals.get((key, actor), (0, 0))
        is_down = self._world.chance.random() < 0.3
        totals = self._totals[key, actor] = (up, down + 1) if is_down else (up + 1, down)
        self._world.counts["asked: a decrement"] += is_down
        self._known.sent_total(key, actor, totals)
        w = self._some_quorum()
        for answer in await self._ask_until_done(Add(key, actor, *totals, w=w), session):
            if answer is not None and "value" in answer:
                self._known.acknowledged_total(key, actor, totals, answer["w"])

    async def _add_nameless(self, key: str, session: str) -> None:
        """Without an actor, and so never sent again: it would count twice."""
        change = self._world.chance.choice((1, 1, 2, -1))
        self._known.sent_nameless(key, change)
        request = Add(key, None, max(change, 0), max(-change, 0), w=self._some_quorum())
        self._world.counts["asked: a change without an actor"] += 1
        answer = await self._ask(request, session)
        if answer is not None and "value" in answer:
            self._known.acknowledged_nameless(key, change, answer["w"])

    async def _count(self, key: str, session: str) -> None:
        self._world.counts["asked: a counter in mid-run"] += 1
        await self._ask(Count(key, r=self._some_quorum()), session)

    # --- asking -------------------------------------------------------------------------------------------

    def _is_sloppy(self) -> bool:
        return self._sloppy_share > 0.0 and self._world.chance.random() < self._sloppy_share

    def _some_quorum(self, *, at_least: int = 1) -> int | None:
        """An r or w: mostly the usual one."""
        n, chance = self._world.config.replicas, self._world.chance
        if chance.random() < 0.7:
            return self._quorum
        some = chance.randint(at_least, n)
        self._world.counts[f"asked: r or w of {some}"] += 1
        return some

    async def _ask(self, request: Request, session: str) -> dict[str, Any] | None:
        return await self._ask_through(self._world.chance.choice(self._world.names), request, session)

    async def _ask_until_done(self, request: Request, session: str) -> list[dict[str, Any] | None]:
        """All answers to one operation: refused or not answered, it may be sent again through another node."""
        chance, names = self._world.chance, self._world.names
        node = chance.choice(names)
        answers = [await self._ask_through(node, request, session)]
        while not _is_done(answers[-1]) and len(answers) <= _SENT_AGAIN_MAX and chance.random() < 0.4:
            node = chance.choice([name for name in names if name != node])
            self._world.counts["asked: the same again through another node"] += 1
            answers.append(await self._ask_through(node, request, session))
        return answers

    async def _ask_through(self, node: str, request: Request, session: str) -> dict[str, Any] | None:
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
        kv_reads: dict[str, list[Mapping[str, Any]]] = {}
        for key in self._known.keys:
            answer = await self._world.ask(reader, Get(key, r=self._quorum))
            if answer is not None and answer[0] in (200, 404):
                kv_reads[key] = answer[1].get("siblings", [])
        counter_reads: dict[str, Mapping[str, Any]] = {}
        for key in self._known.counters:
            answer = await self._world.ask(reader, Count(key, r=self._quorum))
            if answer is not None and answer[0] == 200:
                counter_reads[key] = answer[1]
        self._known.judge(kv_reads, counter_reads)
        self._world.counts["write not judged, its store pruned"] += self._known.ledger.unjudged


def _is_done(answer: dict[str, Any] | None) -> bool:
    return answer is not None and answer.get("status", 200) < 500
