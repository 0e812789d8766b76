"""The words in which the service's OpenAPI document is written: schemas, parameters, operations.

Here: shapes of JSON Schema.
Must not live here: any path (openapi.py and its neighbours).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

PROBLEMS = {
    400: "What was sent makes no sense; the detail says what and where, and what was expected",
    401: "This needs the token of the service",
    403: "A foreign Host or Origin",
    404: "There is no such workload, preset, key or path",
    405: "No such method here",
    409: "The cluster's supervisor did not do it; the detail says why",
    413: "A body beyond its bound",
    415: "A body that is not application/json",
    429: "Too many at once: event streams, or commands under way",
    503: "The database cannot be reached now; `definite` says whether a write may have happened",
}
ALWAYS = (400, 403, 405)


def number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def object_of(properties: Schema, *, closed: bool = False, required: Sequence[str] | None = None) -> Schema:
    """An answer names what is always there; a body (closed) what may be there and nothing else."""
    schema: Schema = {"type": "object", "properties": properties}
    if closed:
        schema["additionalProperties"] = False
    if required is None and not closed:
        required = list(properties)
    if required:
        schema["required"] = list(required)
    return schema


def list_of(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def in_query(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": text}


def in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def body_of(schema: Schema, *, required: bool = True) -> Schema:
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def operation(
    summary: str,
    *,
    answer: Schema | None = None,
    problems: tuple[int, ...] = (),
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    media_type: str = "application/json",
) -> Schema:
    content = {media_type: {"schema": answer or {"type": "object"}}}
    responses: dict[str, Schema] = {"200": {"description": "As asked", "content": content}}
    for status in sorted({*ALWAYS, *problems, *((413, 415) if body else ())}):
        problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[str(status)] = {"description": PROBLEMS[status], "content": problem}
    operation: Schema = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return operation


TEXT = {"type": "string"}
YES = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
WALL_MS = {**COUNT, "description": "Wall clock, in milliseconds since 1970-01-01T00:00:00Z"}
NUMBER = {"type": "number"}
