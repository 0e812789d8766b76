"""How two nodes prove to each other that they know the cluster's secret, without sending it.

    dialer                            listener
      Hello(cluster, name, challenge) ->
                                      <- Welcome(challenge, proof)
      Proof(proof)                    ->            then messages

A proof is HMAC-SHA256 under the secret over who dials, who listens, the cluster and both challenges. Challenges are
fresh, so a recorded proof is worth nothing; the two sides' proofs differ in a word, so neither can be handed back. The
dialer sends no message before it has seen the listener's proof. On loopback it is the same: any program of any user of
the computer can reach the port, and the cluster's id is public.

What this does not do: nothing is encrypted, and who can change bytes on the way can change messages. On a network that
is not trusted, put the nodes behind a tunnel.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgspec

CHALLENGE_BYTES = 16

_encode = msgspec.msgpack.Encoder().encode


def challenge() -> bytes:
    """Sixteen bytes that nobody has seen before."""
    return secrets.token_bytes(CHALLENGE_BYTES)


class Handshake:
    """One connection's handshake as one side knows it; `secret` never leaves it."""

    def __init__(self, secret: str, cluster_id: str, *, dialer: str, listener: str) -> None:
        self._secret = secret.encode()
        self._between = (cluster_id, dialer, listener)

    def proof(self, side: str, of_dialer: bytes, of_listener: bytes) -> bytes:
        """What `side` ("dialer" or "listener") shows, given both challenges."""
        text = _encode(("quorum-lab peer", side, *self._between, of_dialer, of_listener))
        return hmac.new(self._secret, text, hashlib.sha256).digest()

    def is_proof(self, shown: bytes, side: str, of_dialer: bytes, of_listener: bytes) -> bool:
        """Whether that is it; takes equally long whatever was shown."""
        fresh = len(of_dialer) == CHALLENGE_BYTES == len(of_listener)
        return hmac.compare_digest(shown, self.proof(side, of_dialer, of_listener)) and fresh
