"""A function fits a screen and takes few parameters, so that it is read at a glance and called without a mistake.

- At most 60 lines, from `def` to its last line, docstring and inner functions included.
- At most six parameters, `*args` and `**kwargs` counted, `self` and `cls` not. The fields of a dataclass do not count:
  nobody writes its `__init__`.
- Two parameters of one type are never adjacent and positional where a caller who swaps them is told of nothing: two
  functions, two flags, or two measures (floats: `rate, seconds`). The second is keyword-only then. Left alone are:

  - pairs that everybody writes in one order (IN_ORDER): low and high, before and after;
  - texts: of 410 adjacent pairs 280 are a node, a key, a kind, a value. Nothing is called as another one of them is, so
    a swap shows in the first test; keyword-only, they would make each call of a store or a client longer;
  - whole numbers, collections and values of one class (some 110): mostly letters of the papers (n, r, w) and pairs of
    one kind (held, siblings). How many pairs of whole numbers there are is counted, and only shrinks;
  - tests, whose parameters pytest fills by name.

There is no rule for the length of a file: a file may be long if it is one idea.

Functions are named without their file, for files move: the package, then the names that lead to the function.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

LINES_MAX = 60
PARAMETERS_MAX = 6
PACKAGES = {
    "kvnode": "kvnode",
    "traffic": "traffic",
    "labkit": "notebooks/labkit",
    "scripts": "scripts",
    "tests": "tests",
}

EXCEPTIONS: dict[str, str] = {
    "kvnode Client.put": "what people type in notebooks: each option of a PUT by its name, all but two with a default",
    "kvnode LocalCluster.start": "what people type in notebooks: their editor must show each option, with its default",
}
"""function -> why it breaks the rule and is better so: at most EXCEPTIONS_MAX."""
EXCEPTIONS_MAX = 10

IN_ORDER = {
    *(("low", "high"), ("base", "high"), ("least", "most"), ("before", "after"), ("begin_ms", "end_ms")),
    *(("one", "other"), ("x", "y"), ("increments", "decrements"), ("done", "total"), ("n", "r"), ("r", "w")),
}
"""Pairs that are never swapped."""
NEVER_ADJACENT = {"bool", "float"}
"""Types, with or without None; and all functions."""
WHOLE_PAIRS_MAX = {"kvnode": 26, "traffic": 3, "labkit": 9, "scripts": 0}
"""Package -> adjacent pairs of whole numbers that are left. Whoever takes some away lowers it; nobody raises it."""
WHOLE_PAIRS_SLACK = 3

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Found:
    """A function of the project, without its syntax tree: those of all files would fill the memory.

    name: package and qualified name, for the lists. where: file and line, for people.
    pairs: (type, name, name) of adjacent positional parameters of one type, but for those in an order that all know.
    """

    name: str
    where: str
    lines: int
    parameters: int
    pairs: tuple[tuple[str, str, str], ...]

    @property
    def breaks(self) -> str | None:
        """Which rule it breaks, if any, with need and got."""
        if self.lines > LINES_MAX:
            return f"{self.lines} lines, of {LINES_MAX}"
        return (
            f"{self.parameters} parameters, of {PARAMETERS_MAX}" if self.parameters > PARAMETERS_MAX else None
        )

    @property
    def mistakable(self) -> list[str]:
        """Its pairs that can be swapped and nobody is told."""
        return [
            f"{self.where}: {self.name}: {one}, {other}: {kind}"
            for kind, one, other in self.pairs
            if kind in NEVER_ADJACENT or kind.startswith("Callable")
        ]


def parameters_of(function: Function) -> list[ast.arg]:
    """Without `self` and `cls`."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [argument for argument in (*named, *rest) if argument.arg not in ("self", "cls")]


def pairs_of(function: Function) -> Iterator[tuple[str, str, str]]:
    positional = [*function.args.posonlyargs, *function.args.args]
    types = [ast.unparse(it.annotation).removesuffix(" | None") if it.annotation else "" for it in positional]
    for (one, kind), (other, same) in pairwise(zip(positional, types, strict=True)):
        if kind and kind == same and (one.arg, other.arg) not in IN_ORDER:
            yield kind, one.arg, other.arg


