"""Tests use what everybody may use: how often they reach into somebody's private attributes only shrinks.

Such a test knows how a thing works instead of what it does, and breaks when only that changes. Counted is each
attribute with a leading underscore that is read, set or patched on another object, and each such name that is imported,
unless the file itself says what it is (a double with private parts of its own).
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

COUNT_MAX = {"kvnode": 117, "labkit": 41, "traffic": 35, "scenarios": 5}
"""Folder of tests -> how many are left. Whoever takes some away lowers it; nobody raises it."""
SLACK = 5
"""So many may be gone before the number must follow."""
PUBLIC = {"_replace", "_exit", "_actions", "_SubParsersAction", "_esm", "_dom_classes", "_render_traceback_"}
"""Private by their names alone: of tuples, os, argparse, anywidget, ipywidgets and IPython."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def own_names(tree: ast.Module) -> set[str]:
    """What the file defines, or sets on `self`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


def reached(text: str) -> Iterator[tuple[int, str]]:
    """(line, name) of each private attribute of another object."""
    tree = ast.parse(text)
    own = own_names(tree)
    for node in ast.walk(tree):
        names: list[str] = []
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name):
                names = [name]
            case ast.ImportFrom(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.Call(
                func=ast.Attribute(attr="setattr" | "delattr"), args=[_, ast.Constant(value=str(name)), *_]
            ):
                names = [name]
        line = getattr(node, "lineno", 0)
        yield from ((line, name) for name in names if is_private(name) and name not in own)


def reached_in(tests: Path) -> Counter[str]:
    """Folder of tests -> how often."""
    return Counter(
        path.relative_to(tests).parts[0] for path in tests.rglob("*.py") for _ in reached(path.read_text())
    )


def test_tests_reach_into_private_attributes_less_and_less(root: Path) -> None:
    found = reached_in(root / "tests")
    assert {folder: count for folder, count in found.items() if count > COUNT_MAX.get(folder, 0)} == {}
    assert {folder: most for folder, most in COUNT_MAX.items() if found[folder] < most - SLACK} == {}, (
        "lower it"
    )


@pytest.mark.parametrize(
    "text",
    [
        "assert node.records._cache == {}",
        "components.nodes[name]._is_alive = 1",
        "monkeypatch.setattr(module, '_SECONDS', 1)",
        "from traffic.runs.report import _bands",
        "class Double(Store):\n    def put(self):\n        super()._arrive()",
    ],
)
def test_a_planted_one_is_counted(text: str) -> None:
    assert len(list(reached(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "class Double:\n    def __init__(self):\n        self._calls = []\n\nassert Double()._calls == []",
        "def test_it(self):\n    assert self._is_open",
        "row = row._replace(key=1)",
        "assert node.__class__",
        "monkeypatch.setattr(module, 'SECONDS', 1)",
    ],
)
def test_what_is_ones_own_is_not_counted(text: str) -> None:
    assert list(reached(text)) == []
