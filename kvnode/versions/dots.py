"""A dot: the unique name of one write event (Almeida et al., "Dotted Version Vectors", 2012)."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta

StoreId = str
"""Names one data directory: the node's name, a dot, and 64 random bits in hex ("node-1.3f2a91c205d8b7aa").

Drawn afresh whenever a data directory is created, so a node whose disk was wiped never reissues an old dot
(the bug known as Riak's kv679).
"""


Counter = Annotated[int, Meta(ge=1, le=2**53)]
"""How many write events of one store there can be."""
DateMs = Annotated[float, Meta(ge=-(2.0**53), le=2.0**53)]
"""A wall clock in ms; no clock says more, and nothing else is a date."""


class Dot(NamedTuple):
    """The `counter`-th write event (from 1) of the store `store`. Invariant: no two writes share a dot."""

    store: StoreId
    counter: Counter

    def __str__(self) -> str:
        return f"{self.store}:{self.counter}"

    @classmethod
    def parse(cls, text: str) -> Dot:
        """The inverse of str(); ValueError says what was expected."""
        store, colon, counter = text.rpartition(":")
        if not (colon and store and counter.isdigit()):
            raise ValueError(f"{text!r} is not a dot; expected STORE:COUNTER")
        return cls(store, int(counter))


def node_of(store: StoreId) -> str:
    """The name of the node that drew this store id."""
    return store.rpartition(".")[0]
