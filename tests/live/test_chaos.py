"""Half a minute of random faults on real processes under traffic loses nothing; and a planted loss is seen.

QUORUM_LAB_FULL=1 runs it as people do: two minutes at 1,000 operations/s.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FULL = os.environ.get("QUORUM_LAB_FULL") == "1"
SECONDS, RATE = ("120", "1000") if FULL else ("30", "200")

pytestmark = [pytest.mark.live, pytest.mark.timeout(900 if FULL else 400)]

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/chaos.py"


def run_chaos(base_port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--base-port", str(base_port), *options]
    found = subprocess.run(command, capture_output=True, text=True, timeout=850 if FULL else 350, check=False)
    print(found.stdout, found.stderr)
    return found


def test_no_acknowledged_write_is_lost_in_chaos(
    cluster_state: Path, next_base_port: Callable[[], int]
) -> None:
    seed = random.randrange(2**32)  # printed; --seed repeats the plan
    found = run_chaos(next_base_port(), "--seconds", SECONDS, "--rate", RATE, "--seed", str(seed))
    assert found.returncode == 0, found.stdout + found.stderr
    assert "lost 0; counters checked" in found.stdout
    assert "wrong 0\n" in found.stdout
    assert "Merkle roots: equal" in found.stdout
    assert found.stdout.endswith("verdict: ok\n")


def test_a_planted_loss_makes_the_verdict_violated(
    cluster_state: Path, next_base_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # what a violated run keeps goes with the test
    found = run_chaos(next_base_port(), "--seconds", "6", "--rate", "100", "--seed", "1", "--plant-loss")
    assert found.returncode == 1, found.stdout + found.stderr
    assert "all disks lost 1" in found.stdout
    assert "lost 0" not in found.stdout
    assert "verdict: violated" in found.stdout
    assert "what the nodes logged and kept: " in found.stdout
