"""What the documents tell people to type, open or look at is there, and what they claim is so."""

import re
from pathlib import Path

import pytest

DOCUMENTS = (
    *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "kvnode/README.md", "traffic/README.md"),
    *("notebooks/README.md", "notebooks/INSTRUCTOR.md"),
)
MAP_BYTES_MAX = 12 * 1024
FENCE = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    lines = [line.split(" #")[0].strip() for block in FENCE.findall(text) for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_names_something_that_exists(root: Path, document: str) -> None:
    missing: list[str] = []
    for command in commands((root / document).read_text()):
        words = command.split()
        if words[0] == "bash" and not (root / words[1]).is_file():
            missing.append(command)
        if "-m" in words and "python" in words[words.index("-m") - 1]:
            module = words[words.index("-m") + 1].replace(".", "/")
            folders = (root / module, root / "notebooks" / module)
            if not any(
                (folder / "__main__.py").is_file() or folder.with_suffix(".py").is_file()
                for folder in folders
            ):
                missing.append(command)
        missing += [
            f"{command}: {word}"
            for word in words
            if re.fullmatch(r"(?:scripts|notebooks|tests|kvnode|traffic)/[\w./-]+", word)
            and not (root / word).exists()
        ]
    assert missing == []


def test_every_link_leads_somewhere(root: Path) -> None:
    documents = [
        path for folder in (".", "kvnode", "traffic", "notebooks") for path in (root / folder).glob("*.md")
    ]
    broken = [
        f"{document.relative_to(root)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)\s#]+)[^)\s]*\)", document.read_text())
        if not re.match(r"https?://", target) and not (document.parent / target).exists()
    ]
    assert len(documents) >= 6 and broken == []


def test_the_architecture_is_a_map(root: Path) -> None:
    """It grew to 48 kB once: reasons belong to the README of the package that they are about."""
    assert (root / "ARCHITECTURE.md").stat().st_size <= MAP_BYTES_MAX


def test_every_script_is_in_the_readme(root: Path) -> None:
    readme = (root / "README.md").read_text()
    scripts = {path.name for path in (root / "scripts").glob("*.sh")} - {"environment.sh", "lock.sh"}
    assert {name for name in scripts if f"scripts/{name}" not in readme} == set()


def test_the_curl_lines_of_the_tour_use_addresses_that_the_code_serves(root: Path) -> None:
    """By their last two words: routes are put together from prefixes."""
    served = "\n".join(
        path.read_text() for path in (*(root / "traffic").rglob("*.py"), *(root / "kvnode").rglob("*.py"))
    )
    paths = re.findall(r"localhost:7342(/[\w/]+)", (root / "README.md").read_text())
    assert paths
    assert [path for path in paths if "/".join(path.split("/")[-2:]) not in served] == []


STARTED = re.compile(r'"-P",\s*"-m",\s*"((?:kvnode|traffic|labkit)[\w.]*)"')
ENTRY = re.compile(r"^- ((?:\*\*[^*]+\*\*(?:,? (?:and )?)?)+)(\(of [^)]*\))?", re.MULTILINE)


def section(text: str, heading: str) -> str:
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {heading}"
    return found[1]


def unnamed_processes(code: str, words: str) -> set[str]:
    """Modules that the code starts as processes and the words do not name."""
    return {module for module in STARTED.findall(code) if f"`{module}`" not in words}


def test_every_process_that_the_code_starts_is_in_the_architecture(root: Path) -> None:
    packages = (root / "kvnode", root / "traffic", root / "notebooks" / "labkit")
    code = "\n".join(path.read_text() for package in packages for path in package.rglob("*.py"))
    assert {"kvnode", "kvnode.cluster.supervisor"} <= set(STARTED.findall(code))
    assert unnamed_processes(code, section((root / "ARCHITECTURE.md").read_text(), "Processes")) == set()


def test_a_process_that_is_not_named_is_found() -> None:
    code = 'NODE = (sys.executable, "-P", "-m", "kvnode")\nrun([python, "-P", "-m", "traffic.fleet.worker", "--"])'
    assert unnamed_processes(code, "Nodes (`kvnode`) and workers.") == {"traffic.fleet.worker"}


def entries(words: str) -> list[str]:
    """The terms of a glossary, `A, B` being two; one that is said to belong to a package counts apart."""
    return [
        term.strip().lower() + belongs
        for terms, belongs in ENTRY.findall(words)
        for bold in re.findall(r"\*\*([^*]+)\*\*", terms)
        for term in bold.split(",")
    ]


def test_no_word_has_two_entries(root: Path) -> None:
    terms = entries(section((root / "ARCHITECTURE.md").read_text(), "Words"))
    assert terms
    assert {term for term in terms if terms.count(term) > 1} == set()


def test_a_word_with_two_entries_is_found() -> None:
    words = "- **Replica**: a copy.\n- **Owner**, **replica**: a node.\n- **Owner** (of a cluster): who started it.\n"
    assert entries(words) == ["replica", "owner", "replica", "owner(of a cluster)"]
