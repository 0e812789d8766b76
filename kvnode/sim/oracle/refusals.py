"""Judges what "definite" says: a write that was refused so is nowhere, and what is anywhere was sent by somebody."""

from __future__ import annotations

from collections import Counter

from kvnode.operations import Put
from kvnode.sim.observer import Operation
from kvnode.sim.oracle.history import History
from kvnode.sim.oracle.judge import Judge, told
from kvnode.sim.oracle.model import Made

_Write = tuple[str, bytes | None]
"""A key, and the value that was sent for it; None for a DELETE."""


class Refusals(Judge):
    """The judge of refusals.

    A value may be sent more than once (again, through another node); it may be there as long as one of these requests
    may have written it. Of DELETEs one is like another, so they are judged where all of a key were refused.
    """

    def __init__(self, counts: Counter[str], history: History) -> None:
        super().__init__(counts)
        self._history = history
        self._may_be_there: Counter[_Write] = Counter()
        self._refused: dict[_Write, Operation] = {}
        self._there: dict[_Write, Made] = {}
        self._written_keys: set[str] = set()

    def sent(self, operation: Operation) -> None:
        """From now on it may be there."""
        self._may_be_there[_write_of(operation)] += 1
        self._written_keys.add(operation.request.key)

    def answered(self, operation: Operation) -> None:
        """Judge a refusal: is it there already?"""
        if not operation.body.get("definite"):
            return
        write = _write_of(operation)
        self._may_be_there[write] -= 1
        self._refused[write] = operation
        made = None if self._may_be_there[write] else self._there.get(write)
        broken = f"{told(operation)}: was refused as definite, and is there as {made}"
        self.judge("what is refused as definite is nowhere", "" if made is None else broken)

    def appeared(self, key: str, made: Made) -> None:
        """A version is durable somewhere for the first time: did anybody ask for it?"""
        if key not in self._written_keys:
            return  # a scenario has put it there itself
        write = (key, None if made.deleted else made.value)
        self._there[write] = made
        broken = ""
        if not self._may_be_there[write]:
            refused = self._refused.get(write)
            why = "nobody has sent" if refused is None else f"was refused as definite ({told(refused)})"
            broken = f"{key}: {made} became durable, which {why}"
        self.judge("what is stored was sent, and not refused", broken)


def _write_of(operation: Operation) -> _Write:
    request = operation.request
    assert isinstance(request, Put)
    return request.key, request.value
