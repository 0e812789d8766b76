"""Checkers: a history goes in, a verdict comes out.

They know no node and no network; they import only `versions/`."""

from kvnode.checkers.convergence import UNREACHABLE, Digests, agree, check_convergence, known_to_differ
from kvnode.checkers.ledger import CounterRead, Ledger, SiblingRead
from kvnode.checkers.observed import Acknowledged, Seen, Write
from kvnode.checkers.sessions import Sessions
from kvnode.checkers.staleness import Staleness, Visibility
from kvnode.checkers.verdict import Status, Verdict, merged, worst

__all__ = [
    "UNREACHABLE",
    "Acknowledged",
    "CounterRead",
    "Digests",
    "Ledger",
    "Seen",
    "Sessions",
    "SiblingRead",
    "Staleness",
    "Status",
    "Verdict",
    "Visibility",
    "Write",
    "agree",
    "check_convergence",
    "known_to_differ",
    "merged",
    "worst",
]
