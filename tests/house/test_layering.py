"""Imports go downward only (ARCHITECTURE.md, "Imports"): an upward arrow fails here, by file and line.

The rules are data: for each part of the tree, which modules of the project it may import (`only`), or
which modules of anybody it must not (`never`). Every import counts, also those inside functions and under
TYPE_CHECKING: a name that a reader must know is an arrow whenever it is resolved.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGES = ("kvnode", "traffic", "labkit")
ROOMS = (
    "versions",
    "ring",
    "membership",
    "messages",
    "records",
    "replication",
    "anti_entropy",
    "tombstones",
    "handoff",
    "register",
    "transactions",
    "observe",
)
WORLDS = ("kvnode.net", "kvnode.sim", "kvnode.storage")
ABOVE_THE_ROOMS = (
    "kvnode.node",
    "kvnode.client",
    "kvnode.cluster",
    "kvnode.chaos",
    "kvnode.checkers",
    "kvnode.__main__",
    *WORLDS,
)
TRAFFIC = (
    ("clock", "operations", "process", "discovery"),
    ("stores",),
    ("workloads", "nodes", "pbs"),
    ("measure",),
    ("verify",),
    ("load",),
    ("control",),
    ("runs",),
    ("fleet",),
    ("service",),
    ("recording", "cli", "__main__"),
)
"""The floors of the traffic, the ground floor first: a part imports from its own floor or from below."""
OUTSIDE_WORLD = ("time", "random", "socket")
HTTP_LIBRARIES = ("requests", "httptools", "uvicorn", "starlette", "aiohttp", "http", "urllib", "socket")


@dataclass(frozen=True)
class Rule:
    """What the files under `where` may import.

    where: module prefix. only: the allowed modules of this project (None: any). never: forbidden modules.
    exempt: modules under `where` to which the rule does not apply.
    """

    where: str
    only: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()


def floors(package: str, of_package: tuple[tuple[str, ...], ...]) -> Iterator[Rule]:
    """No part of a floor imports from the floors above it."""
    for number, floor in enumerate(of_package):
        above = tuple(f"{package}.{part}" for higher in of_package[number + 1 :] for part in higher)
        yield from (Rule(f"{package}.{part}", never=above) for part in floor)


RULES = (
    Rule("kvnode", never=("traffic", "labkit")),
    Rule("kvnode.versions", only=("kvnode.versions",)),
    *(Rule(f"kvnode.{room}", never=(*ABOVE_THE_ROOMS, *OUTSIDE_WORLD)) for room in ROOMS),
    Rule("kvnode.ring", never=("kvnode.membership", "kvnode.replication")),
    Rule("kvnode.membership", never=("kvnode.ring", "kvnode.replication")),
    Rule(
        "kvnode.storage",
        never=("kvnode.node", "kvnode.replication", "kvnode.net", "kvnode.sim", "kvnode.cluster"),
    ),
    Rule(
        "kvnode.runtime",
        never=(
            *ABOVE_THE_ROOMS,
            *(f"kvnode.{room}" for room in ROOMS if room not in ("versions", "messages")),
        ),
    ),
    Rule("kvnode.checkers", only=("kvnode.checkers", "kvnode.versions")),
    Rule("kvnode.node", never=(*WORLDS, "kvnode.cluster", "kvnode.client")),
    Rule("kvnode.cluster", never=("kvnode.chaos",)),
    Rule("traffic", never=("labkit",)),
    Rule("traffic", only=("traffic", "kvnode.checkers"), exempt=("traffic.stores.kvnode",)),
    Rule("traffic.workloads", never=HTTP_LIBRARIES),
    *floors("traffic", TRAFFIC),
    Rule("labkit", only=("labkit", "kvnode.cluster", "kvnode.client", "kvnode.checkers", "kvnode.errors")),
)


def is_under(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def module_name(path: Path, root: Path) -> str:
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[0] == "notebooks":
        parts = parts[1:]
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


def imported_modules(path: Path, module: str) -> Iterator[tuple[int, str]]:
    """(line, full module name) of each import; `from a import b` counts as `a.b`, for b may be a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for statement in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield statement.lineno, alias.name
        elif isinstance(statement, ast.ImportFrom):
            base = statement.module or ""
            if statement.level:
                parents = package.split(".")
                parents = parents[: len(parents) - (statement.level - 1)]
                base = ".".join([*parents, base]) if base else ".".join(parents)
            for alias in statement.names:
                yield statement.lineno, f"{base}.{alias.name}"


