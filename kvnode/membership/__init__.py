"""Who is there: SWIM-style probes, suspicion with refutation, and the member table. Knows no keys."""

from kvnode.membership.members import ALIVE, DEAD, SUSPECT, Member, Members
from kvnode.membership.swim import Swim

__all__ = ["ALIVE", "DEAD", "SUSPECT", "Member", "Members", "Swim"]
