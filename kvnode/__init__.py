"""kvnode: a small Dynamo-style database, and how to run a few of its nodes on one computer.

Reading order: `versions/` (pure values), `ring/`, `runtime.py`, `replication/`, `membership/`, `node.py`,
`net/` (the real world) and `sim/` (the other one). ARCHITECTURE.md follows one PUT through all of them.
"""

__version__ = "0.1.0"
