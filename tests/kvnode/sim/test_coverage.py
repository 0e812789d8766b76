"""What a simulation must produce is counted, and what is rare in every scenario is told."""

from pathlib import Path

import pytest

from kvnode.sim import coverage
from kvnode.sim.__main__ import main
from kvnode.sim.coverage import Seen, lines, rare
from kvnode.sim.scenarios import SCENARIOS


def _seen(**shares: int) -> Seen:
    """A scenario of a hundred seeds, in so many of which each event happened."""
    seen = Seen(seed_count=100)
    seen.events.update({name.replace("_", " "): count for name, count in shares.items()})
    return seen


def test_what_happens_in_no_scenario_often_enough_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "WANTED", ("crash", "full disk", "lie"))
    seen = {"one": _seen(crash=50, full_disk=4), "other": _seen(crash=1, full_disk=3, lie=5)}
    assert rare(seen) == ["full disk"]
    table = "\n".join(lines(seen))
    assert "full disk" in table and table.count("<- rare") == 1


def test_a_check_that_hardly_ever_judged_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "WANTED", ())
    seen = Seen(seed_count=100)
    seen.events.update({"checked: no dirty reads": 2, "checked: no lost writes": 90})
    assert rare({"one": seen}) == ["checked: no dirty reads"]


def test_every_fault_and_request_of_the_list_is_counted_under_that_name() -> None:
    """Else a row of the table would say 0 for ever, of something that happens all the time."""
    source = "\n".join(path.read_text() for path in Path(coverage.__file__).parent.glob("*.py"))
    made = {
        "asked: r or w of ": 'f"asked: r or w of {',
        "stores lost at a time": 'stores lost at a time"',
        " begun": '} begun"',
    }
    for event in coverage.WANTED:
        written = [text for part, text in made.items() if part in event]
        assert written or source.count(f'"{event}"') > 1, f"nobody counts {event!r}"
        assert all(text in source for text in written)


def test_the_table_is_printed_and_its_holes_fail_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "kvnode.sim.__main__.SCENARIOS", {"crash-and-restart": SCENARIOS["crash-and-restart"]}
    )
    monkeypatch.setattr(coverage, "WANTED", ("crash", "an earthquake"))
    assert main(["--coverage", "--seeds", "1"]) == 1
    told = capsys.readouterr().out
    assert "in less than 5 % of the seeds of every scenario: an earthquake" in told
