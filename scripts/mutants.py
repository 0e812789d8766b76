"""Plants small bugs in copies of the database, one at a time, and shows that each is caught.

    python scripts/mutants.py [--fast] [--only NAME ...] [--jobs N] [--minutes M] [--fresh] [--list]

mutants.toml names each bug: the promise that it breaks, the lines that it changes, and what must catch it: a test, a
scenario of the simulation, or both. A test catches it by failing. A scenario catches it if at least three of its first
200 seeds find a violation that the same seeds do not find without the bug: no luck of one seed.

The board says who caught what, and the exit status is 0 only if everything was caught. What was found is kept in
build/mutants.json, so a run that was interrupted goes on where it was; what has changed since is run again.

Must not live here: what the simulation can do (kvnode/sim), and why a promise matters (kvnode/PROMISES.md).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "scripts" / "mutants.toml"
RESULTS = ROOT / "build" / "mutants.json"
COPIED = ("kvnode", "tests/kvnode", "tests/scenarios")
"""Folders of a copy; the files beside them that pytest needs come along."""
AS_IN_CI = {"CI": "true", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""The same generated examples every time; and pytest starts far sooner without the plugins that nothing here uses."""
SEED_COUNT_MAX = 200
SEEDS_NEEDED = 3
TEST_S_MAX = 120.0
HUNT_S_MAX = 400.0
RUNNING: set[subprocess.Popen[str]] = set()
CAUGHT, SURVIVED, BROKEN, NOT_RUN = "caught", "SURVIVED", "BROKEN", "not run"


class MutantError(Exception):
    """The list, or the code that it speaks of, is not as expected; the message says what to mend."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug. before, after: the lines of `file` that it replaces, and what with.

    test: the pytest node that must fail. scenario: of the simulation, whose seeds must find it. fast: run by test.sh.
    """

    name: str
    promise: str
    file: str
    before: str
    after: str
    test: str = ""
    scenario: str = ""
    fast: bool = False


@dataclass(frozen=True)
class Result:
    """What became of one mutant, and how. digest: of everything that it depends on."""

    name: str
    outcome: str
    how: str
    seconds: float
    digest: str = ""


# --- the list ---------------------------------------------------------------------------------------------------


def load(path: Path = LIST) -> list[Mutant]:
    """The mutants of a list. Raises MutantError if one is incomplete or not unique."""
    mutants: list[Mutant] = []
    for number, entry in enumerate(tomllib.loads(path.read_text()).get("mutant", []), start=1):
        try:
            mutant = Mutant(**entry)
        except TypeError as error:
            raise MutantError(f"mutant {number} ({entry.get('name', 'without a name')}): {error}") from None
        if not mutant.test and not mutant.scenario:
            raise MutantError(f"{mutant.name}: say what must catch it, a test or a scenario")
        if mutant.name in {known.name for known in mutants}:
            raise MutantError(f"{mutant.name}: two mutants have this name")
        mutants.append(mutant)
    return mutants


def mutated(mutant: Mutant, root: Path = ROOT) -> str:
    """The text of the mutant's file with the bug in it. Raises MutantError if the patch does not fit the code."""
    path = root / mutant.file
    if not path.is_file():
        raise MutantError(f"{mutant.name}: there is no file {mutant.file} any more")
    text = path.read_text()
    found = text.count(mutant.before)
    if found != 1:
        raise MutantError(
            f"{mutant.name}: its lines stand {found} times in {mutant.file}, expected once: {mutant.before.strip()!r}"
        )
    changed = text.replace(mutant.before, mutant.after)
    if changed == text:
        raise MutantError(f"{mutant.name}: it changes nothing in {mutant.file}")
    try:
        compile(changed, mutant.file, "exec")
    except SyntaxError as error:
        raise MutantError(f"{mutant.name}: {mutant.file} would be no Python any more: {error}") from None
    return changed


# --- copies -----------------------------------------------------------------------------------------------------


def copy_of(source: Path, target: Path) -> Path:
    """A copy of what the checks run on. Compiled files come along: they are valid as long as their source is."""
    for folder in COPIED:
        shutil.copytree(source / folder, target / folder)
    for file in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy2(source / file, target / file)
    return target


