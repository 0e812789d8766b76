"""The clock by which the generator measures: monotonic, and finer than an event loop's own.

uvloop's `loop.time()` counts whole milliseconds and stands still while callbacks run; latencies need
better. Tests in virtual time pass the loop's clock instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since some fixed moment."""

monotonic: Clock = time.monotonic
