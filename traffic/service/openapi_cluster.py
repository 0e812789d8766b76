"""The part of the service's OpenAPI document about the cluster and its data: faults, tweets, lists, proofs.

Must not live here: shapes (openapi_parts.py), paths about the traffic itself (openapi.py).
"""

from __future__ import annotations

from traffic.service.openapi_parts import (
    COUNT,
    TEXT,
    YES,
    Schema,
    body_of,
    in_path,
    in_query,
    list_of,
    maybe,
    object_of,
    operation,
    whole,
)

FAULTS = {
    "known": {**YES, "description": "Whether a supervisor of this cluster is known here"},
    "nodes": {
        "type": "object",
        "additionalProperties": object_of(
            {"state": TEXT, "reason": maybe(TEXT), "since_ms": maybe({"type": "number"})}
        ),
    },
    "topology": maybe(TEXT),
    "broken": list_of(object_of({"what": TEXT, "nodes": list_of(TEXT), "says": TEXT, "mend": TEXT})),
}


def _fault_action(action: str, **fields: Schema) -> Schema:
    """One thing to do; every field that is named must be there."""
    properties = {"action": {"const": action}, **fields}
    return object_of(properties, closed=True, required=["action", *fields])


NEEDS_TOKEN: Schema = {"security": [{"token": []}]}
NODE = {**TEXT, "examples": ["node-2"]}
FAULT_ACTIONS = [
    *(_fault_action(action, node=NODE) for action in ("kill", "pause", "resume", "restart", "isolate")),
    _fault_action("partition", groups=list_of(list_of(TEXT))),
    _fault_action("heal"),
    _fault_action("delay", delay_ms={"type": "number", "minimum": 0}),
    _fault_action("bandwidth", bytes_per_s={"type": "number", "minimum": 0}),
    _fault_action("topology", name={"type": "string", "examples": ["three-regions"]}),
    _fault_action("reset"),
]


def _listing(name: str, item: Schema) -> Schema:
    return object_of({"success": YES, name: list_of(item), "total_active": COUNT})


def _probes(key_name: str) -> Schema:
    result = object_of({"node": TEXT, "status": TEXT, "latency_ms": {"type": "number"}})
    return object_of({"success": YES, key_name: TEXT, "results": list_of(result)})


def cluster_paths(real: str, *, list_max: int) -> Schema:
    """By path. real: what they begin with."""
    return {**_fault_paths(real), **_tweet_paths(real), **_list_paths(real, list_max), **_probe_paths(real)}


def _fault_paths(real: str) -> Schema:
    return {
        f"{real}/cluster/faults": {
            "get": operation(
                "What is broken now, and whether this request may change it",
                answer=object_of({"success": YES, "allowed": YES, **FAULTS}),
            ),
            "post": operation(
                "Break or mend nodes and links, through the cluster's supervisor",
                answer=object_of({"success": YES, **FAULTS}),
                problems=(401, 409, 429, 503),
                body=body_of({"oneOf": FAULT_ACTIONS}),
            )
            | NEEDS_TOKEN,
        },
    }


def _tweet_paths(real: str) -> Schema:
    return {
        f"{real}/twitter/tweets": {
            "post": operation(
                "Post a tweet: one real quorum write",
                answer=object_of(
                    {
                        "success": YES,
                        "tweet_id": TEXT,
                        "key": TEXT,
                        "node": TEXT,
                        "dot": TEXT,
                        "vector_clock": {"type": "object", "additionalProperties": COUNT},
                        "w": COUNT,
                        "acknowledged_by": list_of(TEXT),
                        "latency_ms": {"type": "number"},
                    }
                ),
                problems=(503,),
                body=body_of(
                    object_of(
                        {
                            "text": {**TEXT, "minLength": 1, "maxLength": 280},
                            "author": {**TEXT, "minLength": 1, "maxLength": 40},
                        },
                        closed=True,
                        required=["text"],
                    )
                ),
            )
        },
        f"{real}/twitter/tweets/{{tweet_id}}": {
            "parameters": [in_path("tweet_id", {"type": "string", "minLength": 1, "maxLength": 50})],
            "get": operation(
                "What each replica holds of a tweet now, and when it had it",
                answer=object_of(
                    {
                        "success": YES,
                        "arrived": COUNT,
                        "replicas": list_of(
                            object_of(
                                {
                                    "node": TEXT,
                                    "reachable": YES,
                                    "has_it": YES,
                                    "arrived_ms": maybe({"type": "number"}),
                                    "vector_clock": {"type": "object"},
                                }
                            )
                        ),
                    }
                ),
                problems=(404, 503),
            ),
        },
    }


def _list_paths(real: str, list_max: int) -> Schema:
    limit = in_query("limit", whole(1, list_max), "at most so many")
    return {
        f"{real}/twitter/active_tweets": {
            "get": operation(
                "Tweets, read from the cluster now",
                answer=_listing("tweets", object_of({"tweet_id": TEXT, "likes": {"type": "integer"}})),
                problems=(503,),
                parameters=[
                    limit,
                    in_query("order", {"type": "string", "enum": ["newest", "popular"]}, "which first"),
                ],
            )
        },
        f"{real}/collab/active_documents": {
            "get": operation(
                "Documents, read from the cluster now",
                answer=_listing("documents", object_of({"document_id": TEXT, "conflict": YES})),
                problems=(503,),
                parameters=[limit],
            )
        },
        f"{real}/inventory/active_products": {
            "get": operation(
                "Products and their stock, read from the cluster now",
                answer=_listing("products", object_of({"sku": TEXT, "stock": {"type": "object"}})),
                problems=(503,),
                parameters=[limit],
            )
        },
    }


def _probe_paths(real: str) -> Schema:
    return {
        f"{real}/cluster/write_test": {
            "post": operation("One write through every node", answer=_probes("test_key"), problems=(503,))
        },
        f"{real}/cluster/read_test/{{key}}": {
            "parameters": [in_path("key", {"type": "string", "minLength": 1, "maxLength": 128})],
            "get": operation("One key through every node", answer=_probes("key"), problems=(404, 503)),
        },
    }
