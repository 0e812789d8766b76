"""The inventory workload: products in three warehouses, and everybody who moves them.

Here: which scenario begins next, by the hour and the season, and the interface that the driver and the service see.
Must not live here: the scenarios (scenarios.py), how stock is kept (reserved.py, unreserved.py).

The process opens shop first: each product is written, and goods of its own are put on every shelf. From then on each
arrival takes the step that has been due for longest, or else begins a scenario: one in the mix of the hour
(habits.py), with products drawn by popularity. Customers are served by the nearest warehouse that can. In the night,
every MAINTENANCE_EVERY_S, a node of each region in turn is asked for night work.

The bug "unreserved" may be switched at any time: scenarios that have begun end as they began, new ones keep stock in
the other way, on shelves of its own that are opened at the first use.
"""

from __future__ import annotations

import asyncio
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from random import Random
from typing import Any

from kvnode.checkers import Verdict
from traffic.operations import Operation
from traffic.stores.base import Reply
from traffic.workloads.base import Workload
from traffic.workloads.inventory import habits
from traffic.workloads.inventory.flows import Flow, Flows, Who
from traffic.workloads.inventory.habits import Season
from traffic.workloads.inventory.reserved import Reserved
from traffic.workloads.inventory.scenarios import Scenarios, worker_of
from traffic.workloads.inventory.unreserved import Unreserved
from traffic.workloads.inventory.warehouses import CATALOGUE, WAREHOUSES, Product
from traffic.workloads.personas import Population
from traffic.workloads.reading import Reads
from traffic.workloads.verdicts import at_risk

UNRESERVED = "unreserved"
TRIES_MAX = 4


