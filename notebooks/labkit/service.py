"""The traffic service as a notebook talks to it: plain HTTP, bounded in time, one method a button.

Lives here: the service's URLs and nothing else that knows them. Must not live here: threads, widgets,
or anything that generates load; the generators run in their own process.
"""

from __future__ import annotations

import threading
from typing import Any, cast

import requests

from labkit.errors import LabError

Json = dict[str, Any]
REQUEST_TIMEOUT_S = 5.0
CHECK_TIMEOUT_S = 60.0


class TrafficService:
    """One running `python -m traffic serve`."""

    def __init__(self, url: str) -> None:
        """Speak to the service at `url`, for example http://127.0.0.1:7342."""
        self.url = url.rstrip("/")
        self._local = threading.local()

    def stats(self) -> Json:
        """Everything that is measured right now: rates, latencies, nodes, convergence."""
        return self._call("GET", "/api/real/traffic/stats")

    def start(self) -> Json:
        """Let the generator send."""
        return self._call("POST", "/api/real/traffic/start")

    def stop(self) -> Json:
        """Let the generator rest; what it sent stays in the database."""
        return self._call("POST", "/api/real/traffic/stop")

    def configure(self, **settings: float | int | str) -> Json:
        """Change rate (operations/s), r, w or pattern while traffic runs."""
        return self._call("PUT", "/api/real/traffic/twitter", settings)

    def check(self) -> Json:
        """Read back every acknowledged write and every counter; the verdict as JSON."""
        return self._call("POST", "/api/real/traffic/check", timeout_s=CHECK_TIMEOUT_S)

    def tweets(self, limit: int = 50) -> list[Json]:
        """The newest tweets, read from the database at this moment."""
        answer = self._call("GET", f"/api/real/twitter/active_tweets?limit={limit}")
        return cast(list[Json], answer.get("tweets", []))

    def is_answering(self) -> bool:
        """Whether a traffic service answers at this address."""
        try:
            return "workloads" in self._call("GET", "/api/real/traffic/stats", timeout_s=1.0)
        except LabError:
            return False

    def _call(self, method: str, path: str, body: Json | None = None, *, timeout_s: float = 0) -> Json:
        http = getattr(self._local, "http", None)
        if http is None:
            http = self._local.http = requests.Session()
            http.trust_env = False
        try:
            answer = http.request(method, self.url + path, json=body, timeout=timeout_s or REQUEST_TIMEOUT_S)
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
