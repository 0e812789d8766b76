"""Three-way merge: two people changed the same paragraph without seeing each other's change.

Here: merging texts, and merging versions of a paragraph whose common ancestor is known.
Must not live here: finding conflicts, writing anything (collab.py).

Texts. The library diff-match-patch makes patches of what one writer changed, and applies them to what the
other wrote (Fraser, "Differential Synchronization", DocEng 2009). It is given words, each as one character,
which keeps words whole and takes a third of the time. Its matching is fuzzy: it finds the place although the
text around it has changed, but now and then it overwrites what the other has written. So a merge is believed
only if it holds exactly what both wanted, counted in words: every word that both kept or one inserted, each
insertion in one piece, and nothing that one deleted. Two writers who changed the same words are in conflict
whatever the library says (the definition of diff3; Khanna, Kunal and Pierce, "A Formal Investigation of
Diff3", FSTTCS 2007). None means: not merged, ask a person.

Versions. Each carries the names of all edits that are in its text, and the last few versions that it was
made from. Of two versions, the edits that both have are those of their common ancestor; if one has all
edits of the other, it is already the merge. Everybody who merges the same versions gets the same text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from diff_match_patch import diff_match_patch  # type: ignore[import-untyped]
from msgspec import Struct

BASES_MAX = 4
LETTERS_FROM = 0x4E00  # far from what the library uses itself
_WORDS = re.compile(r"\S+|\n")


class Text(Struct, frozen=True, array_like=True):
    """What a paragraph was at some moment: its text, and the edits that are in it, sorted."""

    text: str
    edits: tuple[int, ...] = ()


class Version(Struct, frozen=True):
    """What is stored of a paragraph. bases: the versions that it was made from, the nearest first."""

    text: str
    editor: str
    edits: tuple[int, ...] = ()
    bases: tuple[Text, ...] = ()

    @property
    def as_text(self) -> Text:
        return Text(self.text, self.edits)

    def edited(self, text: str, *, editor: str, edit: int) -> Version:
        """The version after one more edit."""
        edits = tuple(sorted({*self.edits, edit}))
        return Version(text, editor, edits, (self.as_text, *self.bases)[:BASES_MAX])


def merged(versions: Sequence[Version]) -> Version | None:
    """One version with all edits of all of them; None if a person must decide. The order does not matter."""
    left = _without_contained(versions)
    result = left[0]
    for other in left[1:]:
        together = _merged_two(result, other)
        if together is None:
            return None
        result = together
    return result


def side_by_side(versions: Sequence[Version]) -> Version:
    """What a person makes of versions that cannot be merged: all lines of the first, then what else the others
    say. It has all their edits, and is an edit itself (`edited`)."""
    left = _without_contained(versions)
    lines = list(dict.fromkeys(line for version in left for line in version.text.split("\n")))
    edits = tuple(sorted({edit for version in left for edit in version.edits}))
    bases = tuple(version.as_text for version in left)[:BASES_MAX]
    return Version("\n".join(lines), left[0].editor, edits, bases)


def merge_text(base: str, one: str, other: str) -> str | None:
    """`base` with the changes of both; None if they changed the same words, or the library lost its way."""
    if one in (other, base):
        return other
    if other == base:
        return one
    texts = [_WORDS.findall(text) for text in (base, one, other)]
    wanted = _wanted(*texts)
    if wanted is None:
        return None
    words = sorted({word for text in texts for word in text})
    letter = {word: chr(LETTERS_FROM + index) for index, word in enumerate(words)}
    spelled = ["".join(letter[word] for word in text) for text in texts]
    library = diff_match_patch()
    library.Diff_Timeout = 0  # no clock: the same texts always merge in the same way
    result, applied = library.patch_apply(library.patch_make(spelled[0], spelled[1]), spelled[2])
    if not set(result) <= set(letter.values()):
        return None  # letters that the library pads texts with: it cut the text in the wrong place
    found = [words[ord(each) - LETTERS_FROM] for each in result]
    counted, runs = wanted
    faithful = Counter(found) == counted and all(_has_run(found, run) for run in runs)
    return _joined(found) if all(applied) and faithful else None


# --- versions -----------------------------------------------------------------------------------------


def _without_contained(versions: Sequence[Version]) -> list[Version]:
    """In an order that does not depend on who asks, without those whose edits another one has all."""
    left: list[Version] = []
    for version in sorted(versions, key=lambda one: (-len(one.edits), one.edits, one.text)):
        if not any(set(version.edits) <= set(other.edits) for other in left):
            left.append(version)
    return left


def _merged_two(one: Version, other: Version) -> Version | None:
    common = set(one.edits) & set(other.edits)
    ancestors = [base for base in (*one.bases, *other.bases) if common.issuperset(base.edits)]
    if not ancestors:
        return None
    ancestor = max(ancestors, key=lambda base: (len(base.edits), base.text))
    text = merge_text(ancestor.text, one.text, other.text)
    if text is None:
        return None
    edits = tuple(sorted({*one.edits, *other.edits}))
    bases = dict.fromkeys((one.as_text, other.as_text, ancestor))
    return Version(text, one.editor, edits, tuple(bases)[:BASES_MAX])


# --- words --------------------------------------------------------------------------------------------


def _wanted(base: list[str], one: list[str], other: list[str]) -> tuple[Counter[str], list[list[str]]] | None:
    """The words that a merge must have, and the runs of words that were inserted. None: the same words of the
    base were changed by both."""
    deleted_by_one, runs_of_one = _changes(base, one)
    deleted_by_other, runs_of_other = _changes(base, other)
    if deleted_by_one & deleted_by_other:
        return None
    deleted = deleted_by_one | deleted_by_other
    runs = runs_of_one + runs_of_other
    wanted = Counter(word for index, word in enumerate(base) if index not in deleted)
    for run in runs:
        wanted.update(run)
    return wanted, runs


def _changes(base: list[str], words: list[str]) -> tuple[set[int], list[list[str]]]:
    """Which words of the base are gone, and which runs of words came."""
    deleted: set[int] = set()
    runs: list[list[str]] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, base, words, autojunk=False).get_opcodes():
        if tag != "equal":
            deleted.update(range(i1, i2))
            if j2 > j1:
                runs.append(words[j1:j2])
    return deleted, runs


def _has_run(words: list[str], run: list[str]) -> bool:
    return any(words[start : start + len(run)] == run for start in range(len(words) - len(run) + 1))


def _joined(words: list[str]) -> str:
    return " ".join(words).replace(" \n ", "\n").replace("\n ", "\n").replace(" \n", "\n")
