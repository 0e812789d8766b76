"""The afternoon: the files of kvnode that hold its ideas, as its README lists them, can be read in an afternoon.

Under the heading "## The afternoon" each row of a table, or each item of a list, begins with a link to one file
(`[quorum](replication/quorum.py)`, or its path in backticks), relative to kvnode/.

Under "## The files of one PUT" a table names what a reader opens to follow one, at most 15 files.
"""

import re
from pathlib import Path

import pytest

LINES_MAX = 2400
PUT_FILES_MAX = 15
IDEAS = ("quorum.py", "write.py", "read.py", "replica.py", "hints.py", "merkle.py", "swim.py", "paxos.py")
"""Files that an afternoon cannot do without."""
ALGORITHMS = ("replication/write.py", "replication/read.py")
"""The whole of a quorum write and of a quorum read, each in one place."""
ALGORITHM_LINES_MAX = 150
SECTION = re.compile(r"^## The afternoon\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\s*(?:[-*|]|\d+\.)\s*(?:\[[^\]]*\]\(([\w/.]+)\)|`([\w/.]+)`)", re.MULTILINE)

PUT_ROW = re.compile(r"^\| \d+ \| \[[^\]]*\]\(([\w/.]+)\)", re.MULTILINE)


def afternoon(readme: str) -> list[str]:
    """The paths that the section names, in its order."""
    section = SECTION.search(readme)
    return [link or path for link, path in ROW.findall(section[1])] if section else []


def lines_of(folder: Path, files: list[str]) -> dict[str, int]:
    return {file: len((folder / file).read_text().splitlines()) for file in files}


def shortcomings(folder: Path, readme: str) -> list[str]:
    files = afternoon(readme)
    found = [f"{file} is named twice" for file in set(files) if files.count(file) > 1]
    found += [f"{file} is no file" for file in files if not (folder / file).is_file()]
    found += [f"no file {idea}" for idea in IDEAS if idea not in {Path(file).name for file in files}]
    if not found and (total := sum(lines_of(folder, files).values())) > LINES_MAX:
        found.append(f"{total} lines, of at most {LINES_MAX}")
    return found


def test_the_ideas_can_be_read_in_an_afternoon(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = root / "kvnode" / "README.md"
    assert shortcomings(readme.parent, readme.read_text()) == []
    lines = lines_of(readme.parent, afternoon(readme.read_text()))
    with capsys.disabled():
        print(f"\nThe afternoon: {len(lines)} files, {sum(lines.values())} lines (at most {LINES_MAX})")


def too_long(lines: dict[str, int]) -> list[str]:
    return [f"{file}: {count} lines" for file, count in lines.items() if count > ALGORITHM_LINES_MAX]


def test_a_quorum_write_and_a_quorum_read_are_read_from_top_to_bottom(root: Path) -> None:
    assert too_long(lines_of(root / "kvnode", list(ALGORITHMS))) == []


def test_a_longer_algorithm_is_caught(planted: Path) -> None:
    (planted / "write.py").write_text("x = 1\n" * 151)
    assert too_long(lines_of(planted, ["write.py", "read.py"])) == ["write.py: 151 lines"]


def test_one_put_is_followed_in_few_files(root: Path) -> None:
    readme = (root / "kvnode" / "README.md").read_text()
    files = PUT_ROW.findall(readme.partition("\n## The files of one PUT\n")[2].partition("\n## ")[0])
    assert 10 <= len(files) <= PUT_FILES_MAX and len(set(files)) == len(files)
    assert [file for file in files if not (root / "kvnode" / file).is_file()] == []


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    for idea in IDEAS:
        (tmp_path / idea).write_text("x = 1\n" * 100)
    return tmp_path


README = "# kvnode\n\n## The afternoon\n\nIn this order:\n\n" + "".join(
    f"{number}. [{idea}]({idea}): see `records.py`\n" for number, idea in enumerate(IDEAS, start=1)
)


def test_lists_and_tables_are_read(planted: Path) -> None:
    table = "## The afternoon\n\n| file | idea |\n|---|---|\n" + "".join(
        f"| `{idea}` | |\n" for idea in IDEAS
    )
    for readme in (README, table, README + "\n## Decisions\n\n- `conftest.py`\n"):
        assert afternoon(readme) == list(IDEAS)
        assert shortcomings(planted, readme) == []


def test_an_afternoon_that_is_too_long_is_caught(planted: Path) -> None:
    (planted / IDEAS[0]).write_text("x = 1\n" * 2000)
    assert shortcomings(planted, README) == ["2700 lines, of at most 2400"]


@pytest.mark.parametrize(
    "readme", [README + "9. `gone.py`\n", README + "9. `swim.py`\n", README.replace("swim.py", "siblings.py")]
)
def test_a_file_that_is_gone_named_twice_or_left_out_is_caught(planted: Path, readme: str) -> None:
    (planted / "siblings.py").touch()
    assert len(shortcomings(planted, readme)) == 1


def test_a_readme_without_the_section_is_caught(planted: Path) -> None:
    assert len(shortcomings(planted, "# kvnode\n")) == len(IDEAS)
