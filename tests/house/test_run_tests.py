"""scripts/run_tests.py can fail: for a failed test, for no test at all, for what is missing, for a leftover."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest


@pytest.fixture(scope="module")
def runner(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_tests", root / "scripts" / "run_tests.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_tests"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stage(runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """stage(text of a test file) runs it as a stage of its own and gives the result."""
    monkeypatch.setattr(runner, "OUTPUT", tmp_path)

    def run(text: str, *, time_s_max: int = 60) -> Any:
        file = tmp_path / "test_planted.py"
        file.write_text(text)
        command = [*runner.PYTEST, "-p", "no:cacheprovider", str(file)]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return runner.run_stage(runner.Stage("unit", [command], time_s_max=time_s_max), environment)

    return run


def test_a_stage_counts_what_ran(stage: Any) -> None:
    result = stage(
        "import pytest\n"
        "def test_a(): pass\n"
        "def test_b(): pass\n"
        "@pytest.mark.skip\ndef test_c(): pass\n"
        "def test_d(): assert False\n"
    )
    assert (result.tests, result.passed, result.failed, result.skipped) == (3, 2, 1, 1)


def test_a_stage_that_ran_no_test_has_failed(stage: Any) -> None:
    result = stage("import pytest\n@pytest.mark.skip\ndef test_a(): pass\n")
    assert result.failed == 1
    assert result.notes == ["ran no test"]


def test_a_file_that_cannot_be_imported_fails_its_stage(stage: Any) -> None:
    assert stage("import nothing_of_that_name\n").failed == 1


def test_a_stage_that_hangs_is_stopped(stage: Any) -> None:
    result = stage("import time\ndef test_a(): time.sleep(600)\n", time_s_max=4)
    assert result.failed == 1
    assert "took longer than 4 s" in result.notes[0]


def test_a_process_that_a_test_left_is_found_and_ended(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LEFTOVER_WAIT_S_MAX", 0.5)
    left = subprocess.Popen(
        [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"],
        env={**os.environ, runner.RUN_MARK: "planted"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert left.stdout is not None
    with left.stdout as up:
        assert up.readline() == "up\n"  # before its exec it does not carry the mark yet
    assert left.pid in {process.pid for process in runner.marked_processes("planted")}
    result = runner.check_leftovers("planted")
    assert result.failed == 1
    assert str(left.pid) in result.notes[0]
    left.wait(5)
    assert not psutil.pid_exists(left.pid)


def test_nothing_left_passes(runner: ModuleType) -> None:
    result = runner.check_leftovers("nobody carries this mark")
    assert (result.passed, result.failed) == (1, 0)


def test_what_is_not_installed_is_named_and_fails_only_where_it_must(
    runner: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = next(stage for stage in runner.STAGES if stage.needs)
    assert runner.not_run(stage, must=False).skipped == 1
    assert runner.not_run(stage, must=True).failed == 1
    runner.print_summary([runner.not_run(stage, must=False)], missing=[stage.needs], interrupted=False)
    assert f"missing: {stage.needs}" in capsys.readouterr().out


def test_the_last_line_counts_everything(runner: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    results = [runner.Result("lint", passed=2), runner.Result("unit", tests=5, passed=4, failed=1, skipped=3)]
    assert runner.print_summary(results, missing=[], interrupted=False)
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-1] == "6 passed, 1 failed, 3 skipped"
    assert "unit 5" in lines[-3]
    assert lines[-2] == "FAILED: unit"