def breaks(rule: Rule, module: str, imported: str) -> bool:
    if not is_under(module, rule.where) or any(is_under(module, free) for free in rule.exempt):
        return False
    if any(is_under(imported, name) for name in rule.never):
        return True
    ours = any(is_under(imported, package) for package in PACKAGES)
    if rule.only is None or not ours or is_value_of_a_package(imported):
        return False
    return not any(is_under(imported, name) for name in rule.only)


def is_value_of_a_package(imported: str) -> bool:
    """`from kvnode import __version__` takes a value from the package itself, no module of it."""
    package, _, name = imported.rpartition(".")
    return package in PACKAGES and name.startswith("__") and name != "__main__"


def upward_arrows(root: Path) -> list[str]:
    folders = (root / "kvnode", root / "traffic", root / "notebooks" / "labkit")
    arrows: list[str] = []
    for path in sorted(file for folder in folders for file in folder.rglob("*.py")):
        module = module_name(path, root)
        for line, imported in imported_modules(path, module):
            if any(breaks(rule, module, imported) for rule in RULES):
                arrows.append(f"{path.relative_to(root)}:{line}: {module} imports {imported}")
    return arrows


def test_imports_go_downward_only(root: Path) -> None:
    assert upward_arrows(root) == []


def test_every_part_of_the_traffic_has_its_floor(root: Path) -> None:
    parts = {
        path.stem
        for path in (root / "traffic").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__"} == {part for floor in TRAFFIC for part in floor}
    assert len([path for path in (root / "traffic").glob("*.py") if path.stem != "__init__"]) <= 8


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("kvnode/versions/dots.py", "from kvnode.config import NodeConfig"),
        ("kvnode/versions/dots.py", "from ..messages import Put"),
        ("kvnode/replication/quorum.py", "import time"),
        ("kvnode/replication/quorum.py", "def f():\n    from random import choice"),
        ("kvnode/replication/get.py", "from ..net import http"),
        ("kvnode/replication/get.py", "from kvnode import node"),
        ("kvnode/membership/probes.py", "import kvnode.sim.clock"),
        ("kvnode/membership/probes.py", "from kvnode.ring import Ring"),
        ("kvnode/ring/ring.py", "from kvnode.storage.sqlite import Disk"),
        ("kvnode/runtime.py", "from kvnode.replication import quorum"),
        ("kvnode/checkers/ledger.py", "from kvnode.errors import NotFound"),
        ("kvnode/cluster/local.py", "from traffic.load import driver"),
        ("kvnode/node.py", "from kvnode.net.http import serve"),
        ("traffic/load/driver.py", "from kvnode.client import Client"),
        ("traffic/workloads/twitter.py", "import requests"),
        ("traffic/workloads/twitter.py", "from traffic.load.driver import Driver"),
        ("traffic/operations.py", "from .stores.base import Reply"),
        ("traffic/measure/recorder.py", "from traffic.verify import totals"),
        ("traffic/load/driver.py", "def f():\n    from traffic.control.generator import Generator"),
        ("traffic/runs/report.py", "from ..service import pages"),
        ("traffic/measure/recorder.py", "import labkit"),
        ("notebooks/labkit/session.py", "from traffic.service import app"),
        ("notebooks/labkit/session.py", "from kvnode.replication import quorum"),
        ("notebooks/labkit/session.py", "import kvnode.config"),
    ],
)
def test_a_planted_upward_arrow_is_caught(tmp_path: Path, file: str, line: str) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(f'"""Planted."""\n\n{line}\n')
    assert len(upward_arrows(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (
            "kvnode/replication/get.py",
            "import asyncio\nfrom kvnode.versions.dots import Dot\nfrom ..runtime import Clock",
        ),
        ("kvnode/net/http.py", "import socket\nfrom kvnode.node import Node"),
        ("kvnode/checkers/ledger.py", "from kvnode.versions import vectors\nimport time"),
        ("traffic/stores/kvnode.py", "from kvnode.errors import NotFound\nimport requests"),
        ("traffic/service/check.py", "from kvnode.checkers.ledger import Ledger"),
        (
            "notebooks/labkit/session.py",
            "from kvnode import __version__\nfrom kvnode.cluster import LocalCluster",
        ),
    ],
)
def test_a_downward_import_passes(tmp_path: Path, file: str, line: str) -> None:
    allowed = tmp_path / file
    allowed.parent.mkdir(parents=True)
    allowed.write_text(f"{line}\n")
    assert upward_arrows(tmp_path) == []
