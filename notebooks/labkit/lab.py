"""What the panels need from a lab: the verbs behind the buttons and the facts behind the lights.

Lives here: the Protocol between panels and session, and one node's facts.
Must not live here: anything that does something. `Session` is the real lab; tests bring a double of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from labkit.samples import History


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node as its supervisor, its peers and the traffic service see it."""

    name: str
    state: str
    http_port: int
    pid: int | None = None
    peers_say: str = "unknown"  # one word for all of them, as the traffic service sums it up
    rate: float = 0.0
    cut_off: bool = False
    reason: str = ""
    killed: bool = False
    said_by: Mapping[str, str] = field(default_factory=dict)  # what each of them says: alive, suspect or dead
    joining: bool = False  # it runs, and takes its share of the data over before it is a member


class Lab(Protocol):
    """A cluster with traffic on it."""

    @property
    def history(self) -> History:
        """The last minute."""

    @property
    def replicas(self) -> int:
        """How many copies of each key the cluster keeps (N)."""

    @property
    def large(self) -> bool:
        """Whether panels are made for the back of a room."""

    @property
    def summary(self) -> str:
        """One friendly sentence: what was found or started."""

    def nodes(self) -> list[NodeFacts]:
        """The newest facts about every node; no waiting."""

    @property
    def chosen_world(self) -> str:
        """The world that rate, R, W, Start and Stop are about."""

    def choose(self, world: str) -> None:
        """Let them be about another world."""

    def settings(self) -> Mapping[str, float]:
        """rate, r, w and delay_ms as they were last reported; no waiting."""

    def subscribe(self, refresh: Callable[[], None]) -> Callable[[], None]:
        """Call `refresh` on the ticker's thread after every tick; what is answered ends that."""

    def submit(
        self,
        doing: str,
        action: Callable[[], object],
        *,
        done: Callable[[str | None], None] | None = None,
    ) -> None:
        """Queue `action` for the one worker thread; then call `done` with None or one sentence of error."""

    def status(self) -> tuple[str, bool]:
        """The status line and whether it tells of an error."""

    def kill(self, node: str) -> None:
        """SIGKILL it."""

    def pause(self, node: str) -> None:
        """SIGSTOP it: alive, but silent."""

    def resume(self, node: str) -> None:
        """SIGCONT it."""

    def restart(self, node: str) -> None:
        """Bring it back from dead, running or paused."""

    def isolate(self, node: str) -> None:
        """Cut all its links to its peers; clients still reach it."""

    def heal(self) -> None:
        """Take back every cut, delay and loss."""

    def delay(self, delay_ms: float) -> None:
        """Let every message between nodes take that much longer, one way."""

    def set_rate(self, rate: float) -> None:
        """Ask for that many operations/s of the chosen world."""

    def set_quorum(self, *, r: int | None = None, w: int | None = None) -> None:
        """How many replicas a read or a write waits for."""

    def start_traffic(self) -> None:
        """Let the people of the chosen world begin."""

    def stop_traffic(self) -> None:
        """Let them rest."""

    def reset(self) -> None:
        """All nodes running, no faults, standard traffic, empty charts: ready for the next class."""

    def put(self, key: str, value: str) -> Mapping[str, Any]:
        """One quorum write; the database's whole answer."""

    def replicas_of(self, key: str) -> list[Mapping[str, Any]]:
        """What each replica holds now: no quorum, no repair."""
