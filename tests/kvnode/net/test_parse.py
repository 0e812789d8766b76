"""What clients send becomes a typed request, or a refusal that names what was wrong and what was expected."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.config import ACTOR_BYTES_MAX, COUNTER_TOTAL_MAX, NESTING_DEPTH_MAX, VALUE_BYTES_MAX
from kvnode.errors import BadRequest, KvError, TooLarge
from kvnode.net import parse
from kvnode.operations import Add, Put
from kvnode.replication.context_tokens import ContextTokens
from kvnode.versions import Context

CONTEXTS = ContextTokens("a secret of the tests", "tests")


def nested(depth: int) -> bytes:
    return b'{"value":' + b"[" * depth + b"]" * depth + b"}"


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "the body is empty; expected a JSON object"),
    (b"not json", "the body is not JSON"),
    (b'{"value": 1', "the body is not JSON"),
    (b'{"value": 1} trailing', "the body is not JSON"),
    (b"[1]", "Expected `object`, got `array`"),
    (b"7", "Expected `object`, got `int`"),
    (b"{}", "missing required field `value`"),
    (b'{"value": 1, "contxt": ""}', "unknown field `contxt`"),
    (b'{"value": 1, "context": 7}', "Expected `str | null`, got `int` - at `$.context`"),
    (b'{"value": "\xff"}', "the body is not UTF-8: byte 11 is 0xff"),
    (b'{"value": "\\ud800"}', "the body is not JSON"),
    (b'{"value": 01}', "the body is not JSON"),
    (b'{"value": NaN}', "the body is not JSON"),
    (b'{"value": 1, "context": "garbage"}', "context: not a context: pass on, unchanged"),
    (b'{"value": 1, "context": ""}', "context: not a context"),
    (b'{"value": 1, "context": "' + b"A" * 5000 + b'"}', "context: not a context"),
    (nested(NESTING_DEPTH_MAX + 1), "nested too deeply; at most 64 levels"),
    (nested(300_000), "nested too deeply; at most 64 levels"),
]


@pytest.mark.parametrize(
    ("body", "why"), BAD_BODIES, ids=[body[:24].decode("latin1") for body, _ in BAD_BODIES]
)
def test_a_bad_put_body_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse.put_of("k", body, {}, 3, CONTEXTS)
    assert why in caught.value.detail
    assert caught.value.definite is True
    assert len(caught.value.detail) < 300


def test_a_value_beyond_its_bound_is_too_large() -> None:
    body = b'{"value": "' + b"x" * VALUE_BYTES_MAX + b'"}'
    with pytest.raises(TooLarge, match=f"the value has {VALUE_BYTES_MAX + 2} bytes; expected at most"):
        parse.put_of("k", body, {}, 3, CONTEXTS)


BAD_COUNTERS: list[tuple[bytes, str]] = [
    (b"{}", 'expected {"actor", "increments", "decrements"}'),
    (b'{"actor": "a"}', "expected {"),
    (b'{"actor": "a", "increment": 1}', "expected {"),
    (b'{"increments": 1}', "expected {"),
    (b'{"increment": 1, "increments": 1}', "expected {"),
    (b'{"increment": -1}', f"increment=-1: expected 0 to {COUNTER_TOTAL_MAX}"),
    (b'{"increment": 9007199254740992}', "increment=9007199254740992: expected 0 to"),
    (b'{"increment": 1.5}', "Expected `int | null`, got `float`"),
    (b'{"increment": "1"}', "Expected `int | null`, got `str`"),
    (b'{"increment": true}', "got `bool`"),
    (b'{"increment": 1e99}', "the body is not as expected"),
    (b'{"actor": "", "increments": 1}', f"actor: expected 1 to {ACTOR_BYTES_MAX} bytes"),
    (json.dumps({"actor": "x" * 129, "increments": 1}).encode(), "actor: expected 1 to 128 bytes"),
]


@pytest.mark.parametrize(("body", "why"), BAD_COUNTERS)
def test_a_bad_counter_body_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse.add_of("k", body, {}, 3)
    assert why in caught.value.detail


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("r=abc", "r=abc: expected a whole number from 1 to 3"),
        ("r=0", "r=0: expected a whole number from 1 to 3"),
        ("r=9", "r=9: expected a whole number from 1 to 3"),
        ("r=-1", "r=-1: expected"),
        ("r=1.0", "r=1.0: expected"),
        ("r=", "r=: expected"),
        ("r=" + "1" * 5000, "expected a whole number from 1 to 3"),
        ("r=%C2%B2", "expected a whole number from 1 to 3"),
        ("r=1&r=2", "query parameter 'r' is given twice"),
        ("q=1", "unknown query parameter 'q'; known here: r"),
        ("r=%FF", "the query cannot be read"),
        ("&".join(["r=1"] * 40), "the query cannot be read"),
    ],
)
def test_a_bad_query_is_refused_with_the_reason(query: str, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse.number_of(parse.query_of(query.encode(), ("r",)), "r", 1, 3)
    assert why in caught.value.detail
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "the key is empty"),
        (b"x" * 513, "the key has 513 bytes; expected at most 512"),
        (b"x" * 10_240, "the key has 10240 bytes"),
        (b"%FF", "the key is not UTF-8: byte 0 is 0xff"),
        (b"%ED%A0%80", "the key is not UTF-8"),
        (b"a%00b", "the key holds a NUL byte"),
    ],
)
def test_a_bad_key_is_refused_with_the_reason(raw: bytes, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse.key_of(raw)
    assert why in caught.value.detail


keys = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=100)


@given(keys)
def test_any_other_key_survives_percent_encoding(key: str) -> None:
    assert parse.key_of(quote(key, safe="").encode()) == key


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "missing required field `rules`"),
        (b'{"rules": {"node-1": {}}}', "rules: 'node-1' is no peer of this node; peers: node-2, node-3"),
        (b'{"rules": {"node-2": {"delay_ms": -1}}}', "rules: node-2: delay_ms=-1.0: expected 0 to 10000"),
        (b'{"rules": {"node-2": {"loss": 1.5}}}', "rules: node-2: loss=1.5: expected 0 to 1"),
        (b'{"rules": {"node-2": {"jitter_ms": 1e9}}}', "jitter_ms="),
        (b'{"rules": {"node-2": {"delay_ms": 1e400}}}', ""),
        (b'{"rules": {"node-2": {"distribution": "normal"}}}', "Invalid enum value 'normal' - at `$.rules"),
        (b'{"rules": {"node-2": {"lag": 1}}}', "unknown field `lag`"),
        (b'{"rules": []}', "Expected `object`, got `array`"),
        (b'{"rules": {}, "clock_skew_ms": 1e12}', "clock_skew_ms="),
        (b'{"rules": {}, "disk_delay_ms": -1}', "disk_delay_ms=-1.0: expected 0 to 10000"),
    ],
)
def test_bad_faults_are_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse.faults_of(body, ("node-2", "node-3"))
    assert why in caught.value.detail


def test_good_requests_are_read_as_they_were_meant() -> None:
    context = CONTEXTS.issue("k", Context())
    put = parse.put_of(
        "k", json.dumps({"value": {"a": 1}, "context": context}).encode(), {"w": "3"}, 3, CONTEXTS
    )
    assert put == Put("k", b'{"a": 1}', Context(), "replace", 3)
    assert parse.put_of("k", b'{"value": null}', {"mode": "lww"}, 3, CONTEXTS) == Put(
        "k", b"null", None, "lww", None
    )
    assert parse.delete_of("k", {"w": "1"}, 3, CONTEXTS) == Put("k", None, None, "replace", 1)
    totals = b'{"actor": "a", "increments": 5}'
    assert parse.add_of("k", totals, {}, 3) == Add("k", "a", 5, 0, None)
    assert parse.add_of("k", b'{"decrement": 2}', {}, 3) == Add("k", None, 0, 2, None)


def test_a_mode_beside_a_context_is_refused() -> None:
    body = json.dumps({"value": 1, "context": CONTEXTS.issue("k", Context())}).encode()
    with pytest.raises(BadRequest, match="mode=lww goes without a context"):
        parse.put_of("k", body, {"mode": "lww"}, 3, CONTEXTS)
    with pytest.raises(BadRequest, match="mode=foo: expected replace, siblings or lww"):
        parse.put_of("k", b'{"value": 1}', {"mode": "foo"}, 3, CONTEXTS)


def test_brackets_within_strings_are_no_nesting() -> None:
    for text in ("[" * 500, '\\"' + "[{" * 300, "[" * 100 + "\\"):
        body = json.dumps({"value": [text]}).encode()
        assert json.loads(parse.put_of("k", body, {}, 3, CONTEXTS).value or b"") == [text]


def test_the_depth_of_a_large_flat_value_is_found_quickly() -> None:
    """1. The depth was counted byte by byte in Python. 2. A document of a megabyte stalled the node for 0.1 s."""
    body = json.dumps({"value": [{"a": number} for number in range(60_000)]}).encode()
    started = time.process_time()
    parse.put_of("k", body, {}, 3, CONTEXTS)
    assert time.process_time() - started < 0.06


JSON_READERS: list[Callable[[bytes], Any]] = [
    lambda body: parse.put_of("k", body, {}, 3, CONTEXTS),
    lambda body: parse.add_of("k", body, {}, 3),
    lambda body: parse.faults_of(body, ("node-2",)),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(JSON_READERS), st.binary(max_size=80) | json_values.map(lambda v: json.dumps(v).encode())
)
def test_any_bytes_are_a_request_or_a_refusal(read: Callable[[bytes], Any], body: bytes) -> None:
    try:
        read(body)
    except KvError as error:
        assert 400 <= error.status < 500


@given(st.binary(max_size=60))
def test_any_query_is_read_or_refused(raw: bytes) -> None:
    try:
        parse.query_of(raw, ("r", "w"))
    except BadRequest as error:
        assert error.detail


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"work": ["dust"]}', "'dust' is no maintenance task; expected repair, sweep, checkpoint, scrub"),
        (b'{"work": []}', "expected at least one of"),
        (b'{"work": ["sweep", "sweep"]}', "each at most once"),
        (b'{"work": "sweep"}', "Expected `array`"),
        (b'{"works": ["sweep"]}', "unknown field `works`"),
        (b"{", "not JSON"),
    ],
)
def test_maintenance_tasks_that_make_no_sense_are_named(body: bytes, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        parse.works_of(body)


def test_no_body_means_all_maintenance_tasks() -> None:
    assert parse.works_of(b"") == ("repair", "sweep", "checkpoint", "scrub")
    assert parse.works_of(b'{"work": ["sweep"]}') == ("sweep",)


@pytest.mark.parametrize("text", ["", "yes", "True", "1"])
def test_a_switch_is_true_or_false(text: str) -> None:
    with pytest.raises(BadRequest, match="expected true or false"):
        parse.switch_of({"sloppy": text}, "sloppy", default=False)
    assert parse.switch_of({}, "sloppy", default=False) is False
    assert parse.switch_of({"sloppy": "true"}, "sloppy", default=False) is True


def test_repair_is_on_unless_a_read_switches_it_off() -> None:
    assert parse.get_of("k", {}, 3).repair
    assert parse.count_of("k", {"repair": "true"}, 3).repair
    assert not parse.get_of("k", {"r": "1", "repair": "false"}, 3).repair
    with pytest.raises(BadRequest, match="repair=0: expected true or false"):
        parse.get_of("k", {"repair": "0"}, 3)