def digest_of(mutant: Mutant, root: Path = ROOT) -> str:
    """Of all that decides what becomes of a mutant: itself, the database, the test that must catch it, this script."""
    digest = hashlib.sha256(json.dumps(asdict(mutant)).encode())
    tests = [root / mutant.test.partition("::")[0]] if mutant.test else []
    shared = [root / "tests/conftest.py", *sorted((root / "tests/kvnode").glob("**/conftest.py"))]
    for path in (Path(__file__), *sorted((root / "kvnode").rglob("*.py")), *shared, *tests):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def run(copy: Path, arguments: Sequence[str], limit_s: float) -> tuple[int | None, str]:
    """A Python command in a copy: (exit status, None if it did not end in time; what it printed)."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, **AS_IN_CI, "PYTHONPATH": str(copy)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that what it has started ends with it
    )
    RUNNING.add(process)
    try:
        told, _ = process.communicate(timeout=limit_s)
        return process.returncode, told
    except subprocess.TimeoutExpired:
        stop(process)
        told, _ = process.communicate()
        return None, told
    finally:
        RUNNING.discard(process)


def stop(process: subprocess.Popen[str]) -> None:
    """End a command, and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_tests(copy: Path, tests: Iterable[str], limit_s: float = TEST_S_MAX) -> tuple[int | None, str]:
    """pytest on these nodes, in this copy."""
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", *tests]
    return run(copy, command, limit_s)


# --- one mutant -------------------------------------------------------------------------------------------------


def judge(mutant: Mutant, clean: Path) -> Result:
    """Plant it in a copy of the clean copy, and let what must catch it try. All that it names must."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = copy_of(clean, Path(folder) / "copy")
        (copy / mutant.file).write_text(mutated(mutant, clean))
        found = []
        if mutant.test:
            found.append(judge_by_test(mutant.test, copy))
        if mutant.scenario and all(outcome == CAUGHT for outcome, _ in found):
            found.append(judge_by_seeds(mutant.scenario, copy, clean))
    outcome = next((each for each, _ in found if each != CAUGHT), CAUGHT)
    how = "; ".join(how for _, how in found)
    return Result(mutant.name, outcome, how, time.monotonic() - began_s, digest_of(mutant, clean))


def judge_by_test(test: str, copy: Path) -> tuple[str, str]:
    """(outcome, how): it must fail, not merely be impossible to run."""
    name = test.rpartition("::")[2]
    status, told = run_tests(copy, [test])
    if status == 0:
        return SURVIVED, f"{name} passes"
    if status is None:
        return CAUGHT, f"{name} does not end"
    last = told.strip().splitlines()[-1] if told.strip() else "it said nothing"
    return (CAUGHT, name) if status == 1 and " failed" in last else (BROKEN, f"{name}: {last}")


def judge_by_seeds(scenario: str, copy: Path, clean: Path) -> tuple[str, str]:
    """(outcome, how): some of the first seeds must find a violation that they do not find in the clean copy."""
    status, told = hunt(copy, scenario, range(1, SEED_COUNT_MAX + 1))
    tried = [line.split() for line in told.splitlines() if line.startswith("seed ")]
    caught = [int(seed) for _, seed, verdict in tried if verdict == "violated"]
    how = f"{scenario}: {len(caught)} of {len(tried)} seeds"
    if status not in (0, None):
        return BROKEN, f"{how}, then: {told.strip().splitlines()[-1]}"
    if len(caught) < SEEDS_NEEDED:
        return SURVIVED, how
    _, told = hunt(clean, scenario, caught)
    if "violated" in told:
        return BROKEN, f"{how}, but some of them also without the mutant"
    return CAUGHT, how


def hunt(copy: Path, scenario: str, seeds: Iterable[int]) -> tuple[int | None, str]:
    """Run these seeds in a copy until enough have found something; prints a line for each."""
    return run(copy, [str(Path(__file__)), "--hunt", scenario, *map(str, seeds)], HUNT_S_MAX)


def hunt_here(scenario: str, seeds: Iterable[int]) -> None:
    """The same in this process, on the database that PYTHONPATH names."""
    from kvnode.sim.scenarios import replay

    caught = 0
    for seed in seeds:
        try:
            is_violated = bool(replay(seed, scenario=scenario).violations)
        except Exception as error:  # noqa: BLE001, a run that falls over is told from one that ends well
            is_violated = True
            print(f"{type(error).__name__}: {error}")
        caught += is_violated
        print(f"seed {seed} {'violated' if is_violated else 'ok'}", flush=True)
        if caught == SEEDS_NEEDED:
            return


# --- all of them ------------------------------------------------------------------------------------------------


class Board:
    """The results so far. Each is written down at once, so that a run that is interrupted can go on."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, Result] = {}
        if path.is_file() and not fresh:
            try:
                found = [Result(**entry) for entry in json.loads(path.read_text())]
            except (ValueError, TypeError) as error:
                raise MutantError(f"{path} is no list of results ({error}); --fresh begins anew") from None
            self._known = {result.name: result for result in found}

    def caught(self, mutant: Mutant) -> Result | None:
        """How a mutant was caught, if it was, and nothing that this depends on has changed since."""
        known = self._known.get(mutant.name)
        is_current = known is not None and known.outcome == CAUGHT and known.digest == digest_of(mutant)
        return known if is_current else None

    def add(self, result: Result) -> None:
        """Remember it, and write it down; jobs may do so at once."""
        with self._lock:
            self._known[result.name] = result
            self._path.parent.mkdir(exist_ok=True)
            draft = self._path.with_suffix(".tmp")
            draft.write_text(json.dumps([asdict(each) for each in self._known.values()], indent=1))
            draft.replace(self._path)


