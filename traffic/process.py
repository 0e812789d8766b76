"""What every process of the traffic does before it drives: its event loop, standard streams, garbage collector.

Here: the choice of the loop, and no descriptor below 3 for anything but a standard stream.
Must not live here: arguments (cli.py).
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: about half the CPU for each operation."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def calm_collector() -> None:
    """Call when all is set up: what was imported until now is never looked through for garbage again, and what has
    grown old since only seldom. Each such look takes 50 to 100 ms, in which nothing is sent on time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def open_standard_streams() -> None:
    """A parent may have closed descriptors 0 to 2; a socket that got such a number would crash uvloop."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
