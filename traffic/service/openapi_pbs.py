"""The part of the service's OpenAPI document about measuring staleness.

Must not live here: shapes (openapi_parts.py), any other path.
"""

from __future__ import annotations

from traffic.pbs.measure import POINTS_MAX, T_MS_MAX, WRITES_MAX, WRITES_PER_S_MAX
from traffic.service.openapi_parts import (
    COUNT,
    NUMBER,
    TEXT,
    YES,
    Schema,
    body_of,
    list_of,
    maybe,
    number,
    object_of,
    operation,
    whole,
)


def pbs_paths(real: str, *, n: int) -> Schema:
    """/api/real/pbs."""
    share = maybe(number(0, 1))
    point = object_of(
        {
            "t_ms": NUMBER,
            "reads": COUNT,
            "fresh": COUNT,
            "waited_ms": maybe(NUMBER),
            "share": share,
            "low": number(0, 1),
            "high": number(0, 1),
            "predicted": share,
        }
    )
    answer = object_of(
        {
            "success": YES, "running": YES, "r": COUNT, "w": COUNT, "writes": COUNT, "writes_per_s": NUMBER,
            "repair": YES,
            "elapsed_s": maybe(NUMBER), "points": list_of(point), "writes_traced": COUNT, "failed": COUNT,
            "delays": TEXT, "problem": maybe(TEXT),
        }
    )  # fmt: skip
    wish = object_of(
        {
            "r": whole(1, n),
            "w": whole(1, n),
            "t_ms": {
                **list_of(number(0, T_MS_MAX)),
                "minItems": 1,
                "maxItems": POINTS_MAX,
                "uniqueItems": True,
            },
            "writes": {**whole(1, WRITES_MAX), "description": "and no more than fit into a minute"},
            "repair": YES,
            "writes_per_s": {"type": "number", "exclusiveMinimum": 0, "maximum": WRITES_PER_S_MAX},
        },
        closed=True,
    )
    return {
        f"{real}/pbs": {
            "post": operation(
                "Measure how many reads are fresh, by the time since the acknowledgement; in place of the last one",
                answer=answer,
                body=body_of(wish, required=False),
            ),
            "get": operation("The points, measured and predicted, as far as they have come", answer=answer),
            "delete": operation("Stop measuring; the points stay", answer=answer),
        }
    }
