"""A journal that cannot be kept costs the journal: traffic goes on, one line says so, and nobody is accused."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvnode.checkers import Verdict
from traffic.control.generator import Generator
from traffic.load.driver import Settings
from traffic.measure.events import Acknowledged, AttemptStarted, Events, Request
from traffic.operations import Add, Put
from traffic.stores.base import CounterReply, PutReply
from traffic.stores.memory import MemoryStore
from traffic.stores.totals import CounterTotals
from traffic.verify import journal as journals
from traffic.verify.journal import SUFFIX, Journal, dead_journals
from traffic.verify.journal_keeping import MEANS, JournalKeeping
from traffic.verify.recovery import CLAIM

DOT = "node-1.3f2a91c205d8b7aa"


def put_reply(number: int) -> PutReply:
    return PutReply(f"tweet/{number}", f"{DOT}:{number}", {DOT: number}, "node-1", 2, issued_under={})


def added(keeping: JournalKeeping, counter: CounterTotals, amount: int) -> None:
    """An addition goes out and is acknowledged."""
    add = Add(kind="like", persona="ada", key=counter.key, amount=amount)
    request = Request(add, 0.0, 2, 2, 3, counter, counter.add(amount))
    events = Events(keeping)
    events.emit(AttemptStarted(request, "node-1", 0.0, False))
    events.emit(Acknowledged(request, "node-1", CounterReply(counter.key, amount, "node-1"), 0.0))


def failing(error: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise OSError(error, os.strerror(error))

    return fail


def a_file_in_place_of_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder.write_text("not a folder")
    return "is not a folder: File exists"


def a_file_in_place_of_its_parent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder.parent.rmdir()
    folder.parent.write_text("not a folder")
    return "there is no folder"


def no_permission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "open", failing(errno.EACCES))
    return "cannot be read and written: Permission denied"


def a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(journals, "_fill", failing(errno.ENOSPC))
    return "No space left on device"


def a_disk_that_knows_no_locks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    return "No locks available"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / "traffic-journals"


@pytest.mark.parametrize(
    "hinder",
    [
        a_file_in_place_of_the_folder,
        a_file_in_place_of_its_parent,
        no_permission,
        a_full_disk,
        a_disk_that_knows_no_locks,
    ],
)
def test_without_a_journal_traffic_goes_on_and_one_line_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hinder: Any
) -> None:
    says = hinder(folder, monkeypatch)

    async def main() -> tuple[dict[str, Any], Verdict]:
        generator = Generator(
            MemoryStore(), settings=Settings(rate=200), seed=1, journals=folder, successor=False
        )
        await generator.begin()
        generator.start()
        while generator.stats()["operations_total"] < 20:
            assert generator.why_broken() is None
            await asyncio.sleep(0.01)
        generator.stop()
        stats, verdict = generator.stats(), await generator.check()
        await generator.close()
        return stats, verdict

    stats, verdict = asyncio.run(main())
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("traffic: no journal is kept: ")
    assert says in line
    assert line.endswith(MEANS)
    assert str(folder) in line
    assert stats["journal"]["kept"] is False
    assert stats["journal"]["why_not"] in line
    assert verdict.status == "ok"
    if folder.is_dir():
        assert not list(folder.iterdir()), "nothing half made is left"


def test_one_that_cannot_go_on_is_given_up_and_what_it_held_accuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1. A journal fills its first segment; writes in it are acknowledged. 2. There is no room for a second one.
    3. The process goes on, and is killed. 4. What was acknowledged after step 2 is nowhere: half a journal would call
    a counter that went on growing wrong."""
    assert Journal.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Journal.__init__.__kwdefaults__, "segment_bytes", 4096)
    keeping = JournalKeeping(tmp_path, "traffic-1")
    keeping.belongs_to("c1")
    likes = CounterTotals("likes", "traffic-1")
    added(keeping, likes, 1)
    monkeypatch.setattr(journals, "_fill", failing(errno.ENOSPC))
    events = Events(keeping)
    for number in range(1, 200):
        put = Put(kind="tweet", persona="ada", key="k", value="1")
        events.emit(Acknowledged(Request(put, 0.0, 2, 2, 3), "node-1", put_reply(number), 0.0))
    assert not keeping.kept
    assert len(capsys.readouterr().err.splitlines()) == 1
    keeping.belongs_to("c2")  # it may become known late
    keeping.close(keep=True)
    [journal] = dead_journals(tmp_path)
    journal.read(r=2)
    assert (journal.cluster, journal.given_up) == ("c2", True)
    assert (journal.puts, journal.counters, journal.ledger.keys, journal.ledger.counters) == (0, 0, [], [])
    journal.let_go(delete=True)


