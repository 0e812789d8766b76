"""Rules for every file of the project: what stands at the top, how large pictures are, and what no file may say."""

import json
import re
from pathlib import Path

import pytest

TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "environment.yml",
    "kvnode",
    "notebooks",
    "pyproject.toml",
    "scripts",
    "tests",
    "traffic",
}
PICTURE_BYTES_MAX = 200_000
PICTURES = {".png", ".jpg", ".svg"}

# name -> what no text of the project may contain, and why it would be wrong
FORBIDDEN = {
    "a package index by its host: the lock must work with anybody's mirror": re.compile(
        r"\b(?:pypi|python(?:hosted)|crates|npm(?:js)|ana(?:conda))\.(?:org|io|com)\b|\bproxy\.golang\b"
    ),
    "a folder of one machine": re.compile(r"(?<![\w.~$}/-])/(?:home|root|Users|work)/\w"),
    "a note to oneself: file it, or do it": re.compile(r"\b(?:TODO|FIXME|XXX)\b"),
    "the number of a ticket, which says nothing to a reader": re.compile(r"\b[Ii]ssue #?\d"),
}


def texts(files: list[Path]) -> list[tuple[Path, str]]:
    return [(path, path.read_text()) for path in files if path.suffix not in PICTURES]


def test_the_top_level_is_as_documented(root: Path, project_files: list[Path]) -> None:
    assert {path.relative_to(root).parts[0] for path in project_files} <= TOP_LEVEL


def test_pictures_stay_small(root: Path, project_files: list[Path]) -> None:
    sizes = {
        str(path.relative_to(root)): path.stat().st_size for path in project_files if path.suffix in PICTURES
    }
    assert {name: size for name, size in sizes.items() if size > PICTURE_BYTES_MAX} == {}


@pytest.mark.parametrize("reason", FORBIDDEN)
def test_no_file_says(root: Path, project_files: list[Path], reason: str) -> None:
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()[:100]}"
        for path, text in texts(project_files)
        if path != Path(__file__)
        for number, line in enumerate(text.splitlines(), start=1)
        if FORBIDDEN[reason].search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "index = https://py" + "pi.org/simple",
        "see /ro" + "ot/lab/x.py",
        "# TO" + "DO later",
        "fixes iss" + "ue 7",
    ],
)
def test_a_planted_line_is_caught(line: str) -> None:
    assert any(pattern.search(line) for pattern in FORBIDDEN.values())


def test_locks_name_no_host(root: Path) -> None:
    for lock in (root / "scripts" / "lock").iterdir():
        assert not re.search(r"https?:|--(?:extra-)?index|--find-links", lock.read_text()), lock.name


def test_every_shell_script_stops_at_an_error(root: Path, project_files: list[Path]) -> None:
    scripts = [path for path in project_files if path.suffix == ".sh" or path == root / ".ci" / "run"]
    assert scripts
    for path in scripts:
        assert re.search(r"^set -eu", path.read_text(), re.MULTILINE), path.relative_to(root)


def test_shell_scripts_run_on_the_bash_of_macos(root: Path, project_files: list[Path]) -> None:
    """bash 3.2 has no associative arrays, no mapfile, no ${name,,} and no &>>; macOS no GNU-only flags."""
    newer = re.compile(
        r"declare -A|\bmapfile\b|\breadarray\b|\$\{\w+[,^]{1,2}\}|&>>|\bsed -i\b|\breadlink -f\b|\|&"
    )
    for path in project_files:
        if path.suffix == ".sh":
            assert not newer.search(path.read_text()), path.relative_to(root)


def test_notebooks_are_stored_without_outputs(root: Path, project_files: list[Path]) -> None:
    for path in (path for path in project_files if path.suffix == ".ipynb"):
        for number, cell in enumerate(json.loads(path.read_text())["cells"]):
            where = f"{path.relative_to(root)} cell {number}"
            assert not cell.get("outputs"), f"{where} stores an output"
            assert not cell.get("execution_count"), f"{where} stores an execution count"


def test_tests_have_no_package_files(root: Path) -> None:
    assert list((root / "tests").rglob("__init__.py")) == []
