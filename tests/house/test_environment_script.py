"""scripts/environment.sh: when it has nothing to do, and what it says when it cannot do anything."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = "scripts/environment.sh"


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
