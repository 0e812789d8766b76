"""What a request carries, checked: JSON bodies and query parameters, and the Problem that says what is wrong with them.

Here: reading them.
Must not live here: endpoints (api.py and its neighbours), what bodies mean.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.requests import Request

from traffic.service.feed import ORDERS, Order
from traffic.service.problems import Problem
from traffic.stores.base import StoreError

LISTED_DEFAULT = 50
LISTED_MAX = 200


async def body_of(request: Request, shape: Any) -> Any:
    """The JSON body as `shape`, a Struct or a union of them; None if there is none."""
    body = await request.body()
    if not body.strip():
        return None
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(400, f"the body makes no sense: {error}") from None


def limit_of(request: Request) -> int:
    text = request.query_params.get("limit", str(LISTED_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LISTED_MAX):
        raise Problem(400, f"limit must be a number between 1 and {LISTED_MAX}, got {text[:40]!r}")
    return int(text)


def order_of(request: Request) -> Order:
    text = request.query_params.get("order", ORDERS[0])
    for order in ORDERS:
        if order == text:
            return order
    raise Problem(400, f"order must be one of {', '.join(ORDERS)}, got {text[:40]!r}")


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """A database that cannot be read is a 503, not a traceback."""
    try:
        yield
    except StoreError as error:
        raise Problem(503, f"the database cannot be read now: {error}", definite=True) from None


def but_success(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "success"}
