"""Named topologies: nodes in regions of the world, and how long messages travel between them.

Nothing here is invented. The round trips are the averages between regions that IBM publishes for its cloud
(https://cloud.ibm.com/docs/vpc, "Network latency", generated from its file _include-segments/network-latency.md
in github.com/ibm-cloud-docs/vpc), those of 27 July to 25 August 2024, in whole milliseconds as printed. The table
has one figure for each direction of a pair; they differ by 2 ms at most, and here stands their mean. The page calls
them latencies; that they are round trips follows from the distances (light in fibre needs about 29 ms from
Washington DC to London, one way, and the table says 75).

A message takes half of the round trip on its way. Node number i lies in region i, counted around; nodes in the same
region are not delayed. Pure values.
Must not live here: which links are slow now (faults/rules.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from kvnode.cluster.contract import TopologyInfo
from kvnode.cluster.errors import BadCommand

WASHINGTON, LONDON, TOKYO, SYDNEY, SAO_PAULO = "Washington DC", "London", "Tokyo", "Sydney", "Sao Paulo"

ROUND_TRIP_MS: dict[frozenset[str], float] = {
    frozenset((WASHINGTON, LONDON)): 75.0,  # printed: 75, 75
    frozenset((WASHINGTON, TOKYO)): 165.0,  # 164, 166
    frozenset((WASHINGTON, SYDNEY)): 214.0,  # 214, 214
    frozenset((WASHINGTON, SAO_PAULO)): 118.5,  # 118, 119
    frozenset((LONDON, TOKYO)): 243.5,  # 243, 244
    frozenset((LONDON, SYDNEY)): 261.0,  # 261, 261
    frozenset((LONDON, SAO_PAULO)): 187.5,  # 188, 187
    frozenset((TOKYO, SYDNEY)): 115.0,  # 115, 115
    frozenset((TOKYO, SAO_PAULO)): 283.5,  # 284, 283
    frozenset((SYDNEY, SAO_PAULO)): 328.0,  # 328, 328
}

REGIONS: dict[str, tuple[str, ...]] = {
    "three-regions": (WASHINGTON, LONDON, TOKYO),
    "five-regions": (WASHINGTON, LONDON, TOKYO, SYDNEY, SAO_PAULO),
}

FACTOR_MAX = 50.0


@dataclass(frozen=True)
class Topology:
    """A named topology times one factor: 0.1 is a world ten times as small."""

    name: str
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in REGIONS:
            raise BadCommand(f"no topology called {self.name!r}; there are {', '.join(REGIONS)}")
        if not (isfinite(self.factor) and 0 < self.factor <= FACTOR_MAX):
            raise BadCommand(f"factor {self.factor}: expected a number above 0, at most {FACTOR_MAX:.0f}")

    def region_of(self, place: int) -> str:
        """Where the node at this place (from 0) lies."""
        regions = REGIONS[self.name]
        return regions[place % len(regions)]

    def one_way_ms(self, place: int, other_place: int) -> float:
        """The delay of a message from one node to another; 0 within a region."""
        pair = frozenset((self.region_of(place), self.region_of(other_place)))
        return round(ROUND_TRIP_MS.get(pair, 0.0) / 2.0 * self.factor, 6)

    def describe(self, nodes: Sequence[str]) -> TopologyInfo:
        """What state.json says of it."""
        return TopologyInfo(
            self.name, self.factor, {node: self.region_of(place) for place, node in enumerate(nodes)}
        )
