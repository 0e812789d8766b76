"""What can go wrong on a link, as values: the rule of one link, and what it does to one message.

Beside it stand the bounds of what can go wrong with a node.
The same rules govern the real sockets (net/peers.py) and the simulated network (sim/network.py).
"""

from __future__ import annotations

from math import log1p
from typing import Literal, Protocol, get_args

import msgspec

DELAY_MS_MAX = 10_000.0
DISK_DELAY_MS_MAX = 10_000.0
CLOCK_SKEW_MS_MAX = 86_400_000.0
BYTES_PER_S_MIN, BYTES_PER_S_MAX = 1.0, 1e9
PARETO_ALPHA = 1.5

Distribution = Literal["fixed", "exponential", "long-tailed"]
DISTRIBUTIONS: tuple[Distribution, ...] = get_args(Distribution)


class LinkRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The faults of one outgoing link.

    delay_ms: added one-way delay, whose mean it is. jitter_ms: up to so much more or less, uniform. loss: the share
    of messages that is lost, 0 to 1. cut: nothing passes. distribution: how delays scatter about the mean, with u
    uniform in [0, 1):

    - fixed: always delay_ms. (With a jitter: uniform.)
    - exponential: -delay_ms * ln(1 - u). Half of the messages are faster than 0.69 of the mean, 1 % slower than 4.6.
    - long-tailed: delay_ms / 3 * (1 - u) ** (-2/3), a Pareto distribution with alpha = 1.5. Half are faster than
      0.53 of the mean, 1 % slower than 7.2, and the variance has no bound.

    The jitter comes on top. Every delay is cut down to DELAY_MS_MAX, which lowers the mean of the long tail by
    2/3 * sqrt(delay_ms / 3 / DELAY_MS_MAX): at 50 ms by 2.7 %.

    bytes_per_s: how many bytes pass, one way; 0 is no limit. A message waits behind those before it (`Line`), and its
    delay begins when it has passed. One that is lost takes no room.

    Each message draws its own delay, so with anything but a fixed one a later message may overtake an earlier one.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    cut: bool = False
    distribution: Distribution = "fixed"
    bytes_per_s: float = 0.0

    def check(self) -> None:
        """ValueError says which figure is out of bounds."""
        if not 0.0 <= self.delay_ms <= DELAY_MS_MAX:
            raise ValueError(f"delay_ms={self.delay_ms}: expected 0 to {DELAY_MS_MAX:.0f}")
        if not 0.0 <= self.jitter_ms <= DELAY_MS_MAX:
            raise ValueError(f"jitter_ms={self.jitter_ms}: expected 0 to {DELAY_MS_MAX:.0f}")
        if not 0.0 <= self.loss <= 1.0:
            raise ValueError(f"loss={self.loss}: expected 0 to 1")
        if self.distribution not in DISTRIBUTIONS:
            raise ValueError(f"distribution={self.distribution}: expected {', '.join(DISTRIBUTIONS)}")
        if self.bytes_per_s != 0.0 and not BYTES_PER_S_MIN <= self.bytes_per_s <= BYTES_PER_S_MAX:
            bounds = f"{BYTES_PER_S_MIN:.0f} to {BYTES_PER_S_MAX:.0f}"
            raise ValueError(f"bytes_per_s={self.bytes_per_s}: expected 0 (no limit), or {bounds}")

    def delay_of_next(self, random: Chance) -> float | None:
        """The delay (ms) of the next message; None if it is lost."""
        if self.cut or (self.loss and random.random() < self.loss):
            return None
        delay_ms = self.delay_ms
        if self.distribution != "fixed":
            delay_ms = self._scattered(random.random())
        if self.jitter_ms:
            delay_ms += self.jitter_ms * (2.0 * random.random() - 1.0)
        return min(max(0.0, delay_ms), DELAY_MS_MAX)

    def _scattered(self, u: float) -> float:
        if self.distribution == "exponential":
            return -self.delay_ms * log1p(-u)
        least_ms = self.delay_ms * (PARETO_ALPHA - 1.0) / PARETO_ALPHA
        return float(least_ms * (1.0 - u) ** (-1.0 / PARETO_ALPHA))


class Line:
    """One direction of a link that carries so many bytes a second, one message after the other.

    free_s: when all that has been sent so far has passed.
    """

    def __init__(self) -> None:
        self.free_s = 0.0

    def passed_s(self, now_s: float, size_bytes: int, bytes_per_s: float) -> float:
        """When a message that is sent now will have passed, behind those before it; who sends it sets `free_s`."""
        return max(now_s, self.free_s) + size_bytes / bytes_per_s


class Chance(Protocol):
    """What the rule needs of a random generator."""

    def random(self) -> float: ...


NO_FAULT = LinkRule()
