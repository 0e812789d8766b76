"""Checkers: a history goes in, a verdict comes out. They know no node and no network; they import only
`versions/`."""

from kvnode.checkers.ledger import CounterRead, Ledger, SiblingRead
from kvnode.checkers.verdict import Status, Verdict

__all__ = ["CounterRead", "Ledger", "SiblingRead", "Status", "Verdict"]
