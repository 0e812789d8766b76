"""One operation of one person on the database, as this notebook saw it.

Invariant: times are milliseconds since the scene began, on one monotonic clock of this kernel. No clock of a node is
compared with them; the scene keeps `wall_ms_at_zero` to lay the traces of the nodes beside them.
Must not live here: sending (scene.py) and drawing (labkit.figures).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Verb = Literal["put", "get", "delete", "increment", "count"]
Outcome = Literal["ok", "refused", "unknown"]
"""ok: answered. refused: answered with an error that is definite: no replica has applied it. unknown: an error that is
not definite, or no answer: a write may have happened, or may yet happen."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What one person asked of one node, and what came of it.

    detail: the database's own words where it was not answered well. value: what was written, or what was read (a list
    of all siblings where there are several). answer: the whole answer, or the problem document. options: r, w, mode,
    context and the like, as they were sent.
    """

    who: str
    verb: Verb
    key: str
    node: str
    sent_ms: float
    answered_ms: float | None
    outcome: Outcome
    status: int | None = None
    detail: str = ""
    trace_id: str | None = None
    value: Any = None
    answer: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the database answered it well."""
        return self.outcome == "ok"

    @property
    def took_ms(self) -> float | None:
        """From sending to the answer; None where none came."""
        return None if self.answered_ms is None else self.answered_ms - self.sent_ms

    @property
    def end_ms(self) -> float:
        """When the answer came; infinite where none did."""
        return float("inf") if self.answered_ms is None else self.answered_ms

    @property
    def timestamp(self) -> float:
        """The coordinator's wall clock when it took a write, ms; not a number for anything else."""
        return float((self.answer or {}).get("timestamp", "nan"))

    @property
    def siblings(self) -> Sequence[Mapping[str, Any]]:
        """The versions that a GET answered; none for anything else."""
        found = (self.answer or {}).get("siblings")
        return found if isinstance(found, list) else []

    @property
    def values(self) -> list[Any]:
        """The values that a GET answered, one a sibling, without deleted ones."""
        return [one.get("value") for one in self.siblings if not one.get("deleted")]

    @property
    def number(self) -> int:
        """The value as a number, for programs that count; 0 where none stands there."""
        return self.value if isinstance(self.value, int) else 0

    @property
    def totals(self) -> dict[str, tuple[int, int]]:
        """Of a counter that was read: what each actor has given and taken back."""
        actors = (self.answer or {}).get("actors")
        return {
            actor: (int(one["increments"]), int(one["decrements"]))
            for actor, one in (actors if isinstance(actors, Mapping) else {}).items()
        }

    @property
    def context(self) -> str | None:
        """What the next PUT may name as what it has seen."""
        found = (self.answer or {}).get("context")
        return found if isinstance(found, str) else None

    @property
    def dot(self) -> str | None:
        """The name of the version that a PUT made."""
        found = (self.answer or {}).get("dot")
        return found if isinstance(found, str) else None

    def _addition(self) -> str:
        actor = self.options.get("actor")
        return f"adds {self.value!r}" if actor is None else f"tells {actor}'s total {self.value!r}"

    def sentence(self) -> str:
        """One line for people: who asked what of whom, and what came of it."""
        asked = {
            "put": f"writes {self.value!r} to {self.key}",
            "get": f"reads {self.key}",
            "delete": f"deletes {self.key}",
            "increment": f"{self._addition()} to {self.key}",
            "count": f"reads the counter {self.key}",
        }[self.verb]
        if self.outcome != "ok":
            came = f"{self.outcome}: {self.detail}"
        elif self.verb in ("get", "count"):
            came = f"sees {self.value!r}"
        else:
            came = "acknowledged"
        took = "" if self.took_ms is None else f" after {self.took_ms:.0f} ms"
        return f"{self.sent_ms:.0f} ms: {self.who} {asked} through {self.node}: {came}{took}"
