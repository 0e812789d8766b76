"""A session's next read covers what it wrote and what it saw; a store that lets it go back is found out."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvnode.checkers import Acknowledged, Seen, Sessions, Write
from kvnode.checkers.observed import Past
from kvnode.versions import Dot

A, B = "node-1.aaaaaaaaaaaaaaaa", "node-2.bbbbbbbbbbbbbbbb"
OLD = Dot(A, 1)
NEW = Dot(A, 2)


class Thread:
    """One session on one key; every event takes a second."""

    def __init__(self, *, r: int = 2, w: int = 2) -> None:
        self.r, self.w = r, w
        self.acknowledged = Acknowledged(3)
        self.sessions = Sessions(self.acknowledged)
        self.now_s = 0.0

    def write(self, dot: Dot, *, mine: bool = True) -> None:
        self.now_s += 1
        write = Write(dot, Past({dot.store: dot.counter - 1}), self.now_s, self.w)
        self.acknowledged.add("k", write)
        if mine:
            self.sessions.wrote("ada", "k", write)

    def read(self, *dots: Dot, session: str = "ada") -> None:
        pasts = [Past({dot.store: dot.counter - 1}) for dot in dots]
        self.now_s += 1
        started_s = self.now_s
        self.now_s += 1
        self.sessions.read(
            session, "k", Seen(dots, pasts), started_s=started_s, answered_s=self.now_s, r=self.r
        )

    def statuses(self) -> list[str]:
        return [verdict.status for verdict in self.sessions.verdicts()]


def test_a_session_that_goes_forward_is_ok() -> None:
    thread = Thread()
    thread.write(OLD)
    thread.read(OLD)
    thread.write(NEW)
    thread.read(NEW)
    thread.read(NEW)
    assert thread.statuses() == ["ok", "ok"]
    assert [str(verdict) for verdict in thread.sessions.verdicts()] == [
        "reads 3, without own write 0: ok",
        "reads 2, gone back 0: ok",
    ]


def test_a_read_without_the_sessions_own_write_is_a_violation() -> None:
    thread = Thread()
    thread.write(OLD)
    thread.write(NEW)
    thread.read(OLD)
    read_your_writes, monotonic_reads = thread.sessions.verdicts()
    assert (read_your_writes.status, monotonic_reads.status) == ("violated", "unknown")
    assert read_your_writes.evidence == (
        f"ada wrote {A}:2 under 'k' (w=2) and 1000.0 ms later read {A}:1 (r=2)",
    )


def test_another_sessions_write_need_not_be_read_as_ones_own() -> None:
    thread = Thread()
    thread.write(OLD, mine=False)
    thread.read()
    assert thread.statuses() == ["unknown", "unknown"]


def test_a_read_that_goes_back_is_a_violation() -> None:
    thread = Thread()
    thread.write(OLD, mine=False)
    thread.write(NEW, mine=False)
    thread.read(NEW)
    thread.read(OLD)
    read_your_writes, monotonic_reads = thread.sessions.verdicts()
    assert (read_your_writes.status, monotonic_reads.status) == ("unknown", "violated")
    assert monotonic_reads.evidence[0] == f"ada read {A}:2 under 'k' and 1000.0 ms later read {A}:1 (r=2)"


def test_going_back_behind_a_write_still_on_its_way_was_never_promised() -> None:
    """The story: 1. A write reaches one replica and is not acknowledged yet. 2. A read meets that replica. 3. The next
    read meets the other two. Quorums alone do not exclude that: the register is regular, not atomic."""
    thread = Thread()
    thread.write(OLD, mine=False)
    thread.read(NEW)
    thread.read(OLD)
    verdict = thread.sessions.verdicts()[1]
    assert verdict.status == "at risk"
    assert "was not acknowledged by then" in verdict.evidence[0]


def test_at_one_and_one_nothing_is_promised() -> None:
    thread = Thread(r=1, w=1)
    thread.write(OLD)
    thread.read(OLD)
    thread.read()
    assert thread.statuses() == ["at risk", "at risk"]
    assert [verdict.facts for verdict in thread.sessions.verdicts()] == [
        {"reads": 2, "without_own_write": 1},
        {"reads": 1, "gone_back": 1},
    ]


def test_two_sessions_do_not_share_what_they_saw() -> None:
    thread = Thread()
    thread.write(OLD, mine=False)
    thread.read(OLD, session="ada")
    thread.read(session="bob")
    assert thread.statuses()[1] == "unknown"


def test_a_read_sent_before_the_other_was_answered_is_not_held_against_it() -> None:
    thread = Thread()
    thread.write(OLD, mine=False)
    seen = Seen([OLD], [Past()])
    thread.sessions.read("ada", "k", seen, started_s=2.0, answered_s=5.0, r=2)
    thread.sessions.read("ada", "k", Seen([], []), started_s=3.0, answered_s=4.0, r=2)
    assert thread.statuses()[1] == "unknown"


def test_a_counter_that_a_session_read_must_not_shrink() -> None:
    thread = Thread()
    write = Write.of_counter("x", 5, at_s=1.0, w=2)
    thread.acknowledged.add("likes", write)
    for at_s, total in ((2.0, 5), (3.0, 7), (4.0, 6)):
        seen = Seen.of_counter({"x": (total, 0)})
        thread.sessions.read("ada", "likes", seen, started_s=at_s, answered_s=at_s, r=2)
    assert thread.sessions.verdicts()[1].facts == {"reads": 2, "gone_back": 1}


def test_memory_is_bounded_by_pairs_of_session_and_key() -> None:
    sessions = Sessions(Acknowledged(3), threads_max=10)
    for number in range(100):
        seen = Seen([OLD], [Past()])
        sessions.read(f"s{number}", "k", seen, started_s=1.0, answered_s=1.0, r=2)
    assert len(sessions) == 10


places = st.permutations([0, 1, 2])
events = st.lists(
    st.tuples(
        st.sampled_from(["write", "read", "deliver"]), st.sampled_from(["ada", "bob"]), places, st.booleans()
    ),
    max_size=16,
)


@given(events, st.sampled_from([(2, 2), (3, 2), (2, 3), (1, 1), (2, 1)]), st.booleans())
def test_it_agrees_with_the_ancestry_of_every_version(
    new_register: Any,
    history: list[tuple[str, str, list[int], bool]],
    quorums: tuple[int, int],
    forgetful: bool,
) -> None:
    """forgetful: a replica loses everything half-way, which quorums of two do not forgive for long."""
    r, w = quorums
    register, acknowledged = new_register(), Acknowledged(3)
    sessions = Sessions(acknowledged)
    written: dict[str, list[Dot]] = {"ada": [], "bob": []}
    read: dict[str, list[Dot]] = {"ada": [], "bob": []}
    without_own = gone_back = 0
    for number, (what, session, order, blind) in enumerate(history):
        if forgetful and number == len(history) // 2:
            register.wipe(0)
        if what == "write":
            write = register.write(order[:w], blind=blind)
            acknowledged.add("k", write)
            sessions.wrote(session, "k", write)
            written[session].append(write.dot)
        elif what == "deliver":
            register.deliver()
        else:
            got = register.read(order[:r])
            now_s = register.now_s
            sessions.read(session, "k", got, started_s=now_s, answered_s=now_s, r=r)
            without_own += any(not register.covers(got, dot) for dot in written[session])
            gone_back += any(not register.covers(got, dot) for dot in read[session])
            read[session].extend(got.dots)
    own, monotonic = sessions.verdicts()
    assert own.facts["without_own_write"] == without_own
    assert monotonic.facts["gone_back"] == gone_back
    if r + w > 3 and not forgetful:
        assert "violated" not in (own.status, monotonic.status), (own.evidence, monotonic.evidence)
    if r + w > 3 and without_own:
        assert own.status == "violated"
