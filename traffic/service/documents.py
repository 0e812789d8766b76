"""The active documents, read from the database at the moment somebody asks: paragraphs, and who disagrees.

Here: which documents, and how one looks to a client.
Must not live here: HTTP, who edits (workloads/collab).

A document is a key `doc/{id}` (a JSON text with its title) and one key `doc/{id}/p/{n}` for each paragraph. A
paragraph that two people wrote without knowledge of each other has several versions: all of them are shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from traffic.control.generator import Generator
from traffic.service.listing import must_list, reading_quorum, told, value

READS_AT_ONCE = 16
PREFIX = "doc/"


async def active_documents(
    generator: Generator, limit: int, workload: str = "collab"
) -> tuple[list[Any], int]:
    """(documents, newest id first; how many there are). StoreError if the database cannot be read."""
    keys = await must_list(generator, PREFIX)
    ids = sorted((key[len(PREFIX) :] for key in keys if key.count("/") == 1), reverse=True)
    r = reading_quorum(generator, workload)
    room = asyncio.Semaphore(READS_AT_ONCE)
    documents = await asyncio.gather(*(_document(generator, one, keys, r, room) for one in ids[:limit]))
    return [document for document in documents if document is not None], len(ids)


async def _document(
    generator: Generator, document_id: str, keys: Iterable[str], r: int, room: asyncio.Semaphore
) -> dict[str, Any] | None:
    key = f"{PREFIX}{document_id}"
    async with room:
        reply = await value(generator, key, r)
    if reply is None:
        return None
    numbered = (one for one in keys if one.startswith(f"{key}/p/"))
    paragraphs = await asyncio.gather(
        *(_paragraph(generator, one, r, room) for one in sorted(numbered, key=_number))
    )
    shown = [paragraph for paragraph in paragraphs if paragraph is not None]
    about = told(reply.value)
    return {
        "document_id": document_id,
        "title": about.get("title") or about.get("text"),
        "paragraphs": shown,
        "conflict": reply.conflict or any(paragraph["conflict"] for paragraph in shown),
        "conflicts": sum(paragraph["conflict"] for paragraph in shown),
        "node": reply.node,
        "vector_clock": reply.vector_clock,
    }


async def _paragraph(
    generator: Generator, key: str, r: int, room: asyncio.Semaphore
) -> dict[str, Any] | None:
    async with room:
        reply = await value(generator, key, r)
    if reply is None:
        return None
    return {
        "key": key,
        "text": _text(reply.value),
        "conflict": reply.conflict,
        "siblings": [_text(sibling.value) for sibling in reply.siblings if not sibling.deleted],
        "vector_clock": reply.vector_clock,
    }


def _text(written: Any) -> str:
    found = told(written)
    return str(found.get("text", written))


def _number(key: str) -> tuple[int, str]:
    last = key.rpartition("/")[2]
    return (int(last) if last.isdecimal() else 0, last)
