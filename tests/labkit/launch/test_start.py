"""The demo's command line, and the table that says what runs where."""

from pathlib import Path

import pytest

from labkit import launch
from labkit.launch import launcher, start


def test_the_defaults_are_those_of_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (launch.CLUSTER_VARIABLE, launch.BASE_PORT_VARIABLE, launch.TRAFFIC_PORT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    options = start.parser().parse_args([])
    assert (options.cluster, options.port, options.rate, options.lab_port) == ("quorum-lab", 7342, 50.0, 8888)
    assert options.nodes is None and options.base_port is None


def test_the_environment_gives_defaults_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(launch.CLUSTER_VARIABLE, "class-2")
    monkeypatch.setenv(launch.TRAFFIC_PORT_VARIABLE, "7400")
    monkeypatch.setenv(launch.BASE_PORT_VARIABLE, "12000")
    options = start.parser().parse_args(["--port", "7500"])
    assert (options.cluster, options.port, options.base_port) == ("class-2", 7500, 12000)


def test_a_wrong_port_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(launch.TRAFFIC_PORT_VARIABLE, "seven")
    with pytest.raises(SystemExit):
        start.parser().parse_args([])
    assert "expected a number from 1 to 65535, got 'seven'" in capsys.readouterr().err


def test_the_table_lines_up_and_shortens_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere/ada")
    rows = [
        launcher.Row(
            "node-1", "http://127.0.0.1:9999", "database node (running)", Path("/nowhere/ada/state/log.jsonl")
        ),
        launcher.Row("traffic", "http://127.0.0.1:7342", "traffic and status page", Path("/elsewhere/log")),
    ]
    lines = launcher.table(rows).splitlines()
    assert len({line.index("http") for line in lines[1:]} | {lines[0].index("address")}) == 1
    assert lines[1].endswith("  ~/state/log.jsonl")
    assert lines[2].endswith("  /elsewhere/log")
