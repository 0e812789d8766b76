"""What the command line makes of its words; LocalCluster is replaced by a recorder."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvnode.cluster import LocalCluster, commandline
from kvnode.cluster.contract import (
    Bandwidth,
    Command,
    Cut,
    Delay,
    Heal,
    Isolate,
    Kill,
    Partition,
    Pause,
    Reconnect,
    Reset,
    Restart,
    Resume,
    Skew,
    SlowDisk,
    Spread,
    Wipe,
)
from kvnode.cluster.errors import NotRunning

COMMANDS = (
    *("start", "status", "list", "stop", "kill", "pause", "resume", "restart", "wipe"),
    *("partition", "isolate", "cut", "heal", "reconnect", "delay", "bandwidth", "topology", "reset"),
)


class Recorder:
    """Stands in for LocalCluster: notes each call, and each command."""

    calls: list[Any]
    name = "lab"
    folder = Path("/lab")

    def state(self) -> SimpleNamespace:
        return SimpleNamespace(nodes=[], sidecars=[], topology=None, trouble="", leases=[])

    def do(self, command: Command) -> None:
        self.calls.append(command)

    def __getattr__(self, name: str) -> Any:
        return lambda *words, **options: self.calls.append((name, words, options))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    recorder = Recorder()
    recorder.calls = []

    class Found:
        @staticmethod
        def attach(name: str) -> Recorder:
            recorder.calls.append(name)
            return recorder

    monkeypatch.setattr(commandline, "LocalCluster", Found)
    return recorder.calls


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("kill 2", Kill(["node-2"])),
        ("restart node-1 3", Restart(["node-1", "node-3"])),
        ("pause 1", Pause(["node-1"])),
        ("resume 1", Resume(["node-1"])),
        ("wipe 1", Wipe(["node-1"])),
        ("partition 1,2 / 3", Partition([["node-1", "node-2"], ["node-3"]])),
        ("partition node-1,node-2 / node-3", Partition([["node-1", "node-2"], ["node-3"]])),
        ("isolate 2", Isolate("node-2")),
        ("cut 1 2", Cut("node-1", "node-2", both_ways=True)),
        ("cut 1 2 --one-way", Cut("node-1", "node-2", both_ways=False)),
        ("heal", Heal(None)),
        ("heal 2", Heal("node-2")),
        ("reconnect 2", Reconnect("node-2")),
        ("delay 50", Delay(50.0, 0.0, 0.0, "fixed", None)),
        (
            "delay 50 1 2 --jitter 5 --loss 0.1 --distribution exponential",
            Delay(50.0, 5.0, 0.1, "exponential", ("node-1", "node-2")),
        ),
        ("bandwidth 50000", Bandwidth(50_000.0, None)),
        ("bandwidth 50000 1 2", Bandwidth(50_000.0, ("node-1", "node-2"))),
        ("skew 2 -5000", Skew("node-2", -5000.0)),
        ("slow-disk 3 100", SlowDisk("node-3", 100.0)),
        ("topology three-regions", Spread("three-regions", 1.0)),
        ("topology five-regions --factor 0.1", Spread("five-regions", 0.1)),
        ("reset", Reset()),
        ("stop", ("stop", (), {"force": True})),
    ],
)
def test_each_command_is_one_of_the_table(calls: list[Any], line: str, call: Any) -> None:
    assert commandline.main([*line.split(), "--name", "lab"]) == 0
    assert calls == ["lab", call]


@pytest.mark.parametrize(
    "line", ["--cluster lab reset", "--name lab reset", "reset --cluster lab", "reset --name lab"]
)
def test_a_cluster_is_named_before_or_after_the_command(calls: list[Any], line: str) -> None:
    assert commandline.main(line.split()) == 0
    assert calls[0] == "lab"


def test_without_a_name_it_is_the_usual_cluster(
    calls: list[Any],
) -> None:
    assert commandline.main(["reset"]) == 0
    assert calls[0] == "quorum-lab"


def test_an_error_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def attach(name: str) -> None:
        raise NotRunning(f"cluster {name} is not running; start it")

    monkeypatch.setattr(LocalCluster, "attach", attach)
    assert commandline.main(["status"]) == 1
    assert capsys.readouterr().err == "error: cluster quorum-lab is not running; start it\n"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "bogus",
        "kill",
        "delay",
        "delay fast",
        "delay 5 --distribution normal",
        "topology moon",
        "cut 1",
        "start --nodes three",
    ],
)
def test_a_bad_command_line_is_exit_code_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        commandline.main(line.split())
    assert "usage:" in capsys.readouterr().err


def test_a_delay_between_three_nodes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert commandline.main(["delay", "5", "1", "2", "3"]) == 1
    assert "expected no node or a pair" in capsys.readouterr().err


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        commandline.main(["--help"])
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n    {command} " in shown or f"\n    {command}\n" in shown
