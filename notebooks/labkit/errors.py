"""What a person sees when the lab cannot do what a cell asked.

Lives here: one exception whose text is the whole story, what failed, why, and what to do next.
Must not live here: errors of the database itself (kvnode.errors) or of programmers (with their traceback).

IPython asks an exception for `_render_traceback_`; answering it with two lines keeps a page of Python
internals away from somebody who only wanted to press a button.
"""

from __future__ import annotations


class LabError(Exception):
    """Something outside the notebook is not as the lab needs it: one sentence, its reason, and a way on."""

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        """Keep the three parts apart, so that each stands on a line of its own."""
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        """All parts in one line, for logs and for `raises`."""
        why = f"Reason: {self.why}" if self.why else ""
        if why and self.do and why[-1] not in ".!?":
            why += "."
        return " ".join(part for part in (self.what, why, self.do) if part)

    def _render_traceback_(self) -> list[str]:
        """The lines that IPython shows in place of a traceback."""
        lines = [f"\x1b[1;31m✗ {self.what}\x1b[0m"]
        if self.why:
            lines.append(f"  Reason: {self.why}")
        if self.do:
            lines.append(f"  What to do: {self.do}")
        return lines


class Timeout(LabError):
    """What a cell waited for did not come true in time."""
