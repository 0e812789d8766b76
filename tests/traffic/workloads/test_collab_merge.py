"""A merge never drops what somebody wrote: it holds both changes, or it says that a person must decide."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from diff_match_patch import diff_match_patch  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from traffic.workloads import collab_merge
from traffic.workloads.collab_edits import EDITS, LINES_MAX
from traffic.workloads.collab_merge import Version, merge_text, merged, side_by_side
from traffic.workloads.phrases import sentence

BASE = "My cat lost a quorum.\nThe printer gossips.\nA pigeon reads its own writes."


def version(seed: int, lines: int = 4) -> Version:
    random = Random(seed)
    return Version("\n".join(sentence(random) for _ in range(lines)), "ada")


def edited(version: Version, seed: int, edit: int, *, habit: str | None = None) -> Version:
    """One more edit, of which the text has a token that occurs nowhere else: «edit»."""
    random = Random(f"{seed}/{edit}")
    name = habit or random.choice(sorted(EDITS))
    before = version.text.split("\n")
    after = EDITS[name](random, version.text, f"writer{edit}").split("\n")
    changes = [i for i, line in enumerate(after) if i >= len(before) or line != before[i]]
    changed = changes[0] if changes else 0
    after[changed] += f" «{edit}»"
    return version.edited("\n".join(after), editor=f"writer{edit}", edit=edit)


def has(version: Version, edit: int) -> bool:
    return edit in version.edits and f"«{edit}»" in version.text


def test_changes_of_different_sentences_are_both_kept() -> None:
    one = BASE.replace("cat", "dog")
    other = BASE.replace("its own writes", "nothing at all")
    assert merge_text(BASE, one, other) == one.replace("its own writes", "nothing at all")


def test_two_sentences_at_the_same_end_are_both_kept() -> None:
    text = merge_text(BASE, f"{BASE}\nFirst.", f"{BASE}\nSecond.")
    assert text is not None
    assert text.split("\n")[:3] == BASE.split("\n")
    assert sorted(text.split("\n")[3:]) == ["First.", "Second."]


def test_two_changes_of_the_same_words_are_a_conflict() -> None:
    assert merge_text(BASE, BASE.replace("gossips", "sings"), BASE.replace("gossips", "naps")) is None


def test_the_same_change_by_both_is_no_conflict() -> None:
    changed = BASE.replace("gossips", "sings")
    assert merge_text(BASE, changed, changed) == changed


def test_a_merge_that_loses_words_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """1. The library finds a place for a patch, but overwrites what the other has written there. 2. It says that
    all went well. 3. The words are counted, and the merge is refused."""

    class Careless(diff_match_patch):
        def patch_apply(self, patches: object, text: str) -> tuple[str, list[bool]]:
            return text, [True]

    one, other = BASE.replace("cat", "dog"), BASE.replace("pigeon", "parrot")
    assert merge_text(BASE, one, other) is not None
    monkeypatch.setattr(collab_merge, "diff_match_patch", Careless)
    assert merge_text(BASE, one, other) is None


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 10**6), writers=st.integers(2, 5))
def test_no_edit_is_dropped_whoever_writes_and_merges_at_once(seed: int, writers: int) -> None:
    start = version(seed)
    siblings = [edited(start, seed, edit) for edit in range(1, writers + 1)]
    together = merged(siblings)
    if together is None:
        together = side_by_side(siblings)
    assert together.edits == tuple(range(1, writers + 1))
    assert all(f"«{edit}»" in together.text for edit in together.edits)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_everybody_merges_to_the_same_text(seed: int) -> None:
    start = version(seed)
    siblings = [edited(start, seed, edit) for edit in (1, 2, 3)]
    assert len({merged(order) for order in permutations(siblings)}) == 1


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_late_writer_who_saw_only_the_past_is_merged_with_the_merge(seed: int) -> None:
    """1. Two write at once; a third merges them, a fourth writes on. 2. A fifth had read the very first text all
    the time. 3. The common ancestor is that text, which the versions still know."""
    start = version(seed, lines=6)
    late = edited(start, seed, 9, habit="append")
    first, second = edited(start, seed, 1, habit="append"), edited(start, seed, 2, habit="comment")
    together = merged([first, second])
    if together is None:
        return
    further = edited(together, seed, 3, habit="append")
    final = merged([further, late])
    if final is not None:
        assert all(has(final, edit) for edit in (3, 9))
        assert {1, 2} <= set(final.edits)


def test_most_collisions_merge_by_themselves() -> None:
    tried = [
        merged([edited(start, seed, 1), edited(start, seed, 2)])
        for seed in range(300)
        for start in [version(seed, lines=5)]
    ]
    unresolved = sum(one is None for one in tried)
    assert 0.02 < unresolved / len(tried) < 0.4


def test_what_is_contained_in_another_version_is_merged_already() -> None:
    start = version(1)
    first = edited(start, 1, 1)
    second = edited(first, 1, 2)
    assert merged([first, second]) == merged([second, start]) == second


def test_without_a_known_ancestor_a_person_decides() -> None:
    strangers = [Version("one text", "ada", (1,)), Version("another text", "alan", (2,))]
    assert merged(strangers) is None
    both = side_by_side(strangers)
    assert both.edits == (1, 2)
    assert both.text.split("\n") == ["one text", "another text"]


def test_paragraphs_stay_short_however_long_people_write() -> None:
    now, random = version(3), Random(3)
    for edit in range(500):
        habit = random.choice(sorted(EDITS))
        text = EDITS[habit](random, now.text, "ada")
        assert text != now.text or habit == "rewrite"  # the same sentence may be drawn again
        now = now.edited(text, editor="ada", edit=edit)
        assert len(now.text.split("\n")) <= LINES_MAX
        assert len(now.bases) <= collab_merge.BASES_MAX
