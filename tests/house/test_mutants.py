"""scripts/mutants.toml fits the code, and scripts/mutants.py can fail: for a survivor, and for what proves nothing."""

import ast
import importlib.util
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kvnode.sim.scenarios import SCENARIOS

MUTANTS_MIN = 40
FAST_COUNT = 10
SURVIVED_ONCE = {
    "hints-lost-on-a-ring-change",
    "paxos-promise-told-before-durable",
    "definite-although-sent",
    "no-read-repair-of-tombstones",
    "hint-expires-after-11-s",
    "lww-floor-merge-takes-the-lesser",
    "lww-tie-keeps-both",
}
"""Nothing caught these before there was a list."""


@pytest.fixture(scope="module")
def script(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", root / "scripts" / "mutants.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mutant_of(script: ModuleType) -> Any:
    """mutant_of(field=…): a mutant of the small project below."""

    def make(**fields: Any) -> Any:
        known = {
            "name": "sum-is-a-difference",
            "promise": "Sums are sums",
            "file": "kvnode/sums.py",
            "before": "return one + other",
            "after": "return one - other",
            "test": "tests/kvnode/test_sums.py::test_three_and_four",
        }
        return script.Mutant(**{**known, **fields})

    return make


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as small as can be, laid out as this one is."""
    files = {
        "kvnode/__init__.py": "",
        "kvnode/sums.py": "def add(one, other):\n    return one + other\n",
        "tests/kvnode/test_sums.py": (
            "from kvnode.sums import add\n\n"
            "def test_three_and_four():\n    assert add(3, 4) == 7\n\n"
            "def test_nothing_much():\n    assert add\n"
        ),
        "tests/scenarios/test_none.py": "",
        "tests/conftest.py": "",
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n',
    }
    for name, text in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


# --- the list ---------------------------------------------------------------------------------------------


def test_every_patch_fits_the_code_in_one_place(script: ModuleType) -> None:
    wrong = []
    for mutant in script.load():
        try:
            script.mutated(mutant)
        except script.MutantError as error:
            wrong.append(str(error))
    assert wrong == []


def test_there_are_enough_and_at_least_two_of_every_promise(script: ModuleType) -> None:
    mutants = script.load()
    assert len(mutants) >= MUTANTS_MIN
    assert {mutant.name for mutant in mutants} >= SURVIVED_ONCE
    promises = Counter(mutant.promise for mutant in mutants)
    assert [promise for promise, count in promises.items() if count < 2] == []


def test_ten_are_fast_and_wait_for_no_simulation(script: ModuleType) -> None:
    fast = [mutant for mutant in script.load() if mutant.fast]
    assert len(fast) == FAST_COUNT
    assert not any(mutant.scenario for mutant in fast)


def test_what_must_catch_them_exists(script: ModuleType, root: Path) -> None:
    missing = []
    for mutant in script.load():
        file, _, name = mutant.test.partition("::")
        if mutant.test:
            tree = ast.parse((root / file).read_text())
            defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            missing += [] if name in defined else [mutant.test]
        if mutant.scenario and mutant.scenario not in SCENARIOS:
            missing.append(mutant.scenario)
    assert missing == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"before": "return one * other"}, "its lines stand 0 times in kvnode/sums.py, expected once"),
        ({"before": "one"}, "its lines stand 2 times"),
        ({"after": "return one + other"}, "it changes nothing"),
        ({"after": "return one +"}, "would be no Python any more"),
        ({"file": "kvnode/moved.py"}, "there is no file kvnode/moved.py any more"),
    ],
)
def test_a_patch_that_does_not_fit_is_named(
    script: ModuleType, mutant_of: Any, project: Path, fields: dict[str, str], said: str
) -> None:
    with pytest.raises(script.MutantError, match=f"^sum-is-a-difference: .*{said}"):
        script.mutated(mutant_of(**fields), project)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('name = "half"\nbefore = "x"', "mutant 1 \\(half\\): .*missing"),
        ('name = "a"\npromise = "p"\nfile = "f"\nbefore = "x"\nafter = "y"', "say what must catch it"),
        ('name = "a"\nshape = "round"', "unexpected keyword argument 'shape'"),
    ],
)
def test_an_entry_that_says_too_little_or_too_much_is_named(
    script: ModuleType, tmp_path: Path, entry: str, said: str
) -> None:
    path = tmp_path / "mutants.toml"
    path.write_text(f"[[mutant]]\n{entry}\n")
    with pytest.raises(script.MutantError, match=said):
        script.load(path)


# --- the verdict ------------------------------------------------------------------------------------------


def test_a_mutant_is_caught_by_a_test_that_fails_and_by_nothing_less(
    script: ModuleType, mutant_of: Any, project: Path
) -> None:
    test = "tests/kvnode/test_sums.py"
    outcomes = {
        name: script.judge(mutant_of(test=f"{test}::{name}"), project).outcome
        for name in ("test_three_and_four", "test_nothing_much", "test_that_is_none")
    }
    assert outcomes == {
        "test_three_and_four": script.CAUGHT,
        "test_nothing_much": script.SURVIVED,
        "test_that_is_none": script.BROKEN,
    }
    assert "one + other" in (project / "kvnode/sums.py").read_text(), "the bug was in a copy"


def test_a_test_that_fails_without_any_mutant_proves_nothing(script: ModuleType, project: Path) -> None:
    (project / "tests/kvnode/test_sums.py").write_text("def test_it() -> None:\n    assert False\n")
    with pytest.raises(script.MutantError, match="without any mutant these tests do not pass"):
        script.check_clean(project, ["tests/kvnode/test_sums.py::test_it"])


@pytest.mark.parametrize(
    ("violated", "violated_without", "outcome"),
    [([4, 9], [], "SURVIVED"), ([4, 9, 12], [], "caught"), ([4, 9, 12], [9], "BROKEN")],
)
def test_one_lucky_seed_is_not_enough(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    violated: list[int],
    violated_without: list[int],
    outcome: str,
) -> None:
    copy, clean = Path("copy"), Path("clean")

    def hunt(where: Path, scenario: str, seeds: Any) -> tuple[int, str]:
        found = violated if where == copy else violated_without
        return 0, "\n".join(f"seed {seed} {'violated' if seed in found else 'ok'}" for seed in seeds)

    monkeypatch.setattr(script, "hunt", hunt)
    assert script.judge_by_seeds("storm", copy, clean)[0] == outcome


def test_what_was_caught_is_known_by_the_next_run_until_something_changes(
    script: ModuleType, mutant_of: Any, tmp_path: Path
) -> None:
    path, mutant = tmp_path / "results.json", mutant_of(test="", scenario="storm")
    board = script.Board(path, fresh=False)
    board.add(script.Result(mutant.name, script.CAUGHT, "seen", 1.0, script.digest_of(mutant)))
    assert script.Board(path, fresh=False).caught(mutant).how == "seen"
    assert script.Board(path, fresh=True).caught(mutant) is None
    assert (
        script.Board(path, fresh=False).caught(mutant_of(test="", scenario="storm", after="return 0")) is None
    )
    board.add(script.Result(mutant.name, script.SURVIVED, "not seen", 1.0, script.digest_of(mutant)))
    assert script.Board(path, fresh=False).caught(mutant) is None, "a survivor is looked at again"


def test_jobs_that_end_at_once_all_write_down_what_they_found(script: ModuleType, tmp_path: Path) -> None:
    """One took the other's draft away between writing it and giving it its name."""
    board = script.Board(tmp_path / "results.json", fresh=False)
    results = [script.Result(f"mutant {number}", script.CAUGHT, "a test", 1.0) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(board.add, results))
    assert len(json.loads((tmp_path / "results.json").read_text())) == 200


def test_the_board_fails_for_one_survivor_and_for_one_that_did_not_run(
    script: ModuleType, mutant_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mutants = [mutant_of(name=name) for name in ("one", "other")]
    for outcome in (script.CAUGHT, script.SURVIVED, script.NOT_RUN, script.BROKEN):
        results = [
            script.Result("one", script.CAUGHT, "a test", 1.0),
            script.Result("other", outcome, "", 1.0),
        ]
        assert script.print_board(mutants, results, 2.0) == (outcome == script.CAUGHT)
    assert "2 mutants in 2 s: 1 caught, 0 SURVIVED, 1 BROKEN" in capsys.readouterr().out
