"""Where the nodes are: from URLs that somebody typed, or from the state file of a local cluster.

Here: reading and checking addresses, whether anybody is there, and which clusters run on this computer.
Must not live here: talking to nodes, starting them (kvnode.cluster does).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

CONNECT_TIMEOUT_S = 0.3
"""A node on this computer takes a connection within milliseconds, even one that is paused."""
SOCKET_TIMEOUT_S = 0.2
START_POLL_S = 0.02


class NoCluster(Exception):
    """No nodes can be found there; the text says what was looked for."""


@dataclass(frozen=True, slots=True)
class Address:
    """A node's base URL, and its name if it is known already."""

    url: str
    name: str | None = None


class _Node(Struct):
    name: str
    url: str


class _State(Struct):
    nodes: list[_Node]
    socket: str = ""
    phase: str = "running"


class _Cluster(Struct):
    token: str | None = None


def from_urls(text: str) -> list[Address]:
    """`http://127.0.0.1:9999,http://127.0.0.1:10000`; host:port alone will do."""
    addresses: list[Address] = []
    for part in text.split(","):
        given = part.strip()
        if not given:
            continue
        url = given if "://" in given else f"http://{given}"
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != "http" or not parts.hostname or port is None or parts.path.strip("/"):
            raise NoCluster(f"expected node URLs like http://127.0.0.1:9999, got {given!r}")
        addresses.append(Address(url.rstrip("/")))
    if not addresses:
        raise NoCluster(f"expected node URLs like http://127.0.0.1:9999, got {text!r}")
    if len({address.url for address in addresses}) < len(addresses):
        raise NoCluster(f"a node URL is given twice in {text!r}")
    return addresses


def from_cluster(name: str) -> list[Address]:
    """The nodes of the local cluster `name`, as its supervisor wrote them down."""
    state = _state_of(name)
    if not state.nodes:
        raise NoCluster(f"the cluster {name!r} has no nodes")
    return [Address(node.url, node.name) for node in state.nodes]


def await_start(name: str, within_s: float) -> None:
    """Return when the local cluster `name` has started, at once if it has; NoCluster if it does not within that time.

    While it starts, it may still choose other ports than those in its state file.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            if _state_of(name).phase == "running":
                return
            waits_for = NoCluster(f"the cluster {name!r} was still starting after {within_s:g} s")
        except NoCluster as error:
            waits_for = error
        if time.monotonic() > deadline_s:
            raise waits_for
        time.sleep(START_POLL_S)


def _state_of(name: str) -> _State:
    """What its supervisor wrote down."""
    path = state_folder() / name / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_State)
    except FileNotFoundError:
        raise NoCluster(f"no cluster {name!r} is known here (there is no {path}); {what_runs()}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise NoCluster(f"the state file {path} cannot be read: {error}") from None


def token_of(name: str) -> str | None:
    """What the local cluster `name` demands of its clients; None if nothing, or if it may not be read."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((state_folder() / name / "cluster.json").read_bytes(), type=_Cluster).token
    return None


async def require_a_node(addresses: Sequence[Address]) -> None:
    """NoCluster if not one of these nodes takes a connection; it tells which clusters run here instead."""
    if not any(await asyncio.gather(*(_takes_connections(address.url) for address in addresses))):
        tried = ", ".join(address.url for address in addresses)
        raise NoCluster(f"no node answers at {tried}; {what_runs()}")


async def _takes_connections(url: str) -> bool:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def what_runs() -> str:
    """Half a sentence: the clusters that run on this computer, and how to name one."""
    names = running_clusters()
    if not names:
        return "no cluster runs here: python -m kvnode.cluster start"
    return f"running here: {', '.join(f'--cluster {name}' for name in names)}"


def running_clusters() -> list[str]:
    """The local clusters of this user whose supervisor listens, by name."""
    found = []
    with contextlib.suppress(OSError):  # no folder, or none that we may read
        for path in sorted(state_folder().glob("*/state.json")):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                state = msgspec.json.decode(path.read_bytes(), type=_State)
                with socket.socket(socket.AF_UNIX) as supervisor:
                    supervisor.settimeout(SOCKET_TIMEOUT_S)
                    supervisor.connect(state.socket)
                found.append(path.parent.name)
    return found


def state_folder() -> Path:
    """$QUORUM_LAB_STATE, else quorum-lab under the user's state directory (XDG)."""
    if chosen := os.environ.get("QUORUM_LAB_STATE"):
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "quorum-lab"
