"""How large a number in a message, or in what was stored, can be: the same wherever it comes from.

What is out of bounds is refused when it is decoded. Where a number moves in small steps (epochs, incarnations, rounds
of a vote), one that jumps is refused as well, though within bounds: a node that believed it could never be overtaken.
How far a jump is believed stands here too; each is far beyond what an honest peer can be ahead.

Must not live here: what is done about it (membership/, handoff/).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Also of epochs, incarnations and rounds. One more than the greatest can still be written, and is refused."""
Place = Annotated[int, Meta(ge=0, le=2**15 - 1)]
"""A partition, or a node of a tree."""
Checksum = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
DurationMs = Annotated[float, Meta(ge=0.0, le=2.0**53)]
DateMs = Annotated[float, Meta(ge=-(2.0**53), le=2.0**53)]
HttpStatus = Annotated[int, Meta(ge=100, le=599)]
Port = Annotated[int, Meta(ge=0, le=65_535)]

EPOCH_JUMP_MAX = 10_000
"""A change of the ring takes a second or more. A node that was away for so many starts from a newer cluster file."""
INCARNATION_JUMP_MAX = 2**24
"""Half a year of refuting a suspicion every second, unheard."""
ROUND_JUMP_MAX = 2**20
"""A proposer tries five times a request; all that fail in one epoch are far fewer."""


def is_jump(told: int, known: int, jump_max: int) -> bool:
    """Whether a peer tells a number that is too far ahead of what is known to be believed."""
    return told - known > jump_max
