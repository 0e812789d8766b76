"""Every cell of a lesson run twice in a real kernel: as many threads, widgets, listeners and faults as after once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

pytestmark = [pytest.mark.live, pytest.mark.timeout(170)]

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SECONDS, SHORTER = re.compile(r"seconds=(10|6|5)\b"), {"10": "6", "6": "3", "5": "2"}
COUNT = """
import json, threading, psutil, ipywidgets
print(json.dumps({
    "threads": sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("Thread-")),
    "processes": len(psutil.Process().children(recursive=True)),
    "widgets": len(ipywidgets.widgets.widget._instances),
    "refreshers": len(session._refreshers),
    "faults": session.cluster.faults(),
}))
"""


@pytest.fixture
def client(
    cluster_state: Path, next_base_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[BlockingKernelClient]:
    base_port = next_base_port()
    for variable, value in {
        "QUORUM_LAB_CLUSTER": "exp-course-again",
        "QUORUM_LAB_BASE_PORT": str(base_port),
        "QUORUM_LAB_TRAFFIC_PORT": str(base_port + 10),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }.items():
        monkeypatch.setenv(variable, value)
    manager, started = start_new_kernel(cwd=str(tmp_path))
    yield started
    started.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, code: str) -> str:
    printed: list[str] = []

    def output(message: dict[str, Any]) -> None:
        content = message["content"]
        assert message["msg_type"] != "error", f"{code[:60]}: {content.get('ename')}: {content.get('evalue')}"
        printed.append(content.get("text", ""))

    client.execute_interactive(code, timeout=60, output_hook=output)
    return "".join(printed)


@pytest.mark.parametrize(
    "lesson",
    [
        "00-start-here",
        "01-the-ring",
        "02-quorums-and-staleness",
        "03-counting-likes",
        "04-conflicts-and-causality",
    ],
)
def test_a_lesson_run_twice_and_uncovered_leaves_no_more_than_once(
    client: BlockingKernelClient, lesson: str
) -> None:
    cells = json.loads((FOLDER / f"{lesson}.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    code = [
        re.sub(r"seconds=(20|10|6|5)\b", "seconds=4", cell) for cell in code
    ]  # the counts are those of the whole
    guesses = re.findall(r"^(\w+) = session\.predict\(", "\n".join(code), flags=re.MULTILINE)
    counts = []
    for _ in range(2):
        for cell in code:
            run(client, cell)
        run(
            client, "\n".join(f"{guess}.skip()" for guess in guesses)
        )  # all that was covered is made, and shown
        counts.append(json.loads(run(client, COUNT)))
    print(counts[0])
    assert counts[0] == counts[1]
    assert counts[0]["faults"] == {}
