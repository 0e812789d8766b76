"""A JSON answer of the service: one line with an end, so that a terminal's next prompt stands on a line of its own."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse as _JSONResponse


class JSONResponse(_JSONResponse):
    """As Starlette's, and a newline."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return super().render(content) + b"\n"
