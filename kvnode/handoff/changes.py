"""Which change is decided, and when: join and leave as asked for, their end when all data has arrived, or calling off.

Whoever is asked proposes the first step (stable -> moving). The second one (moving -> stable) is proposed by the first
member alive, as seen by each; should two see it differently, Paxos picks one. So a change needs nobody in
particular: who began it may die.

A change whose owner-to-be is dead is called off, since writes need that owner's acknowledgement: the ring goes back to
the old members, and nothing is lost, for the old owners have everything.
"""

from __future__ import annotations

import contextlib
from typing import Any

from kvnode.config import NODE_COUNT_MAX, RING_PERIOD_MS, NodeAddress
from kvnode.context import NodeContext
from kvnode.errors import Conflict, NotAMember, QuorumUnmet
from kvnode.handoff.acceptor import DurableAcceptor
from kvnode.handoff.bootstrap import Bootstrap
from kvnode.handoff.dissemination import Dissemination
from kvnode.handoff.emptiness import EmptinessCheck
from kvnode.handoff.proposer import RingProposer
from kvnode.messages import Progress
from kvnode.ring import MOVING, RingState
from kvnode.runtime import Handlers


class Changes:
    """Join and leave at one node."""

    def __init__(
        self,
        context: NodeContext,
        dissemination: Dissemination,
        acceptor: DurableAcceptor,
        proposer: RingProposer,
        bootstrap: Bootstrap,
        emptiness: EmptinessCheck,
    ) -> None:
        self._runtime = context.runtime
        self._node = context.name
        self._ring = context.ring
        self._state_of = context.members.state
        self._dissemination = dissemination
        self._acceptor = acceptor
        self._proposer = proposer
        self._bootstrap = bootstrap
        self._emptiness = emptiness
        self._progress: dict[str, Progress] = {}
        context.ring.subscribe(self.follow_ring)

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {Progress: self.on_progress}

    # --- what clients ask for -----------------------------------------------------------------------------

    async def join(self, node: NodeAddress) -> dict[str, Any]:
        """Admit a node. Answers when that is decided; it is a member once all its data has arrived.

        Raises Conflict if another change is under way, or the node cannot be admitted; QuorumUnmet.
        """
        state = self._present()
        if node not in state.everybody:
            if state.phase == MOVING:
                raise self._under_way(f"{node.name} cannot join")
            self._check_joiner(node, state)
            await self._emptiness.check(node.name)
            await self._proposer.decide(state.join(node))
            if node not in self._ring.state.everybody:
                raise self._under_way(f"{node.name} was not admitted")
        return self.describe()

    async def leave(self, name: str, *, force: bool = False) -> dict[str, Any]:
        """Let a member go; force: it is dead, and the others rebuild what it held.

        A change under way is called off for a dead one: it may be waiting for that very member, and for ever.
        Answers when that is decided. Raises Conflict if another change is under way or it cannot go; QuorumUnmet.
        """
        state = self._present()
        if name not in state.names and name != state.joining:
            raise Conflict(f"{name} is no member; members are {', '.join(state.names)}")
        is_in_the_way = state.phase == MOVING and name not in (state.joining, state.leaving)
        if force and is_in_the_way and self._state_of(name) == "dead":
            await self._proposer.decide(state.called_off(f"{name} is dead, and is to be removed"))
            state = self._present()
        if state.joining == name:
            await self._proposer.decide(state.called_off(f"{name} was told to leave"))
        elif state.leaving != name:
            if state.phase == MOVING:
                raise self._under_way(f"{name} cannot leave")
            self._check_leaver(name, state, force=force)
            await self._proposer.decide(state.leave(name, forced=force))
            now = self._ring.state
            if name in now.names and now.leaving != name:
                raise self._under_way(f"{name} was not let go")
        return self.describe()

    def _present(self) -> RingState:
        if not self._ring.is_member:
            raise NotAMember(f"{self._node} is no member, and cannot change the ring; ask a member")
        return self._ring.state

    def _under_way(self, what: str) -> Conflict:
        state = self._ring.state
        why = state.change or state.note
        return Conflict(
            f"{what}: {why} (epoch {state.epoch}); one change at a time, try again when GET /ring says stable",
            epoch=state.epoch,
            phase=state.phase,
        )

    def _check_joiner(self, node: NodeAddress, state: RingState) -> None:
        if len(state.members) >= NODE_COUNT_MAX:
            raise Conflict(
                f"{node.name} cannot join: there are {NODE_COUNT_MAX} members already, the most there may be"
            )
        for member in state.members:
            ports = {member.http_port, member.peer_port} & {node.http_port, node.peer_port}
            if member.name == node.name:
                raise Conflict(
                    f"{node.name} is a member already, at {member.url} and peer port {member.peer_port}"
                )
            if member.host == node.host and ports:
                raise Conflict(f"{node.name} cannot join: {member.name} listens at port {min(ports)}")

    def _check_leaver(self, name: str, state: RingState, *, force: bool) -> None:
        left = len(state.members) - 1
        if left < max(1, self._ring.replicas):
            raise Conflict(
                f"{name} cannot leave: {left} members would be left, but each key has {self._ring.replicas} replicas"
            )
        found = self._state_of(name)
        if force and found != "dead":
            raise Conflict(
                f"{name} is {found}: only a dead member is removed by force; let it leave, or stop it"
            )
        if not force and found == "dead":
            raise Conflict(f"{name} is dead and cannot hand its data over; remove it by force")
        others = [other for other in state.names if other != name and self._state_of(other) == "dead"]
        if others:
            raise Conflict(
                f"{name} cannot leave while {', '.join(others)} is dead, which would take partitions over"
            )

    # --- bringing a change to its end ---------------------------------------------------------------------

    async def run(self) -> None:
        """Look after the change under way, for ever."""
        while True:
            await self._runtime.clock.sleep_ms(RING_PERIOD_MS * (0.5 + self._runtime.random.random()))
            if self._ring.settled_epoch != self._ring.epoch:
                self._dissemination.store()  # the disk took no writes a moment ago, perhaps
            if not self._acceptor.knows_its_right:
                with contextlib.suppress(OSError):  # the disk is full: in a moment again
                    await self._learn_its_right()
            step = self._next_step()
            if step is not None:
                try:
                    await self._proposer.decide(step)
                except QuorumUnmet as error:
                    self._runtime.log("ring_undecided", epoch=step.epoch, why=str(error))
            self._report()

    def _next_step(self) -> RingState | None:
        """What this node should propose now, if anything."""
        ring, state = self._ring, self._ring.state
        if not ring.is_member:
            return None
        if state.phase != MOVING:
            if self._acceptor.knows_its_right and not self._acceptor.may_vote:
                return state.renewed(f"{self._node} has lost its disk, and votes again")
            return None
        if next((name for name in state.names if self._state_of(name) == "alive"), None) != self._node:
            return None
        pending = ring.pending_slots()
        dead = [name for name in pending if self._state_of(name) == "dead"]
        if dead:
            return state.called_off(f"{', '.join(dead)} died, and would have taken partitions over")
        return state.completed() if all(self._is_ready(name) for name in pending) else None

    def _is_ready(self, name: str) -> bool:
        progress = self.progress_of(name)
        return progress is not None and progress.done == progress.total

    def progress_of(self, name: str) -> Progress | None:
        """How far a pending owner is in this epoch, as far as known here."""
        progress = self._bootstrap.progress if name == self._node else self._progress.get(name)
        return progress if progress is not None and progress.epoch == self._ring.epoch else None

    def on_progress(self, peer: str, message: Progress) -> None:
        """A pending owner tells how far it is. (A message that was overtaken changes nothing.)"""
        known = self._progress.get(peer)
        if known is None or (message.epoch, message.done) >= (known.epoch, known.done):
            self._progress[peer] = message

    def _report(self) -> None:
        progress = self._bootstrap.progress
        if progress.epoch == self._ring.epoch and progress.total:
            for name in self._ring.nodes:
                if name != self._node:
                    self._runtime.network.send(name, progress)

    # --- the right to vote of a store that replaces another -----------------------------------------------

    def follow_ring(self) -> None:
        """The ring has changed: who joins votes from the moment on at which it is a member."""
        if self._ring.state.joining == self._node:
            self._runtime.spawn(self._may_vote_from(self._ring.epoch + 1), "right to vote")

    async def _may_vote_from(self, epoch: int) -> None:
        with contextlib.suppress(
            OSError
        ):  # the disk is full: then it learns its right as one that lost its disk
            await self._acceptor.grant_from(epoch)

    async def _learn_its_right(self) -> None:
        """With enough others heard, nobody can be further than one epoch beyond them (see acceptor.py)."""
        n = len(self._ring.nodes)
        others = [name for name in self._ring.nodes if name != self._node]
        heard = [self._dissemination.heard[name] for name in others if name in self._dissemination.heard]
        if self._ring.is_member and len(heard) >= min(n - n // 2, n - 1):
            newest = max((*heard, self._ring.epoch))
            if newest == self._ring.epoch:
                await self._acceptor.grant_from(newest + 2 if others else newest)

    # --- what it looks like -------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """The ring's state for GET /ring and for whoever asked for a change."""
        state, ring = self._ring.state, self._ring
        pending = {}
        for name, slots in ring.pending_slots().items():
            progress = self.progress_of(name)
            pending[name] = {"slots": slots, "done": 0 if progress is None else progress.done}
        return {
            "epoch": state.epoch,
            "phase": state.phase,
            "change": state.change,
            "note": state.note,
            "members": list(state.names),
            "pending": pending,
            "moved": ring.moved(),
        }
