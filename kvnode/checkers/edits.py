"""Edits: is the work of every writer still in what everybody reads at the end?

Finer than the ledger. The ledger asks the database's own versions: a write that a later one supersedes is not lost. But
what if it should not have been superseded? A last-writer-wins write drops whatever the clocks call older, and a plain
replace drops what its writer never saw: the database did as told, and yet an edit is gone. So here lineage is what
*writers* say: each edit names the edits that it was made from (those it had read and built on). An edit lives if a
version that is read at the end was made from it, directly or through others.

Not here: merging text, and reading. Each edit has a name of its own that is stored with it, so that a final read tells
which edits it found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kvnode.checkers.verdict import Verdict

CLAIM = "no acknowledged edit was lost"
EDITS_MAX = 200_000


class _Edit(NamedTuple):
    key: str
    made_from: tuple[str, ...]


class Edits:
    """All edits of one run, and which of them were acknowledged.

    Invariant: at most edits_max are kept; what comes beyond that is counted and not judged.
    """

    def __init__(self, *, edits_max: int = EDITS_MAX) -> None:
        self._edits_max = edits_max
        self._edits: dict[str, _Edit] = {}
        self._acknowledged: dict[str, list[str]] = {}
        self.not_kept = 0

    def sent(self, key: str, edit: str, *, made_from: Iterable[str]) -> None:
        """An edit of `key` is on its way; whether or not it is answered, others may come to build on it."""
        if edit in self._edits:
            return
        if len(self._edits) >= self._edits_max:
            self.not_kept += 1
            return
        self._edits[edit] = _Edit(key, tuple(made_from))

    def acknowledged(self, edit: str) -> None:
        """The edit was acknowledged: from now on it must not be lost."""
        known = self._edits.get(edit)
        if known is not None:
            self._acknowledged.setdefault(known.key, []).append(edit)

    @property
    def keys(self) -> list[str]:
        """The keys of which `check` needs a final read, sorted."""
        return sorted(self._acknowledged)

    def check(self, final: Mapping[str, Iterable[str] | None]) -> Verdict:
        """Judge the final reads: of each key the edits found there, one a sibling; None if it could not be read."""
        count = lost = 0
        evidence: list[str] = []
        unread: list[str] = []
        for key in self.keys:
            found = final.get(key)
            if found is None:
                unread.append(key)
                continue
            heads = list(found)
            alive = self._with_ancestors(heads)
            gone = [edit for edit in self._acknowledged[key] if edit not in alive]
            count += len(self._acknowledged[key])
            lost += len(gone)
            shown = ", ".join(heads) or "nothing"
            evidence += [
                f"{key!r}: {edit} was acknowledged, and {shown} was not made from it" for edit in gone
            ]
        facts: dict[str, float] = {"edits": count, "lost": lost}
        if lost:
            return Verdict.broken(CLAIM, evidence, facts)
        if unread:
            return Verdict.not_known(CLAIM, [f"{key!r} could not be read" for key in unread], facts)
        if self.not_kept:
            return Verdict.not_known(CLAIM, f"{self.not_kept} edits were too many to keep", facts)
        if not count:
            return Verdict.not_known(CLAIM, "no edit was acknowledged, so there was nothing to check", facts)
        return Verdict.holds(CLAIM, facts)

    def _with_ancestors(self, heads: Iterable[str]) -> set[str]:
        alive: set[str] = set()
        left = list(heads)
        while left:
            edit = left.pop()
            if edit not in alive:
                alive.add(edit)
                known = self._edits.get(edit)
                if known is not None:
                    left.extend(known.made_from)
        return alive
