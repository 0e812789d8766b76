"""The model of the oracle says what the database's own versions say; written twice, they check each other."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvnode.sim.oracle.model import Made, Past, reader_has_seen
from kvnode.versions import Context, Dot, Siblings

Step = tuple[int, int, str, bool]
"""Who writes, at whom it looks first, how, and whether it deletes."""
steps = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 2), st.sampled_from(("read", "blind", "lww", "own")), st.booleans()
    ),
    max_size=14,
)


def replicas_after(taken: list[Step]) -> list[Siblings]:
    """Three replicas after these writes, whose states met now and then."""
    states = [Siblings()] * 3
    own = [Context()] * 3
    for number, (at, other, how, deleted) in enumerate(taken):
        states[at] = states[at].merge(states[other])
        context = {"read": states[at].context, "own": own[at]}.get(how, Context())
        dot = Dot(f"node-{at}.{at}", number + 1)
        states[at], version = states[at].write(
            dot, b"1", context=context, timestamp=float(number * 7 % 5), deleted=deleted, lww=how == "lww"
        )
        own[at] = states[at].context_for_writer(version)
    return states


@settings(max_examples=60, deadline=None)
@given(steps)
def test_model_and_versions_agree_on_what_supersedes_what(taken: list[Step]) -> None:
    versions = [version for state in replicas_after(taken) for version in state.versions]
    for one in versions:
        for other in versions:
            if one.dot != other.dot:
                assert Made.of(one).supersedes(Made.of(other)) == one.supersedes(other)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_model_and_versions_agree_on_what_a_reader_has_seen(taken: list[Step]) -> None:
    for state in replicas_after(taken):
        made = [Made.of(version) for version in state.versions]
        assert reader_has_seen([(one.dot, one.past, one.floor) for one in made]) == Past.of(state.context)
