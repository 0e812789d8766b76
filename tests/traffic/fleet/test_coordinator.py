"""The coordinator: what becomes of the reports of its workers. Without processes; those are in the live tests."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from kvnode.checkers import Verdict
from traffic.control.generator import Generator
from traffic.fleet.commands import Command
from traffic.fleet.coordinator import Fleet, WorkerDied
from traffic.fleet.messages import Report
from traffic.load.driver import Settings
from traffic.stores.memory import MemoryStore

CLAIM = "no acknowledged write was lost"


def checked(*answers: Report | Exception) -> list[Verdict]:
    """The verdicts of a fleet whose workers answer so."""

    def worker(answer: Report | Exception, number: int) -> Any:
        def order(command: Command) -> asyncio.Future[Report]:
            future = asyncio.get_running_loop().create_future()
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
            return future

        return SimpleNamespace(order=order, name=f"generator process {number}")

    async def main() -> list[Verdict]:
        own = Generator(MemoryStore(), settings=Settings(), seed=1)
        fleet = Fleet(own, processes=len(answers), settings=Settings())
        fleet._workers = [worker(answer, number) for number, answer in enumerate(answers, 1)]
        verdicts = await fleet.tell(Command("check"))
        fleet._workers = []
        await fleet.close()
        return verdicts

    return asyncio.run(main())


def good() -> Report:
    verdict = Verdict(status="ok", claim=CLAIM, acknowledged=100)
    return Report(number=1, verdicts=[msgspec.to_builtins(verdict)])


def test_the_verdicts_of_all_workers_are_one() -> None:
    first = checked(good(), good())[0]
    assert (first.claim, first.status, first.acknowledged) == (CLAIM, "ok", 200)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Report(number=1, error="KeyError: 'tweet/1'"), "process 2 could not check: KeyError: 'tweet/1'"),
        (WorkerDied("generator process 2"), "process 2 did not say what it knows; its journal will be read"),
    ],
)
def test_a_worker_that_could_not_check_makes_it_unknown_and_says_why(
    answer: Report | Exception, says: str
) -> None:
    first = checked(good(), answer)[0]
    assert (first.claim, first.status, first.acknowledged) == (CLAIM, "unknown", 100)
    assert any(says in line for line in first.evidence)
