"""Is a run a function of its seed alone? The same seeds in two fresh processes whose hashing of text differs.

Only the order of sets and dictionaries could tell them apart, so unequal digests mean that it reached a message.
"""

from __future__ import annotations

import os
import subprocess
import sys

_HASH_SEEDS = ("1", "2")


def differing_seeds(scenario: str, seeds: range) -> list[int]:
    """The seeds whose trace digests differ. Raises RuntimeError if a process does not tell its digests."""
    first, second = (_digests(scenario, seeds, hash_seed) for hash_seed in _HASH_SEEDS)
    return [seed for seed in seeds if first[seed] != second[seed]]


def _digests(scenario: str, seeds: range, hash_seed: str) -> dict[int, str]:
    command = [sys.executable, "-m", "kvnode.sim", "--scenario", scenario, "--digests"]
    command += ["--seeds", str(len(seeds)), "--first-seed", str(seeds.start)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = [line.split(": ") for line in done.stdout.splitlines() if line.startswith("seed ")]
    digests = {int(name.removeprefix("seed ")): digest for name, digest in lines if len(digest) == 32}
    if digests.keys() != set(seeds):
        raise RuntimeError(f"a run of the simulation ended early: {done.stderr[-400:]}")
    return digests
