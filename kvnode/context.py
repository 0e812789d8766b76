"""What the components of one node share: its name, runtime, ring, members and records, and whom it listens to.

`Node` builds the components in one direction: each takes the context and a few of those that were built before it. One
that must hear of something subscribes in its constructor to what tells it: the ring (`ring.subscribe`), the members
(`members.subscribe`), the records (`records.on_forgotten`). A component also says which messages are for it
(`handlers`). What a request uses all the time it takes out of the context once, in its constructor.

Must not live here: any component that only some of the others need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kvnode.membership import Members
from kvnode.messages import Addressed, Refused
from kvnode.observe import RequestObserver
from kvnode.records.incomplete import Incomplete
from kvnode.records.records import Records
from kvnode.ring import Placement
from kvnode.rpc import Rpc
from kvnode.runtime import Runtime


class EpochGuard(Protocol):
    """Which questions are answered: tombstones/epochs.py."""

    def refuses_epoch(self, peer: str, question: Addressed) -> bool:
        """Whether a question from another epoch is refused; then its peer is told why.

        A newer one is served: its sender counts on this node, and knows better. Meanwhile this node asks for that ring.
        """

    def refusal_if_late(self, peer: str, id_: int) -> Refused | None:
        """What a node that is not a member is answered to what it offers; None: it is taken."""

    @property
    def reaped_epoch(self) -> int:
        """The last epoch in which this store, or one that it was filled from, dropped a tombstone."""

    def heard_reaped(self, epoch: int) -> None:
        """Tombstones were dropped in this epoch, here or where this store is filled from."""


@dataclass(frozen=True, slots=True)
class NodeContext:
    """The parts of one node that most of its components need.

    members: who is alive, suspect or dead. incomplete: where the records may lack what was acknowledged.
    """

    runtime: Runtime
    name: str
    ring: Placement
    rpc: Rpc
    members: Members
    incomplete: Incomplete
    records: Records
    observer: RequestObserver
    epochs: EpochGuard
