"""An edit that nobody built on and nobody reads any more is lost, even if the database did as it was told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvnode.checkers import Edits


def edits_of(*made: tuple[str, tuple[str, ...]], key: str = "p") -> Edits:
    edits = Edits()
    for name, made_from in made:
        edits.sent(key, name, made_from=made_from)
        edits.acknowledged(name)
    return edits


def test_edits_that_were_built_on_are_alive() -> None:
    edits = edits_of(("a", ()), ("b", ("a",)), ("c", ("b",)))
    verdict = edits.check({"p": ["c"]})
    assert str(verdict) == "edits 3, lost 0: ok"


def test_siblings_are_alive_and_so_is_what_their_merge_was_made_from() -> None:
    edits = edits_of(("a", ()), ("b", ("a",)), ("c", ("a",)))
    assert edits.check({"p": ["b", "c"]}).ok
    edits.sent("p", "merge", made_from=("b", "c"))
    assert edits.check({"p": ["merge"]}).ok, "though nobody acknowledged the merge"


def test_the_last_writer_wins_and_the_other_edit_is_lost() -> None:
    edits = edits_of(("a", ()), ("b", ("a",)), ("c", ("a",)))
    verdict = edits.check({"p": ["c"]})
    assert (verdict.status, verdict.facts) == ("violated", {"edits": 3, "lost": 1})
    assert verdict.evidence == ("'p': b was acknowledged, and c was not made from it",)


def test_an_edit_that_was_never_acknowledged_may_go() -> None:
    edits = edits_of(("a", ()))
    edits.sent("p", "b", made_from=("a",))
    assert edits.check({"p": ["a"]}).ok
    assert edits.check({"p": ["b"]}).ok


def test_what_was_not_read_or_not_kept_leaves_it_unknown() -> None:
    assert edits_of(("a", ())).check({"p": None}).status == "unknown"
    assert Edits().check({}).status == "unknown"
    few = Edits(edits_max=1)
    for name in ("a", "b"):
        few.sent("p", name, made_from=())
        few.acknowledged(name)
    assert few.check({"p": ["a"]}).status == "unknown"


@given(st.lists(st.sets(st.integers(0, 9), max_size=3), min_size=1, max_size=10), st.data())
def test_lost_is_what_no_head_descends_from(parents: list[set[int]], data: st.DataObject) -> None:
    edits = Edits()
    ancestors: list[set[int]] = []
    for number, made_from in enumerate(parents):
        earlier = {parent for parent in made_from if parent < number}
        ancestors.append({number}.union(*(ancestors[parent] for parent in earlier)))
        edits.sent("p", str(number), made_from=[str(parent) for parent in earlier])
        edits.acknowledged(str(number))
    heads = data.draw(st.sets(st.integers(0, len(parents) - 1), max_size=3))
    alive = set[int]().union(*(ancestors[head] for head in heads))
    verdict = edits.check({"p": [str(head) for head in heads]})
    assert verdict.facts["lost"] == len(parents) - len(alive)
    assert verdict.ok == (len(alive) == len(parents))
