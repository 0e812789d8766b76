"""Likes: the right way to count them, the wrong way, and how many are missing at the end.

Here: which operations make a like, and the final comparison.
Must not live here: who likes what (twitter.py).

The right way adds one to a counter: additions commute, so likes that come at the same moment are all there.
The wrong way (the bug "rmw-likes") is what one writes first: read the number, add one, put it back. Two
people who read the same number put back the same number, and one like is gone, although both puts were
acknowledged: the database has kept what it was told to keep. (A lost update; Berenson et al., "A Critique of
ANSI SQL Isolation Levels", 1995, section 4.1, phenomenon P4.)
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random

from kvnode.checkers import Verdict
from traffic.operations import Add, Get, Operation, Put
from traffic.stores.base import CounterReply, GetReply, PutReply, Reply
from traffic.workloads.personas import Persona
from traffic.workloads.reading import Reads, Unread, read_all
from traffic.workloads.verdicts import at_risk, judged

CLAIM = "every acknowledged like is counted"
COUNTED_WRONG = "/likes-rmw"
MODIFY_S = (0.02, 0.2)  # how long the wrong way takes between reading and writing
LIKED_MAX = 10_000


class Likes:
    """All likes of this process. Invariant: at most LIKED_MAX tweets are remembered, the latest liked."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._acknowledged: OrderedDict[str, int] = OrderedDict()  # by the key that counts them
        self._w_min: int | None = None
        self.forgotten = 0
        self.lost = 0  # at the last check

    @property
    def any(self) -> bool:
        """Whether any like was acknowledged."""
        return bool(self._acknowledged)

    def first_step(self, tweet: str, persona: Persona, *, wrong: bool) -> Operation:
        """What a like of `tweet` begins with; the right way is one step."""
        if wrong:
            key = tweet + COUNTED_WRONG
            return Get(
                kind="read", persona=persona.handle, key=key, region=persona.region, session=persona.handle
            )
        key = f"{tweet}/likes"
        return Add(
            kind="like", persona=persona.handle, key=key, region=persona.region, session=persona.handle
        )

    def second_step(self, operation: Operation, reply: Reply, now_s: float) -> tuple[Operation, float] | None:
        """After the read of the wrong way: the write, and when it is due. None for anything else."""
        if not (isinstance(operation, Get) and operation.key.endswith(COUNTED_WRONG)):
            return None
        likes = _number(reply) if isinstance(reply, GetReply) else 0
        put = Put(
            kind="like",
            persona=operation.persona,
            key=operation.key,
            value=str(likes + 1),
            region=operation.region,
            session=operation.session,
        )
        return put, now_s + self._random.uniform(*MODIFY_S)

    def acknowledged(self, operation: Operation, reply: Reply) -> None:
        """A like was acknowledged, in whichever way."""
        count = self._acknowledged.pop(operation.key, 0)
        if not count and len(self._acknowledged) >= LIKED_MAX:
            self._acknowledged.popitem(last=False)
            self.forgotten += 1
        self._acknowledged[operation.key] = count + 1
        if isinstance(reply, PutReply | CounterReply) and reply.w is not None:
            self._w_min = min(reply.w, self._w_min or reply.w)

    async def check(self, reads: Reads) -> Verdict:
        """Compare with final reads. More likes than acknowledged are no loss: an unanswered one may have
        arrived, or somebody else may like the same tweet."""
        acknowledged = dict(self._acknowledged)
        final: dict[str, CounterReply | GetReply | Unread | None] = {}
        final.update(await read_all((key for key in acknowledged if _is_wrong(key)), reads.value))
        final.update(await read_all((key for key in acknowledged if not _is_wrong(key)), reads.counter))
        lost, unread, evidence = 0, 0, []
        for key, count in acknowledged.items():
            read = final[key]
            if isinstance(read, Unread):
                unread += 1
                continue
            found = read.value if isinstance(read, CounterReply) else _number(read)
            if found < count:
                lost += count - found
                evidence.append(f"{key!r}: {count} likes were acknowledged, the count is {found}")
        self.lost = lost
        return judged(
            CLAIM,
            acknowledged=sum(acknowledged.values()),
            lost=lost,
            unread=unread,
            at_risk=at_risk(self._w_min, reads),
            evidence=evidence,
        )


def _is_wrong(key: str) -> bool:
    return key.endswith(COUNTED_WRONG)


def _number(read: GetReply | None) -> int:
    try:
        return int(read.value) if read is not None else 0
    except (TypeError, ValueError):
        return 0  # somebody wrote words there
