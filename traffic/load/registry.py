"""The workload registry: one line for each workload.

Here: names, makers, the rates at which they run unless somebody says otherwise.
Must not live here: what happens in them (workloads/).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from traffic.load.driver import Schedule
from traffic.workloads.base import Workload
from traffic.workloads.collab import Collab
from traffic.workloads.inventory import Inventory
from traffic.workloads.twitter import Twitter


@dataclass(frozen=True)
class RegisteredWorkload:
    """make: from a seeded random generator and a tag, which no other process uses. rate: operations/s.
    schedule: makes the times of its operations, if they do not follow from a rate (a replay)."""

    make: Callable[[Random, str], Workload]
    rate: float
    schedule: Callable[[], Schedule] | None = None


WORKLOADS: dict[str, RegisteredWorkload] = {
    "twitter": RegisteredWorkload(lambda random, tag: Twitter(random, tag=tag), rate=50.0),
    "collab": RegisteredWorkload(lambda random, tag: Collab(random, tag=tag), rate=20.0),
    "inventory": RegisteredWorkload(lambda random, tag: Inventory(random, tag=tag), rate=30.0),
}
STARTED_BY_DEFAULT = ("twitter",)


def checked_bug(workload: Workload, bug: str) -> str:
    """`bug`, if this workload has such a switch; ValueError says which there are."""
    if bug not in workload.bugs_known:
        known = ", ".join(workload.bugs_known) or "none"
        raise ValueError(f"{workload.name} has no bug called {bug!r}; there is: {known}")
    return bug
