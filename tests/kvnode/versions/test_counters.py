"""PN-counters: merging never counts twice and never forgets."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kvnode.versions import PnCounter

encode = msgspec.msgpack.Encoder().encode
entries = st.dictionaries(
    st.sampled_from(("a", "b", "c", "d")), st.tuples(st.integers(0, 9), st.integers(0, 9))
)


@st.composite
def counters(draw: st.DrawFn) -> PnCounter:
    counter = PnCounter()
    for actor, (increments, decrements) in draw(entries).items():
        counter = counter.merge(PnCounter.of(actor, increments, decrements))
    return counter


@given(counters(), counters(), counters())
def test_merge_is_commutative_associative_and_idempotent_to_the_byte(
    one: PnCounter, two: PnCounter, three: PnCounter
) -> None:
    assert encode(one.merge(two)) == encode(two.merge(one))
    assert encode(one.merge(two).merge(three)) == encode(one.merge(two.merge(three)))
    assert encode(one.merge(one)) == encode(one)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=12), st.randoms())
def test_totals_sent_again_late_or_twice_count_once(sent: list[tuple[str, int]], chance: object) -> None:
    running: dict[str, int] = {}
    states = []
    for actor, step in sent:
        running[actor] = running.get(actor, 0) + step
        states.append(PnCounter.of(actor, running[actor]))
    shuffled = states + states
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    counter = PnCounter()
    for state in shuffled:
        counter = counter.merge(state)
    assert counter.value == sum(running.values())


def test_totals_of_an_unknown_actor_are_zero() -> None:
    assert PnCounter.of("a", 3, 1).totals("b") == (0, 0)
    assert PnCounter.of("a", 3, 1).value == 2
