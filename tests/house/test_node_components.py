"""The components of a node know each other in one direction: `Node` builds each from those before it.

Two things hide a circle from imports and from a reader: a lambda in `Node.__init__` that names a component which does
not exist yet, and an attribute of a component that somebody else sets afterwards.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest


def attribute_of_self(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None


def hidden_circles(text: str, *, of: str = "Node") -> Iterator[str]:
    (node,) = (it for it in ast.parse(text).body if isinstance(it, ast.ClassDef) and it.name == of)
    yield from late_bound(node)
    for statement in ast.walk(node):
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in (part for one in targets for part in ast.walk(one)):
                if isinstance(target, ast.Attribute) and attribute_of_self(target.value):
                    yield f"{target.lineno}: {ast.unparse(target)} is set from outside"


def late_bound(node: ast.ClassDef) -> Iterator[str]:
    """Names that a lambda, or a function inside, reads before `__init__` has set them."""
    (init,) = (it for it in node.body if isinstance(it, ast.FunctionDef) and it.name == "__init__")
    known = {it.name for it in node.body if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)}
    for statement in init.body:
        for inner in ast.walk(statement):
            if isinstance(inner, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
                names = {attribute_of_self(it): it for it in ast.walk(inner)}
                yield from (
                    f"{it.lineno}: self.{name} does not exist yet"
                    for name, it in names.items()
                    if name is not None and name not in known and isinstance(it, ast.Attribute)
                )
        known |= {
            name
            for it in ast.walk(statement)
            if isinstance(it, ast.Attribute) and isinstance(it.ctx, ast.Store)
            if (name := attribute_of_self(it)) is not None
        }


def test_no_component_is_known_before_it_exists(root: Path) -> None:
    assert list(hidden_circles((root / "kvnode" / "node.py").read_text())) == []


PLANTED = """
class Node:
    def __init__(self, runtime):
        self.ring = Ring()
        {line}
        self.drop = Drop(self.ring)

    def _is_alive(self, peer): ...
"""


@pytest.mark.parametrize(
    "line",
    [
        "self.sweep = Sweep(lambda partition: self.drop.is_left_over(partition))",
        "self.sweep = Sweep(self.ring, later=[lambda: self.drop])",
        "def store(): return self.drop.store",
        "self.ring.strip = 1",
        "self.ring.strip: int = 1",
        "self.ring.listeners.count += 1",
        "self.ring.strip, x = 1, 2",
        "self.sweep = Sweep(lambda: self.sweep.store)",
    ],
)
def test_a_planted_circle_is_caught(line: str) -> None:
    assert len(list(hidden_circles(PLANTED.format(line=line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "self.sweep = Sweep(lambda: self.ring.epoch)",
        "self.sweep = Sweep(lambda peer: self._is_alive(peer))",
        "self.sweep = Sweep(self._is_alive)",
        "self.ring.listen(self._is_alive)",
    ],
)
def test_what_exists_already_may_be_named(line: str) -> None:
    assert list(hidden_circles(PLANTED.format(line=line))) == []
