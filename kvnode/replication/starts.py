"""Generations: each start of a node has a number, which the other members remember for it.

So has each stretch of a few seconds in which it writes.

A folder cannot know that it has gone back in time (a backup put back, a snapshot of a virtual machine): everything in
it is whole. The others can: a node tells them each new generation, and those that its folder has seen before. Whoever
remembers a later one, or another one of the same count, has met a later life of this node. Then this folder must not be
used: it would issue dots again, answer for writes that it lacks, and bring back values whose tombstones were swept. It
is set aside, and the node goes on as the replacement of a lost store (records/incomplete.py).

Generations are random, so that two lives that began from copies of one folder differ; and a folder has a number too.
Who remembers another folder of this node, and has never been told of this one, remembers what this one replaces. Who
was told of this one, and remembers another one all the same, remembers a later one; or has gone back in time itself,
and remembers one that this one is known to have replaced.

Who has lost its folder remembers nobody: so it is told again.

Invariant: a generation is durable before anybody hears of it; a member has it on its disk before it says so.
Must not live here: what becomes of the folder (Runtime.begin_anew).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from kvnode.config import (
    START_ASK_MS,
    START_FOLDERS_MAX,
    START_GENERATION_MS,
    START_GENERATIONS_MAX,
    START_TELL_PERIOD_MS,
    START_WAIT_MS,
)
from kvnode.context import NodeContext
from kvnode.messages import UNDECODABLE, Began, BeganAnswer
from kvnode.runtime import Handlers, Row
from kvnode.versions.bounds import Count, Id

_META, _KEY, _PEER = "meta", "starts", "start-of/"


class _Starts(msgspec.Struct, frozen=True, array_like=True):
    """What a folder remembers. folder: its number; count: of all its generations; generations: the last ones, oldest
    first; told: the members that have remembered one of them. replaced: earlier folders of this node, as members said.
    """

    folder: Id
    count: Count
    generations: tuple[Id, ...]
    told: tuple[str, ...]
    replaced: tuple[Id, ...] = ()


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    """What a member remembers of another. replaced: the folders of that node of before this one, the last ones.

    (They are kept, as the first answer that told them may have been lost.)
    """

    folder: Id
    count: Count
    generation: Id
    replaced: tuple[Id, ...]

    def is_among(self, told: Began) -> bool:
        """Whether this is a generation that the folder has seen; one beyond what it remembers is taken to be."""
        back = told.count - self.count
        if back >= len(told.generations):
            return True
        return back >= 0 and told.generations[-1 - back] == self.generation


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Starts).decode
_decode_peer = msgspec.msgpack.Decoder(_Remembered).decode


def _is_whole(question: Began) -> bool:
    """Bytes from a peer may say anything."""
    told = question.generations
    return (
        0 < len(told) <= min(question.count, START_GENERATIONS_MAX)
        and len(question.replaced) <= START_FOLDERS_MAX
    )


def _together(*folders: int, but: int) -> tuple[int, ...]:
    """Each of these once, the last ones; without that one."""
    return tuple(folder for folder in dict.fromkeys(folders) if folder != but)[-START_FOLDERS_MAX:]


def _read(row: bytes) -> _Starts | None:
    """What a row says; None if that cannot be: then this folder counts as one that nobody has been told of."""
    try:
        starts = _decode(row)
    except UNDECODABLE:
        return None
    return starts if starts.generations else None


def _read_peer(row: bytes) -> _Remembered | None:
    """What a row says of a peer; nothing if that cannot be."""
    try:
        return _decode_peer(row)
    except UNDECODABLE:
        return None


class Starts:
    """Both sides of one node: it tells its starts, and remembers those of others.

    on_replaces: called when this store, though it seemed to be the first of its node, turns out not to be.
    """

    def __init__(self, context: NodeContext, on_replaces: Callable[[], None]) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._rpc = context.rpc
        self._records = context.records
        self._on_replaces = on_replaces
        self._starts = _Starts(0, 0, (), ())
        self._is_stored = False
        self._confirmed_by: set[str] = set()

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {Began: self.on_began}

    @property
    def count(self) -> int:
        """How many generations this folder has seen."""
        return self._starts.count

    @property
    def untold(self) -> list[str]:
        """The other members that have not confirmed the present generation yet."""
        return [name for name in self._ring.nodes if name != self._node and name not in self._confirmed_by]

    # --- the side that starts -----------------------------------------------------------------------------

    async def open(self, *, is_new: bool) -> bool:
        """Begin a generation and tell it; True if every other member has confirmed in time that none is later.

        A new store has nothing to confirm, and waits for nobody.
        """
        known = self._runtime.disk.get(_META, 0, _KEY)
        before = None if known is None else _read(known[0])
        self._starts = before or _Starts(self._runtime.random.getrandbits(63), 0, (), ())
        await self._begin()
        if is_new or not self._is_stored:
            return False
        end_ms = self._runtime.clock.now_ms() + START_WAIT_MS
        while self.untold and self._runtime.clock.now_ms() < end_ms:
            await self._tell(self.untold, START_ASK_MS)
        return not self.untold

    async def run(self) -> None:
        """Tell who has not heard yet, for ever: members come, and come back. After some writing, begin a generation."""
        clock = self._runtime.clock
        began_ms, written_count = clock.now_ms(), 0
        while True:
            if self._records.written_count == written_count:
                began_ms = clock.now_ms()
            elif clock.now_ms() - began_ms >= START_GENERATION_MS:
                began_ms, written_count = clock.now_ms(), self._records.written_count
                await self._begin()
            elif not self._is_stored:
                await self._store()
            if self.untold and self._is_stored:
                await self._tell(self.untold, START_TELL_PERIOD_MS)
            await clock.sleep_ms(START_TELL_PERIOD_MS * (0.5 + self._runtime.random.random()))

    async def _begin(self) -> None:
        """A new generation, on disk before anybody hears of it."""
        drawn, starts = self._runtime.random.getrandbits(63), self._starts
        generations = (*starts.generations, drawn)[-START_GENERATIONS_MAX:]
        self._starts = msgspec.structs.replace(starts, count=starts.count + 1, generations=generations)
        self._confirmed_by.clear()
        self._is_stored = False
        await self._store()

    async def _tell(self, members: list[str], timeout_ms: float) -> None:
        await asyncio.gather(*(self._tell_one(member, timeout_ms) for member in members))

    async def _tell_one(self, member: str, timeout_ms: float) -> None:
        """Tell one member; does not return if it remembers a later life of this node."""
        starts = self._starts
        is_first = member not in starts.told
        try:
            answer = await self._rpc.ask(
                member,
                lambda id_: Began(
                    id_, starts.folder, starts.count, starts.generations, is_first, starts.replaced
                ),
                timeout_ms,
            )
        except TimeoutError:
            return
        if not isinstance(answer, BeganAnswer):
            return
        if answer.knows_later_life or (answer.knows_other_folder and not is_first):
            self._runtime.begin_anew(
                f"the folder has gone back in time: {member} remembers a later start of {self._node}"
            )
            await asyncio.get_running_loop().create_future()  # this life is over
        if starts.count == self._starts.count:
            self._confirmed_by.add(member)
        starts = self._starts
        if is_first and answer.knows_other_folder and not starts.replaced:
            self._on_replaces()
        told = (*starts.told, member) if is_first else starts.told
        replaced = _together(*starts.replaced, *answer.replaced, but=starts.folder)
        if (told, replaced) != (starts.told, starts.replaced):
            self._starts = msgspec.structs.replace(starts, told=told, replaced=replaced)
            await self._store()

    async def _store(self) -> None:
        try:
            await self._runtime.disk.commit([Row(_META, 0, _KEY, _encode(self._starts))])
            self._is_stored = True
        except OSError as error:  # the disk is full: what this folder may forget must not be told to anybody
            self._runtime.log("start_not_stored", level="error", error=str(error))

    # --- the side that remembers --------------------------------------------------------------------------

    def on_began(self, peer: str, question: Began) -> None:
        """Remember a peer's generation, unless a later one is remembered; say so once it is durable."""
        if (peer not in self._ring.known and self._ring.state.left_in(peer) is None) or not _is_whole(
            question
        ):
            return
        if question.is_first:
            self._confirmed_by.discard(peer)  # a new folder remembers nobody
        disk, key = self._runtime.disk, _PEER + peer
        known = disk.get(_META, 0, key)
        remembered = None if known is None else _read_peer(known[0])
        before = () if remembered is None else (*remembered.replaced, remembered.folder)
        replaced = _together(*question.replaced, *before, but=question.folder)
        is_other = remembered is not None and remembered.folder not in (question.folder, *question.replaced)
        is_same = remembered is not None and remembered.folder == question.folder
        is_later = is_same and remembered is not None and not remembered.is_among(question)
        answer = BeganAnswer(
            question.id, is_later, is_other or (question.is_first and bool(replaced)), replaced
        )
        if is_later or (is_other and not question.is_first):
            self._runtime.network.send(peer, answer)
            return

        def durable(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                self._runtime.network.send(peer, answer)

        now = _Remembered(question.folder, question.count, question.generations[-1], replaced)
        rows = [] if remembered == now else [Row(_META, 0, key, _encode(now))]
        disk.commit(rows).add_done_callback(durable)
