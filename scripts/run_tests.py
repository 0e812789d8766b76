"""Runs every stage of the checks, one after another, and counts what ran (called by test.sh).

A failed stage does not stop the next ones. A stage that ran no test has failed, and so has a run that
leaves a process behind. The last line printed is `N passed, N failed, N skipped`; a check that is no test
(lint, types, leftovers) counts as one.
"""

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / ".test-output"
RUN_MARK = "QUORUM_LAB_TEST_RUN"
LEFTOVER_WAIT_S_MAX = 10.0
STOP_WAIT_S_MAX = 10.0

PYTEST = (sys.executable, "-m", "pytest", "-q")
TWO_TESTS = (*PYTEST, "-n", "2", "--dist", "worksteal")
TWO_FILES = (*PYTEST, "-n", "2", "--dist", "loadfile")
"""At a time: unit tests fill a core each, live ones wait most of the time, and share what a file has started."""
STARTS_PROCESSES = ("live", "nbval", "browser")
# system package -> what can't run without it
SYSTEM_PACKAGES = {
    "chromium": "the browser tests",
    "strace": "the test that a write is synced before its answer",
}
OTHER_NAMES = {"chromium": ("chromium-browser",)}


@dataclass(frozen=True)
class Stage:
    """One kind of check. Without `is_pytest` its commands' exit statuses are the result."""

    name: str
    commands: Sequence[Sequence[str]]
    time_s_max: int
    is_pytest: bool = True
    needs: str = ""


STAGES = (
    Stage(
        "lint",
        [
            [sys.executable, "-m", "ruff", "check", "."],
            [sys.executable, "-m", "ruff", "format", "--check", "."],
        ],
        time_s_max=120,
        is_pytest=False,
    ),
    Stage("types", [[sys.executable, "-m", "mypy"]], time_s_max=400, is_pytest=False),
    Stage("house", [[*PYTEST, "tests/house"]], time_s_max=200),
    Stage(
        "unit",
        [
            [
                *TWO_TESTS,
                "-m",
                "not live and not browser",
                "--ignore=tests/house",
                "--ignore=tests/scenarios",
                "tests",
            ]
        ],
        time_s_max=700,
    ),
    Stage("simulation", [[*TWO_TESTS, "-m", "not live", "tests/scenarios"]], time_s_max=700),
    Stage("mutants", [[sys.executable, "scripts/mutants.py", "--fast"]], time_s_max=300, is_pytest=False),
    Stage("live", [[*TWO_FILES, "-m", "live and not browser", "tests"]], time_s_max=1500),
    Stage(
        "nbval",
        [[*TWO_FILES, "-p", "tests.nbval_workers", "--nbval-lax", "--nbval-cell-timeout=60", "notebooks"]],
        time_s_max=600,
    ),
    Stage("browser", [[*PYTEST, "-m", "browser", "tests"]], time_s_max=900, needs="chromium"),
)


@dataclass
class Result:
    stage: str
    tests: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


def main() -> int:
    options = read_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    in_ci = os.environ.get("CI") == "true"
    if options.install or in_ci:
        install_system_packages()
    missing = missing_packages()

    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    run_mark = secrets.token_hex(8)
    state = tempfile.mkdtemp(prefix="quorum-lab-tests-")
    environment = {**os.environ, RUN_MARK: run_mark, "QUORUM_LAB_STATE": state}
    results: list[Result] = []
    interrupted = False
    try:
        for stage in chosen_stages(options):
            if stage.needs in missing:
                results.append(not_run(stage, must=in_ci))
            else:
                results.append(run_stage(stage, environment))
    except KeyboardInterrupt:
        interrupted = True
    results.append(check_leftovers(run_mark))
    shutil.rmtree(state, ignore_errors=True)
    failed = print_summary(results, missing=missing, interrupted=interrupted)
    return 130 if interrupted else int(failed)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test.sh", description="Checks everything.")
    parser.add_argument("--fast", action="store_true", help=f"leave out {', '.join(STARTS_PROCESSES)}")
    parser.add_argument("--install", action="store_true", help="install missing system packages by apt")
    names = [stage.name for stage in STAGES]
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"only these, of: {' '.join(names)}")
    options = parser.parse_args()
    for name in options.stages:
        if name not in names:
            parser.error(f"there is no stage {name!r}; the stages are {', '.join(names)}")
    return options


def chosen_stages(options: argparse.Namespace) -> list[Stage]:
    if options.stages:
        return [stage for stage in STAGES if stage.name in options.stages]
    return [stage for stage in STAGES if not (options.fast and stage.name in STARTS_PROCESSES)]