def judge_all(mutants: Sequence[Mutant], board: Board, *, jobs: int, end_s: float) -> list[Result]:
    """The results of these, in order; those for which there was no time are told as not run."""
    results = {mutant.name: board.caught(mutant) for mutant in mutants}
    waiting = [mutant for mutant in mutants if results[mutant.name] is None]
    if waiting:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            clean = copy_of(ROOT, Path(folder) / "clean")
            check_clean(clean, sorted({mutant.test for mutant in waiting if mutant.test}))
            stopping = threading.Event()

            def work(mutant: Mutant) -> None:
                if stopping.is_set() or time.monotonic() > end_s:
                    return
                result = judge(mutant, clean)
                if not stopping.is_set():  # else it was cut short
                    results[mutant.name] = result
                    tell(mutant, result)
                    board.add(result)

            with ThreadPoolExecutor(jobs) as pool:
                try:
                    list(pool.map(work, sorted(waiting, key=lambda mutant: bool(mutant.scenario))))
                except BaseException:
                    stopping.set()
                    for process in list(RUNNING):
                        stop(process)
                    raise
    return [results[mutant.name] or Result(mutant.name, NOT_RUN, "", 0.0) for mutant in mutants]


def check_clean(clean: Path, tests: Sequence[str]) -> None:
    """What must catch the mutants passes where there is none, and runs in the copy. Else it would prove nothing."""
    _, told = run(clean, ["-c", "import kvnode; print(kvnode.__file__)"], TEST_S_MAX)
    if not Path(told.strip()).is_relative_to(clean):
        raise MutantError(f"a copy does not run its own code, but {told.strip()}")
    if tests:
        status, told = run_tests(clean, tests, 5 * TEST_S_MAX)
        if status != 0:
            raise MutantError(f"without any mutant these tests do not pass:\n{told[-3000:]}")


def tell(mutant: Mutant, result: Result) -> None:
    """One line of the board."""
    print(f"  {result.outcome:<9} {mutant.name:<54} {result.seconds:5.1f} s  {result.how}", flush=True)


def print_board(mutants: Sequence[Mutant], results: Sequence[Result], took_s: float) -> bool:
    """By promise; True if everything was caught."""
    print("\n=== the board")
    result_of = {result.name: result for result in results}
    for promise in dict.fromkeys(mutant.promise for mutant in mutants):
        print(promise)
        for mutant in mutants:
            if mutant.promise == promise:
                tell(mutant, result_of[mutant.name])
    counts = {each: [r.outcome for r in results].count(each) for each in (CAUGHT, SURVIVED, BROKEN, NOT_RUN)}
    told = ", ".join(
        f"{count} {outcome}" for outcome, count in counts.items() if count or outcome == SURVIVED
    )
    print(f"\n{len(mutants)} mutants in {took_s:.0f} s: {told}")
    return counts[CAUGHT] == len(mutants)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 if all were caught, 1 if not, 2 if that cannot be said."""
    options = arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.hunt:
        hunt_here(options.hunt, options.seeds)
        return 0
    try:
        mutants = chosen(options)
        if options.list:
            for mutant in mutants:
                print(f"{mutant.name:<44} {mutant.promise}: {mutant.test or mutant.scenario}")
            return 0
        began_s = time.monotonic()
        board = Board(RESULTS, fresh=options.fresh)
        results = judge_all(mutants, board, jobs=options.jobs, end_s=began_s + 60.0 * options.minutes)
    except MutantError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mutants: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return 0 if print_board(mutants, results, time.monotonic() - began_s) else 1


def chosen(options: argparse.Namespace) -> list[Mutant]:
    """The mutants that were asked for; each fits the code, or nothing is run."""
    mutants = load()
    for mutant in mutants:
        mutated(mutant)
    if unknown := set(options.only or ()) - {mutant.name for mutant in mutants}:
        raise MutantError(f"there is no mutant {', '.join(sorted(unknown))}; --list names them all")
    if options.only:
        return [mutant for mutant in mutants if mutant.name in options.only]
    return [mutant for mutant in mutants if mutant.fast] if options.fast else mutants


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/mutants.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--fast", action="store_true", help="only the ten that take a moment")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these")
    jobs = min(2, os.cpu_count() or 1)
    parser.add_argument("--jobs", type=int, choices=range(1, 17), default=jobs, metavar="N", help="at a time")
    parser.add_argument("--minutes", type=float, default=30.0, help="then begin no more (default 30)")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs have found")
    parser.add_argument("--list", action="store_true", help="name them, and run nothing")
    parser.add_argument("--hunt", metavar="SCENARIO", help=argparse.SUPPRESS)
    parser.add_argument("seeds", nargs="*", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
