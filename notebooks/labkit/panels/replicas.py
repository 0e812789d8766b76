"""The same key on every replica: value, dot, vector clock, times, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.figures.style import by_node_number, node_number
from labkit.lab import Lab
from labkit.panels.buttons import CommandButton
from labkit.panels.style import panel_parts, swatch

HEADINGS = ("replica", "value", "dot", "vector clock", "coordinator's clock", "stored here at")


def short_store(store: str) -> str:
    """ "node-1·3f2a" for "node-1.3f2a91c205d8b7aa": the name and enough of the id to tell disks apart."""
    name, _, rest = store.partition(".")
    return f"{name}·{rest[:4]}" if rest else name


def short_dot(dot: str) -> str:
    """A dot with its store id shortened."""
    store, _, counter = dot.rpartition(":")
    return f"{short_store(store)}:{counter}"


def _by_node(store: str) -> tuple[int, str]:
    """By the number of the node; an id may end in a digit as well."""
    return node_number(store.partition(".")[0]), store


def short_clock(clock: Mapping[str, Any]) -> str:
    """A vector clock with its store ids shortened."""
    entries = [f"{short_store(store)}: {clock[store]}" for store in sorted(clock, key=_by_node)]
    return "{" + ", ".join(entries) + "}"


def clock_time(wall_ms: Any) -> str:
    """Wall-clock milliseconds as a local time of day."""
    if not isinstance(wall_ms, int | float):
        return "unknown"
    return f"{datetime.fromtimestamp(wall_ms / 1000):%H:%M:%S.%f}"[:-3]


def readable(value: Any) -> str:
    """A value as a person wants to read it: the text of a tweet, otherwise JSON."""
    try:
        tweet = json.loads(value) if isinstance(value, str) else value
        text = tweet["text"] if isinstance(tweet, dict) and "text" in tweet else json.dumps(value)
    except ValueError:
        text = str(value)
    return str(text) if len(str(text)) <= 60 else str(text)[:59] + "…"


def replica_rows(replicas: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """One row a replica and sibling, in words."""
    rows = []
    for replica in sorted(replicas, key=lambda one: by_node_number([str(one["node"])])):
        name = str(replica["node"])
        if not replica.get("reachable"):
            rows.append({"node": name, "value": "(does not answer)"})
            continue
        siblings = replica.get("siblings") or [None]
        for sibling in siblings:
            if sibling is None:
                rows.append({"node": name, "value": "(has no such key)"})
                continue
            rows.append(
                {
                    "node": name,
                    "value": "(deleted)" if sibling.get("deleted") else readable(sibling.get("value")),
                    "dot": short_dot(str(sibling.get("dot", ""))),
                    "clock": short_clock(sibling.get("vector_clock") or {}),
                    "written": clock_time(sibling.get("timestamp")),
                    "stored": clock_time(sibling.get("stored_at", replica.get("stored_at"))),
                }
            )
    return rows


def all_agree(replicas: list[Mapping[str, Any]]) -> bool:
    """Whether every replica answered and all hold the same (equal digests)."""
    digests = {replica.get("digest") for replica in replicas}
    return bool(replicas) and all(one.get("reachable") for one in replicas) and len(digests) == 1


def in_one_piece(text: str) -> str:
    """A dot, or a clock, as code that breaks between entries alone, and never after the "node-" of a name."""
    parts = (f'<span style="white-space:nowrap">{escape(part)}</span>' for part in text.split(", "))
    return f"<code>{', '.join(parts)}</code>"


def table_html(rows: list[dict[str, str]]) -> str:
    """The rows as a table."""
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    body = "".join(
        f'<tr><td style="white-space:nowrap">{swatch(row["node"])} {escape(row["node"])}</td>'
        f"<td>{escape(row['value'])}</td><td>{in_one_piece(row.get('dot', ''))}</td>"
        f"<td>{in_one_piece(row.get('clock', ''))}</td>"
        f"<td>{escape(row.get('written', ''))}</td><td>{escape(row.get('stored', ''))}</td></tr>"
        for row in rows
    )
    return f'<table class="lab-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


class ReplicaView(ipywidgets.VBox):  # type: ignore[misc]
    """What every replica holds of one key, now and each time the button is pressed."""

    def __init__(self, lab: Lab, key: str) -> None:
        """Look at once."""
        self.lab = lab
        self.key = key
        self.replicas: list[Mapping[str, Any]] = []
        self._table = ipywidgets.HTML()
        self._table.add_class("lab-replicas")
        self.button = CommandButton(
            lab, "Look again", "reading every replica", self.look,
            css_class="lab-replicas-look", hint="ask each replica for its own copy",
        )  # fmt: skip
        super().__init__([*panel_parts(), self._table, self.button])
        self.add_class("lab-panel")
        if lab.large:
            self.add_class("lab-large")
        self.look()

    @property
    def agree(self) -> bool:
        """Whether every replica answered and all hold the same."""
        return all_agree(self.replicas)

    def look(self) -> bool:
        """Ask each replica for its own copy, without quorum and repair; whether they agree."""
        self.replicas = self.lab.replicas_of(self.key)
        verdict = (
            '<span class="lab-good">✓ all replicas hold the same</span>'
            if self.agree
            else '<span class="lab-bad">✗ the replicas differ, or one does not answer</span>'
        )
        self._table.value = (
            f'<div class="lab-head"><code>{escape(self.key)}</code>{verdict}</div>'
            + table_html(replica_rows(self.replicas))
        )
        return self.agree
