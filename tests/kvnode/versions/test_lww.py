"""mode=lww: of all that was written that way the greatest stamp stays, ties and forgotten writers included."""

from __future__ import annotations

import pytest

from kvnode.versions import Context, Dot, Siblings

A, B, C = (Dot(f"node-{number}.{number:016x}", 1) for number in (1, 2, 3))


def lww(
    dot: Dot, timestamp: float, state: Siblings | None = None, context: Context | None = None
) -> Siblings:
    """The state after one write with mode=lww."""
    state = Siblings() if state is None else state
    context = Context() if context is None else context
    return state.write(dot, str(dot).encode(), context=context, timestamp=timestamp, lww=True)[0]


def test_of_two_writes_in_one_millisecond_the_greater_dot_stays_wherever_they_meet() -> None:
    """1. Two coordinators write at the same wall time. 2. If only the time decided, both would stay for ever at some
    replicas, or each replica would keep the one that it met first."""
    one, two = lww(A, 5.0), lww(B, 5.0)
    assert one.merge(two).versions == two.merge(one).versions == two.versions
    assert lww(A, 5.0, two).versions == lww(B, 5.0, one).versions == two.versions


def test_of_two_writes_of_one_store_in_one_millisecond_the_later_one_stays() -> None:
    first = lww(A, 5.0)
    second = lww(Dot(A.store, 2), 5.0, first)
    assert [version.dot for version in second.versions] == [Dot(A.store, 2)]
    assert first.merge(second) == second.merge(first) == second


@pytest.mark.parametrize("first", [10.0, 20.0])
def test_who_has_seen_two_stamps_has_seen_all_up_to_the_greater_one(first: float) -> None:
    """1. X has replaced an lww write of time 10, Y one of time 20. 2. A client sees both, and writes Z over them.

    3. An lww write of time 15 arrives late: it was beaten already, and must not come back beside Z.
    """
    stamps = {first, 30.0 - first}
    x, y = (
        Siblings().write(dot, b"x", context=lww(before, stamp).context, timestamp=30.0)[0]
        for dot, before, stamp in (
            (Dot(A.store, 7), A, first),
            (Dot(B.store, 7), B, (stamps - {first}).pop()),
        )
    )
    both = x.merge(y)
    assert len(both.versions) == 2
    assert both.context.floor is not None and both.context.floor[0] == 20.0
    z, _ = both.write(Dot(A.store, 8), b"z", context=both.context, timestamp=40.0)
    late = lww(C, 15.0)
    assert z.merge(late) == late.merge(z) == z


def test_a_stamp_above_what_was_seen_stays_beside_a_write_that_has_not_seen_it() -> None:
    seen = lww(A, 10.0).context
    z, _ = Siblings().write(Dot(B.store, 2), b"z", context=seen, timestamp=40.0)
    assert [version.dot for version in z.merge(lww(C, 11.0)).versions] == [Dot(B.store, 2), C]
    assert z.merge(lww(C, 9.0)) == z


def test_the_context_of_a_write_that_gave_way_covers_nothing_that_its_writer_was_not_shown() -> None:
    """1. A's clock is ahead: its lww write stays. 2. B, at A's store, replaces that, having seen it: the stamp is still
    the one to beat. 3. C writes there with mode=lww and a right clock, is acknowledged, and gives way. 4. C's context
    was the vector {A: 3}, which covers B's write, that C was never shown: a PUT under it replaced B's write.
    """
    ahead = lww(A, 99.0)
    of_b = Dot(A.store, 2)
    held, _ = ahead.write(of_b, b"b", context=ahead.context, timestamp=5.0)
    after, of_c = held.write(Dot(A.store, 3), b"c", context=Context(), timestamp=6.0, lww=True)
    assert after == held and after.has_taken(of_c)
    context = after.context_for_writer(of_c)
    assert context.covers_dot(of_c.dot) and not context.covers_dot(of_b)
    later, _ = after.write(Dot(B.store, 1), b"d", context=context, timestamp=7.0)
    assert {version.value for version in later.versions} == {b"b", b"d"}
