"""What can go wrong on a link, as values: the rule of one link, and what it does to one message.

The same rules govern the real sockets (net/peers.py) and the simulated network (sim/network.py).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

DELAY_MS_MAX = 10_000.0


class LinkRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The faults of one outgoing link.

    delay_ms: added one-way delay. jitter_ms: up to so much more or less, uniform. loss: the share of messages that
    is lost, 0 to 1. cut: nothing passes.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    cut: bool = False

    def check(self) -> None:
        """ValueError says which figure is out of bounds."""
        if not 0.0 <= self.delay_ms <= DELAY_MS_MAX:
            raise ValueError(f"delay_ms={self.delay_ms}: expected 0 to {DELAY_MS_MAX:.0f}")
        if not 0.0 <= self.jitter_ms <= DELAY_MS_MAX:
            raise ValueError(f"jitter_ms={self.jitter_ms}: expected 0 to {DELAY_MS_MAX:.0f}")
        if not 0.0 <= self.loss <= 1.0:
            raise ValueError(f"loss={self.loss}: expected 0 to 1")

    def delay_of_next(self, random: Chance) -> float | None:
        """The delay (ms) of the next message; None if it is lost."""
        if self.cut or (self.loss and random.random() < self.loss):
            return None
        if not self.jitter_ms:
            return self.delay_ms
        return max(0.0, self.delay_ms + self.jitter_ms * (2.0 * random.random() - 1.0))


class Chance(Protocol):
    """What the rule needs of a random generator."""

    def random(self) -> float: ...


NO_FAULT = LinkRule()