def test_one_that_was_given_up_is_gone_when_its_process_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = JournalKeeping(tmp_path, "traffic-1")
    assert keeping.describe() == {"kept": True, "why_not": None}
    assert keeping._journal is not None
    keeping._journal.give_up()
    keeping.close()
    assert list(tmp_path.iterdir()) == []


def heir_of(folder: Path) -> tuple[dict[str, Any], list[Verdict]]:
    """What a successor on this folder tells: its state, and its verdicts on the dead."""

    async def main() -> tuple[dict[str, Any], list[Verdict]]:
        generator = Generator(MemoryStore(), settings=Settings(), seed=1, journals=folder)
        assert generator.recovery is not None
        await generator.recovery.take("memory")
        verdicts = [one for one in await generator.verdicts() if one.claim == CLAIM]
        stats = generator.stats()
        await generator.close()
        return stats, verdicts

    return asyncio.run(main())


def test_the_successor_of_one_that_gave_up_says_unknown(tmp_path: Path) -> None:
    keeping = JournalKeeping(tmp_path, "traffic-1")
    keeping.belongs_to("memory")
    likes = CounterTotals("likes", "traffic-1")
    added(keeping, likes, 5)  # in the journal; the store below has never heard of it
    assert keeping._journal is not None
    keeping._journal.give_up()
    keeping.close(keep=True)
    stats, [verdict] = heir_of(tmp_path)
    assert (verdict.status, stats["inherited"]["status"], stats["inherited"]["processes"]) == (
        "unknown",
        "unknown",
        1,
    )
    assert verdict.evidence == ("traffic-1 had given its journal up before it was killed",)
    assert not list(tmp_path.glob(f"*{SUFFIX}"))


def test_the_same_journal_not_given_up_is_a_violation(tmp_path: Path) -> None:
    """So that the test above is known to be about giving up."""
    keeping = JournalKeeping(tmp_path, "traffic-1")
    keeping.belongs_to("memory")
    likes = CounterTotals("likes", "traffic-1")
    added(keeping, likes, 5)
    keeping.close(keep=True)
    stats, [verdict] = heir_of(tmp_path)
    assert (verdict.status, stats["inherited"]["status"]) == ("violated", "violated")


def test_a_successor_that_cannot_look_says_unknown_and_why(tmp_path: Path) -> None:
    folder = tmp_path / "traffic-journals"
    folder.write_text("not a folder")
    stats, [verdict] = heir_of(folder)
    assert (verdict.status, stats["inherited"]["status"]) == ("unknown", "unknown")
    assert verdict.evidence == (f"no journals can be read: {folder} is not a folder",)
    assert json.dumps(stats["journal"])


def test_where_nobody_died_nothing_is_said(tmp_path: Path) -> None:
    stats, verdicts = heir_of(tmp_path)
    assert (verdicts, stats["inherited"]["status"]) == ([], None)


def test_a_system_without_fallocate_fills_the_file_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS has none."""
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    keeping = JournalKeeping(tmp_path, "traffic-1")
    [path] = tmp_path.iterdir()
    assert path.stat().st_size == journals.SEGMENT_BYTES
    keeping.close()
