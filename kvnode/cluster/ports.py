"""Choosing ports: the wanted one if it is free, else the next free one.

A port that is free now may be taken before the node binds it. Nothing can close that gap from outside, so the
supervisor chooses again when a node says that its port is busy (exit code 3).

The kernel lends ports of one range to outgoing connections (its ephemeral ports, on Linux usually 32768 to 60999). A
node whose port lies there can find it lent to somebody when it restarts; so peer ports are kept below that range, and
where that cannot be (the HTTP ports themselves lie in it) the start says so.
Must not live here: where the choice is remembered (state.py).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from kvnode.cluster.errors import BadCommand, StartFailed

HOST = "127.0.0.1"
PEER_OFFSET = 10_000  # a node's peer port is its HTTP port plus this,
PEER_OFFSET_SHORT = 1_000  # or plus this, where the other one would lie among the ephemeral ports
_EPHEMERAL_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_ELSEWHERE = (49_152, 65_535)  # IANA's range, and that of macOS
BASE_PORT_DEFAULT = 9999
BASE_PORT_MIN, BASE_PORT_MAX = 1024, 55_000  # so that peer ports stay below 65536
PORT_TRIES_MAX = 500


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    if sys.platform != "linux":
        # Elsewhere a second listener may bind a specific address under one that holds them all: knock first.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as knock:
            knock.settimeout(0.2)
            if knock.connect_ex((HOST, port)) == 0:
                return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier server that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def ephemeral_range(file: Path = _EPHEMERAL_FILE) -> tuple[int, int]:
    """First and last of the ports that the kernel lends to outgoing connections."""
    try:
        first, last = (int(word) for word in file.read_text().split())
    except (OSError, ValueError):
        return EPHEMERAL_ELSEWHERE
    return first, last


def peer_port_of(http_port: int, ephemeral_from: int) -> int:
    """The peer port that goes with an HTTP port: below the ephemeral ports where that can be."""
    for offset in (PEER_OFFSET, PEER_OFFSET_SHORT):
        if http_port + offset < ephemeral_from:
            return http_port + offset
    return http_port + PEER_OFFSET


def warn_of_ephemeral(ports: Collection[int], ephemeral: tuple[int, int]) -> str | None:
    """One sentence if some of these ports can be lent to an outgoing connection while their node is away."""
    first, last = ephemeral
    exposed = sorted(port for port in ports if first <= port <= last)
    if not exposed:
        return None
    which = f"port {exposed[0]} lies" if len(exposed) == 1 else f"ports such as {exposed[0]} lie"
    has_a_way_out = first > BASE_PORT_DEFAULT + PEER_OFFSET_SHORT + 100
    return (
        f"{which} in the range {first}-{last}, which this computer lends to outgoing connections: "
        "a node that restarts may find its port taken"
        + (f"; --base-port {BASE_PORT_DEFAULT} avoids that" if has_a_way_out else "")
    )


def check_base_port(base_port: int) -> None:
    """BadCommand unless `base_port` leaves room for the peer ports."""
    if not BASE_PORT_MIN <= base_port <= BASE_PORT_MAX:
        raise BadCommand(f"base port {base_port}: expected {BASE_PORT_MIN} to {BASE_PORT_MAX}")


def choose(
    wanted: Sequence[int],
    *,
    avoid: Collection[int] = (),
    free: Callable[[int], bool] = is_free,
    ephemeral: tuple[int, int] | None = None,
) -> list[tuple[int, int]]:
    """A pair (http port, peer port) for each wanted HTTP port; all differ, none is in `avoid`, all are free.

    A wanted port that another node of this list wants is left to that node, so that one busy port does not
    make all the others move up.
    """
    ephemeral_from, _ = ephemeral or ephemeral_range()
    chosen: list[tuple[int, int]] = []
    used = set(avoid)
    for index, start in enumerate(wanted):
        later = set(wanted[index + 1 :])
        for port in range(start, min(start + PORT_TRIES_MAX, 65_536 - PEER_OFFSET)):
            pair = (port, peer_port_of(port, ephemeral_from))
            if port in later or used.intersection(pair):
                continue
            if all(free(each) for each in pair):
                chosen.append(pair)
                used.update(pair)
                break
        else:
            raise StartFailed(f"no free port from {start} upward; choose another range with --base-port")
    return chosen
