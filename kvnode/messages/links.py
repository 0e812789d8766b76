"""What the two ends of a connection say to each other before and between everything else (net/handshake.py)."""

from __future__ import annotations

import msgspec

from kvnode.versions.bounds import DurationMs, Port


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """First on every connection: who calls, from which cluster, and where it listens. A stranger is refused.

    A node of the cluster that is not a member may call: it is to join, or must be told that it was removed.
    challenge: fresh bytes; then Welcome and Proof follow (net/handshake.py).
    """

    cluster_id: str
    node: str
    challenge: bytes = b""
    host: str = ""
    peer_port: Port = 0


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag="welcome"):
    """The answer to a Hello with a challenge: a challenge in turn, and the proof that the listener knows the secret."""

    challenge: bytes
    proof: bytes


class Proof(msgspec.Struct, frozen=True, array_like=True, tag="proof"):
    """The proof that the dialer knows the secret."""

    proof: bytes


class Moment(msgspec.Struct, frozen=True, array_like=True, tag="moment"):
    """The listener's clock (its own, in ms), which the dialer sends back: what follows on the connection is younger."""

    at_ms: DurationMs
