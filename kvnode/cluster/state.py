"""The two files of a cluster.

cluster.json says who it is, and lasts; state.json says what runs, and is gone when nothing does. Files are replaced in
one step, so a reader sees the old or the new one and never half of either.
Must not live here: where they lie (paths.py).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field, structs

from kvnode.cluster.errors import ClusterError
from kvnode.config import NodeAddress

PARTITIONS = 256


def write_json(path: Path, content: Struct | dict[str, Any]) -> None:
    """Replace the file atomically; only this user can read it. OSError: it is as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content, enc_hook=str), indent=1) + b"\n")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


class LeftChild(Struct):
    """What the next supervisor must know of a child whose supervisor died: which process it was."""

    name: str
    pid: int | None = None
    process_start: str = ""


class LeftState(Struct):
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


class ClusterFile(Struct, frozen=True):
    """The contents of cluster.json; kvnode/config.py tells what nodes make of it."""

    cluster: str
    cluster_id: str
    replicas: int
    nodes: tuple[NodeAddress, ...]
    partitions: int = PARTITIONS
    epoch: int = 1
    joining: tuple[str, ...] = ()
    founded: bool = False
    secret: str | None = None
    token: str | None = None
    maintenance: Mapping[str, float] = field(default={}, name="upkeep")  # its key in the file is older

    @classmethod
    def read(cls, path: Path) -> ClusterFile | None:
        """The file as last written; None if there is none yet. ClusterError if it makes no sense."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except (OSError, RecursionError, ValueError) as error:  # msgspec's errors are ValueErrors
            raise ClusterError(f"{path} cannot be read ({error}); start anew with --fresh") from error

    def write(self, path: Path) -> None:
        """Replace the file; nothing is written if it says this already (on a full disk a cluster can still start)."""
        with contextlib.suppress(ClusterError):
            if ClusterFile.read(path) == self:
                return
        try:
            write_json(path, self)
        except OSError as error:
            raise ClusterError(f"{path} cannot be written: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"ClusterFile({self.cluster!r})"  # no secret in a log

    def with_secret(self) -> ClusterFile:
        """The same cluster, with a new secret if it had none: by it nodes know each other, and what they handed out."""
        return structs.replace(self, secret=self.secret or secrets.token_urlsafe(32))

    def with_token(self) -> ClusterFile:
        """The same cluster, which demands a token of its clients, a new one if it had none."""
        return structs.replace(self, token=self.token or secrets.token_urlsafe(32))

    def at(self, host: str) -> ClusterFile:
        """The same cluster on another host, with a token for clients."""
        nodes = tuple(structs.replace(node, host=host) for node in self.nodes)
        return structs.replace(self, nodes=nodes).with_token()


def new_cluster_id() -> str:
    """A name for a newly created cluster that no other one has."""
    return secrets.token_hex(16)
