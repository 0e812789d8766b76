"""Choosing ports: the wanted one if it is free, else the next free one.

A port that is free now may be taken before the node binds it. Nothing can close that gap from outside, so the
supervisor chooses again when a node says that its port is busy (exit code 3).
Not here: where the choice is remembered (state.py).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Collection, Sequence

from kvnode.cluster.errors import BadCommand, StartFailed

HOST = "127.0.0.1"
PEER_OFFSET = 10_000  # a node's peer port is its HTTP port plus this
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


def check_base_port(base_port: int) -> None:
    """BadCommand unless `base_port` leaves room for the peer ports."""
    if not BASE_PORT_MIN <= base_port <= BASE_PORT_MAX:
        raise BadCommand(f"base port {base_port}: expected {BASE_PORT_MIN} to {BASE_PORT_MAX}")


def choose(
    wanted: Sequence[int], *, avoid: Collection[int] = (), free: Callable[[int], bool] = is_free
) -> list[tuple[int, int]]:
    """A pair (http port, peer port) for each wanted HTTP port; all differ, none is in `avoid`, all are free.

    A wanted port that another node of this list wants is left to that node, so that one busy port does not
    make all the others move up.
    """
    chosen: list[tuple[int, int]] = []
    used = set(avoid)
    for index, start in enumerate(wanted):
        later = set(wanted[index + 1 :])
        for port in range(start, min(start + PORT_TRIES_MAX, 65_536 - PEER_OFFSET)):
            pair = (port, port + PEER_OFFSET)
            if port in later or used.intersection(pair):
                continue
            if all(free(each) for each in pair):
                chosen.append(pair)
                used.update(pair)
                break
        else:
            raise StartFailed(f"no free port from {start} upward; choose another range with --base-port")
    return chosen
