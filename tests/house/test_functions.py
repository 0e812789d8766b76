"""A function fits a screen and takes few parameters, so that it is read at a glance and called without a mistake.

- At most 60 lines, from `def` to its last line, docstring and inner functions included.
- At most six parameters, `*args` and `**kwargs` counted, `self` and `cls` not. The fields of a dataclass do not count:
  nobody writes its `__init__`.

There is no rule for the length of a file: a file may be long if it is one idea.

Functions are named without their file, for files move: the package, then the names that lead to the function.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
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

EXCEPTIONS: dict[str, str] = {}
"""function -> why it breaks the rule and is better so: at most EXCEPTIONS_MAX."""
EXCEPTIONS_MAX = 10

PENDING = {
    "kvnode Responder.__init__",
    "kvnode Changes.__init__",
    "kvnode Child.__init__",
    "kvnode Client.put",
    "kvnode Coordinator.__init__",
    "kvnode Coordinator._write",
    "kvnode Cleanup.__init__",
    "kvnode Exchange.__init__",
    "kvnode Hints.__init__",
    "kvnode Inspection.__init__",
    "kvnode Link.__init__",
    "kvnode LocalCluster.attach_or_start",
    "kvnode LocalCluster.start",
    "kvnode Node.__init__",
    "kvnode ReadRound.__init__",
    "kvnode Replica.__init__",
    "kvnode Serving.__init__",
    "kvnode TombstoneReaper.__init__",
    "kvnode Views.stats",
    "kvnode Voting.__init__",
    "kvnode WriteRound.__init__",
    "kvnode _StatsCollector.collect",
    "kvnode _run",
    "kvnode _storm",
    "kvnode parser",
    "kvnode planted",
    "scripts main",
    "traffic ClosedLoop.__init__",
    "traffic Driver.__init__",
    "traffic Executor.__init__",
    "traffic Executor._tell",
    "traffic KvnodeStore.__init__",
    "traffic PbsRun.__init__",
    "traffic Recorder.note",
    "traffic RetryQueue.__init__",
    "traffic describe",
    "traffic replay",
    "traffic run_course",
    "traffic serve",
}
"""What broke the rule when it was made. Nothing is added here; whoever mends one takes it out."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Found:
    """A function of the project. where: file and line, for people; name: package and qualified name, for the lists."""

    name: str
    where: str
    function: Function

    @property
    def breaks(self) -> str | None:
        """Which rule it breaks, if any, with need and got."""
        lines = (self.function.end_lineno or 0) - self.function.lineno + 1
        parameters = len(parameters_of(self.function))
        if lines > LINES_MAX:
            return f"{lines} lines, of {LINES_MAX}"
        return f"{parameters} parameters, of {PARAMETERS_MAX}" if parameters > PARAMETERS_MAX else None


def parameters_of(function: Function) -> list[ast.arg]:
    """Without `self` and `cls`."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [argument for argument in (*named, *rest) if argument.arg not in ("self", "cls")]


def inside(node: ast.AST, name: str) -> Iterator[tuple[str, Function]]:
    """(qualified name, function) of every function below `node`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | Function):
            own = f"{name}.{child.name}" if name else child.name
            if isinstance(child, Function):
                yield own, child
            yield from inside(child, own)
        else:
            yield from inside(child, name)


def functions(root: Path) -> Iterator[Found]:
    for package, folder in PACKAGES.items():
        for path in sorted((root / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(), filename=str(path))
            for name, function in inside(tree, ""):
                where = f"{path.relative_to(root)}:{function.lineno}"
                yield Found(f"{package} {name}", where, function)


def offenders(root: Path) -> list[Found]:
    return [found for found in functions(root) if found.breaks]


@pytest.fixture(scope="module")
def today(root: Path) -> list[Found]:
    return offenders(root)


def test_a_function_fits_a_screen_and_takes_few_parameters(today: list[Found]) -> None:
    allowed = EXCEPTIONS.keys() | PENDING
    assert [f"{it.where}: {it.name}: {it.breaks}" for it in today if it.name not in allowed] == []


def test_every_exception_is_one_function_that_still_needs_it(today: list[Found]) -> None:
    count = Counter(found.name for found in today)
    assert {name: count[name] for name in EXCEPTIONS.keys() | PENDING if count[name] != 1} == {}


def test_exceptions_are_few_and_say_why() -> None:
    assert len(EXCEPTIONS) <= EXCEPTIONS_MAX
    assert [name for name, why in EXCEPTIONS.items() if len(why) < 20] == []
    assert EXCEPTIONS.keys() & PENDING == set()


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
    assert len(offenders(tmp_path)) == 1


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
    assert offenders(tmp_path) == []


def test_functions_are_named_by_package_and_class(tmp_path: Path) -> None:
    planted(tmp_path, "class C:\n    def f(self):\n        def g(): ...\n")
    assert [found.name for found in functions(tmp_path)] == ["kvnode C.f", "kvnode C.f.g"]


def planted(root: Path, text: str) -> None:
    file = root / "kvnode" / "planted.py"
    file.parent.mkdir()
    file.write_text(text)
