"""Ports for what the lab starts: the wanted one, else the next that nobody listens on."""

from __future__ import annotations

from kvnode.cluster.ports import is_free
from labkit.errors import LabError

PORTS_TRIED_MAX = 50


def free_port(wanted: int, *, purpose: str, do: str = "") -> int:
    """`wanted`, or the next free port of 127.0.0.1; LabError says for what there is none, and what to `do`."""
    end = min(wanted + PORTS_TRIED_MAX, 65_536)
    for port in range(wanted, end):
        if is_free(port):
            return port
    raise LabError(f"No free port for {purpose} between {wanted} and {end - 1}.", do=do)
