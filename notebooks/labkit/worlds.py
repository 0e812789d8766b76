"""The words for the three worlds of the traffic: what a student calls them, their mistakes, and what is counted there.

Pure.
Must not live here: the worlds themselves (the traffic service), widgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

FIRST = "twitter"
TITLES = {
    "twitter": "Twitter: people who tweet and like",
    "collab": "The editor: people who write one text together",
    "inventory": "The warehouses: people who order what is on the shelves",
}
SHORT = {"twitter": "Twitter", "collab": "Editor", "inventory": "Warehouses"}
MISTAKES: Mapping[str, Mapping[str, str]] = {
    "twitter": {"rmw-likes": "likes by read, add one, write"},
    "collab": {"lww": "the last writer wins"},
    "inventory": {"unreserved": "orders without a reservation"},
}
"""What the service calls a mistake -> what a student calls it."""

Source = Literal["kind", "world"]
COUNTERS: Mapping[str, tuple[tuple[str, Source, str], ...]] = {
    "twitter": (
        ("tweets", "kind", "tweet"), ("retweets", "kind", "retweet"), ("likes", "kind", "like"),
        ("comments", "kind", "comment"), ("views", "kind", "view"), ("reads", "kind", "read"),
    ),
    "collab": (
        ("opened", "kind", "open"), ("edits", "kind", "edit"), ("merged", "kind", "merge"),
        ("by hand", "kind", "resolve"), ("collisions", "world", "collisions"), ("edits lost", "world", "edits_lost"),
    ),
    "inventory": (
        ("visits", "kind", "browse"), ("orders", "kind", "order"), ("shipments", "kind", "shipment"),
        ("sold out", "world", "refused_out_of_stock"), ("stock-takes", "kind", "stock_take"),
        ("oversold", "world", "oversold"),
    ),
}  # fmt: skip
"""Of each world six counters: the word, whether it counts acknowledged operations of a kind or what the world itself
counts, and its name in the service's answer. "edits lost" is known at each check, "oversold" at once."""


def mistake_words(world: str, mistake: str | None) -> str:
    """What a student calls a mistake that is switched on; empty for none."""
    return MISTAKES.get(world, {}).get(mistake or "", mistake or "")
