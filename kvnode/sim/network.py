"""A simulated network: messages take time, arrive out of order, twice or not at all; links obey kvnode.faults.

Every message is encoded and decoded as on a real wire, so what is not encodable fails here too. What is delivered is
folded into the trace digest: two runs are the same if and only if their digests are. What is older than
`message_age_s_max` when it would be delivered is refused, as runtime.Network promises; so is what cannot be read, and
as no node sends such, the run is then a violation.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from hashlib import blake2b

from kvnode.faults import NO_FAULT, Line, LinkRule
from kvnode.messages import UNDECODABLE, Message, decode, encode
from kvnode.sim.gate import Gate

OnMessage = Callable[[str, Message], None]
_DELAY_MS = 0.4
_DOUBLED_SHARE = 0.01


class Trace:
    """A running digest of all that happened, and the story of the last of it for people."""

    def __init__(self) -> None:
        self._digest = blake2b(digest_size=16)
        self.event_count = 0
        self.log: list[str] = []

    def add(self, time_s: float, what: str, payload: bytes = b"") -> None:
        """One event."""
        self._digest.update(f"{time_s:.9f} {what} ".encode())
        self._digest.update(payload)
        self.event_count += 1

    def tell(self, time_s: float, what: str) -> None:
        """One event that people want to read."""
        self.add(time_s, what)
        self.log.append(f"{time_s:9.3f} s  {what}")

    @property
    def digest(self) -> str:
        """The digest so far, in hex."""
        return self._digest.hexdigest()


class SimNetwork:
    """All links of one cluster. on_send hears of each message of a node, before anything happens to it."""

    def __init__(self, chance: random.Random, trace: Trace) -> None:
        self._chance = chance
        self._trace = trace
        self._loop = asyncio.get_running_loop()
        self._receivers: dict[str, tuple[Gate, OnMessage]] = {}
        self.rules: dict[tuple[str, str], LinkRule] = {}
        self._lines: dict[tuple[str, str], Line] = {}
        self.on_send: Callable[[str, str, Message], None] = lambda sender, receiver, message: None
        self.lost_count = 0
        self.doubled_count = 0
        self.reordered_count = 0
        self.refused_count = 0
        self.unreadable_count = 0
        self.message_age_s_max = float("inf")
        self._last_arrival_s: dict[tuple[str, str], float] = {}

    def attach(self, node: str, gate: Gate, on_message: OnMessage) -> None:
        """From now on this node receives, through its gate."""
        self._receivers[node] = (gate, on_message)

    def detach(self, node: str) -> None:
        """The node is gone; what is on its way to it is lost."""
        self._receivers.pop(node, None)

    def door(self, node: str) -> SimDoor:
        """runtime.Network for one node."""
        return SimDoor(self, node)

    def send(self, sender: str, receiver: str, message: Message) -> None:
        """Send under the rule of this link."""
        rule = self.rules.get((sender, receiver), NO_FAULT)
        delay_ms = rule.delay_of_next(self._chance)
        if delay_ms is None:
            self.lost_count += 1
            return
        payload = encode(message)
        if rule.bytes_per_s:
            line, now_s = self._lines.setdefault((sender, receiver), Line()), self._loop.time()
            passed_s = line.passed_s(now_s, len(payload), rule.bytes_per_s)
            delay_ms += (passed_s - now_s) * 1000.0
            if delay_ms > self.message_age_s_max * 1000.0:
                self.lost_count += 1  # it would come too late, and takes no room (as in net/links.py)
                return
            line.free_s = passed_s
        copies = 1 + (self._chance.random() < _DOUBLED_SHARE)
        self.doubled_count += copies - 1
        for _ in range(copies):
            total_s = (delay_ms + self._chance.expovariate(1.0 / _DELAY_MS)) / 1000.0
            arrival_s, last_s = self._loop.time() + total_s, self._last_arrival_s.get((sender, receiver), 0.0)
            self.reordered_count += arrival_s < last_s
            self._last_arrival_s[sender, receiver] = max(arrival_s, last_s)
            addressee = self._receivers.get(receiver)
            sent_s = self._loop.time()
            self._loop.call_later(total_s, self._arrive, sender, receiver, payload, addressee, sent_s)

    def _arrive(
        self,
        sender: str,
        receiver: str,
        payload: bytes,
        addressee: tuple[Gate, OnMessage] | None,
        sent_s: float,
    ) -> None:
        """Deliver, unless the receiver has crashed since: its successor has other connections."""
        if addressee is None or self._receivers.get(receiver) is not addressee:
            self.lost_count += 1
            return
        gate, on_message = addressee
        gate.run(self._deliver, sender, receiver, payload, on_message, sent_s)

    def _deliver(
        self, sender: str, receiver: str, payload: bytes, on_message: OnMessage, sent_s: float
    ) -> None:
        if self._loop.time() - sent_s > self.message_age_s_max:
            self.refused_count += 1
            return
        self._trace.add(self._loop.time(), f"{sender}>{receiver}", payload)
        try:
            message = decode(payload)
        except UNDECODABLE:
            self.unreadable_count += 1
            return
        on_message(sender, message)


class SimDoor:
    """runtime.Network of one node in one life."""

    def __init__(self, network: SimNetwork, node: str) -> None:
        self._network = network
        self._node = node
        self.open = True

    def send(self, peer: str, message: Message) -> None:
        """See runtime.Network."""
        if self.open:
            self._network.on_send(self._node, peer, message)
            self._network.send(self._node, peer, message)
