"""On what a measurement was made: a number without its machine says little.

Here: the facts.
Must not live here: who shows them.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

from kvnode import __version__

LIBRARIES = ("uvloop", "httptools", "msgspec", "numpy")


def environment() -> dict[str, Any]:
    """Computer, Python and libraries, in words."""
    versions: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg()) if hasattr(os, "getloadavg") else "?"
    return {
        "quorum_lab": __version__,
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cpus": os.cpu_count(),
        "load_before": load,
        "python": platform.python_version(),
        "libraries": versions,
    }
