"""Many people who do the same thing at the same moment, with a barrier behind it: nobody goes on before all are done.

A race that is left to luck proves nothing. Here every read has been answered before the first write is sent, so that
what is shown does not depend on speed.
Must not live here: what one person does (people.py), faults and guards (scene.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labkit.course.operations import Operation
from labkit.course.people import Pending, Person
from labkit.errors import LabError


class Crowd:
    """People by their number. Each call is made by all at once, and answers when the last one was answered."""

    def __init__(self, people: Sequence[Person]) -> None:
        self.people = tuple(people)

    def __len__(self) -> int:
        return len(self.people)

    def get(self, key: str, **options: Any) -> list[Operation]:
        """Everybody reads the key."""
        return self._together(lambda person, _: person.get(key, **options))

    def put(self, key: str, values: Sequence[Any], **options: Any) -> list[Operation]:
        """Everybody writes a value of their own, the first person the first value."""
        if len(values) != len(self.people):
            raise LabError(f"There are {len(self.people)} people, and {len(values)} values.")
        return self._together(lambda person, number: person.put(key, values[number], **options))

    def increment(self, key: str, **options: Any) -> list[Operation]:
        """Everybody adds to the counter, by one unless `total` says otherwise."""
        return self._together(lambda person, _: person.increment(key, **options))

    def _together(self, act: Callable[[Person, int], Operation]) -> list[Operation]:
        return [pending.wait() for pending in [*self._begun(act)]]

    def _begun(self, act: Callable[[Person, int], Operation]) -> Iterator[Pending]:
        for number, person in enumerate(self.people):
            yield Pending(lambda person=person, number=number: act(person, number), person.who)  # type: ignore[misc]
