"""The member table: what this node believes of every member, and which news about it wins.

(Das, Gupta, Motivala: "SWIM", 2002, section 4.2.) News carries the member's incarnation, which only the member itself
raises. A greater incarnation always wins; at the same incarnation dead beats suspect and suspect beats alive. So a
member that hears of its own suspicion refutes it by a greater incarnation, and old gossip cannot bring back the dead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import ceil, log2

import msgspec

from kvnode.messages import MemberNews
from kvnode.versions.bounds import INCARNATION_JUMP_MAX, is_jump

ALIVE = "alive"
SUSPECT = "suspect"
DEAD = "dead"
_STRENGTH = {ALIVE: 0, SUSPECT: 1, DEAD: 2}
_NEWS_IN_MESSAGE_MAX = 8
_REPEAT_FACTOR = 3


class Member(msgspec.Struct, frozen=True):
    """What is believed of one member. since: wall ms at which this node came to believe the state."""

    name: str
    state: str
    incarnation: int
    since: float


class Members:
    """The table, and the news that is still to be spread.

    implausible_count: news whose incarnation nobody can have come to by refuting.
    Invariant: this node itself is always alive in its own table.
    """

    def __init__(
        self, node: str, names: Iterable[str], *, incarnation: int, wall_ms: Callable[[], float]
    ) -> None:
        self._node = node
        self._wall_ms = wall_ms
        self._listeners: list[Callable[[Member, Member], None]] = []
        now = wall_ms()
        self._members = {
            name: Member(name, ALIVE, incarnation if name == node else 0, now) for name in sorted(names)
        }
        self._spread: dict[str, int] = {}
        self._suspects: dict[str, None] = {}
        self.implausible_count = 0

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members.values()))

    def follow(self, names: Iterable[str]) -> None:
        """From now on these are the members, besides this node itself. A new one is alive until found otherwise."""
        wanted = {*names, self._node}
        for name in [name for name in self._members if name not in wanted]:
            del self._members[name]
            self._spread.pop(name, None)
        for name in sorted(wanted - self._members.keys()):
            self._members[name] = Member(name, ALIVE, 0, self._wall_ms())
        self._members = dict(sorted(self._members.items()))

    def state(self, name: str) -> str:
        """alive, suspect or dead; somebody unknown is dead."""
        member = self._members.get(name)
        return DEAD if member is None else member.state

    def is_alive(self, name: str) -> bool:
        """Whether it is believed to be there; a suspect is not."""
        return self.state(name) == ALIVE

    def is_dead(self, name: str) -> bool:
        """Whether it is believed to be gone; a suspect is not."""
        return self.state(name) == DEAD

    def subscribe(self, listener: Callable[[Member, Member], None]) -> None:
        """From now on `listener` is called with (before, after) whenever a state changes."""
        self._listeners.append(listener)

    def member(self, name: str) -> Member | None:
        """The line of one member."""
        return self._members.get(name)

    @property
    def suspects(self) -> tuple[str, ...]:
        """Who is suspected now, in the order in which they came to be."""
        return tuple(self._suspects)

    def learn(self, news: MemberNews) -> None:
        """Take in one line of gossip, or one finding of this node's own probes."""
        known = self._members.get(news.name)
        if known is None or news.state not in _STRENGTH:
            return
        if is_jump(news.incarnation, known.incarnation, INCARNATION_JUMP_MAX):
            self.implausible_count += 1
            return
        if news.name == self._node:
            if news.state != ALIVE and news.incarnation >= known.incarnation:
                self._become(known, ALIVE, news.incarnation + 1)  # refute
            elif news.state != ALIVE:
                self._spread[self._node] = 0  # refuted before, but not everybody has heard it
            return
        newer = news.incarnation > known.incarnation
        stronger = news.incarnation == known.incarnation and _STRENGTH[news.state] > _STRENGTH[known.state]
        if newer or stronger:
            self._become(known, news.state, news.incarnation)

    def news_of(self, name: str) -> MemberNews:
        """The line of one member, as gossip."""
        member = self._members[name]
        return MemberNews(name, member.state, member.incarnation)

    def gossip(self, to: str) -> tuple[MemberNews, ...]:
        """The least often repeated news, to ride on a message; each is repeated about 3 log2(n) times.

        A member that is not believed alive is always told so: it must be able to refute.
        """
        repeat_max = _REPEAT_FACTOR * max(1, ceil(log2(len(self._members) + 1)))
        chosen = sorted(self._spread, key=lambda name: (self._spread[name], name))[:_NEWS_IN_MESSAGE_MAX]
        for name in chosen:
            self._spread[name] += 1
            if self._spread[name] >= repeat_max:
                del self._spread[name]
        if to not in chosen and self.state(to) != ALIVE and to in self._members:
            chosen.append(to)
        return tuple(self.news_of(name) for name in chosen)

    def _become(self, before: Member, state: str, incarnation: int) -> None:
        since = before.since if before.state == state else self._wall_ms()
        after = Member(before.name, state, incarnation, since)
        self._members[before.name] = after
        self._spread[before.name] = 0
        if state == SUSPECT:
            self._suspects.setdefault(before.name)
        else:
            self._suspects.pop(before.name, None)
        if before.state != state:
            for listener in self._listeners:
                listener(before, after)
