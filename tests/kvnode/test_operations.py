"""Requests as nodes pass them on."""

from __future__ import annotations

import pytest

from kvnode.operations import (
    Add,
    Count,
    Get,
    Put,
    decode_request,
    encode_request,
)
from kvnode.versions import Context, VersionVector


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
