"""Failure detection by probes (Das, Gupta, Motivala: "SWIM", 2002).

Every period this node pings one member, in a shuffled round-robin. No sign of life: it asks others to ping for it,
so that one bad link does not condemn a node. Still none: the member is suspected, and everybody is told. A suspect
that does not refute in time is dead. The dead are pinged too, so that one that comes back is found, and hears what
is said of it.

Load is not death: any message from a member is a sign of life, not only its Ack; and time during which this node
itself stood still (paused, starved, the computer asleep) proves nothing about others.

Probes carry the epoch of their sender's ring, and members come and go with it. What a ring is nobody knows here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log10

from kvnode.config import PROBE_PERIOD_MS, PROBE_TIMEOUT_MS, PROBE_WAIT_MS, SUSPICION_PERIODS
from kvnode.membership.members import ALIVE, DEAD, SUSPECT, Members
from kvnode.messages import Ack, MemberNews, Ping, PingRequest, Probe
from kvnode.observe import DurationStats, Samples
from kvnode.runtime import Handlers, Runtime

_HELPER_COUNT = 3


class Swim:
    """The prober and its answers, over one member table.

    epoch: tells this node's own. on_epoch is called with (peer, its epoch) for each probe that arrives.
    """

    def __init__(
        self,
        runtime: Runtime,
        node: str,
        members: Members,
        epoch: Callable[[], int],
        on_epoch: Callable[[str, int], None],
    ) -> None:
        self._runtime = runtime
        self._epoch = epoch
        self._on_epoch = on_epoch
        self._node = node
        self._members = members
        self._now_ms = runtime.clock.now_ms
        self._heard_ms: dict[str, float] = {}
        self._suspected_ms: dict[str, float] = {}
        self._pinged_ms: dict[str, float] = {}
        self._round_trips: dict[str, Samples] = {}

    def handlers(self) -> Handlers:
        """Which messages are for it."""
        return {Ping: self.on_ping, PingRequest: self.on_ping_request, Ack: self.on_ack}

    def heard(self, peer: str) -> None:
        """A message of any kind arrived from this peer."""
        self._heard_ms[peer] = self._now_ms()

    # --- probing ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Probe one member a period, for ever."""
        clock = self._runtime.clock
        while True:
            others = [member.name for member in self._members if member.name != self._node]
            self._runtime.random.shuffle(others)
            for name in others or (self._node,):
                before_ms = clock.now_ms()
                if name != self._node and self._members.member(name) is not None:
                    self._runtime.spawn(self._probe(name), f"probe {name}")
                await clock.sleep_ms(PROBE_PERIOD_MS)
                self._bury(stood_still_ms=clock.now_ms() - before_ms - PROBE_PERIOD_MS)

    async def _probe(self, name: str) -> None:
        clock, network = self._runtime.clock, self._runtime.network
        asked_ms = clock.now_ms()
        self._pinged_ms[name] = asked_ms
        network.send(name, Ping(self._node, self._members.gossip(name), self._epoch()))
        await clock.sleep_ms(PROBE_TIMEOUT_MS)
        if self._heard_ms.get(name, -1.0) >= asked_ms:
            return
        helpers = [m.name for m in self._members if m.state == ALIVE and m.name not in (name, self._node)]
        self._runtime.random.shuffle(helpers)
        for helper in helpers[:_HELPER_COUNT]:
            network.send(helper, PingRequest(name, self._members.gossip(helper), self._epoch()))
        await clock.sleep_ms(PROBE_WAIT_MS - PROBE_TIMEOUT_MS)
        stood_still_ms = clock.now_ms() - asked_ms - PROBE_WAIT_MS
        if self._heard_ms.get(name, -1.0) < asked_ms and stood_still_ms < PROBE_PERIOD_MS:
            self._suspect(name)

    # --- suspicion ----------------------------------------------------------------------------------------

    def _suspect(self, name: str) -> None:
        member = self._members.member(name)
        if member is not None and member.state == ALIVE:
            self._members.learn(MemberNews(name, SUSPECT, member.incarnation))

    def _bury(self, stood_still_ms: float) -> None:
        """Declare dead who has been suspected for too long, not counting time in which we could not have heard."""
        now_ms = self._runtime.clock.now_ms()
        suspicion_ms = PROBE_PERIOD_MS * SUSPICION_PERIODS * log10(len(self._members) + 9)
        suspects = self._members.suspects
        self._suspected_ms = {name: self._suspected_ms.get(name, now_ms) for name in suspects}
        for name in suspects:
            member = self._members.member(name)
            if stood_still_ms > PROBE_PERIOD_MS:
                self._suspected_ms[name] = now_ms
            elif member is not None and now_ms - self._suspected_ms[name] >= suspicion_ms:
                self._members.learn(MemberNews(name, DEAD, member.incarnation))

    # --- answering ----------------------------------------------------------------------------------------

    def on_ping(self, peer: str, message: Ping) -> None:
        """Answer, whoever it is for."""
        self._hear(peer, message)
        ack = Ack(self._node, message.for_node, self._members.gossip(peer), self._epoch())
        self._runtime.network.send(peer, ack)

    def on_ping_request(self, peer: str, message: PingRequest) -> None:
        """Ping the target on behalf of the peer."""
        self._hear(peer, message)
        if message.target != self._node:
            ping = Ping(peer, self._members.gossip(message.target), self._epoch())
            self._runtime.network.send(message.target, ping)

    def on_ack(self, peer: str, message: Ack) -> None:
        """A sign of life, for this node or to be passed on to the one that asked for it."""
        self._hear(peer, message)
        if message.for_node == self._node:
            self.heard(message.node)
            pinged_ms = self._pinged_ms.pop(peer, None) if message.node == peer else None
            if pinged_ms is not None:
                now_ms = self._runtime.clock.now_ms()
                self._round_trips.setdefault(peer, Samples()).add(now_ms - pinged_ms, now_ms=now_ms)
        elif message.node == peer:
            passed_on = Ack(peer, message.for_node, self._members.gossip(message.for_node), self._epoch())
            self._runtime.network.send(message.for_node, passed_on)

    def round_trip(self, peer: str) -> DurationStats:
        """The round trips really achieved with this peer, link faults and queues included."""
        return self._round_trips.get(peer, Samples()).summary(self._runtime.clock.now_ms())

    def _hear(self, peer: str, message: Probe) -> None:
        self._on_epoch(peer, message.epoch)
        for line in message.news:
            self._members.learn(line)
