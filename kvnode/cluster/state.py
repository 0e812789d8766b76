"""The two files of a cluster.

cluster.json says who it is, and lasts; state.json says what runs, and is gone when nothing does.
Files are replaced in one step, so a reader sees the old or the new one and never half of either.
Not here: where they lie (paths.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from kvnode.cluster.errors import ClusterError
from kvnode.config import NodeAddress

NodeState = Literal["starting", "running", "paused", "dead", "failed"]
"""dead: killed, crashed or stopped. failed: did not start; the reason says why."""

PARTITIONS = 256


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file atomically; only this user can read it. OSError: it is as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None if there is no file. ClusterError if it is no JSON object."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, ValueError) as error:
        raise ClusterError(f"{path} cannot be read ({error}); start anew with --fresh") from error
    if not isinstance(content, dict):
        raise ClusterError(f"{path} does not hold a JSON object; start with --fresh for a new cluster")
    return content


class LeftChild(msgspec.Struct):
    """What the next supervisor must know of a child whose supervisor died: which process it was."""

    name: str
    pid: int | None = None
    process_start: str = ""


class LeftState(msgspec.Struct):
    """state.json, as far as a supervisor reads what an earlier one left there."""

    nodes: list[LeftChild] = []
    sidecars: list[LeftChild] = []


def read_left_state(path: Path) -> LeftState:
    """What an earlier supervisor left; ClusterError if the file is not one that a supervisor wrote."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LeftState)
    except FileNotFoundError:
        return LeftState()
    except (OSError, RecursionError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise ClusterError(f"{path} cannot be read ({error})") from error


def set_aside(path: Path) -> Path:
    """Rename a file that makes no sense (or whatever lies in its place), so that it can be looked at; its new name."""
    aside = path.with_name(f"{path.name}.unreadable-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    path.rename(aside)
    return aside


@dataclass(frozen=True)
class ClusterFile:
    """The contents of cluster.json; kvnode/config.py tells what nodes make of it."""

    cluster: str
    cluster_id: str
    replicas: int
    nodes: tuple[NodeAddress, ...]
    partitions: int = PARTITIONS
    epoch: int = 1
    joining: tuple[str, ...] = ()
    founded: bool = False
    secret: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    upkeep: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ClusterFile | None:
        """The file as last written; None if there is none yet."""
        content = read_json(path)
        if content is None:
            return None
        try:
            nodes = tuple(
                NodeAddress(str(n["name"]), str(n["host"]), int(n["http_port"]), int(n["peer_port"]))
                for n in content["nodes"]
            )
            return cls(
                cluster=str(content["cluster"]),
                cluster_id=str(content["cluster_id"]),
                replicas=int(content["replicas"]),
                nodes=nodes,
                partitions=int(content["partitions"]),
                epoch=int(content.get("epoch", 1)),
                joining=tuple(str(name) for name in content.get("joining", ())),
                founded=bool(content.get("founded", False)),
                secret=content.get("secret"),
                token=content.get("token"),
                upkeep={str(name): float(s) for name, s in content.get("upkeep", {}).items()},
            )
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ClusterError(f"{path} is not as expected ({error!r}); start with --fresh") from error

    def write(self, path: Path) -> None:
        """Replace the file; nothing is written if it says this already (on a full disk a cluster can still start)."""
        nodes = [msgspec.structs.asdict(node) for node in self.nodes]
        content = {**vars(self), "nodes": nodes}
        with contextlib.suppress(ClusterError):
            if read_json(path) == json.loads(json.dumps(content)):
                return
        try:
            write_json(path, content)
        except OSError as error:
            raise ClusterError(f"{path} cannot be written: {error.strerror}") from error

    def with_secret(self) -> ClusterFile:
        """The same cluster, with a new secret if it had none: by it nodes know each other, and what they handed out."""
        return replace(self, secret=self.secret or secrets.token_urlsafe(32))

    def with_token(self) -> ClusterFile:
        """The same cluster, which demands a token of its clients, a new one if it had none."""
        return replace(self, token=self.token or secrets.token_urlsafe(32))

    def at(self, host: str) -> ClusterFile:
        """The same cluster on another host, with a token for clients."""
        nodes = tuple(msgspec.structs.replace(node, host=host) for node in self.nodes)
        return replace(self, nodes=nodes).with_token()


def new_cluster_id() -> str:
    """A name for a newly created cluster that no other one has."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class NodeInfo:
    """One node as its supervisor sees it. since_ms: wall clock of the last change of state."""

    name: str
    url: str
    host: str
    http_port: int
    peer_port: int
    pid: int | None
    state: NodeState
    reason: str
    since_ms: int
    restarts: int
    data_dir: Path
    log_file: Path
    rules: Mapping[str, Mapping[str, Any]]
    clock_skew_ms: float = 0.0
    disk_delay_ms: float = 0.0

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> NodeInfo:
        """From an entry of state.json."""
        return cls(
            name=entry["name"],
            url=entry["url"],
            host=entry["host"],
            http_port=entry["http_port"],
            peer_port=entry["peer_port"],
            pid=entry["pid"],
            state=entry["state"],
            reason=entry.get("reason", ""),
            since_ms=entry.get("since_ms", 0),
            restarts=entry.get("restarts", 0),
            data_dir=Path(entry["data_dir"]),
            log_file=Path(entry["log_file"]),
            rules=entry.get("rules", {}),
            clock_skew_ms=entry.get("clock_skew_ms", 0.0),
            disk_delay_ms=entry.get("disk_delay_ms", 0.0),
        )


NodeStatus = NodeInfo


@dataclass(frozen=True)
class SidecarInfo:
    """One other process that lives as long as the cluster. ready_line: what it printed when it was ready."""

    name: str
    pid: int | None
    state: NodeState
    argv: tuple[str, ...]
    reason: str
    ready_line: str
    log_file: Path

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> SidecarInfo:
        """From an entry of state.json."""
        return cls(
            name=entry["name"],
            pid=entry["pid"],
            state=entry["state"],
            argv=tuple(entry["argv"]),
            reason=entry.get("reason", ""),
            ready_line=entry.get("ready_line", ""),
            log_file=Path(entry["log_file"]),
        )
