"""Dissemination: a decided ring is adopted, remembered on disk, told to nodes behind, and asked of nodes ahead.

Every probe and every message about data carries its sender's epoch, so two nodes that talk at all find out which of
them is behind. Adopting takes effect at once; *settled* is what survives a crash, together with all writes that were
taken in earlier epochs (commits become durable in order).
"""

from __future__ import annotations

import asyncio

import msgspec

from kvnode.config import RING_ASK_PERIOD_MS, ClusterConfig
from kvnode.messages import UNDECODABLE, Addressed, AskRing, Refused, RingNews, Stale
from kvnode.ring import Placement, RingState
from kvnode.runtime import Handlers, Row, Runtime
from kvnode.versions.bounds import EPOCH_JUMP_MAX, is_jump

_META, _KEY = "meta", "ring"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RingState).decode


class Dissemination:
    """What this node knows of the ring, and how it and others come to know more.

    Each change of the ring is announced from `open` on. heard: the epoch that each peer told last.
    implausible_count: rings and epochs that cannot be (RingState.may_follow).
    """

    def __init__(self, runtime: Runtime, node: str, ring: Placement) -> None:
        self._runtime = runtime
        self._node = node
        self._ring = ring
        self._asked_ms = -RING_ASK_PERIOD_MS
        self._is_open = False
        self.heard: dict[str, int] = {}
        self.implausible_count = 0

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {AskRing: self.on_ask_ring, RingNews: self.on_ring_news}

    def open(self, config: ClusterConfig) -> None:
        """Begin with the newer of what the disk and what the cluster file say; the file knows the ports."""
        known = self._runtime.disk.get(_META, 0, _KEY)
        state = None if known is None else self._stored(known[0])
        if state is not None and state.epoch >= self._ring.epoch:
            self._ring.adopt(state.readdressed(config))
            self._ring.settled_epoch = state.epoch
        self._is_open = True
        self._ring.announce()

    def _stored(self, row: bytes) -> RingState | None:
        """What a row says; None if that is no ring: then the cluster file is where to begin, and peers know more."""
        try:
            state = _decode(row)
        except UNDECODABLE as error:
            self._runtime.log("ring_refused", level="error", why=str(error))
            return None
        if not state.is_whole:
            self._runtime.log("ring_refused", level="error", epoch=state.epoch)
            return None
        return state

    # --- adopting -----------------------------------------------------------------------------------------

    def adopt(self, state: RingState) -> None:
        """Take in a decided state, if it is news."""
        if state.epoch <= self._ring.epoch:
            return
        if not state.is_whole or not state.may_follow(self._ring.state):
            self.implausible_count += 1
            self._runtime.log("ring_refused", level="error", epoch=state.epoch, known=self._ring.epoch)
            return
        before = self._ring.state
        self._ring.adopt(state)
        facts = {"epoch": state.epoch, "phase": state.phase, "members": ",".join(state.names)}
        facts |= {"phase_before": before.phase, "members_before": ",".join(before.names)}
        self._runtime.log("ring", change=state.change, note=state.note, **facts)
        self.store()
        if self._is_open:
            self._ring.announce()

    def decided(self, state: RingState) -> None:
        """This state is decided: take it in, and tell everybody of before and after."""
        before = self._ring.nodes
        self.adopt(state)
        self.tell_everybody(*before)

    def store(self) -> None:
        """Remember the present state; it is settled when that is durable."""
        ring, state = self._ring, self._ring.state

        def stored(future: asyncio.Future[None]) -> None:
            if not future.cancelled() and future.exception() is None:
                ring.settled_epoch = max(ring.settled_epoch, state.epoch)

        self._runtime.disk.commit([Row(_META, 0, _KEY, _encode(state))]).add_done_callback(stored)

    # --- telling and asking -------------------------------------------------------------------------------

    def tell_everybody(self, *more: str) -> None:
        """Send the present state to all whom it concerns, and to these."""
        names = {node.name for node in self._ring.state.everybody} | set(more)
        for name in sorted(names - {self._node}):
            self._runtime.network.send(name, RingNews(self._ring.state))

    def refuse_other_epoch(self, peer: str, question: Addressed) -> bool:
        """A question came from another epoch: refuse an older one; on a newer one, ask for that ring."""
        id_, epoch = question.id, question.epoch
        if epoch < self._ring.epoch:
            if id_:
                self._runtime.network.send(peer, Stale(id_, self._ring.state))
            return True
        if self._is_implausible(epoch):
            if id_:
                self._runtime.network.send(peer, Refused(id_, "that epoch cannot be"))
            return True
        self.heard_epoch(peer, epoch)
        return False

    def _is_implausible(self, epoch: int) -> bool:
        """Whether a peer tells an epoch that cannot be; counted."""
        if not is_jump(epoch, self._ring.epoch, EPOCH_JUMP_MAX):
            return False
        self.implausible_count += 1
        return True

    def heard_epoch(self, peer: str, epoch: int) -> None:
        """A peer told in which epoch it is."""
        if epoch > self._ring.epoch and self._is_implausible(epoch):
            return
        self.heard[peer] = max(epoch, self.heard.get(peer, 0))
        now_ms = self._runtime.clock.now_ms()
        if epoch > self._ring.epoch and now_ms - self._asked_ms >= RING_ASK_PERIOD_MS:
            self._asked_ms = now_ms
            self._runtime.network.send(peer, AskRing())

    def on_ask_ring(self, peer: str, message: AskRing) -> None:
        """Somebody is behind."""
        self._runtime.network.send(peer, RingNews(self._ring.state))

    def on_ring_news(self, peer: str, message: RingNews) -> None:
        """Somebody is ahead, perhaps."""
        self.adopt(message.ring)
        if message.ring.epoch <= self._ring.epoch:
            self.heard[peer] = max(message.ring.epoch, self.heard.get(peer, 0))
