"""Names use the field's words: a private word for something that has a known one fails here, by file and line.

The words are data, by package: what a part of a name may not be, and what to say instead. Only names are read
(modules, classes, functions, arguments, fields), for there a word spreads; prose and what goes over the wire are not.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

WORDS = {
    "traffic": {
        "performer": "executor",
        "resender": "retry queue",
        "estate": "journal recovery",
        "bequest": "journal of a dead process",
        "bequests": "journals of dead processes",
        "heir": "successor",
        "inherited": "recovered",
        "books": "write ledger",
        "promises": "read checks",
        "tap": "listener",
        "taps": "listeners",
        "tape": "recording writer",
        "taped": "written",
        "deed": "fault action",
        "deeds": "fault actions",
        "watch": "health poller",
        "front": "coordinator",
        "child": "worker",
        "children": "workers",
        "alone": "in-process",
        "picture": "snapshot",
        "pictures": "snapshots",
        "story": "summary, scenario, trace or log: say which",
        "stories": "scenarios",
        "upkeep": "maintenance",
    },
    "labkit": {
        "story": "summary, scene, trace or log: say which",
        "stories": "scenes",
        "watch": "follow, or poll",
        "move": "membership change",
        "moves": "membership changes",
        "mover": "whoever changes it",
        "trouble": "fault",
        "troubles": "faults",
        "stillness": "frozen page, or quiescence",
        "upkeep": "maintenance",
        "sweep": "tombstone reaper",
        "room": "margin, width or component: say which",
        "rooms": "components",
        "audience": "replica plan",
        "turn": "attempt, or exchange",
        "turns": "attempts",
        "deed": "action",
        "deeds": "actions",
        "estate": "journal recovery",
        "tether": "parent-death watchdog",
        "leash": "parent-death watchdog",
    },
    "kvnode": {
        "audience": "replica plan",
        "audiences": "replica plans",
        "sweeps": "tombstone reaper",
        "swept": "reaped",
        "singles": "single-record diffs",
        "stillness": "quiescence",
        "pace": "throttle",
        "slowly": "throttle, or background share",
        "chore": "maintenance task",
        "chores": "maintenance tasks",
        "pull": "bootstrap",
        "mover": "flusher, or membership nemesis",
        "movers": "membership nemesis",
        "platter": "durable state",
        "platters": "durable states",
        "crowd": "SWIM cluster",
        "inquiry": "inspection",
        "inquiries": "inspection",
        "cause": "trace_id",
        "lived": "uptime",
        "story": "summary, scenario, trace or log: say which",
        "rooms": "components",
        "doors": "interfaces",
        "elector": "acceptor",
        "electors": "acceptors",
        "voting": "acceptor, or proposer",
        "candidacy": "proposer",
        "books": "write ledger",
    },
    "kvnode/sim": {"trouble": "fault", "troubles": "faults"},
    "kvnode/cluster": {
        "keeper": "process manager",
        "places": "paths",
        "teller": "fault sync",
        "troubles": "fault schedule",
        "moves": "membership changes",
        "leash": "parent-death watchdog",
        "tether": "parent-death watchdog",
        "lifetimes": "parent-death watchdog",
    },
    "kvnode/chaos": {
        "trouble": "scheduled fault",
        "troubles": "fault schedule",
        "agreement": "convergence check",
        "moves": "membership changes",
    },
}
FOLDERS = {"labkit": "notebooks/labkit"}
"""Where a package lies that is not at the root."""
MODULES = {
    "traffic": {"worlds": "workload registry", "shapes": "rate parser"},
    "kvnode/cluster": {"upkeep": "maintenance"},
}
"""What a module may not be called; elsewhere these words mean something else."""

KEPT = {
    "kvnode/client/": {"cause"},  # a field of the answers' JSON
    "kvnode/operations.py": {"cause"},
    "kvnode/net/parse.py": {"cause"},
    "traffic/workloads/inventory/": {"books"},  # a warehouse's accounts
    "traffic/service/routing.py": {"child"},  # Starlette's word: child_scope
    "traffic/service/serve.py": {"watch"},  # reads standard input until its end
    "notebooks/labkit/course/scenes.py": {"watch"},  # a person's, which is slow
    "notebooks/labkit/course/ex04.py": {"watch"},
}


def names(path: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of each thing that the file names, the module itself first."""
    yield 1, path.parent.name if path.stem == "__init__" else path.stem
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def parts(name: str) -> set[str]:
    """The words of a name: `_forgetRows`, `forget_rows` and `ForgetRows` have two."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def private_words(root: Path) -> list[str]:
    found: list[str] = []
    for package, words in WORDS.items():
        for path in sorted((root / FOLDERS.get(package, package)).rglob("*.py")):
            file = path.relative_to(root).as_posix()
            kept = {word for where, some in KEPT.items() if file.startswith(where) for word in some}
            banned = {word: better for word, better in words.items() if word not in kept}
            for number, (line, name) in enumerate(names(path)):
                found += [
                    f"{file}:{line}: {name}: say {banned[word]}" for word in parts(name) & banned.keys()
                ]
                if not number and name in MODULES.get(package, {}):
                    found.append(f"{file}: say {MODULES[package][name]}")
    return found


def test_names_use_the_words_of_the_field(root: Path) -> None:
    assert private_words(root) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("traffic/tape.py", ""),
        ("traffic/load/worlds.py", ""),
        ("traffic/load/driver.py", "class Performer: ..."),
        ("traffic/load/driver.py", "def set_tap(): ..."),
        ("traffic/load/driver.py", "def begin(*, heir): ..."),
        ("traffic/load/driver.py", "class Driver:\n    def f(self):\n        self._last_picture = 1"),
        ("traffic/load/driver.py", "FAULT_DEEDS = ()"),
        ("notebooks/labkit/panels/ring.py", "def story(): ..."),
        ("notebooks/labkit/live/stillness.py", ""),
        ("kvnode/cluster/upkeep.py", ""),
        ("kvnode/tombstones/stillness.py", ""),
        ("kvnode/replication/read.py", "class Audience: ..."),
        ("kvnode/replication/write.py", "def put(*, cause): ..."),
        ("kvnode/handoff/voting.py", ""),
        ("kvnode/handoff/paxos.py", "def accepted(elector): ..."),
        ("kvnode/cluster/processes/manager.py", "class LeaseKeeper: ..."),
        ("kvnode/chaos/run.py", "def work(troubles): ..."),
    ],
)
def test_a_planted_private_word_is_caught(tmp_path: Path, file: str, text: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(f"{text}\n")
    assert len(private_words(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("traffic/workloads/inventory/reserved.py", "books = 1"),
        ("traffic/load/driver.py", "tapered = watched = frontier = 1"),
        ("kvnode/node.py", "children = because = 1"),
        ("kvnode/operations.py", "class Answer:\n    cause: str"),
        ("notebooks/labkit/pictures.py", "def slow_picture(): ..."),
        ("notebooks/labkit/course/scenes.py", "def slow_watch(): ..."),
    ],
)
def test_other_words_pass(tmp_path: Path, file: str, text: str) -> None:
    allowed = tmp_path / file
    allowed.parent.mkdir(parents=True)
    allowed.write_text(f"{text}\n")
    assert private_words(tmp_path) == []
