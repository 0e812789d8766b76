"""kvnode: a small Dynamo-style database, and how to run a few of its nodes on one computer.

kvnode/README.md says where to begin reading, and what is decided and why; ARCHITECTURE.md follows one PUT through it.
"""

__version__ = "0.1.0"
