"""scripts/environment.sh: when it has nothing to do, and what it says when it cannot do anything."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvnode.cluster import commandline

SCRIPT = "scripts/environment.sh"
STARTERS = ("start_demo_ui.sh", "start-cluster-local.sh", "test.sh")


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A copy of what the script reads, with a .venv that looks as if the script had just made it."""
    for name in (
        "scripts/environment.sh",
        "scripts/lock/runtime.txt",
        "scripts/lock/test.txt",
        "pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for kind in ("runtime", "test"):
        bash(tmp_path, f'wanted_state {kind} >"$VENV/.installed-{kind}"', check=True)
    return tmp_path


def bash(checkout: Path, line: str, *, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f". {SCRIPT}; {line}"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
    )


def is_ready(checkout: Path, kind: str) -> bool:
    return bash(checkout, f"is_ready {kind}").returncode == 0


def test_a_finished_environment_is_found_at_once(checkout: Path) -> None:
    began = time.monotonic()
    for kind in ("runtime", "test"):
        done = subprocess.run(
            ["bash", SCRIPT, kind], cwd=checkout, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
    assert time.monotonic() - began < 5


def test_a_changed_lock_is_noticed(checkout: Path) -> None:
    with (checkout / "scripts/lock/test.txt").open("a") as lock:
        lock.write("\n")
    assert is_ready(checkout, "runtime")
    assert not is_ready(checkout, "test")


def test_a_changed_project_file_is_noticed(checkout: Path) -> None:
    with (checkout / "pyproject.toml").open("a") as project:
        project.write("\n")
    assert not is_ready(checkout, "runtime")


def test_an_interrupted_installation_is_noticed(checkout: Path) -> None:
    (checkout / ".venv.installing").touch()
    assert not is_ready(checkout, "runtime")


def test_a_moved_folder_is_noticed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("elsewhere") / "lab"
    checkout.rename(moved)
    assert not is_ready(moved, "runtime")


def test_a_vanished_python_is_noticed(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert not is_ready(checkout, "runtime")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            'case "$*" in *print*) echo 3.9.18;; *) exit 1;; esac',
            "is Python 3.9.18; Quorum Lab needs Python 3.11 or later",
        ),
        ("exit 1", "is no Python; Quorum Lab needs Python 3.11 or later"),
    ],
    ids=["too old", "no Python at all"],
)
def test_an_unusable_python_is_named(checkout: Path, body: str, said: str) -> None:
    stub = checkout / "python3"
    stub.write_text(f"#!/bin/sh\n{body}\n")
    stub.chmod(0o755)
    shutil.rmtree(checkout / ".venv")
    done = subprocess.run(
        ["bash", SCRIPT],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "QUORUM_LAB_PYTHON": str(stub)},
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "sudo apt install" in done.stderr
    assert not (checkout / ".venv").exists()


