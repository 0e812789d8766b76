"""Docstrings have one form, end their sentences, and name only files and modules that are there.

- Each module has a docstring. Its first line is a whole sentence that says what the module is, in at most 120 columns.
- No paragraph of a docstring breaks off, as one does that an empty line has torn in two: it ends with one of . ? ! : )
  unless it is an indented block or a list.
- A file is named by its path in the project or in its package (`storage/log.py`), or by its bare name if it stands in
  the folder of who names it, or above. A module is named in full (`kvnode.sim`). Comments count too.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

FOLDERS = ("kvnode/", "traffic/", "notebooks/labkit/", "scripts/", "tests/")
COLUMNS_MAX = 120
FILE = re.compile(r"(?<![\w/.*<>{}-])((?:[\w-]+/)*[\w-]+\.(?:py|js|css|md|toml|sh|ipynb|html))\b(?!\w|\.\w)")
MODULE = re.compile(r"(?<![\w./-])((?:kvnode|traffic|labkit)(?:\.[A-Za-z_]\w*)+)")
FOREIGN = {"plotly.js", "_include-segments/network-latency.md"}
"""Files of others."""
ENDS = re.compile(r"(?:[.?!:…][\"'`)\]]*|\))$")
ITEM = re.compile(r"(?:[-*|]|\d+\.) ")

Texts = dict[str, str]
"""File -> text, of Python files: those of the project, or of a test."""


@cache
def docstrings(text: str) -> list[tuple[int, str]]:
    """(line, words) of each docstring: of modules, classes, functions, and of attributes that have one below."""
    return list(_docstrings(ast.parse(text)))


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        body: list[ast.stmt] = getattr(node, "body", None) or []
        if not isinstance(body, list):
            continue
        for before, statement in zip([None, *body], body, strict=False):
            match statement:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    first = before is None and isinstance(node, documented)
                    if first or isinstance(before, ast.Assign | ast.AnnAssign):
                        yield statement.lineno, inspect.cleandoc(words)


def comments(text: str) -> Iterator[tuple[int, str]]:
    """(line, words) of what stands behind a #, in strings too: what looks like a file's name there should be one."""
    for number, line in enumerate(text.splitlines(), start=1):
        _, mark, words = line.partition("# ")
        if mark:
            yield number, words


def wrong_openings(texts: Texts) -> Iterator[str]:
    """Modules without a docstring, and first lines that are too long or no sentence."""
    for file, text in texts.items():
        _, doc = next(iter(docstrings(text)), (0, ""))
        first = doc.partition("\n")[0]
        if not re.match(r"(?:#.*\n)*\s*[rR]?\"\"\"", text) and text.strip():
            yield f"{file}: no docstring"
        elif text.strip() and not ENDS.search(first):
            yield f"{file}: the first line is no whole sentence: {first}"
        if len(f'"""{first}') > COLUMNS_MAX:
            yield f"{file}: the first line has more than {COLUMNS_MAX} columns: {first}"
        if "Not here:" in doc or re.search(r"\S[ ]+Must not live here:", doc):
            yield f'{file}: say "Must not live here:", on a line of its own'


def torn_paragraphs(texts: Texts) -> Iterator[str]:
    for file, text in texts.items():
        for line, doc in docstrings(text):
            for paragraph in re.split(r"\n[ \t]*\n", doc):
                last = paragraph.rpartition("\n")[2]
                if not (ENDS.search(paragraph) or last.startswith(" ") or ITEM.match(paragraph)):
                    yield f"{file}:{line}: breaks off: … {last[-60:]}"


def missing_files(texts: Texts, files: set[str]) -> Iterator[str]:
    for file, text in texts.items():
        folders = [parent.as_posix() for parent in PurePosixPath(file).parents]
        for line, words in (*docstrings(text), *comments(text)):
            for name in FILE.findall(words):
                in_package = "/" in name and any(known.endswith(f"/{name}") for known in files)
                beside = any(f"{folder}/{name}".removeprefix("./") in files for folder in folders)
                if not (in_package or beside or name in FOREIGN):
                    yield f"{file}:{line}: {name} is not there"


