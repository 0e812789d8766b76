"""The supervisor of a local cluster, as the traffic sees it: its state file is read, and its socket is told.

Here: finding the state file of our nodes and reading it again when it has changed (where nodes are, in which regions
they lie, what was done to them), and one command.
Must not live here: what follows (table.py: a persona's own region is asked first; membership.py; runs/faults.py),
delays (the cluster's links have them; the generator invents none).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from kvnode.cluster.contract import Command
from traffic.discovery import state_folder

ANSWER_BYTES_MAX = 1024 * 1024
ANSWER_TIMEOUT_S = 40.0  # a restart waits until the node is ready


class Refused(Exception):
    """The command was not carried out; the text says why. is_senseless: it could never be, as it was put."""

    def __init__(self, reason: str, *, is_senseless: bool = False) -> None:
        super().__init__(reason)
        self.is_senseless = is_senseless


class NobodyThere(Refused):
    """No supervisor of this cluster is known, or it does not answer."""


class Topology(Struct):
    regions: dict[str, str] = {}
    name: str = ""


class NodeState(Struct):
    """One node: its process, and the faults that were set. rules: of its outgoing links, by peer. wiped: its data is
    gone, and it has not run since."""

    name: str
    url: str
    state: str = "running"
    reason: str | None = None
    since_ms: float | None = None
    restarts: int = 0
    wiped: bool = False
    rules: dict[str, dict[str, float | bool | str]] = {}
    clock_skew_ms: float = 0.0
    disk_delay_ms: float = 0.0


class State(Struct):
    nodes: list[NodeState]
    topology: Topology | None = None
    socket: str = ""


class _Answer(Struct):
    ok: bool = False
    error: str = ""
    kind: str = ""


class Supervisor:
    """urls: answers those of the nodes that are known, by name. There is nobody to see while they belong to no local
    cluster."""

    def __init__(self, urls: Callable[[], Mapping[str, str]]) -> None:
        self._known = urls
        self._seen: tuple[Path, int] | None = None  # the file that was read, and when it was changed
        self._state: State | None = None

    def state(self) -> State | None:
        """As written last; None without a state file. Costs little: one that has not changed is not read again."""
        if self._seen is not None and _changed_ns(self._seen[0]) == self._seen[1]:
            return self._state
        self._seen, self._state = None, None
        known = self._known()
        for path in sorted(state_folder().glob("*/state.json")):
            changed_ns = _changed_ns(path)
            state = _read(path)
            if state is not None and any(known.get(node.name) == node.url for node in state.nodes):
                self._seen, self._state = (path, changed_ns), state
                break
        return self._state

    def regions(self) -> Mapping[str, str]:
        """By node; empty without a topology."""
        state = self.state()
        return state.topology.regions if state and state.topology else {}

    def urls(self) -> Mapping[str, str]:
        """By node; empty without a state file."""
        state = self.state()
        return {node.name: node.url for node in state.nodes} if state else {}

    async def tell(self, command: Command) -> None:
        """Have it carried out. Refused: it was not, or there is nobody."""
        state = self.state()
        if state is None or not state.socket:
            raise NobodyThere("no supervisor of this cluster is known here")
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(state.socket, limit=ANSWER_BYTES_MAX)
                try:
                    writer.write(msgspec.json.encode(command) + b"\n")
                    answer = msgspec.json.decode(await reader.readline(), type=_Answer)
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: too long, or no JSON
            raise NobodyThere(f"the supervisor does not answer: {error or type(error).__name__}") from None
        if not answer.ok:
            raise Refused(answer.error, is_senseless=answer.kind == "BadCommand")


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(path: Path) -> State | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError):
        return None  # being written, or gone: the next look will tell
