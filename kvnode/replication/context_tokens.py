"""Contexts as clients hold them: opaque, and signed, so that only what the cluster handed out comes back.

A context says what its holder has seen, and a write under it replaces all that. One that was made up could claim to
have seen writes that are still to come: they would be acknowledged, and vanish. One that belongs to another key would
replace what its holder was never shown. So a token is bound to the cluster and to its key, and any node of the cluster
can tell; what another node handed out, or this one before a restart, is as good as ever. A token is never too long.

    base64url( msgpack [version, cluster, context] + the first 16 bytes of BLAKE2b keyed with the secret )

Without a secret (a single node that was started by hand) the cluster's id stands for it: that keeps mistakes out, and
nobody who means harm.

Must not live here: what a context means (versions/siblings.py).
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest

import msgspec

from kvnode.versions import Context

_VERSION = 2
_MAC_BYTES = 16
_MARK_CHARACTERS = 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, str, Context]).decode
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NOT_A_CONTEXT = "not a context: pass on, unchanged, the one that a GET or PUT answered"


class ContextTokens:
    """Makes and reads the tokens of one cluster. Invariant: read(key, issue(key, context)) == context, at any node."""

    def __init__(self, secret: str | None, cluster_id: str) -> None:
        self._mark = cluster_id[:_MARK_CHARACTERS]
        key = blake2b((secret or cluster_id).encode(), person=b"context tokens").digest()
        self._mac = blake2b(cluster_id.encode() + b"\0", digest_size=_MAC_BYTES, key=key)

    def issue(self, key: str, context: Context) -> str:
        """What a client is told to pass on."""
        body = _encode((_VERSION, self._mark, context))
        return urlsafe_b64encode(body + self._mac_of(key, body)).rstrip(b"=").decode()

    def read(self, key: str, text: str) -> Context:
        """The context that was issued for this key; ValueError says what is wrong with the token."""
        try:
            raw = b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, UnicodeEncodeError) as error:
            raise ValueError(_NOT_A_CONTEXT) from error
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not compare_digest(mac, self._mac_of(key, body)):
            raise ValueError(self._why_refused(raw, body))
        return _decode(body)[2]

    def _mac_of(self, key: str, body: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(key.encode(errors="surrogatepass") + b"\0" + body)  # no key holds a NUL
        return mac.digest()

    def _why_refused(self, raw: bytes, body: bytes) -> str:
        if raw[:2] == b"\x92\x01":
            return "it was handed out by an older version, which did not sign contexts: read the key again"
        try:
            version, mark, _ = _decode(body)
        except _UNDECODABLE:
            return _NOT_A_CONTEXT
        if version != _VERSION:
            return f"a context of version {version}; this node knows version {_VERSION}"
        if mark != self._mark:
            return (
                f"it was handed out by another cluster, whose id begins with {mark[:_MARK_CHARACTERS]!r};"
                f" the id of this one begins with {self._mark!r}"
            )
        return (
            "its signature does not fit: it was handed out for another key, changed, or made up;"
            " pass on, unchanged, the one that a GET or PUT of this key answered"
        )
