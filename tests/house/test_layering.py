"""Imports go downward only (ARCHITECTURE.md, "Imports"): an upward arrow fails here, by file and line.

So does a circle: modules that import each other, or folders and modules of one package that do by any of their parts.
The rules are data: the floors of each package, and for each part of the tree which modules of the project it may import
(`only`), or which modules of anybody it must not (`never`). What the documents say that a folder must not know is the
`knows_not` of its rule. Every import counts, also those inside functions and under TYPE_CHECKING: a name that a reader
must know is an arrow whenever it is resolved.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

Floors = tuple[tuple[str, ...], ...]

PACKAGES = ("kvnode", "traffic", "labkit")
KVNODE: Floors = (
    ("config", "errors", "faults", "versions"),
    ("operations", "ring"),
    ("messages",),
    ("runtime",),
    ("observe", "rpc", "throttle"),
    ("maintenance", "membership", "records"),
    ("context",),
    ("tombstones",),
    ("anti_entropy", "replication"),
    ("handoff",),
    ("node",),
    ("checkers", "client", "storage"),
    ("cluster", "net"),
    ("chaos", "sim"),
    ("__main__",),
)
TRAFFIC: Floors = (
    ("clock", "operations", "process", "discovery"),
    ("stores",),
    ("measure",),
    ("workloads", "nodes", "pbs"),
    ("verify",),
    ("load",),
    ("control",),
    ("runs",),
    ("fleet",),
    ("service",),
    ("recording", "cli", "__main__"),
)
FLOORS = {"kvnode": KVNODE, "traffic": TRAFFIC}
"""Of each package the ground floor first: a part imports from its own floor or from below."""

COMPONENTS = (
    *("versions", "ring", "membership", "messages", "records", "replication", "anti_entropy", "tombstones"),
    *("handoff", "observe", "context", "throttle", "maintenance"),
)
"""What a node consists of. The same code runs in simulation."""
WORLDS = ("kvnode.net", "kvnode.sim", "kvnode.storage", "kvnode.cluster", "kvnode.client", "kvnode.chaos")
THE_WORLD = (
    *(
        "time",
        "datetime",
        "random",
        "secrets",
        "socket",
        "ssl",
        "os",
        "pathlib",
        "sqlite3",
        "threading",
        "subprocess",
    ),
)
"""What comes in through the runtime alone: time, chance, network and disk."""
HTTP_LIBRARIES = ("requests", "httptools", "uvicorn", "starlette", "aiohttp", "http", "urllib", "socket")
OF_NODES = ("kvnode.node", "kvnode.rpc", "kvnode.runtime", *(f"kvnode.{part}" for part in COMPONENTS))


@dataclass(frozen=True)
class Rule:
    """What the files under `where` may import.

    where: module prefix. only: the allowed modules of this project (None: any). never: forbidden modules.
    exempt: modules under `where` to which the rule does not apply.
    knows_not: what this keeps the folder from knowing, in the words of the documents.
    """

    where: str
    only: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()
    knows_not: str = ""


def floors() -> Iterator[Rule]:
    """No part of a floor imports from the floors above it."""
    for package, of_package in FLOORS.items():
        for number, floor in enumerate(of_package):
            above = tuple(f"{package}.{part}" for higher in of_package[number + 1 :] for part in higher)
            yield from (Rule(f"{package}.{part}", never=above) for part in floor)


def only(where: str, *others: str, knows_not: str = "") -> Rule:
    """What is under `where` imports itself and these others of the same package."""
    package = where.partition(".")[0]
    return Rule(where, only=(where, *(f"{package}.{other}" for other in others)), knows_not=knows_not)


OF_A_NOTEBOOK = ("labkit.session", "labkit.course", "labkit.panels", "labkit.live")

RULES = (
    *floors(),
    Rule("kvnode", never=("traffic", "labkit")),
    *(Rule(f"kvnode.{part}", never=(*WORLDS, *THE_WORLD)) for part in ("node", *COMPONENTS)),
    only("kvnode.versions", knows_not="nodes, network"),
    only("kvnode.ring", "config", "versions.bounds", knows_not="who is alive"),
    only(
        "kvnode.membership",
        *("config", "messages", "observe", "runtime", "versions.bounds"),
        knows_not="keys",
    ),
    only("kvnode.messages", "ring", "versions", knows_not="how it travels"),
    only("kvnode.observe", "config", knows_not="who asks"),
    only(
        "kvnode.records",
        *("config", "messages", "ring", "runtime", "throttle", "versions"),
        knows_not="other nodes",
    ),
    Rule("kvnode.anti_entropy", never=("kvnode.replication",), knows_not="quorums"),
    Rule("kvnode.replication", never=THE_WORLD, knows_not="sockets, clocks, files"),
    only(
        "kvnode.handoff",
        *("config", "context", "errors", "messages", "ring", "rpc", "runtime", "throttle", "versions.bounds"),
        *("records.records", "records.incomplete", "anti_entropy", "tombstones"),
        knows_not="what a record says",
    ),
    only(
        "kvnode.storage",
        *("config", "observe", "records.checksum", "runtime"),
        knows_not="quorums, and what a record says",
    ),
    Rule(
        "kvnode.net",
        never=(
            *(
                f"kvnode.{part}"
                for part in ("ring", "membership", "handoff", "anti_entropy", "tombstones", "rpc")
            ),
            *(
                f"kvnode.replication.{it}"
                for it in ("coordinator", "rounds", "write", "read", "quorum", "replica")
            ),
        ),
        knows_not="how an answer comes about",
    ),
    Rule(
        "kvnode.sim",
        never=("socket", "sqlite3", "kvnode.net", "kvnode.storage.sqlite", "kvnode.cluster", "kvnode.client"),
        knows_not="real sockets and files",
    ),
    only("kvnode.checkers", "versions", knows_not="the code that they judge"),
    only("kvnode.client", "config", "errors", "operations", "versions", knows_not="how a node works"),
    only("kvnode.cluster", "client", "config", "errors", "faults", knows_not="what nodes say to each other"),
    Rule("kvnode.chaos", never=OF_NODES),
    Rule("traffic", never=("labkit",)),
    Rule(
        "traffic",
        only=("traffic", "kvnode.checkers", "kvnode.cluster.contract", "kvnode.cluster.errors"),
        exempt=("traffic.stores.kvnode",),
        knows_not="kvnode, but for one adapter and the checkers",
    ),
    Rule("traffic.workloads", never=HTTP_LIBRARIES),
    Rule(
        "labkit",
        only=("labkit", "kvnode.cluster", "kvnode.client", "kvnode.checkers", "kvnode.errors"),
        knows_not="the generator",
    ),
    Rule("labkit.course", never=("plotly",), knows_not="how a figure looks"),
    Rule("labkit.panels", never=("labkit.session", "labkit.course"), knows_not="the session and the lessons"),
    Rule(
        "labkit.live", never=("labkit.session", "labkit.course", "labkit.panels"), knows_not="what is drawn"
    ),
    Rule(
        "labkit.figures",
        never=("time", "threading", "ipywidgets", "anywidget", "kvnode", *OF_A_NOTEBOOK),
        knows_not="clocks, widgets and clusters",
    ),
    Rule("labkit.launch", never=("labkit.figures", *OF_A_NOTEBOOK), knows_not="what is done with them"),
)
EXCUSED = {
    "a cluster hands out a view of itself, which is a cluster": [
        "kvnode.cluster.local > kvnode.cluster.leased"
    ],
    "to move: the manager stands above the folder in which it is": [
        f"kvnode.cluster.processes.manager > kvnode.cluster.{other}"
        for other in ("faults.held_leases", "faults.rules", "faults.sync", "membership_changes")
    ],
    "a scene shows itself; drawing is imported when it is asked for": [
        "labkit.course.scene > labkit.course.pictures"
    ],
    "the session is a type there: it has a course": [
        "labkit.course.course > labkit.session",
        "labkit.course.freshness > labkit.session",
    ],
}
"""Why -> imports without which there would be no circle. Nothing is added here."""
CIRCLES = {(one, other) for excused in EXCUSED.values() for one, _, other in (it.split() for it in excused)}


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


@dataclass(frozen=True)
class Import:
    """One import of one module. line: of its file."""

    file: str
    line: int
    module: str
    imported: str


def imports(root: Path) -> list[Import]:
    folders = (root / "kvnode", root / "traffic", root / "notebooks" / "labkit")
    return [
        Import(path.relative_to(root).as_posix(), line, module, imported)
        for path in sorted(file for folder in folders for file in folder.rglob("*.py"))
        for module in [module_name(path, root)]
        for line, imported in imported_modules(path, module)
    ]


def upward_arrows(all_imports: Iterable[Import]) -> list[str]:
    return [
        f"{it.file}:{it.line}: {it.module} imports {it.imported}"
        for it in all_imports
        if any(breaks(rule, it.module, it.imported) for rule in RULES)
    ]


def arrows(all_imports: Iterable[Import], modules: set[str]) -> set[tuple[str, str]]:
    """(module, module that it imports), of the modules of the project; a name counts as the module it comes from."""
    found: set[tuple[str, str]] = set()
    for it in all_imports:
        target = it.imported
        while target and target not in modules:
            target = target.rpartition(".")[0]
        if target and target != it.module:
            found.add((it.module, target))
    return found


def circles(found: set[tuple[str, str]]) -> list[list[str]]:
    """Modules that import each other, and then folders and modules of one package that do, whichever of their parts."""
    packages = {
        ".".join(module.split(".")[:depth]) for arrow in found for module in arrow for depth in range(1, 5)
    }
    met = [circle for circle in [in_circles(found)] if circle]
    for package in sorted(packages):
        depth = package.count(".") + 2
        inside = {
            (".".join(one.split(".")[:depth]), ".".join(other.split(".")[:depth]))
            for one, other in found
            if is_under(one, package) and is_under(other, package)
        }
        circle = in_circles({(one, other) for one, other in inside if one != other})
        if circle and not any(set(circle) <= set(known) for known in met):
            met.append(circle)
    return met


def in_circles(found: set[tuple[str, str]]) -> list[str]:
    """Take away whatever imports nothing that is left, or is imported by nothing: what stays lies on circles."""
    left = set(found)
    while True:
        sources, targets = {one for one, _ in left}, {other for _, other in left}
        kept = {(one, other) for one, other in left if one in targets and other in sources}
        if kept == left:
            return sorted(sources)
        left = kept


@pytest.fixture(scope="module")
def all_imports(root: Path) -> list[Import]:
    return imports(root)


@pytest.fixture(scope="module")
def all_arrows(root: Path, all_imports: list[Import]) -> set[tuple[str, str]]:
    files = [*(root / "kvnode").rglob("*.py"), *(root / "traffic").rglob("*.py")]
    files += (root / "notebooks" / "labkit").rglob("*.py")
    return arrows(all_imports, {module_name(path, root) for path in files})


def test_imports_go_downward_only(all_imports: list[Import]) -> None:
    assert upward_arrows(all_imports) == []


def test_nothing_imports_in_a_circle(all_arrows: set[tuple[str, str]]) -> None:
    assert circles(all_arrows - CIRCLES) == []


@pytest.mark.parametrize("arrow", sorted(CIRCLES))
def test_an_arrow_that_is_excused_still_closes_a_circle(
    arrow: tuple[str, str], all_arrows: set[tuple[str, str]]
) -> None:
    others = all_arrows - CIRCLES
    assert arrow in all_arrows
    assert circles(others | {arrow}) != []


@pytest.mark.parametrize("package", FLOORS)
def test_every_part_has_its_floor(root: Path, package: str) -> None:
    """A floor may name a part that is not there: one that is about to come, or to go."""
    listed = [part for floor in FLOORS[package] for part in floor]
    parts = {
        path.stem
        for path in (root / package).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__"} <= set(listed)
    assert len(listed) == len(set(listed))


def test_few_modules_stand_at_the_root_of_the_traffic(root: Path) -> None:
    assert len([path for path in (root / "traffic").glob("*.py") if path.stem != "__init__"]) <= 8


ROW = re.compile(r"^\| `([\w/]+)/` \|.*\|([^|]*)\|$", re.MULTILINE)
TABLE = re.compile(r"^\|[^\n]*must not know[^\n]*\|\n(?:\|.*\n?)+", re.MULTILINE)


def must_not(text: str) -> dict[str, str]:
    """Folder -> what it must not know, of each table of a document with such a column (its last)."""
    return {
        folder: words.strip()
        for table in TABLE.findall(text)
        for folder, words in ROW.findall(table)
        if words.strip()
    }


def test_what_the_documents_say_that_a_folder_must_not_know_is_tested(root: Path) -> None:
    documents = ("ARCHITECTURE.md", "kvnode/README.md", "traffic/README.md", "notebooks/README.md")
    texts = [(root / document).read_text() for document in documents if (root / document).exists()]
    claims = {pair for text in texts for pair in must_not(text).items()}
    tested = {
        (rule.where.replace("labkit", "notebooks/labkit").replace(".", "/"), rule.knows_not) for rule in RULES
    }
    assert claims
    assert claims - tested == set()


def test_a_claim_of_a_document_is_read() -> None:
    text = "| folder | holds | what it must not know |\n|---|---|---|\n| `a/b/` | x \\| y | z |\n| `c/` | x | |\n"
    assert must_not(f"{text}\n| `d/` | no table | of this kind |\n") == {"a/b": "z"}


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
        ("kvnode/messages/data.py", "from kvnode.rpc import Round"),
        ("kvnode/records/merkle.py", "from kvnode.replication.quorum import Quorum"),
        ("kvnode/records/listing.py", "from kvnode.membership import ALIVE"),
        ("kvnode/messages/data.py", "from kvnode.config import ClusterConfig"),
        ("kvnode/anti_entropy/exchange.py", "from kvnode.replication.quorum import Quorum"),
        ("kvnode/replication/hints.py", "from pathlib import Path"),
        ("kvnode/replication/replica.py", "from kvnode.handoff.bootstrap import Bootstrap"),
        ("kvnode/handoff/drop.py", "from kvnode.versions import Siblings"),
        ("kvnode/membership/swim.py", "from kvnode.operations import Get"),
        ("kvnode/observe/traces.py", "from kvnode.operations import Get"),
        ("kvnode/storage/tables.py", "from kvnode.versions import Siblings"),
        ("kvnode/net/http.py", "from kvnode.replication.quorum import WriteQuorum"),
        ("kvnode/sim/disk.py", "from kvnode.storage.sqlite import SqliteDisk"),
        ("kvnode/client/client.py", "from kvnode.messages import KV"),
        ("kvnode/cluster/faults.py", "from kvnode.messages import Ping"),
        ("kvnode/handoff/paxos.py", "from kvnode.node import Node"),
        ("notebooks/labkit/panels/ring.py", "from labkit.course.pictures import Line"),
        ("notebooks/labkit/live/chart.py", "from labkit.panels import Cockpit"),
        ("notebooks/labkit/figures/ring.py", "import time"),
        ("notebooks/labkit/launch/launcher.py", "from labkit import session"),
        ("notebooks/labkit/course/cards.py", "import plotly.graph_objects as go"),
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
    assert len(upward_arrows(imports(tmp_path))) == 1


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
    assert upward_arrows(imports(tmp_path)) == []


@pytest.mark.parametrize(
    "planted",
    [
        {"kvnode/a.py": "from kvnode import b", "kvnode/b.py": "def f():\n    from kvnode.a import x"},
        {
            "kvnode/a.py": "import kvnode.b",
            "kvnode/b.py": "import kvnode.c",
            "kvnode/c.py": "import kvnode.a",
        },
        {
            "kvnode/a/x.py": "import kvnode.b.x",
            "kvnode/a/y.py": "",
            "kvnode/b/x.py": "",
            "kvnode/b/y.py": "import kvnode.a.y",
        },
        {"kvnode/a/__init__.py": "from .x import X", "kvnode/a/x.py": "from kvnode.a import Y"},
    ],
)
def test_a_planted_circle_is_caught(tmp_path: Path, planted: dict[str, str]) -> None:
    for file, text in planted.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(f"{text}\n")
    modules = {module_name(tmp_path / file, tmp_path) for file in planted}
    assert len(circles(arrows(imports(tmp_path), modules))) == 1
    assert circles(arrows(imports(tmp_path)[1:], modules)) == []
