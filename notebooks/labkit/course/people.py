"""People of a scene: each with a node, a client and, where wished, several operations under way at once.

Whatever the database answers becomes an `Operation`: an error is part of what the scene shows, so nothing is raised.
Must not live here: faults and guards (scene.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from kvnode.client import Client
from kvnode.errors import KvError, NotFound
from labkit.course.operations import Operation, Outcome, Verb
from labkit.errors import LabError

PATIENCE_S = 5.0  # a node answers within two seconds, also that it cannot


class Notebook(Protocol):
    """What a person needs of the scene: its clock, and somebody who writes down."""

    def now_ms(self) -> float:
        """Since the scene began."""

    def begin(self) -> None:
        """One more operation is under way; LabError if there are too many, or the scene lasts too long."""

    def ended(self, operation: Operation) -> None:
        """It is over."""


class Pending:
    """An operation that is under way; asking it for anything waits for its end."""

    def __init__(self, run: Callable[[], Operation], name: str) -> None:
        self._operation: Operation | None = None
        self._thread = threading.Thread(target=self._run, args=(run,), name=name, daemon=True)
        self._thread.start()

    def _run(self, run: Callable[[], Operation]) -> None:
        self._operation = run()

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._operation is not None

    def wait(self, timeout_s: float = PATIENCE_S * 2) -> Operation:
        """The operation when it is over."""
        self._thread.join(timeout_s)
        if self._operation is None:
            raise LabError("An operation has not ended.", why=f"it was given {timeout_s:g} s")
        return self._operation

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.wait(), name)


class Person:
    """Somebody who talks to one node. get, put, … answer an Operation; begin_put and its kin answer at once."""

    def __init__(self, who: str, node: str, client: Client, notebook: Notebook) -> None:
        self.who, self.node = who, node
        self._client, self._notebook = client, notebook

    def get(self, key: str, *, r: int | None = None, repair: bool = True) -> Operation:
        """Read a key from r replicas."""
        options = {"r": r, "repair": repair}
        return self._do(
            "get", key, None, options, lambda: self._client.get(key, r=r, repair=repair, node=self.node)
        )

    def put(
        self,
        key: str,
        value: Any,
        *,
        context: str | None = None,
        w: int | None = None,
        mode: str | None = None,
    ) -> Operation:
        """Write; with the context of a read it replaces exactly what that read saw."""
        options = {"w": w, "mode": mode, "context": context}
        return self._do(
            "put", key, value, options,
            lambda: self._client.put(key, value, context=context, w=w, mode=mode, node=self.node),
        )  # fmt: skip

    def delete(self, key: str, *, context: str | None = None, w: int | None = None) -> Operation:
        """Delete a key: a write like any other."""
        options = {"w": w, "context": context}
        return self._do(
            "delete", key, None, options,
            lambda: self._client.delete(key, context=context, w=w, node=self.node),
        )  # fmt: skip

    def increment(
        self,
        key: str,
        *,
        actor: str | None = None,
        total: int = 1,
        taken_back: int | None = None,
        w: int | None = None,
    ) -> Operation:
        """Add `total` to a counter; with an actor, say what its running totals are: so much given, and taken back."""
        options = {"w": w, "actor": actor, "taken_back": taken_back}
        return self._do(
            "increment", key, total, options,
            lambda: self._client.increment(key, actor, total, taken_back or 0, w=w, node=self.node),
        )  # fmt: skip

    def count(self, key: str, *, r: int | None = None, repair: bool = True) -> Operation:
        """Read a counter."""
        options = {"r": r, "repair": repair}
        return self._do(
            "count", key, None, options,
            lambda: self._client.counter(key, r=r, repair=repair, node=self.node),
        )  # fmt: skip

    def begin_put(self, key: str, value: Any, **options: Any) -> Pending:
        """The same as `put`, without waiting for the answer."""
        return Pending(lambda: self.put(key, value, **options), f"{self.who} writes")

    def begin_get(self, key: str, **options: Any) -> Pending:
        """The same as `get`, without waiting for the answer."""
        return Pending(lambda: self.get(key, **options), f"{self.who} reads")

    def _do(
        self,
        verb: Verb,
        key: str,
        value: Any,
        options: Mapping[str, Any],
        ask: Callable[[], Mapping[str, Any]],
    ) -> Operation:
        self._notebook.begin()
        began = Operation(
            who=self.who, verb=verb, key=key, node=self.node, sent_ms=self._notebook.now_ms(), answered_ms=None,
            outcome="unknown", value=value, options=_told(options),
        )  # fmt: skip
        ended = began
        try:
            ended = self._answered(began, ask())
        except NotFound as error:
            found = replace(self._failed(began, error), outcome="ok", value=None, detail="")
            ended = found
        except KvError as error:
            ended = self._failed(began, error)
        finally:
            self._notebook.ended(ended)
        return ended

    def _answered(self, began: Operation, answer: Mapping[str, Any]) -> Operation:
        now_ms = self._notebook.now_ms()
        value = seen_in(answer) if began.verb in ("get", "count") else began.value
        return replace(
            began, answered_ms=now_ms, outcome="ok", status=200, value=value, answer=dict(answer),
            trace_id=answer.get("trace_id"),
        )  # fmt: skip

    def _failed(self, began: Operation, error: KvError) -> Operation:
        outcome: Outcome = "refused" if error.definite else "unknown"
        answered_ms = None if error.status == 0 else self._notebook.now_ms()
        return replace(
            began, answered_ms=answered_ms, outcome=outcome, status=error.status, detail=error.detail,
            answer=dict(error.extra), trace_id=error.extra.get("trace_id"),
        )  # fmt: skip


def _told(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say something: what was left to the database is left out."""
    return {name: value for name, value in options.items() if value is not None and value is not True}


def seen_in(answer: Mapping[str, Any]) -> Any:
    """What a read shows: the value, or the list of all values where there are siblings."""
    siblings = answer.get("siblings")
    if not siblings:
        return answer.get("value")
    values = [one.get("value") for one in siblings if not one.get("deleted")]
    return values if len(values) > 1 else (values[0] if values else None)


def wall_ms() -> float:
    """The wall clock, to lay traces of nodes beside a scene's own times."""
    return time.time() * 1000.0
