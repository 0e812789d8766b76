"""Post a tweet of your own and watch when each replica has it.

The times are the database's: each replica remembers when it had made the write durable. They are shown in
milliseconds after the coordinator took the write; on one machine all nodes share one clock, so they compare.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.figures import arrival_figure, enlarged
from labkit.lab import Lab
from labkit.live.chart import LiveChart
from labkit.panels.buttons import CommandButton
from labkit.panels.style import panel_parts

ARRIVAL_TIMEOUT_S = 5.0
TEXT_LENGTH_MAX = 280


def new_tweet(text: str, *, author: str = "you") -> tuple[str, str]:
    """The key and the JSON value of a fresh tweet."""
    tweet_id = f"you-{secrets.token_hex(4)}"
    tweet = {
        "tweet_id": tweet_id,
        "author": author,
        "text": text,
        "created_at": datetime.now(UTC).isoformat(),
    }
    return f"tweet/{tweet_id}", json.dumps(tweet)


def stored_times(replicas: list[Mapping[str, Any]], dot: str) -> dict[str, float | None]:
    """When each replica made the write with this dot durable (wall ms); None where it is not yet."""
    times: dict[str, float | None] = {}
    for replica in replicas:
        held = [one for one in replica.get("siblings") or [] if one.get("dot") == dot]
        stored = held[0].get("stored_at", replica.get("stored_at")) if held else None
        times[str(replica["node"])] = float(stored) if stored is not None else None
    return times


class PostTweet(ipywidgets.VBox):  # type: ignore[misc]
    """A text box, a button, and the race of one write to its replicas."""

    def __init__(self, lab: Lab, text: str = "Hello from the classroom!") -> None:
        """Nothing is posted until the button is pressed."""
        self.lab = lab
        self.key: str | None = None
        self.answer: Mapping[str, Any] = {}
        self.arrivals_ms: dict[str, float | None] = {}
        self.error: str | None = None
        self.text = ipywidgets.Text(
            text,
            description="Your tweet",
            layout={"flex": "1 1 340px"},
            style={"description_width": "initial"},
        )
        self.text.add_class("lab-tweet-text")
        self.button = CommandButton(
            lab, "Post it", "posting your tweet", self._post,
            css_class="lab-tweet-post", hint="one real quorum write", icon="send",
        )  # fmt: skip
        self._said = ipywidgets.HTML('<div class="lab-status">Not posted yet.</div>')
        self._chart = LiveChart(arrival_figure({}))
        self._chart.add_class("lab-chart-arrival")
        self._chart.layout.display = "none"
        bar = ipywidgets.HBox([self.text, self.button], layout={"flex_flow": "row wrap"})
        super().__init__([*panel_parts(), bar, self._said, self._chart])
        self.add_class("lab-panel")
        if lab.large:
            self.add_class("lab-large")

    @property
    def arrived_everywhere(self) -> bool:
        """Whether every replica has the tweet."""
        return bool(self.arrivals_ms) and all(value is not None for value in self.arrivals_ms.values())

    def _post(self) -> None:
        text = self.text.value.strip()[:TEXT_LENGTH_MAX]
        if not text:
            raise ValueError("the text box is empty: write something first")
        key, value = new_tweet(text)
        self.arrivals_ms = {}
        began = time.monotonic()
        self.answer = self.lab.put(key, value)
        took_ms = (time.monotonic() - began) * 1000
        self.key = key
        deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
        while True:
            self._show(took_ms)
            if self.arrived_everywhere or time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def _show(self, took_ms: float) -> None:
        times = stored_times(self.lab.replicas_of(str(self.key)), str(self.answer["dot"]))
        coordinator = str(self.answer["node"])
        start = float(self.answer["timestamp"])
        arrivals = {name: None if stored is None else stored - start for name, stored in times.items()}
        acknowledged = [str(name) for name in self.answer.get("acknowledged_by", [])]
        self.arrivals_ms = arrivals
        who, key, dot = (
            escape(text) for text in (", ".join(acknowledged), str(self.key), str(self.answer["dot"]))
        )
        self._said.value = (
            f'<div class="lab-status">Acknowledged to you after {took_ms:.1f} ms, '
            f"when at least W={self.answer.get('w')} replicas had it on disk (by then: {who}). "
            f"Key <code>{key}</code>, dot <code>{dot}</code>.</div>"
        )
        figure = arrival_figure(arrivals, acknowledged_by=acknowledged, coordinator=coordinator)
        self._chart.show(enlarged(figure) if self.lab.large else figure)
        if self._chart.layout.display:
            self._chart.layout.display = None
