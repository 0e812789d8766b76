"""The same Node as in production, in virtual time under seeded faults; and proof that the checkers can fail."""

import os
import subprocess
import sys

import pytest

from kvnode.sim.__main__ import main
from kvnode.sim.bugs import BUGS
from kvnode.sim.scenarios import Report, replay

SEEDS_TO_CATCH = 40


def _told(report: Report, scenario: str = "storm") -> str:
    replay_line = (
        f"replay: python -m kvnode.sim --scenario {scenario} --seeds 1 --first-seed {report.seed} --story"
    )
    return "\n".join([*report.story[-40:], *report.violations, replay_line])


@pytest.mark.parametrize("seed", range(1, 9))
def test_crash_restart_and_agreement(seed: int) -> None:
    report = replay(seed, scenario="crash-and-restart")
    assert not report.violations, _told(report)
    assert report.acknowledged > 50


@pytest.mark.parametrize("seed", range(1, 41))
def test_promises_hold_in_a_storm_of_faults(seed: int) -> None:
    report = replay(seed)
    assert not report.violations, _told(report)
    assert report.acknowledged > 20


@pytest.mark.parametrize("seed", [*range(1, 21), 1151, 1169])
def test_promises_hold_while_nodes_come_and_go_in_a_storm(seed: int) -> None:
    report = replay(seed, scenario="moving-storm")
    assert not report.violations, _told(report, "moving-storm")
    assert report.acknowledged > 20


def test_same_seed_gives_the_same_digest_and_another_seed_another() -> None:
    first, again, other = replay(7), replay(7), replay(8)
    assert (first.digest, first.events) == (again.digest, again.events)
    assert first.digest != other.digest


@pytest.mark.parametrize("scenario", ["storm", "moving-storm"])
def test_digest_does_not_depend_on_hash_randomisation(scenario: str) -> None:
    command = [sys.executable, "-m", "kvnode.sim", "--seeds", "3", "--jobs", "1", "--digests"]
    command += ["--scenario", scenario]
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=100
        )
        digests.add("\n".join(line for line in run.stdout.splitlines() if line.startswith("seed ")))
    assert len(digests) == 1
    assert digests.pop().count("seed ") == 3


@pytest.mark.parametrize("bug", sorted(BUGS))
def test_planted_bug_is_caught(bug: str) -> None:
    caught = next((seed for seed in range(1, SEEDS_TO_CATCH + 1) if replay(seed, bug=bug).violations), None)
    assert caught is not None, f"{bug} went unnoticed in {SEEDS_TO_CATCH} seeds"


def test_command_tells_the_seed_and_how_to_replay_it(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--seeds", "2", "--jobs", "1", "--bug", "adopt-blindly"])
    told = capsys.readouterr().out
    assert status == 1
    assert "replay: python -m kvnode.sim --seeds 1 --first-seed 1 --bug adopt-blindly --story" in told
