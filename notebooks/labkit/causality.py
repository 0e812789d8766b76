"""Which of two versions had seen the other, told by their dots and pasts alone.

Paper: Preguiça et al., "Dotted Version Vectors: Logical Clocks for Optimistic Replication", arXiv 1011.5808 (2010),
section 3: a version is its dot and the past that its writer had seen; a before b means that b's past holds a's dot.
Must not live here: wall clocks. When a version was written says nothing about what its writer had seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Version = Mapping[str, Any]
"""As a GET answers it: dot, vector_clock, issued_under?, issued_under_dots?, and more that is not used here."""

Relation = Literal["<", ">", "∥", "="]


def has_seen(version: Version, dot: str) -> bool:
    """Whether the writer of `version` had seen the write with this dot."""
    past = version.get("issued_under")
    if past is None:
        store, counter = _parts(str(version["dot"]))
        clock = version.get("vector_clock") or {}
        past = {**clock, store: min(int(clock.get(store, 0)), counter - 1)}
    store, counter = _parts(dot)
    return int(past.get(store, 0)) >= counter or dot in (version.get("issued_under_dots") or ())


def relation(one: Version, other: Version) -> Relation:
    """ "<": `other` had seen `one`. ">": the reverse. "∥": neither had seen the other: concurrent."""
    if one["dot"] == other["dot"]:
        return "="
    if has_seen(other, str(one["dot"])):
        return "<"
    return ">" if has_seen(one, str(other["dot"])) else "∥"


def _parts(dot: str) -> tuple[str, int]:
    store, _, counter = dot.rpartition(":")
    return store, int(counter)
