"""What every process of the traffic does before anything else: its event loop, its standard streams.

Here: the choice of the loop, and no descriptor below 3 for anything but a standard stream. Not here: arguments
(cli.py).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: about half the CPU for each operation."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def open_standard_streams() -> None:
    """A parent may have closed descriptors 0 to 2; a socket that got such a number would crash uvloop."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
