"""Errors as people meet them: application/problem+json (RFC 9457), never a traceback.

Here: the document and the exception that becomes one.
Must not live here: who raises it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from traffic.service.answers import JSONResponse

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request with this status; `detail` says what was wrong and what was expected."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.more = more


def document(status: int, detail: str, **more: Any) -> Response:
    """The answer. `success: false` is there for clients that look at nothing else."""
    body = {
        "success": False,
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


async def from_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return document(error.status, error.detail, **error.more)


async def from_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, method = request.url.path, request.method
    if error.status_code == 404:
        detail = f"there is no {path} here; the status page at / lists what there is"
    elif error.status_code == 405:
        detail = (
            f"{path} does not take {method}; allowed: {(error.headers or {}).get('Allow', 'other methods')}"
        )
    else:
        detail = str(error.detail)
    response = document(error.status_code, detail)
    response.headers.update(error.headers or {})
    return response


async def from_bug(request: Request, error: Exception) -> Response:
    return document(500, f"the service has a bug ({type(error).__name__}); its log on stderr says more")
