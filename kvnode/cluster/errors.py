"""What can go wrong around local processes. Every message is one line and says what to do.

Must not live here: what a node answers to a client (kvnode/errors.py).

    ClusterError
    ├── NotRunning       no supervisor holds this cluster
    ├── AlreadyRunning   a supervisor holds it already: attach, or stop it first
    ├── StartFailed      nodes did not come up; nothing was left running
    ├── NodeFailed       one node did not come up again
    └── BadCommand       a name, a number or a combination that makes no sense
"""

from __future__ import annotations


class ClusterError(Exception):
    """Something about the processes of a local cluster."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it (IPython asks for this): one line instead of a page of Python."""
        return [f"{type(self).__name__}: {self}"]


class NotRunning(ClusterError):
    """No supervisor holds this cluster."""


class AlreadyRunning(ClusterError):
    """A supervisor holds this cluster already."""


class StartFailed(ClusterError):
    """Nodes did not come up; whatever had started was stopped again."""


class NodeFailed(ClusterError):
    """A node or a sidecar did not come up."""


class BadCommand(ClusterError):
    """A name, a number or a combination that makes no sense; says what was expected."""


_KINDS = {kind.__name__: kind for kind in (NotRunning, AlreadyRunning, StartFailed, NodeFailed, BadCommand)}


def from_wire(kind: str, text: str) -> ClusterError:
    """The error that the supervisor reported."""
    return _KINDS.get(kind, ClusterError)(text)
