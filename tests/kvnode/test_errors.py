"""Errors: each tells its status, its detail and whether it is definite, and survives the wire."""

from __future__ import annotations

import pytest

from kvnode import errors


@pytest.mark.parametrize(
    ("kind", "status", "definite"),
    [
        (errors.BadRequest, 400, True),
        (errors.Forbidden, 403, True),
        (errors.NotFound, 404, True),
        (errors.MethodNotAllowed, 405, True),
        (errors.RequestTimeout, 408, True),
        (errors.Conflict, 409, True),
        (errors.TooLarge, 413, True),
        (errors.UnsupportedMediaType, 415, True),
        (errors.TooBusy, 429, True),
        (errors.HeadersTooLarge, 431, True),
        (errors.InternalError, 500, False),
        (errors.Overloaded, 503, True),
        (errors.GatewayTimeout, 504, False),
    ],
)
def test_every_error_survives_the_wire(kind: type[errors.KvError], status: int, definite: bool) -> None:
    sent = kind("what was wrong", hint="more")
    assert (sent.status, sent.definite) == (status, definite)
    got = errors.from_problem(sent.problem())
    assert type(got) is kind
    assert (got.detail, got.definite, got.extra, str(got)) == (
        "what was wrong",
        definite,
        {"hint": "more"},
        sent.detail,
    )


def test_a_quorum_unmet_tells_need_and_got_and_survives_the_wire() -> None:
    sent = errors.QuorumUnmet("W", need=2, got=1, n=3, definite=False, why="node-2 refused")
    assert sent.detail == "W=2 unmet: 1 of 3 replicas acknowledged (node-2 refused)"
    assert errors.QuorumUnmet("R", need=3, got=0, n=3, definite=True).detail == (
        "R=3 unmet: 0 of 3 replicas answered"
    )
    got = errors.from_problem(sent.problem())
    assert isinstance(got, errors.QuorumUnmet)
    assert (str(got), got.extra, got.definite) == (sent.detail, {"need": 2, "got": 1, "n": 3}, False)


def test_a_status_that_nobody_knows_is_a_plain_indefinite_error() -> None:
    error = errors.from_problem({"title": "I'm a teapot"}, 418)
    assert (type(error), error.detail, error.definite) == (errors.KvError, "I'm a teapot", False)
    assert errors.from_problem({}, 502).detail == "HTTP status 502"


def test_a_notebook_shows_one_line_and_whether_it_may_have_happened() -> None:
    refused = errors.QuorumUnmet("W", need=2, got=1, n=3, definite=False)
    [line] = refused._render_traceback_()
    assert (
        line == "QuorumUnmet: W=2 unmet: 1 of 3 replicas acknowledged (a write may or may not have happened)"
    )
    assert errors.NotFound("no value under 'a'")._render_traceback_()[0].endswith("(nothing was written)")
