"""Contexts as clients hold them, and requests as nodes pass them on."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.requests import (
    Add,
    Count,
    Get,
    Put,
    decode_request,
    encode_request,
    pack_context,
    unpack_context,
)
from kvnode.versions import Context, Dot, VersionVector

stores = st.sampled_from([f"node-{number}.{number:016x}" for number in range(1, 4)])
vectors = st.dictionaries(stores, st.integers(1, 2**40)).map(VersionVector.of)
dots = st.lists(st.builds(Dot, stores, st.integers(1, 2**40)), max_size=3).map(tuple)
floors = st.none() | st.tuples(st.floats(0, 2e12), stores, st.integers(1, 99))
contexts = st.builds(Context.of, vectors, floors, dots)


@given(contexts)
def test_a_context_survives_the_client(context: Context) -> None:
    text = pack_context(context)
    assert unpack_context(text) == context
    assert text.isascii() and not set(text) & set("+/= &?#")


@given(
    st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: urlsafe_b64encode(raw).decode().rstrip("="))
)
def test_garbage_is_refused_or_read_in_canonical_form(text: str) -> None:
    try:
        context = unpack_context(text)
    except ValueError as error:
        assert "context" in str(error)
    else:
        assert unpack_context(pack_context(context)) == context


def packed(*parts: object) -> str:
    return urlsafe_b64encode(msgspec.msgpack.encode(parts)).decode().rstrip("=")


def test_a_context_of_another_version_says_so() -> None:
    with pytest.raises(ValueError, match="a context of version 9; this node knows version 1"):
        unpack_context(packed(9, Context()))


def test_a_made_up_context_is_brought_into_canonical_form() -> None:
    made_up = packed(1, ((("b.2", 7), ("a.1", 0), ("b.2", 5), ("a.0", -3)),), None, ())
    with pytest.raises(ValueError, match="not a context"):
        unpack_context(made_up)
    vector = [[["b.2", 7], ["a.1", 0], ["a.0", -3]]]
    context = unpack_context(packed(1, [vector, None, [["b.2", 6], ["b.2", 9], ["b.2", 9], ["c.3", 0]]]))
    assert context == Context(VersionVector((("b.2", 7),)), None, (Dot("b.2", 9),))


def test_a_floor_that_is_no_time_is_refused() -> None:
    for time_ms in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="floor is no time"):
            unpack_context(packed(1, [[[]], [time_ms, "a.1", 1], []]))


@pytest.mark.parametrize(
    "request_",
    [
        Put("k", b"1", Context(VersionVector.of({"a.1": 2})), "replace", 3),
        Put("k", None),
        Get("k", 2),
        Get("k", 1, repair=False),
        Add("k", None, 1, 0),
        Add("k", "actor", 5, 2, 1),
        Count("k"),
    ],
)
def test_a_request_is_passed_on_as_it_is(request_: Put | Get | Add | Count) -> None:
    assert decode_request(encode_request(request_)) == request_