def missing_modules(texts: Texts, files: set[str]) -> Iterator[str]:
    """Names with dots that are no module, and no name in the module that they begin with."""
    modules: dict[str, str] = {}
    for known in sorted(files):
        if known.endswith(".py"):
            path = known.removeprefix("notebooks/").removesuffix(".py").removesuffix("/__init__")
            modules[path.replace("/", ".")] = known
    for file, text in texts.items():
        for line, words in (*docstrings(text), *comments(text)):
            for name in MODULE.findall(words):
                if name.endswith((".py", ".md")):
                    continue  # a file
                module, attributes = name, list[str]()
                while module and module not in modules:
                    module, _, attribute = module.rpartition(".")
                    attributes.insert(0, attribute)
                source = texts.get(modules.get(module, ""), "")
                if attributes and not re.search(rf"\b{attributes[0]}\b", source):
                    yield f"{file}:{line}: {name} is not there"


@pytest.fixture(scope="module")
def files(root: Path, project_files: list[Path]) -> set[str]:
    return {path.relative_to(root).as_posix() for path in project_files}


@pytest.fixture(scope="module")
def texts(root: Path, files: set[str]) -> Texts:
    return {
        file: (root / file).read_text()
        for file in sorted(files)
        if file.endswith(".py") and file.startswith(FOLDERS)
    }


def test_every_module_says_what_it_is_in_one_line(texts: Texts) -> None:
    assert list(wrong_openings(texts)) == []


def test_no_docstring_breaks_off(texts: Texts) -> None:
    assert list(torn_paragraphs(texts)) == []


def test_files_that_are_named_are_there(texts: Texts, files: set[str]) -> None:
    assert list(missing_files(texts, files)) == []


def test_modules_that_are_named_are_there(texts: Texts, files: set[str]) -> None:
    assert list(missing_modules(texts, files)) == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        '"""A file.\n\nNot here: more."""',
        '"""A file. Must not live here: more."""',
        '"""A file that says\n\nmore below."""',
        '"""no mark"""',
        f'"""{"very " * 24}long."""',
    ],
)
def test_a_planted_opening_is_caught(text: str) -> None:
    assert len(list(wrong_openings({"kvnode/a.py": text}))) == 1


@pytest.mark.parametrize(
    "text",
    [
        '"""A sentence that an empty line\n\nhas torn in two."""',
        'def f():\n    """It ends in the"""',
        'class C:\n    x: int = 1\n    """The number of"""',
        'async def f():\n    """Right.\n\n    Wrong, for it breaks off\n\n    1. here.\n    """',
    ],
)
def test_a_planted_torn_paragraph_is_caught(text: str) -> None:
    assert len(list(torn_paragraphs({"kvnode/a.py": text}))) == 1


def test_lists_and_indented_blocks_need_no_mark() -> None:
    text = '"""Two ways:\n\n- one\n- another\n\n    python -m kvnode --help\n\n1. first\n   of all\n\n(That is all.)"""'
    assert list(torn_paragraphs({"kvnode/a.py": text})) == []


PLANTED = {
    "kvnode/net/log.py": "class Log: ...",
    "kvnode/runtime.py": "",
    "traffic/load/driver.py": "",
    "notebooks/labkit/session.py": "",
}


@pytest.mark.parametrize("name", ["rooms.py", "net/rooms.py", "driver.py", "session.py", "kvnode/log.py"])
def test_a_planted_name_of_a_file_is_caught(name: str) -> None:
    for text in (f'"""Not here: rooms ({name})."""', f"x = 1  # see {name}"):
        assert len(list(missing_files({"kvnode/net/peers.py": text}, set(PLANTED)))) == 1


@pytest.mark.parametrize(
    "name", ["log.py", "runtime.py", "net/log.py", "kvnode/net/log.py", "load/driver.py"]
)
def test_files_beside_above_and_by_path_are_found(name: str) -> None:
    assert list(missing_files({"kvnode/net/peers.py": f'"""Not here: {name}."""'}, set(PLANTED))) == []


@pytest.mark.parametrize("name", ["kvnode.net.rooms", "kvnode.net.log.Tape", "labkit.lab", "traffic.driver"])
def test_a_planted_name_of_a_module_is_caught(name: str) -> None:
    text = {**PLANTED, "kvnode/net/peers.py": f'"""As {name} does."""'}
    assert len(list(missing_modules(text, set(PLANTED)))) == 1


@pytest.mark.parametrize(
    "name", ["kvnode.net.log", "kvnode.net.log.Log", "labkit.session", "traffic.load.driver"]
)
def test_modules_and_their_names_are_found(name: str) -> None:
    text = {**PLANTED, "kvnode/net/peers.py": f'"""As {name} does."""'}
    assert list(missing_modules(text, set(PLANTED))) == []
