"""What nodes say about each other: probes with gossip (membership/swim.py), and starts (replication/starts.py)."""

from __future__ import annotations

import msgspec

from kvnode.versions.bounds import Count, Id


class MemberNews(msgspec.Struct, frozen=True, array_like=True):
    """One line of gossip: this member is in this state at this incarnation."""

    name: str
    state: str
    incarnation: Count


class Ping(msgspec.Struct, frozen=True, array_like=True, tag="ping"):
    """Are you there? Answered by Ack. `for_node`: whom the pinger asks for (itself, or the sender of a request)."""

    for_node: str
    news: tuple[MemberNews, ...]
    epoch: Count = 0


class PingRequest(msgspec.Struct, frozen=True, array_like=True, tag="ping-request"):
    """Ping `target` for me; its Ack is passed on to me (SWIM's indirect probe)."""

    target: str
    news: tuple[MemberNews, ...]
    epoch: Count = 0


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """`node` is there; the answer to a Ping on behalf of `for_node`."""

    node: str
    for_node: str
    news: tuple[MemberNews, ...]
    epoch: Count = 0


class Began(msgspec.Struct, frozen=True, array_like=True, tag="began"):
    """I have begun a generation: the last of these; my folder has seen the others. Answered by BeganAnswer.

    count: of all generations of this folder. is_first: you have never confirmed one of this folder: if you remember
    another folder, I replace that. replaced: folders of mine of before this one.
    """

    id: Id
    folder: Id
    count: Count
    generations: tuple[Id, ...]
    is_first: bool
    replaced: tuple[Id, ...] = ()


class BeganAnswer(msgspec.Struct, frozen=True, array_like=True, tag="began-answer"):
    """I remember it, durably; but for these: knows_later_life: I remember a generation of your folder that you do not
    know of. knows_other_folder: I remembered another folder (and still do, unless this is the first time).
    replaced: folders of yours of before this one, as far as I know them.
    """

    id: Id
    knows_later_life: bool
    knows_other_folder: bool
    replaced: tuple[Id, ...] = ()