def test_two_installations_wait_for_each_other(checkout: Path) -> None:
    holder = subprocess.Popen(
        ["bash", "-c", f". {SCRIPT}; take_lock {sys.executable}; echo held; read -r _"],
        cwd=checkout,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiter = subprocess.Popen(
        ["bash", "-c", f". {SCRIPT}; take_lock {sys.executable}; echo held"],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiter.stderr is not None
    assert "waiting for it" in waiter.stderr.readline()
    assert waiter.poll() is None
    holder.communicate("\n", timeout=10)
    said, _ = waiter.communicate(timeout=10)
    assert said == "held\n"


def test_an_unknown_kind_is_refused(checkout: Path) -> None:
    done = subprocess.run(["bash", SCRIPT, "prod"], cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "expected runtime or test, got 'prod'" in done.stderr


# --- help --------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(root: Path, tmp_path: Path) -> Path:
    """A copy of the scripts, as in a fresh clone: nothing is installed."""
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    shutil.copy(root / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


@pytest.mark.parametrize("word", ["--help", "-h"])
@pytest.mark.parametrize("script", [*STARTERS, "stop-cluster-local.sh"])
def test_help_in_a_fresh_clone_installs_nothing(fresh: Path, script: str, word: str) -> None:
    """The story: somebody who wanted to know the options first waited two minutes for 120 packages."""
    before = sorted(fresh.iterdir())
    began = time.monotonic()
    done = subprocess.run(
        ["bash", f"scripts/{script}", "--no-browser", word],
        cwd=fresh,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"bash scripts/{script}" in done.stdout
    assert "set -eu" not in done.stdout
    assert sorted(fresh.iterdir()) == before
    assert time.monotonic() - began < 10


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    return {word for action in actions for word in action.option_strings} - {"-h", "--help"}


def test_the_lines_at_the_top_of_a_script_name_every_option(root: Path) -> None:
    from labkit.launch import start

    commands = next(
        action for action in commandline.parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    for script, options in (
        ("start-cluster-local.sh", options_of(commands.choices["start"])),
        ("start_demo_ui.sh", options_of(start.parser())),
    ):
        head = (root / "scripts" / script).read_text().partition("set -eu")[0]
        assert options, script
        assert not {option for option in options if option not in head}, script


@pytest.mark.parametrize("option", ["--cluster", "--name"])
def test_every_script_that_is_about_a_cluster_takes_its_name_by_the_same_options(option: str) -> None:
    """The story: --cluster here, --name there, and whoever had learnt one was refused by the other."""
    from labkit.launch import start

    assert start.parser().parse_args([option, "lab-2"]).cluster == "lab-2"
    for command in ("start", "stop"):
        assert "lab-2" in vars(commandline.parser().parse_args([command, option, "lab-2"])).values()


# --- Ctrl-C ------------------------------------------------------------------------------------------------


def test_an_interrupt_during_the_installation_says_so_and_shows_no_log(
    checkout: Path, tmp_path: Path
) -> None:
    """The installer is in the terminal's group and ends at Ctrl-C too, with many words; and it takes its time."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(
        f"#!{sys.executable}\n"
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    print('error: many words of a log', flush=True); sys.exit(2)\n"
        "signal.signal(signal.SIGINT, end); signal.signal(signal.SIGTERM, end)\n"
        "print('working', flush=True); time.sleep(30)\n"
    )
    uv.chmod(0o755)
    shutil.rmtree(checkout / ".venv")
    setup = subprocess.Popen(
        ["bash", SCRIPT],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
        env={**os.environ, "PATH": f"{uv.parent}:{os.environ['PATH']}", "TMPDIR": str(temporary)},
    )
    deadline = time.monotonic() + 20
    while not any("working" in log.read_text() for log in temporary.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(setup.pid, signal.SIGINT)
    said, _ = setup.communicate(timeout=10)
    assert setup.returncode == 130
    assert said.endswith("\nInterrupted; the next start begins the installation afresh.\n")
    assert "many words" not in said
    assert list(temporary.iterdir()) == [], "a log that tells of nothing is not left behind"


def test_an_interrupt_while_waiting_for_another_installation_says_so(checkout: Path) -> None:
    hold = f". {SCRIPT}; take_lock {sys.executable}; echo held; read -r _"
    holder = subprocess.Popen(
        ["bash", "-c", hold], cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None and holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    (checkout / ".venv.installing").touch()
    waiter = subprocess.Popen(
        ["bash", SCRIPT], cwd=checkout, stderr=subprocess.PIPE, text=True, process_group=0
    )
    assert waiter.stderr is not None
    assert "waiting for it" in waiter.stderr.readline()
    os.killpg(waiter.pid, signal.SIGINT)
    _, said = waiter.communicate(timeout=10)
    assert (waiter.returncode, said) == (130, "\nInterrupted.\n")
    holder.communicate("\n", timeout=10)


def test_python_is_interrupted_only_once_it_is_ready_for_it(checkout: Path) -> None:
    """The story: Ctrl-C came 0.1 s after the command. Python was reading its own modules, and answered with a page of
    them, or, in a module that catches everything, forgot it and went on."""
    if subprocess.run(["env", "--block-signal=INT", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this env cannot block signals")
    program = (
        "import signal, sys, time\n"
        "print('up', flush=True); time.sleep(0.5)\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(7))\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])\n"
        "time.sleep(20)\n"
    )
    started = subprocess.Popen(
        ["bash", "-c", f'. {SCRIPT}; become_python -c "$0"', program],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "up\n"
    os.killpg(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=10)
    assert (started.returncode, said) == (7, "")
