"""The report: one file that stands alone, says what was measured, and survives every kind of run."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from traffic.cli import main
from traffic.measure.events import Ended
from traffic.operations import Add
from traffic.runs import recording
from traffic.runs.charts import Band, Chart, Line
from traffic.runs.recording import Fault, Header, Judged
from traffic.runs.report import bands_of, html_of, of_recording
from traffic.runs.writer import RecordingWriter

VOID = {"meta", "line", "rect", "path", "br", "link"}


class Balanced(HTMLParser):
    """Fails at a tag that is closed and was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
            self.open.pop()


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Path]:
    def write(
        *, seconds: int = 20, status: str = "ok", claim: str = "no acknowledged write was lost"
    ) -> Path:
        header = Header(
            started_at="2030-01-02T03:04:05+00:00",
            seed=7,
            settings={"twitter": {"rate": 50.0, "r": 2, "w": 2, "pattern": "poisson"}},
            nodes=["node-1", "node-2", "node-3"],
            replicas=3,
            environment={"cpus": 2, "python": "3.11"},
            asked_for={"command": "python -m traffic run twitter", "preset": None},
        )
        writer = RecordingWriter(tmp_path / "run.jsonl.gz", header, began_s=0.0)
        for number in range(seconds * 50):
            due_s = number / 50
            failed = 10 <= due_s < 11
            writer.operation(
                Ended(
                    workload="twitter",
                    operation=Add(kind="like", persona="ada", key="a", region="europe"),
                    node=f"node-{number % 3 + 1}",
                    outcome="indefinite" if failed else "ok",
                    reply=None,
                    intended_s=due_s,
                    sent_s=due_s + (0.5 if 9 <= due_s < 10 else 0),
                    done_s=due_s + (0.6 if 9 <= due_s < 10 else 0.01),
                )
            )
        for second in range(1, seconds):
            writer.row(
                "twitter", {"t_s": float(second), "target_rate": 50.0, "shed": 0, "queued": 0, "resent": 0}
            )
        for at_s, what in ((9.0, "unreachable"), (9.8, "dead"), (12.0, "alive")):
            writer.fault(Fault(t_s=at_s, what=what, nodes=["node-2"], source="seen"))
        writer.verdict(
            Judged(claim=claim, status=status, summary="lost 3", evidence=["key <a> misses dot x"])
        )
        writer.close(float(seconds), {"twitter": {"operations": seconds * 50, "world": {"edits_lost": 4}}})
        return writer.path

    return write


def test_the_report_stands_alone_and_is_small(recorded: Callable[..., Path]) -> None:
    page = html_of(of_recording(recording.load(recorded())))
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|https?://", page)
    assert len(page) < 400_000
    Balanced().feed(page)
    for needed in (
        "Traffic report: twitter",
        "seed 7",
        "How long did people wait?",
        "p99 from the actual send",
        "node-2 dead",
        "at most 3 attempts",  # the retry policy
        "python 3.11".replace("python ", ""),
        "edits lost",
        "europe",
        "python -m traffic run twitter",
    ):
        assert needed in page


def test_a_long_run_does_not_make_a_large_page(recorded: Callable[..., Path]) -> None:
    assert len(html_of(of_recording(recording.load(recorded(seconds=1500))))) < 1_000_000


@pytest.mark.parametrize(
    ("status", "style"), [("violated", "violated"), ("at risk", "at-risk"), ("unknown", "unknown")]
)
def test_the_verdict_stands_first_with_its_evidence(
    recorded: Callable[..., Path], status: str, style: str
) -> None:
    page = html_of(of_recording(recording.load(recorded(status=status, claim="no <script> & edit was lost"))))
    assert f'class="verdict {style}"' in page
    assert "key &lt;a&gt; misses dot x" in page
    assert "no &lt;script&gt; &amp; edit was lost" in page
    assert page.index('class="verdict') < page.index("<figure")


def test_a_run_in_which_nothing_succeeded_has_a_report(recorded: Callable[..., Path]) -> None:
    run = recording.load(recorded(seconds=2))
    run.operations = [one for one in run.operations if one.outcome != "ok"]
    Balanced().feed(html_of(of_recording(run)))


def test_the_trouble_of_a_node_is_one_band_under_its_worst_name() -> None:
    seen = [
        Fault(t_s=1, what="unreachable", nodes=["node-2"]),
        Fault(t_s=2, what="suspect", nodes=["node-2"]),
        Fault(t_s=3, what="dead", nodes=["node-2"]),
        Fault(t_s=3.5, what="unreachable", nodes=["node-1"]),
        Fault(t_s=5, what="alive", nodes=["node-2"]),
    ]
    assert bands_of(seen, 9.0) == [Band(1, 5, "node-2 dead"), Band(3.5, 9.0, "node-1 unreachable")]


def test_causes_draw_no_bands_and_members_that_come_and_go_are_marked() -> None:
    faults = [
        Fault(t_s=1, what="kill", nodes=["node-2"]),
        Fault(t_s=1.5, what="dead", nodes=["node-2"], source="seen"),
        Fault(t_s=2, what="left", nodes=["node-2"], source="seen"),
        Fault(t_s=3, what="joined", nodes=["node-4"], source="seen"),
        Fault(t_s=4, what="cut", nodes=["node-1", "node-3"]),
    ]
    assert bands_of(faults, 9.0) == [Band(1.5, 2, "node-2 dead"), Band(3, 3, "node-4 joined")]


def test_a_gap_in_the_values_is_a_gap_in_the_line() -> None:
    drawn = Chart("?", [1, 2, 3, 4], [Line("a", [1.0, None, 3.0, 4.0], "red")], "ms").svg()
    path = re.search(r'class="line" d="([^"]+)"', drawn)
    assert path and path.group(1).count("M") == 2


def test_no_peak_is_lost_when_there_are_more_moments_than_pixels() -> None:
    values: list[float | None] = [1.0] * 5000
    values[3333] = 987.0
    drawn = Chart("?", [float(index) for index in range(5000)], [Line("a", values, "red")], "ms").svg()
    assert "a: 987 ms" in drawn
    assert drawn.count("<title>") <= 400


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("values", [[], [None, None], [0.0, 0.0], [1e-9, 1e9], [5.0]])
def test_a_chart_of_anything_can_be_drawn(values: list[float | None], log: bool) -> None:
    times = [float(index) for index in range(len(values))]
    drawn = Chart("?", times, [Line("a", values, "red")], "ms", log=log).svg()
    assert "nan" not in drawn and "inf" not in drawn


def test_the_command_writes_it_beside_the_recording(
    recorded: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = recorded()
    assert main(["report", str(path)]) == 0
    assert (path.parent / "run.html").exists()
    assert "run.html" in capsys.readouterr().out
