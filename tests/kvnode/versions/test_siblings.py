"""Siblings under histories such as a cluster makes: three coordinators, two clients, late and repeated messages."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.versions import Context, Dot, Siblings, VersionVector

encode = msgspec.msgpack.Encoder().encode
STORES = tuple(f"node-{number}.{number:016x}" for number in (1, 2, 3))

Step = tuple[str, int, int]
"""(what, at which replica, a second number: the client, or the replica that a state is sent to)."""


class History:
    """One key at three replicas, and two clients that remember what their last read answered.

    Beside the clocks it keeps the truth as plain sets of dots: what each replica knows, what each client read, and
    what the writer of each version had seen.
    """

    def __init__(self, skews_ms: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
        self.replicas = [Siblings(), Siblings(), Siblings()]
        self.contexts = [Context(), Context()]
        self.known: list[set[Dot]] = [set(), set(), set()]
        self.read: list[set[Dot]] = [set(), set()]
        self.seen: dict[Dot, set[Dot]] = {}
        self.states: list[Siblings] = []
        self._counters = [0, 0, 0]
        self._skews_ms = skews_ms
        self._time_ms = 10_000.0

    def play(self, steps: list[Step]) -> History:
        for step in steps:
            self.take(*step)
            self.states.extend(self.replicas)
        return self

    def take(self, what: str, replica: int, other: int) -> None:
        client = other % 2
        if what == "send":
            self.replicas[other] = self.replicas[other].merge(self.replicas[replica])
            self.known[other] |= self.known[replica]
        elif what == "read":
            self.contexts[client] = self.replicas[replica].context
            self.read[client] = self.shown_by(replica)
        elif what == "with-context":
            self.write(replica, self.contexts[client], self.read[client])
        elif what == "own-context":
            dot = self.write(replica, self.contexts[client], self.read[client])
            self.contexts[client] = own_context(self.replicas[replica], dot)
            self.read[client] = {*self.read[client], dot}
        elif what == "replace":
            self.write(replica, self.replicas[replica].context, self.shown_by(replica))
        elif what == "delete":
            self.write(replica, self.replicas[replica].context, self.shown_by(replica), deleted=True)
        else:
            self.write(replica, Context(), set(), lww=what == "lww")

    def shown_by(self, replica: int) -> set[Dot]:
        """What a reader of this replica has seen: the writes that it knows, and all that their writers had seen, which
        may never have come here."""
        return self.known[replica].union(*(self.seen[dot] for dot in self.known[replica]))

    def write(
        self, replica: int, context: Context, seen: set[Dot], *, deleted: bool = False, lww: bool = False
    ) -> Dot:
        self._time_ms += 1.0
        self._counters[replica] += 1
        dot = Dot(STORES[replica], self._counters[replica])
        self.replicas[replica], _ = self.replicas[replica].write(
            dot,
            str(dot).encode(),
            context=context,
            timestamp=self._time_ms + self._skews_ms[replica],
            deleted=deleted,
            lww=lww,
        )
        self.seen[dot] = set(seen)
        self.known[replica].add(dot)
        return dot


def histories(*kinds: str) -> st.SearchStrategy[list[Step]]:
    step = st.tuples(st.sampled_from(("send", "send", "read", *kinds)), st.integers(0, 2), st.integers(0, 2))
    return st.lists(step, max_size=14)


mixed = histories("with-context", "own-context", "replace", "siblings", "lww", "delete")
causal = histories("with-context", "own-context", "replace", "siblings", "delete")
skews = st.tuples(*[st.sampled_from((-5000.0, 0.0, 5000.0))] * 3)


@settings(max_examples=150, deadline=None)
@given(mixed, skews, st.data())
def test_merge_of_mixed_modes_is_commutative_associative_and_idempotent_to_the_byte(
    steps: list[Step], skews_ms: tuple[float, ...], data: st.DataObject
) -> None:
    states = st.sampled_from([Siblings(), *History(skews_ms).play(steps).states])
    one, two, three = data.draw(states), data.draw(states), data.draw(states)
    assert encode(one.merge(two)) == encode(two.merge(one))
    assert encode(one.merge(two).merge(three)) == encode(one.merge(two.merge(three)))
    assert encode(one.merge(one)) == encode(one)
    assert encode(one.merge(two).merge(two)) == encode(one.merge(two))


@settings(max_examples=150, deadline=None)
@given(mixed, skews)
def test_every_state_keeps_its_invariant(steps: list[Step], skews_ms: tuple[float, ...]) -> None:
    for state in History(skews_ms).play(steps).states:
        dots = [version.dot for version in state.versions]
        assert dots == sorted(set(dots))
        assert not any(
            one.supersedes(other) for one in state.versions for other in state.versions if one is not other
        )
        assert all(state.context.covers(version) for version in state.versions)


@settings(max_examples=200, deadline=None)
@given(causal)
def test_what_is_gone_was_seen_by_the_writer_of_what_remains(steps: list[Step]) -> None:
    """No lost concurrent write, and no false sibling: clocks agree with the true sets of dots."""
    history = History().play(steps)
    for replica, state in enumerate(history.replicas):
        known = history.known[replica]
        kept = {version.dot for version in state.versions}
        truly_obsolete = {dot for dot in known if any(dot in history.seen[other] for other in known)}
        assert kept == known - truly_obsolete


@settings(max_examples=100, deadline=None)
@given(mixed, skews)
def test_a_write_under_the_context_of_a_get_leaves_exactly_that_write(
    steps: list[Step], skews_ms: tuple[float, ...]
) -> None:
    history = History(skews_ms).play(steps)
    for replica in range(3):
        history.take("read", replica, 0)
        history.take("with-context", replica, 0)
        assert len(history.replicas[replica].versions) == 1


def own_context(state: Siblings, dot: Dot) -> Context:
    """What a PUT answers to the client that wrote `dot`."""
    return state.context_for_writer(next(version for version in state.versions if version.dot == dot))


def test_a_context_answered_by_a_put_covers_nothing_that_its_client_has_not_seen() -> None:
    """1. B writes dot 1 blindly. 2. A writes dot 2 blindly at the same coordinator: siblings {1, 2}.

    3. A writes under the context that its own PUT answered, which was the vector {store: 2}. 4. That covers dot 1
    too, which A was never shown: B's acknowledged write was gone. Now the context names dot 2 alone.
    """
    history = History()
    of_b = history.write(0, Context(), set())
    of_a = history.write(0, Context(), set())
    newer = history.write(0, own_context(history.replicas[0], of_a), {of_a})
    assert [version.dot for version in history.replicas[0].versions] == [of_b, newer]


@pytest.mark.parametrize("coordinator_count", [1, 2])
def test_two_clients_alternating_under_their_own_contexts_keep_both_last_writes_and_no_more(
    coordinator_count: int,
) -> None:
    """The interleaving of Almeida et al. 2012, section 2: plain vectors lose a write here, or pile up siblings."""
    history = History()
    contexts = [Context(), Context()]
    last: list[Dot | None] = [None, None]
    for turn in range(40):
        client = turn % 2
        at = client % coordinator_count
        dot = history.write(at, contexts[client], set())
        contexts[client], last[client] = own_context(history.replicas[at], dot), dot
        history.take("send", at, 1 - at)
        expected = {dot for dot in last if dot is not None}
        assert {version.dot for version in history.replicas[at].versions} == expected


def test_contexts_of_one_client_that_writes_alone_stay_short() -> None:
    history = History()
    context = Context()
    for _ in range(40):
        dot = history.write(0, context, set())
        context = own_context(history.replicas[0], dot)
    assert context == Context(VersionVector.of({STORES[0]: 40}))


def test_lww_keeps_the_greatest_clock_even_if_it_was_written_first() -> None:
    history = History(skews_ms=(60_000.0, 0.0, 0.0))
    ahead = history.write(0, Context(), set(), lww=True)
    history.take("send", 0, 1)
    history.write(1, Context(), set(), lww=True)
    assert [version.dot for version in history.replicas[1].versions] == [ahead]


def test_an_lww_write_does_not_supersede_a_value_it_has_not_seen() -> None:
    history = History()
    history.take("replace", 0, 0)
    history.take("lww", 0, 0)
    assert len(history.replicas[0].versions) == 2


def test_a_dot_that_was_issued_before_is_a_programmers_error() -> None:
    state, version = Siblings().write(Dot("n.1", 3), b"1", context=Context(), timestamp=1.0)
    with pytest.raises(ValueError, match=r"dot n\.1:3 was issued before"):
        state.write(version.dot, b"2", context=Context(), timestamp=2.0)
    with pytest.raises(ValueError, match="issued before"):
        state.write(Dot("n.1", 2), b"2", context=Context(VersionVector.of({"n.1": 9})), timestamp=2.0)


def test_shown_is_the_greatest_stamp_among_values_and_none_when_all_are_deleted() -> None:
    first, _ = Siblings().write(Dot("n.1", 1), b"1", context=Context(), timestamp=5.0)
    second, _ = first.write(Dot("n.2", 1), b"2", context=Context(), timestamp=3.0)
    third, _ = second.write(Dot("n.3", 1), b"", context=Context(), timestamp=9.0, deleted=True)
    assert third.shown is not None
    assert third.shown.value == b"1"
    gone, _ = third.write(Dot("n.3", 2), b"", context=third.context, timestamp=9.0, deleted=True)
    assert gone.shown is None
    assert len(gone.versions) == 1