def inside(node: ast.AST, name: str) -> Iterator[tuple[str, Function]]:
    """(qualified name, function) of every function below `node`. No expression has one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | Function):
            own = f"{name}.{child.name}" if name else child.name
            if isinstance(child, Function):
                yield own, child
            yield from inside(child, own)
        elif not isinstance(child, ast.expr):
            yield from inside(child, name)


def functions(root: Path) -> Iterator[Found]:
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(), filename=str(path))
            for name, function in inside(tree, ""):
                yield Found(
                    f"{package} {name}",
                    where=f"{path.relative_to(root)}:{function.lineno}",
                    lines=(function.end_lineno or 0) - function.lineno + 1,
                    parameters=len(parameters_of(function)),
                    pairs=tuple(pairs_of(function)),
                )


def offenders(found: Iterable[Found]) -> list[Found]:
    return [it for it in found if it.breaks]


@pytest.fixture(scope="module")
def all_functions(root: Path) -> list[Found]:
    return list(functions(root))


def test_a_function_fits_a_screen_and_takes_few_parameters(all_functions: list[Found]) -> None:
    too_large = [it for it in offenders(all_functions) if it.name not in EXCEPTIONS]
    assert [f"{it.where}: {it.name}: {it.breaks}" for it in too_large] == []


def test_every_exception_is_one_function_that_still_needs_it(all_functions: list[Found]) -> None:
    count = Counter(it.name for it in offenders(all_functions))
    assert {name: count[name] for name in EXCEPTIONS if count[name] != 1} == {}


def test_exceptions_are_few_and_say_why() -> None:
    assert len(EXCEPTIONS) <= EXCEPTIONS_MAX
    assert [name for name, why in EXCEPTIONS.items() if len(why) < 20] == []


def test_nobody_can_swap_two_functions_two_flags_or_two_measures(all_functions: list[Found]) -> None:
    assert [pair for it in all_functions if not it.name.startswith("tests ") for pair in it.mistakable] == []


def test_pairs_of_whole_numbers_become_fewer(all_functions: list[Found]) -> None:
    count = Counter(
        it.name.partition(" ")[0] for it in all_functions for kind, _, _ in it.pairs if kind == "int"
    )
    del count["tests"]
    assert {package: found for package, found in count.items() if found > WHOLE_PAIRS_MAX[package]} == {}
    lower = {
        package: most
        for package, most in WHOLE_PAIRS_MAX.items()
        if count[package] < most - WHOLE_PAIRS_SLACK
    }
    assert lower == {}, "lower it"


LONG = "    x = 1\n" * 59


@pytest.mark.parametrize(
    "text",
    [
        f"def f():\n{LONG}    x = 1\n",
        f"async def f():\n    def g():\n{LONG.replace('    ', '        ')}\n    return g",
        "def f(a, b, c, d, e, f, g): ...",
        "class C:\n    async def f(self, a, b, c, *, d, e, f, g): ...",
        "def f(a, b, c, d, e, f, *rest): ...",
        "def f(a, b, c, d, e, f, **rest): ...",
    ],
)
def test_a_planted_function_is_caught(tmp_path: Path, text: str) -> None:
    planted(tmp_path, text)
    assert len(offenders(functions(tmp_path))) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"def f():\n{LONG}",
        f"class C:\n    def f(self):\n        x = 1\n    y = 1\n{LONG}",
        "class C:\n    def f(self, a, b, c, *, d, e, f): ...",
        "@dataclass\nclass C:\n" + "".join(f"    field_{number}: int\n" for number in range(9)),
    ],
)
def test_a_short_function_passes(tmp_path: Path, text: str) -> None:
    planted(tmp_path, text)
    assert offenders(functions(tmp_path)) == []


@pytest.mark.parametrize(
    "parameters",
    [
        "self, is_dead: Callable[[str], bool], is_alive: Callable[[str], bool]",
        "scene: Scene, repair: bool = False, bob_waits: bool = False",
        "rate: float, seconds: float | None = None",
        "after: float, before: float, *, low: float",
    ],
)
def test_a_planted_pair_that_can_be_swapped_is_caught(tmp_path: Path, parameters: str) -> None:
    planted(tmp_path, f"def f({parameters}): ...")
    assert sum(len(found.mistakable) for found in functions(tmp_path)) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        "is_dead: Callable[[str], bool], *, is_alive: Callable[[str], bool]",
        "low: float, high: float",
        "rate: float, name: str, seconds: float",
        "node: str, key: str",
        "on_done: Callable[[], None], is_dead: Callable[[str], bool]",
    ],
)
def test_other_pairs_pass(tmp_path: Path, parameters: str) -> None:
    planted(tmp_path, f"def f({parameters}): ...")
    assert [pair for found in functions(tmp_path) for pair in found.mistakable] == []


def test_functions_are_named_by_package_and_class(tmp_path: Path) -> None:
    planted(tmp_path, "class C:\n    def f(self):\n        def g(): ...\n")
    assert [found.name for found in functions(tmp_path)] == ["kvnode C.f", "kvnode C.f.g"]


def planted(root: Path, text: str) -> None:
    file = root / "kvnode" / "planted.py"
    file.parent.mkdir()
    file.write_text(text)
