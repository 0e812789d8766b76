"""The project file, the two locks and environment.yml name the same packages at the same versions."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

REQUIREMENT = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>.*?))? \\$", re.MULTILINE
)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of(lock: str, *, python: str) -> dict[str, str]:
    """name -> version of a lock's text, for one Python where the version depends on it."""
    pins: dict[str, str] = {}
    for match in REQUIREMENT.finditer(lock):
        marker = match["marker"] or ""
        bound = re.search(r"python_full_version (<|>=) '([\d.]+)'", marker)
        if bound:
            is_older = version_tuple(python) < version_tuple(bound[2])
            if is_older != (bound[1] == "<"):
                continue
        pins[canonical(match["name"])] = match["version"]
    return pins


def version_tuple(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def names_of(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0]) for requirement in requirements}


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, set[str]]:
    table = tomllib.loads((root / "pyproject.toml").read_text())
    return {
        "runtime": names_of(table["project"]["dependencies"]),
        "test": names_of(table["project"]["optional-dependencies"]["test"]),
        "build": names_of(table["build-system"]["requires"]),
    }


@pytest.fixture(scope="module")
def conda(root: Path) -> dict[str, str]:
    """name -> pin of environment.yml, its pip section included."""
    pins: dict[str, str] = {}
    for entry in yaml.safe_load((root / "environment.yml").read_text())["dependencies"]:
        lines = entry["pip"] if isinstance(entry, dict) else [entry]
        for line in lines:
            name, _, version = line.replace("==", "=").partition("=")
            pins[canonical(name) if version else name] = version
    return pins


def test_the_locks_pin_every_package_with_a_hash(root: Path) -> None:
    for lock in ("runtime", "test"):
        text = (root / "scripts" / "lock" / f"{lock}.txt").read_text()
        for block in re.split(r"\n(?=[a-z0-9])", text.strip()):
            assert REQUIREMENT.match(block), block.splitlines()[0]
            assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_locks_hold_what_the_project_file_asks_for(root: Path, project: dict[str, set[str]]) -> None:
    runtime = pins_of((root / "scripts/lock/runtime.txt").read_text(), python="3.12")
    test = pins_of((root / "scripts/lock/test.txt").read_text(), python="3.12")
    assert project["runtime"] | project["build"] <= runtime.keys()
    assert project["test"] <= test.keys()


def test_tests_run_on_the_versions_that_people_get(root: Path) -> None:
    for python in ("3.11", "3.12", "3.13"):
        runtime = pins_of((root / "scripts/lock/runtime.txt").read_text(), python=python)
        test = pins_of((root / "scripts/lock/test.txt").read_text(), python=python)
        assert {name: test.get(name) for name in runtime} == runtime


def test_conda_pins_equal_the_lock(root: Path, project: dict[str, set[str]], conda: dict[str, str]) -> None:
    lock = pins_of((root / "scripts/lock/test.txt").read_text(), python=conda["python"])
    wanted = project["runtime"] | project["test"] | project["build"]
    installed = {name: pin for name, pin in conda.items() if name not in ("python", "pip", "-e .")}
    assert installed == {name: lock[name] for name in wanted}
    assert "-e ." in conda, "environment.yml does not install the project itself"


def test_a_pin_for_another_python_is_left_out() -> None:
    lock = "numpy==2.4.6 ; python_full_version < '3.12' \\\nnumpy==2.5.5 ; python_full_version >= '3.12' \\\n"
    assert pins_of(lock, python="3.11") == {"numpy": "2.4.6"}
    assert pins_of(lock, python="3.12") == {"numpy": "2.5.5"}


def test_types_are_checked_in_tests_too(root: Path) -> None:
    mypy = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["mypy"]
    assert mypy["strict"] is True
    assert mypy["files"] == ["kvnode", "traffic", "notebooks/labkit", "tests"]
    (of_tests,) = mypy["overrides"]
    assert of_tests["module"] == "tests.*"
    assert not {"check_untyped_defs", "ignore_errors", "follow_imports"} & of_tests.keys()
