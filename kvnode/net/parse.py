"""From what an HTTP client sent to a typed request, or a BadRequest that says what was wrong and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from kvnode.config import (
    ACTOR_BYTES_MAX,
    COUNTER_TOTAL_MAX,
    KEY_BYTES_MAX,
    MAINTENANCE_TASKS,
    NESTING_DEPTH_MAX,
    VALUE_BYTES_MAX,
    ConfigError,
    NodeAddress,
    is_loopback,
)
from kvnode.errors import BadRequest, TooLarge
from kvnode.faults import CLOCK_SKEW_MS_MAX, DISK_DELAY_MS_MAX, LinkRule
from kvnode.operations import MODES, Add, Count, Get, Put
from kvnode.replication.context_tokens import ContextTokens
from kvnode.versions import Context

T = TypeVar("T")
Query = dict[str, str]


class PutBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of PUT /kv/{key}."""

    value: msgspec.Raw
    context: str | None = None


class CounterBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /counter/{key}: an actor's totals, or one step of the node's own."""

    actor: str | None = None
    increments: int | None = None
    decrements: int | None = None
    increment: int | None = None
    decrement: int | None = None


class FaultsBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /faults: the rules of all outgoing links, and faults of this node itself."""

    rules: dict[str, LinkRule]
    clock_skew_ms: float = 0.0
    disk_delay_ms: float = 0.0


class MaintenanceBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /maintenance: which works to begin now."""

    work: list[str]


class LeaveBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /cluster/leave. force: the node is dead, and cannot hand its data over."""

    node: str
    force: bool = False


def decode_body(body: bytes, decoder: Callable[[bytes], T]) -> T:
    """Read a JSON body; BadRequest names the place and what was expected there."""
    if not body:
        raise BadRequest("the body is empty; expected a JSON object")
    try:
        body.decode("utf-8")
        return decoder(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}") from error
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body is not as expected: {error}") from error
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise BadRequest(
            f"the body is nested too deeply; at most {NESTING_DEPTH_MAX} levels are kept"
        ) from error


decode_put = msgspec.json.Decoder(PutBody).decode
decode_counter = msgspec.json.Decoder(CounterBody).decode
decode_faults = msgspec.json.Decoder(FaultsBody).decode
decode_join = msgspec.json.Decoder(NodeAddress).decode
decode_maintenance = msgspec.json.Decoder(MaintenanceBody).decode
decode_leave = msgspec.json.Decoder(LeaveBody).decode


def key_of(raw: bytes) -> str:
    """The key in a path, percent-decoded; BadRequest if it is empty, too long or no UTF-8."""
    data = unquote_to_bytes(raw)
    if not data:
        raise BadRequest("the key is empty; expected 1 to 512 bytes")
    if len(data) > KEY_BYTES_MAX:
        raise BadRequest(f"the key has {len(data)} bytes; expected at most {KEY_BYTES_MAX}")
    try:
        key = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"the key is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    if "\x00" in key:
        raise BadRequest("the key holds a NUL byte")
    return key


def query_of(raw: bytes, known: tuple[str, ...]) -> Query:
    """The query's parameters, each at most once; BadRequest names an unknown one and those that are known."""
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=32)
    except ValueError as error:
        raise BadRequest(f"the query cannot be read: {error}") from error
    query: Query = {}
    for name, value in pairs:
        if name not in known:
            expected = ", ".join(known) if known else "none"
            raise BadRequest(f"unknown query parameter {name[:64]!r}; known here: {expected}")
        if name in query:
            raise BadRequest(f"query parameter {name!r} is given twice")
        query[name] = value
    return query


