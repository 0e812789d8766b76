"""Operations and scenes as the course's judges take them, without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.course.operations import Operation


def operation(
    who: str, verb: str, value: Any = None, *, at_ms: float = 0.0, took_ms: float = 2.0, **more: Any
) -> Operation:
    """One that was answered well, unless `more` says otherwise."""
    fields: dict[str, Any] = {
        "who": who, "verb": verb, "key": "k", "node": "node-1", "sent_ms": at_ms, "answered_ms": at_ms + took_ms,
        "outcome": "ok", "status": 200, "value": value, "answer": {},
    }  # fmt: skip
    return Operation(**(fields | more))


def scene_of(*operations: Operation, conclusive: bool = True) -> Any:
    """What judges read of a scene."""
    return SimpleNamespace(
        operations=list(operations),
        conclusive=conclusive,
        status="conclusive" if conclusive else "inconclusive: the fault missed",
        of=lambda who: [one for one in operations if one.who == who],
    )


@pytest.fixture(name="operation")
def operation_fixture() -> Callable[..., Operation]:
    """`operation`, for tests that make operations."""
    return operation


@pytest.fixture(name="scene_of")
def scene_of_fixture() -> Callable[..., Any]:
    """`scene_of`, for tests that make scenes."""
    return scene_of
