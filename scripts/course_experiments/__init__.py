"""What scripts/bench_course.py repeats: a module `lesson_NN` a lesson, found by its name.

Such a module has one tuple, EXPERIMENTS, whose experiments each take a session and say what one run came to.
Must not live here: repeating, judging, printing (bench_course.py).
"""

from __future__ import annotations

import importlib
from itertools import chain
from pathlib import Path

from course_experiments.experiment import Experiment, Found

__all__ = ["Experiment", "Found", "all_experiments"]


def all_experiments() -> tuple[Experiment, ...]:
    """Those of every lesson that has any, in the order of the lessons."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("lesson_*.py"))
    lessons = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(chain.from_iterable(lesson.EXPERIMENTS for lesson in lessons))