def number_of(query: Query, name: str, low: int, high: int) -> int | None:
    """A whole number from the query, or None if it is not there."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
        raise BadRequest(f"{name}={text[:32]}: expected a whole number from {low} to {high}")
    return int(text)


def switch_of(query: Query, name: str, *, default: bool) -> bool:
    """A yes or no from the query."""
    text = query.get(name)
    if text is None:
        return default
    if text not in ("true", "false"):
        raise BadRequest(f"{name}={text[:32]}: expected true or false")
    return text == "true"


def trace_id_of(raw: bytes) -> int:
    """A trace id: the hex digits that an answer gave as `trace_id`."""
    try:
        if not 1 <= len(raw) <= 16:
            raise ValueError
        return int(raw.decode("ascii"), 16)
    except ValueError as error:
        raise BadRequest("trace id: expected up to 16 hex digits, the `trace_id` of an answer") from error


def context_of(contexts: ContextTokens, key: str, text: str | None) -> Context | None:
    """What a client passes on that it was told when it read or wrote this key."""
    if text is None:
        return None
    try:
        return contexts.read(key, text)
    except ValueError as error:
        raise BadRequest(f"context: {error}") from error


def get_of(key: str, query: Query, n: int) -> Get:
    """GET /kv/{key}."""
    sloppy, repair = switch_of(query, "sloppy", default=False), switch_of(query, "repair", default=True)
    return Get(key, number_of(query, "r", 1, n), sloppy, repair)


def count_of(key: str, query: Query, n: int) -> Count:
    """GET /counter/{key}."""
    return Count(key, number_of(query, "r", 1, n), switch_of(query, "repair", default=True))


def put_of(key: str, body: bytes, query: Query, n: int, contexts: ContextTokens) -> Put:
    """PUT /kv/{key}."""
    parsed = decode_body(body, decode_put)
    value = bytes(parsed.value)
    if len(value) > VALUE_BYTES_MAX:
        raise TooLarge(f"the value has {len(value)} bytes; expected at most {VALUE_BYTES_MAX}")
    if value.count(b"[") + value.count(b"{") > NESTING_DEPTH_MAX and _depth(value) > NESTING_DEPTH_MAX:
        raise BadRequest(f"the value is nested too deeply; at most {NESTING_DEPTH_MAX} levels are kept")
    mode = query.get("mode", "replace")
    if mode not in MODES:
        raise BadRequest(f"mode={mode[:32]}: expected {', '.join(MODES[:-1])} or {MODES[-1]}")
    context = context_of(contexts, key, parsed.context)
    if context is not None and mode != "replace":
        raise BadRequest(
            f"mode={mode} goes without a context; a PUT with a context supersedes what that GET saw"
        )
    return Put(
        key, value, context, mode, number_of(query, "w", 1, n), switch_of(query, "sloppy", default=False)
    )


def delete_of(key: str, query: Query, n: int, contexts: ContextTokens) -> Put:
    """DELETE /kv/{key}."""
    context, w = context_of(contexts, key, query.get("context")), number_of(query, "w", 1, n)
    return Put(key, None, context, "replace", w, switch_of(query, "sloppy", default=False))


def add_of(key: str, body: bytes, query: Query, n: int) -> Add:
    """POST /counter/{key}."""
    parsed = decode_body(body, decode_counter)
    for name in ("increments", "decrements", "increment", "decrement"):
        figure = getattr(parsed, name)
        if figure is not None and not 0 <= figure <= COUNTER_TOTAL_MAX:
            raise BadRequest(f"{name}={figure}: expected 0 to {COUNTER_TOTAL_MAX}")
    totals = parsed.increments is not None or parsed.decrements is not None
    step = parsed.increment is not None or parsed.decrement is not None
    w = number_of(query, "w", 1, n)
    if parsed.actor is not None and totals and not step:
        if not 1 <= len(parsed.actor.encode()) <= ACTOR_BYTES_MAX:
            raise BadRequest(f"actor: expected 1 to {ACTOR_BYTES_MAX} bytes")
        return Add(key, parsed.actor, parsed.increments or 0, parsed.decrements or 0, w)
    if parsed.actor is None and step and not totals:
        return Add(key, None, parsed.increment or 0, parsed.decrement or 0, w)
    raise BadRequest(
        'expected {"actor", "increments", "decrements"} (an actor\'s running totals), '
        'or {"increment"} or {"decrement"} (one step, which a retry may count twice)'
    )


def faults_of(body: bytes, peers: tuple[str, ...]) -> FaultsBody:
    """POST /faults."""
    faults = decode_body(body, decode_faults)
    for peer, rule in faults.rules.items():
        if peer not in peers:
            raise BadRequest(f"rules: {peer[:64]!r} is no peer of this node; peers: {', '.join(peers)}")
        try:
            rule.check()
        except ValueError as error:
            raise BadRequest(f"rules: {peer}: {error}") from error
    if abs(faults.clock_skew_ms) > CLOCK_SKEW_MS_MAX:
        raise BadRequest(f"clock_skew_ms={faults.clock_skew_ms}: expected at most a day either way")
    if not 0.0 <= faults.disk_delay_ms <= DISK_DELAY_MS_MAX:
        raise BadRequest(f"disk_delay_ms={faults.disk_delay_ms}: expected 0 to {DISK_DELAY_MS_MAX:.0f}")
    return faults


def joiner_of(body: bytes, *, loopback_only: bool) -> NodeAddress:
    """POST /cluster/join: who wants to join, and where it listens."""
    try:
        node = decode_body(body, decode_join).check()
    except ConfigError as error:
        raise BadRequest(str(error)) from error
    if loopback_only and not is_loopback(node.host):
        raise BadRequest(f"host {node.host[:64]!r} is beyond loopback, and this cluster demands no token")
    return node


def leaver_of(body: bytes) -> LeaveBody:
    """POST /cluster/leave."""
    return decode_body(body, decode_leave)


def works_of(body: bytes) -> tuple[str, ...]:
    """POST /maintenance: all works if there is no body."""
    if not body:
        return MAINTENANCE_TASKS
    works = decode_body(body, decode_maintenance).work
    for work in works:
        if work not in MAINTENANCE_TASKS:
            raise BadRequest(
                f"work: {work[:64]!r} is no maintenance task; expected {', '.join(MAINTENANCE_TASKS)}"
            )
    if not works or len(set(works)) != len(works):
        raise BadRequest(f"work: expected at least one of {', '.join(MAINTENANCE_TASKS)}, each at most once")
    return tuple(works)


_UP_DOWN = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _depth(value: bytes) -> int:
    """How deeply JSON is nested; brackets within strings do not count. All in C: a megabyte must not take long."""
    if b'"' in value:
        if b"\\" in value:
            value = value.replace(b"\\\\", b"").replace(b'\\"', b"")
        value = b"".join(value.split(b'"')[::2])
    steps = value.translate(_UP_DOWN, _NO_BRACKETS)
    without_leaves = steps.replace(b"\x01\xff", b"")
    return (len(steps) > 0) + max(accumulate(memoryview(without_leaves).cast("b")), default=0)


def as_json(value: Any) -> bytes:
    """A JSON body."""
    return msgspec.json.encode(value)
