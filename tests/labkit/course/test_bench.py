"""scripts/bench_course.py repeats everything that the lessons show, and can fail."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labkit.course import scenes

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "bench_course.py"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    """The script, as it finds itself when it runs: with its own folder to import from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        yield the_script()


def the_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_course", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_course"] = module
    spec.loader.exec_module(module)
    return module


def test_every_scene_of_the_lessons_is_repeated(bench: ModuleType) -> None:
    lessons = sorted((SCRIPT.parent / "course_experiments").glob("lesson_*.py"))
    source = "".join(lesson.read_text(encoding="utf-8") for lesson in lessons)
    played = [name for name, _ in inspect.getmembers(scenes, inspect.isfunction) if name != "a_slow_write"]
    assert len(played) >= 6
    assert [name for name in played if f"scenes.{name}" not in source] == []


def test_each_lesson_keeps_its_experiments_in_its_own_module(bench: ModuleType) -> None:
    lessons = {one.lesson for one in bench.EXPERIMENTS}
    assert lessons >= {"02", "04"}
    modules = (SCRIPT.parent / "course_experiments").glob("lesson_*.py")
    assert {path.stem.removeprefix("lesson_") for path in modules} == lessons


def test_short_experiments_run_twenty_times_and_long_ones_six(bench: ModuleType) -> None:
    assert {one.runs for one in bench.EXPERIMENTS} == {20, 6}
    assert len(bench.experiments("02", "alice")) == 5
    assert [one.name for one in bench.experiments(None, "lunch, breath")] == ["lunch break", "one breath"]
    assert bench.experiments(None, "no such thing") == []


@pytest.mark.parametrize(
    ("misses", "wrong", "seconds", "passes"),
    [(0, 0, 0.0, True), (1, 0, 0.0, True), (2, 0, 0.0, False), (0, 1, 0.0, False), (0, 0, 0.2, False)],
)
def test_one_inconclusive_run_is_allowed_and_no_wrong_and_no_late_one(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, misses: int, wrong: int, seconds: float, passes: bool
) -> None:
    monkeypatch.setattr(bench, "one_core_busy", lambda wanted: bench.contextlib.nullcontext())
    runs = iter(range(100))

    def run(session: Any) -> Any:
        number = next(runs)
        bench.time.sleep(seconds)
        return bench.Found(number >= misses, number >= misses + wrong, "…")

    experiment = bench.Experiment("02", "a test", "something", 1.0, run, within_s=0.1)
    assert bench.repeat(None, experiment, 6) is passes


def test_an_error_is_an_inconclusive_run_and_no_traceback(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from labkit.errors import LabError

    monkeypatch.setattr(bench, "one_core_busy", lambda wanted: bench.contextlib.nullcontext())

    def run(session: Any) -> Any:
        raise LabError("The cluster is away.")

    make: Callable[..., Any] = bench.Experiment
    assert bench.repeat(None, make("02", "a test", "something", 1.0, run), 3) is False
    assert "The cluster is away." in capsys.readouterr().out
