"""The traffic service as a notebook talks to it: plain HTTP, bounded in time, one method a button.

Lives here: the service's URLs and nothing else that knows them.
Must not live here: threads, widgets, or anything that generates load; the generators run in their own process.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from kvnode.cluster.paths import state_root
from labkit.errors import LabError

Json = dict[str, Any]
REQUEST_TIMEOUT_S = 5.0
RECENT_S = 0.2  # less than from one tick of a session to the next
CHECK_TIMEOUT_S = 60.0
FAULT_TIMEOUT_S = 45.0  # a restart waits until the node is ready
FAULTS = "/api/real/cluster/faults"
PBS = "/api/real/pbs"
TOKENS = "traffic-control"


def token_file(port: int) -> Path:
    """Where the service on this port leaves its token, for programs of this user alone."""
    return state_root() / TOKENS / f"{port}.token"


class TrafficService:
    """One running `python -m traffic serve`."""

    def __init__(self, url: str) -> None:
        """Speak to the service at `url`, for example http://127.0.0.1:7342."""
        self.url = url.rstrip("/")
        self._local = threading.local()
        self._newest: tuple[float, Json] = (-math.inf, {})

    def stats(self) -> Json:
        """Everything that is measured right now: rates, latencies, nodes, convergence."""
        told = self._call("GET", "/api/real/traffic/stats")
        self._newest = time.monotonic(), told
        return told

    def recent_stats(self, *, within_s: float = RECENT_S) -> Json:
        """The last answer of `stats`, if it is no older than that: panels of one tick need not ask one by one."""
        at_s, told = self._newest
        return told if time.monotonic() - at_s <= within_s else self.stats()

    def start(self, world: str | None = None) -> Json:
        """Let the generator send: one world, or (without a name) the one that runs from the start, Twitter."""
        return self._call("POST", "/api/real/traffic/start", _chosen(world))

    def stop(self, world: str | None = None) -> Json:
        """Let the generator rest, one world or all; what it sent stays in the database."""
        return self._call("POST", "/api/real/traffic/stop", _chosen(world))

    def reset(self) -> Json:
        """Begin every count, record and ledger anew; settings and data stay."""
        return self._call("POST", "/api/real/traffic/reset")

    def configure(self, *, world: str = "twitter", **settings: Any) -> Json:
        """Change rate (operations/s) or preset, r, w, pattern, loop ("open" or "closed"), workers, or bug (a known
        mistake; None: without) while traffic runs."""
        return self._call("PUT", f"/api/real/traffic/{world}", settings)

    def presets(self) -> list[Json]:
        """The named situations: name, says, hour."""
        return cast(list[Json], self._call("GET", "/api/real/traffic/presets")["presets"])

    def set_hour(self, hour: float) -> Json:
        """Another hour of the day for the people in the traffic."""
        return self._call("PUT", "/api/real/traffic/clock", {"hour": hour})

    def set_clock(self, **settings: Any) -> Json:
        """Another hour, weekday or speed (simulated seconds a second) for the people in the traffic."""
        return self._call("PUT", "/api/real/traffic/clock", settings)

    def people(self, world: str) -> list[Json]:
        """Of each kind of people of a world: kind, people (how many), busy (times what is usual), actions so far."""
        told = self._call("GET", "/api/real/traffic/operations")["workloads"]
        return cast(list[Json], told[world]["people"])

    def pbs(self) -> Json:
        """How the measurement of staleness stands: its points so far."""
        return self._call("GET", PBS)

    def begin_pbs(self, **settings: Any) -> Json:
        """Begin to measure staleness (r, w, t_ms, writes, writes_per_s), in place of what is being measured."""
        return self._call("POST", PBS, settings)

    def end_pbs(self) -> Json:
        """End a measurement of staleness."""
        return self._call("DELETE", PBS)

    def check(self) -> Json:
        """Read back every acknowledged write and every counter; the verdict as JSON."""
        return self._call("POST", "/api/real/traffic/check", timeout_s=CHECK_TIMEOUT_S)

    @property
    def page(self) -> str:
        """The status page, for this user's browser: the link carries the token, so that nodes can be broken there."""
        token = self._token()
        return f"{self.url}/#token={token}" if token else f"{self.url}/"

    def faults(self) -> Json:
        """What is broken now, in words; `allowed` says whether this user may change it."""
        return self._call("GET", FAULTS)

    def fault(self, action: str, **arguments: Any) -> Json:
        """Break or mend through the service: `fault("kill", node="node-2")`, `fault("heal")`."""
        body = {"action": action, **arguments}
        return self._call("POST", FAULTS, body, timeout_s=FAULT_TIMEOUT_S)

    def _token(self) -> str | None:
        """What the service left for programs of this user at its start; None if it is somebody else's service."""
        try:
            return token_file(urlsplit(self.url).port or 80).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None

    def is_answering(self) -> bool:
        """Whether a traffic service answers at this address."""
        try:
            return "workloads" in self._call("GET", "/api/real/traffic/stats", timeout_s=1.0)
        except LabError:
            return False

    def drives(self, urls: Iterable[str]) -> bool:
        """Whether it answers, and works on just these nodes."""
        if not self.is_answering():
            return False
        known = {str(node.get("url", "")).rstrip("/") for node in self.stats().get("nodes", {}).values()}
        return known == {url.rstrip("/") for url in urls}

    def _call(self, method: str, path: str, body: Json | None = None, *, timeout_s: float = 0) -> Json:
        http = getattr(self._local, "http", None)
        if http is None:
            http = self._local.http = requests.Session()
            http.trust_env = False
        token = self._token() if path == FAULTS else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = http.request(
                method, self.url + path, json=body, headers=headers, timeout=timeout_s or REQUEST_TIMEOUT_S
            )
        except requests.RequestException as error:
            raise LabError(
                f"The traffic service at {self.url} does not answer.",
                why=type(error).__name__,
                do="run the first cell of the notebook again: it finds or starts the service",
            ) from error
        try:
            document = answer.json()
        except ValueError:
            document = {}
        if answer.status_code >= 400 or not isinstance(document, dict):
            said = document.get("detail") if isinstance(document, dict) else None
            raise LabError(
                f"The traffic service refused {method} {path}.",
                why=f"{answer.status_code} {said or answer.reason}",
            )
        return cast(Json, document)


def _chosen(world: str | None) -> Json | None:
    return None if world is None else {"workload": world}
