"""The notebooks of the course keep its rules: short cells, few predictions, the scenes that the library measures."""

from __future__ import annotations

import ast
import builtins
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from labkit.course import placing, scenes
from labkit.course.course import exercise_of
from labkit.course.lessons import LESSONS

FOLDER = Path(__file__).resolve().parents[3] / "notebooks"
LESSON_FILES = {path.name[:2]: path for path in sorted(FOLDER.glob("[0-9][0-9]-*.ipynb"))}
CODE_CELLS_MAX, LINES_MAX, PREDICTIONS_MAX = 25, 12, 3


def cells(path: Path, kind: str) -> list[str]:
    return [
        "".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind
    ]


def functions(source: str) -> dict[str, str]:
    """Every function of the source without its annotations and docstring, as one canonical text."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in ast.walk(node):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:]
            found[node.name] = ast.unparse(node)
    return found


@pytest.fixture(params=LESSON_FILES.values(), ids=list(LESSON_FILES))
def notebook(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_each_lesson_has_its_notebook() -> None:
    assert set(LESSON_FILES) == set(LESSONS)


def test_cells_are_few_and_short(notebook: Path) -> None:
    code = cells(notebook, "code")
    assert len(code) <= CODE_CELLS_MAX
    long = {cell[:40]: len([line for line in cell.splitlines() if line.strip()]) for cell in code}
    assert {cell: lines for cell, lines in long.items() if lines > LINES_MAX} == {}


def test_at_most_three_predictions_and_each_is_revealed(notebook: Path) -> None:
    code = "\n".join(cells(notebook, "code"))
    asked = re.findall(r"^(\w+) = session\.predict\(", code, flags=re.MULTILINE)
    assert 1 <= len(asked) <= PREDICTIONS_MAX
    assert all(f"{name}.reveal(" in code for name in asked)


def test_what_gives_a_result_away_is_covered(notebook: Path) -> None:
    """Before a guess is locked no cell may show the picture or the numbers that it was about."""
    for cell in cells(notebook, "code"):
        last = cell.rstrip().splitlines()[-1]
        for telling in ("space_time", "version_graph", "verdict", "keep", "evidence"):
            assert telling not in last or ".cover(" in last, last


def test_the_first_cell_opens_the_lesson_and_the_last_one_finds_nothing_broken(notebook: Path) -> None:
    code = cells(notebook, "code")
    assert f'Session.open(lesson="{notebook.name[:2]}")' in code[0]
    assert "cluster.faults()" in code[-1] and "receipt()" in code[-1]


def test_the_scenes_are_those_of_the_library_word_by_word(notebook: Path) -> None:
    library = functions(inspect.getsource(scenes)) | functions(inspect.getsource(placing))
    written: dict[str, str] = {}
    for cell in cells(notebook, "code"):
        written |= functions(cell)
    shared = set(written) & set(library)
    assert shared
    assert {name: written[name] for name in shared} == {name: library[name] for name in shared}


def test_every_exercise_it_names_is_there(notebook: Path) -> None:
    named = re.findall(r'session\.exercise\("([\d.]+)"\)', "\n".join(cells(notebook, "code")))
    assert len(named) == 3
    assert [exercise_of(name).name for name in named] == named


def test_the_prose_names_goals_simplifications_sources_and_the_next_question(notebook: Path) -> None:
    prose = "\n".join(cells(notebook, "markdown"))
    for part in ("After this notebook you can", "What we simplified", "To read on", "The next question"):
        assert part in prose, part
    sources = [line for line in prose.split("## To read on")[1].splitlines() if line.startswith("- ")]
    assert len(sources) >= 4
    assert all(re.search(r"\b(19|20)\d\d\b", line) and "“" not in line for line in sources), sources


def test_the_demo_is_whole_without_the_other_cells() -> None:
    """A presenter runs the cells of the nine minutes alone: none of them may need what another cell has made."""
    demo = []
    for cell in json.loads(LESSON_FILES["00"].read_text())["cells"]:
        is_demo = "demo" in cell["metadata"].get("tags", [])
        assert is_demo == (cell["cell_type"] == "code" and cell["source"][0] == "# demo\n"), cell["id"]
        if is_demo:
            demo.append("".join(cell["source"]))
    made: set[str] = set(dir(builtins)) | {"display"}
    for cell in demo:
        names = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)]
        made |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        made |= {node.name for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.FunctionDef)}
        made |= {node.arg for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.arg)}
        made |= {alias.asname or alias.name for node in ast.walk(ast.parse(cell))
                 if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}  # fmt: skip
        assert {node.id for node in names if isinstance(node.ctx, ast.Load)} <= made, cell
    steps = [part for part in ("cockpit()", "post_tweet", '"load"', "replica_view", ".kill.click()", ".check()")
             if not any(part in cell for cell in demo)]  # fmt: skip
    assert steps == []


def test_nobody_but_alice_and_bob_has_a_name(notebook: Path) -> None:
    people: set[Any] = set()
    for cell in cells(notebook, "code"):
        people |= set(re.findall(r'scene\.person\("(\w+)"', cell))
    assert people <= {"Alice", "Bob", "Writer"}