class Inventory(Workload):
    """See the module. hour_of_day: answers the hour, 0 to 24; by default that of the wall times that are given."""

    name = "inventory"
    kinds = (
        "browse", "look", "order", "shipment", "sold", "departure", "arrival", "restocked", "restock", "stock_take",
        "repair", "sweep", "product", "opening",
    )  # fmt: skip
    bugs_known = (UNRESERVED,)

    def __init__(
        self,
        random: Random,
        *,
        tag: str | None = None,
        bugs: frozenset[str] = frozenset(),
        hour_of_day: Callable[[], float] | None = None,
    ) -> None:
        self.bugs = bugs
        self.hour_of_day = hour_of_day
        self._random = random
        self._tag = tag or f"{random.getrandbits(16):04x}"
        self._customers = Population(random)
        self._flows = Flows()
        self._sessions = 0
        self._maintained_s = float("-inf")
        self._maintained = 0  # how many times
        self._worlds: dict[str, Scenarios] = {}
        self.season = "normal"

    # --- what people may see and change -------------------------------------------------------------------

    def change_habits(
        self, *, personas: Mapping[str, float] | None = None, read_share: float | None = None
    ) -> None:
        if read_share is not None:
            raise ValueError("inventory takes no read_share: the hour decides who looks and who orders")
        self._customers.make_busy(personas or {})

    def people(self) -> list[dict[str, Any]]:
        return self._customers.people()

    def homes(self) -> Mapping[str, int]:
        return self._customers.homes()

    @property
    def season(self) -> Season:
        """ "normal" or "black-friday": then four times the orders are begun, for more units, and most of them for
        one product."""
        return self._season

    @season.setter
    def season(self, season: Season) -> None:
        if season not in habits.SEASONS:
            raise ValueError(f"season must be one of {', '.join(habits.SEASONS)}, got {season!r}")
        self._season = season
        self._demand = list(accumulate(habits.demand(season, len(CATALOGUE))))

    @property
    def active(self) -> int:
        """How many products are for sale."""
        return len(self.products)

    @property
    def products(self) -> Sequence[Product]:
        """The products that are for sale now, with sku and name."""
        scenarios = self._worlds.get(self._way)
        return () if scenarios is None else tuple(scenarios.opened)

    def counts(self) -> Mapping[str, int]:
        """What COUNTED (scenarios.py) says, and from the books: units oversold, shelves that were read below 0, units
        of movements without an answer."""
        total: Counter[str] = Counter()
        for scenarios in self._worlds.values():
            total.update(scenarios.counted)
            books = scenarios.stock.books
            total.update(oversold=books.oversold, negative=books.negative, unanswered=books.unanswered)
        return dict(total)

    async def check(self, reads: Reads) -> list[Verdict]:
        """One verdict for each way of keeping stock that was used."""
        verdicts: list[Verdict] = []
        for scenarios in list(self._worlds.values()):  # another may be opened meanwhile
            stock = scenarios.stock
            since = stock.books.snapshot()
            shelves = [
                (warehouse.name, product.sku) for product in stock.products for warehouse in WAREHOUSES
            ]
            found = await asyncio.gather(*(stock.found(reads, *shelf) for shelf in shelves))
            risky = at_risk(stock.books.w_min, reads)
            verdicts.append(
                stock.books.judge(dict(zip(shelves, found, strict=True)), since=since, at_risk=risky)
            )
        return verdicts

    async def stock_of(self, product: Product, reads: Reads) -> Mapping[str, int | None]:
        """Units of one of the `products` in each warehouse, read now; None where nobody could answer."""
        stock = self._worlds[self._way].stock
        names = [warehouse.name for warehouse in WAREHOUSES]
        found = await asyncio.gather(*(stock.found(reads, name, product.sku) for name in names))
        return {name: read.total if read else None for name, read in zip(names, found, strict=True)}

    # --- what the driver asks -----------------------------------------------------------------------------

    def next_operation(self, now_s: float) -> Operation:
        scenarios = self._world(now_s)
        for _ in range(TRIES_MAX):
            operation = self._flows.next_due(now_s)
            if operation is not None:
                return operation
            if not self._flows.has_room:  # nothing is answered for long: whoever comes can only look
                break
            self._flows.start(
                self._scenario(scenarios, now_s), now_s
            )  # some find nothing to do, and end at once
        return self._passer_by().get("browse", self._wanted(scenarios).key)

    def answered(self, operation: Operation, reply: Reply, now_s: float) -> None:
        self._flows.answered(operation, reply, now_s)

    def failed(self, operation: Operation, *, definite: bool, now_s: float) -> None:
        self._flows.failed(operation, definite=definite, now_s=now_s)

    # --- inside -------------------------------------------------------------------------------------------

    @property
    def _way(self) -> str:
        return UNRESERVED if UNRESERVED in self.bugs else "reserved"

    def _world(self, now_s: float) -> Scenarios:
        """The scenarios over the present way of keeping stock; at the first use the shop is opened."""
        scenarios = self._worlds.get(self._way)
        if scenarios is None:
            stock = Unreserved(self._random, self._tag) if self._way == UNRESERVED else Reserved()
            scenarios = self._worlds[self._way] = Scenarios(
                stock, self._random, f"{self._tag}-{len(self._worlds)}"
            )
            for product in stock.products:
                if self._flows.has_room:
                    self._flows.start(
                        scenarios.open(worker_of(WAREHOUSES[0], self._session()), product), now_s
                    )
        return scenarios

    def _scenario(self, scenarios: Scenarios, now_s: float) -> Flow[None]:
        """What somebody begins now."""
        hour = self._hour(now_s)
        if habits.is_night(hour) and now_s - self._maintained_s >= habits.MAINTENANCE_EVERY_S:
            self._maintained_s = now_s
            self._maintained += 1
            return scenarios.night_work(self._worker(self._maintained))
        activity = habits.next_activity(self._random, hour, self._season)
        product = self._wanted(scenarios)
        if product not in scenarios.opened:
            activity = "browse"
        if activity == "order":
            units = self._random.choice(habits.UNITS_PER_ORDER[self._season])
            return scenarios.order(self._passer_by(), product, units)
        if activity == "browse":
            return scenarios.browse(self._passer_by(), product)
        place = self._random.randrange(len(WAREHOUSES))
        if activity == "transfer":
            return scenarios.transfer(self._worker(place), product)
        if activity == "stock_take":
            return scenarios.take_stock(self._worker(place), WAREHOUSES[place].name, product)
        emptiest = scenarios.emptiest(product)
        return scenarios.restock(self._worker(place), emptiest, product)

    def _wanted(self, scenarios: Scenarios) -> Product:
        """A product, as likely as it is popular."""
        return scenarios.stock.products[bisect(self._demand, self._random.random() * self._demand[-1])]

    def _passer_by(self) -> Who:
        """Some customer, somewhere."""
        persona = self._customers.pick()
        self._customers.acted[persona.kind.name] += 1
        return Who(persona.handle, persona.region, self._session())

    def _worker(self, place: int) -> Who:
        return worker_of(WAREHOUSES[place % len(WAREHOUSES)], self._session())

    def _session(self) -> str:
        self._sessions += 1
        return f"{self._tag}-{self._sessions}"

    def _hour(self, now_s: float) -> float:
        if self.hour_of_day is not None:
            return self.hour_of_day()
        now = datetime.fromtimestamp(now_s)
        return now.hour + now.minute / 60