def missing_packages() -> list[str]:
    return [
        package
        for package in SYSTEM_PACKAGES
        if not any(shutil.which(name) for name in (package, *OTHER_NAMES.get(package, ())))
    ]


def install_system_packages() -> None:
    absent = missing_packages()
    if not absent:
        return
    if not shutil.which("apt-get"):
        print(f"There is no apt-get here; install {' '.join(absent)} by hand.", flush=True)
        return
    elevate = [] if os.geteuid() == 0 else ["sudo"]
    print(f"Installing {' '.join(absent)} by apt-get", flush=True)
    with (Path(tempfile.gettempdir()) / "quorum-lab-apt.log").open("w") as log:
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *absent]):
            status = subprocess.run(
                [*elevate, "apt-get", "-q", *arguments],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
            if status != 0:
                print(f"apt-get {arguments[0]} failed with status {status}; see {log.name}", flush=True)


def not_run(stage: Stage, *, must: bool) -> Result:
    result = Result(stage.name, notes=[f"not run: {stage.needs} is not installed"])
    if must:
        result.failed = 1
    else:
        result.skipped = 1
    return result


def run_stage(stage: Stage, environment: dict[str, str]) -> Result:
    print(f"\n=== {stage.name}", flush=True)
    result = Result(stage.name)
    began = time.monotonic()
    for command in stage.commands:
        report = OUTPUT / f"{stage.name}.xml"
        arguments = [*command, f"--junitxml={report}"] if stage.is_pytest else list(command)
        status = run_bounded(arguments, environment, began + stage.time_s_max)
        if status is None:
            result.notes.append(f"stopped: took longer than {stage.time_s_max} s")
            status = 1
        if not stage.is_pytest:
            result.passed += status == 0
            result.failed += status != 0
            continue
        count_tests(report, result)
        if result.tests == 0:
            result.notes.append("ran no test")
            result.failed = 1
        elif status != 0 and result.failed == 0:
            result.notes.append(f"pytest ended with status {status}")
            result.failed = 1
    result.seconds = time.monotonic() - began
    outcome = "FAILED" if result.failed else "ok"
    print(f"--- {stage.name}: {outcome} ({result.seconds:.1f} s)", flush=True)
    return result


def run_bounded(arguments: list[str], environment: dict[str, str], deadline: float) -> int | None:
    """The exit status, or None if the deadline (monotonic seconds) passed first."""
    process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
    try:
        return process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        stop_tree(process.pid)
        return None
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.send_signal(signal.SIGINT)
            process.wait(timeout=STOP_WAIT_S_MAX)
        stop_tree(process.pid)
        raise


def stop_tree(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        tree = [*root.children(recursive=True), root]
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(tree, timeout=STOP_WAIT_S_MAX)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def count_tests(report: Path, result: Result) -> None:
    if not report.is_file():
        return
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        tests = int(suite.get("tests", 0))
        skipped = int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        result.tests += tests - skipped
        result.failed += failed
        result.skipped += skipped
        result.passed += max(0, tests - failed - skipped)


def check_leftovers(run_mark: str) -> Result:
    """Every process that a stage started carries the run's mark in its environment; none may be left."""
    began = time.monotonic()
    result = Result("leftovers")
    left = marked_processes(run_mark)
    while left and time.monotonic() - began < LEFTOVER_WAIT_S_MAX:
        time.sleep(0.1)
        left = marked_processes(run_mark)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            result.notes.append(f"left behind: {process.pid} {' '.join(process.cmdline())[:120]}")
            process.kill()
    result.failed = len(left)
    result.passed = int(not left)
    result.seconds = time.monotonic() - began
    return result


def marked_processes(run_mark: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(RUN_MARK) == run_mark:
                found.append(process)
    return found


def print_summary(results: list[Result], *, missing: list[str], interrupted: bool) -> bool:
    """Prints the table, the counts per kind and the closing line; True if anything failed."""
    print(f"\n{'stage':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for result in results:
        print(
            f"{result.stage:<12}{result.passed:>8}{result.failed:>8}{result.skipped:>9}{result.seconds:>9.1f}"
            + "".join(f"\n    {note}" for note in result.notes)
        )
    for package in missing:
        print(f"missing: {package}, so {SYSTEM_PACKAGES[package]} did not run (--install installs it)")
    kinds = {stage.name for stage in STAGES if stage.is_pytest}
    ran = [f"{result.stage} {result.tests}" for result in results if result.stage in kinds]
    print(f"\n{', '.join(ran) or 'no tests'}  ({sum(result.seconds for result in results):.0f} s)")
    failed = [result.stage for result in results if result.failed]
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    if interrupted:
        print("interrupted: the remaining stages did not run")
    totals = [sum(getattr(result, name) for result in results) for name in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*totals), flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
