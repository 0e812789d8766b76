"""A JupyterLab of the lab's own: started on one notebook, ended with whoever started it.

Lives here: its command line, its settings, where it answers, its end.
Must not live here: the cluster and the traffic (start.py).

Its settings are handed over, never written: defaults come from lab_settings/ beside this file, and what a
person has changed in their own Jupyter still wins. Its run-time files and its window layout are kept in the
cluster's folder. It runs under a watchdog (kvnode.cluster.processes.watchdog) whose pipe this process holds: when this
process ends, even by kill -9, the server and its kernels are killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import requests

from kvnode.cluster.processes import watchdog
from labkit.errors import LabError
from labkit.launch.ports import free_port

SETTINGS_FOLDER = Path(__file__).with_name("lab_settings")
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 6.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server answers; `url` opens the notebook and holds the token."""

    port: int
    base_url: str
    url: str


class NotebookServer:
    """One running JupyterLab."""

    def __init__(self, notebook: Path, *, port: int, folder: Path, environment: Mapping[str, str]) -> None:
        """Start it, without waiting; `folder` takes its log and run-time files, `port` is the first tried."""
        self.notebook = notebook
        self.log_file = folder / "jupyterlab.log"
        self._runtime = folder / f"runtime-{os.getpid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_stale(folder)
        self._runtime.mkdir(mode=0o700, exist_ok=True)
        self._port = free_port(port, purpose="JupyterLab", do="name another one with --lab-port")
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [*watchdog.COMMAND, *self._command(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=notebook.parent,
                start_new_session=True,
                env={
                    **os.environ,
                    **environment,
                    **_folders_of_jupyter(folder),
                    "JUPYTER_RUNTIME_DIR": str(self._runtime),
                    "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one of the same name at home
                    "PYTHONUNBUFFERED": "1",
                },
            )

    def _command(self, folder: Path) -> list[str]:
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--ip=127.0.0.1",
            f"--ServerApp.port={self._port}",
            f"--ServerApp.root_dir={self.notebook.parent}",
            f"--LabApp.default_url=/lab/tree/{self.notebook.name}",
            f"--LabApp.app_settings_dir={SETTINGS_FOLDER}",
            f"--LabApp.workspaces_dir={folder / 'workspaces'}",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        if os.geteuid() == 0:  # a container; Jupyter refuses without being told
            command.append("--allow-root")
        return command

    def wait_ready(self) -> Address:
        """Wait until it answers; LabError with the last words of its log if it does not."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise LabError(
                    "JupyterLab ended at its start.", why=self._last_words(), do=f"see {self.log_file}"
                )
            address = self._address()
            if address is not None and _answers(address.base_url):
                return address
            time.sleep(POLL_S)
        raise LabError(
            f"JupyterLab did not answer within {READY_TIMEOUT_S:.0f} s.", do=f"see {self.log_file}"
        )

    def _address(self) -> Address | None:
        """From the file that a Jupyter server writes when it listens; it says port and token as they became."""
        for path in self._runtime.glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                facts = json.loads(path.read_bytes())
                base = str(facts["url"])
                query = f"?{urlencode({'token': facts['token']})}" if facts.get("token") else ""
                return Address(int(facts["port"]), base, f"{base}lab/tree/{self.notebook.name}{query}")
        return None

    def ended(self) -> int | None:
        """Its exit status once it has ended (as when a person shuts it down from its menu)."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to end with its kernels, and kill it if it does not in time."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        if self._process.stdin is not None:
            self._process.stdin.close()  # the watchdog sees its end: whatever is left is killed
        self._process.wait()
        shutil.rmtree(self._runtime, ignore_errors=True)

    def _last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"


def _folders_of_jupyter(folder: Path) -> dict[str, str]:
    """Where Jupyter and its kernels keep what is usually kept at home, if nothing can be kept there."""
    if os.access(Path.home(), os.W_OK | os.X_OK):
        return {}
    names = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython"}
    return {name: str(folder / inner) for name, inner in names.items() if name not in os.environ}


def _answers(base_url: str) -> bool:
    with requests.Session() as http:
        http.trust_env = False  # a proxy of the environment cannot reach this computer's loopback
        try:
            return http.get(f"{base_url}api", timeout=2.0).status_code == 200
        except requests.RequestException:
            return False


def _remove_stale(folder: Path) -> None:
    """Run-time folders of servers whose starter was killed: they hold a token that no longer opens anything."""
    for runtime in folder.glob("runtime-*"):
        try:
            os.kill(int(runtime.name.partition("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(runtime, ignore_errors=True)
        except (ValueError, PermissionError):
            continue
