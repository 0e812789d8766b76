"""Contexts as clients hold them: what was handed out comes back as it was, and nothing else is taken."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.replication.context_tokens import ContextTokens
from kvnode.versions import Context, Dot, VersionVector

SECRET, CLUSTER = "a secret of the cluster", "0123456789abcdef"
TOKENS = ContextTokens(SECRET, CLUSTER)

stores = st.sampled_from([f"node-{number}.{number:016x}" for number in range(1, 4)])
vectors = st.dictionaries(stores, st.integers(1, 2**40)).map(VersionVector.of)
dots = st.lists(st.builds(Dot, stores, st.integers(1, 2**40)), max_size=3).map(tuple)
floors = st.none() | st.tuples(st.floats(0, 2e12), stores, st.integers(1, 99))
contexts = st.builds(Context.of, vectors, floors, dots)
keys = st.text(min_size=1, max_size=40).filter(lambda key: "\0" not in key)


@given(keys, contexts)
def test_a_context_survives_the_client_and_the_node_that_made_it(key: str, context: Context) -> None:
    text = TOKENS.issue(key, context)
    assert ContextTokens(SECRET, CLUSTER).read(key, text) == context
    assert text.isascii() and not set(text) & set("+/= &?#")


@given(
    st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode().rstrip("="))
)
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="context"):
        TOKENS.read("k", text)


@given(contexts, st.data())
def test_one_bit_changed_anywhere_is_noticed(context: Context, data: st.DataObject) -> None:
    text = TOKENS.issue("k", context)
    raw = bytearray(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError):
        TOKENS.read("k", urlsafe_b64encode(raw).decode().rstrip("="))


def why_refused(text: str, key: str = "k") -> str:
    with pytest.raises(ValueError) as caught:
        TOKENS.read(key, text)
    return str(caught.value)


CONTEXT = Context(VersionVector.of({"node-1.aa": 7}))


def test_what_was_handed_out_for_another_key_says_so() -> None:
    assert "another key, changed, or made up" in why_refused(TOKENS.issue("k", CONTEXT), key="k2")


def test_what_another_cluster_handed_out_is_refused_by_its_name() -> None:
    other = ContextTokens(SECRET, "fedcba9876543210")
    assert "another cluster, whose id begins with 'fedcba98'" in why_refused(other.issue("k", CONTEXT))


def test_a_forger_who_knows_the_cluster_and_not_its_secret_gets_nowhere() -> None:
    for secret in (None, "", "another secret"):
        assert "made up" in why_refused(ContextTokens(secret, CLUSTER).issue("k", CONTEXT))


def test_a_context_of_an_older_version_says_what_to_do() -> None:
    old = urlsafe_b64encode(msgspec.msgpack.encode((1, CONTEXT))).decode().rstrip("=")
    assert "read the key again" in why_refused(old)
    new = urlsafe_b64encode(msgspec.msgpack.encode((9, "01234567", CONTEXT)) + bytes(16)).decode().rstrip("=")
    assert "a context of version 9; this node knows version 2" in why_refused(new)


def test_a_context_of_a_thousand_stores_is_taken_back() -> None:
    long = Context(VersionVector.of({f"node-1.{number:016x}": 4096 * number for number in range(1, 1001)}))
    assert TOKENS.read("k", TOKENS.issue("k", long)) == long


def test_lists_within_lists_within_lists_are_no_context() -> None:
    deep = urlsafe_b64encode(b"\x91" * 20_000).decode().rstrip("=")
    assert "not a context" in why_refused(deep)
