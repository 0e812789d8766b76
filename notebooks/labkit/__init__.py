"""labkit: what the notebooks need to show a real cluster to a class. `Session.open()` is the way in.

Both names are imported when first used: widgets and charts take a second, and `python -m labkit.launch.start`, which
needs neither, starts at once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.errors import LabError
    from labkit.session import Session

__all__ = ["LabError", "Session"]


def __getattr__(name: str) -> Any:
    if name == "Session":
        from labkit.session import Session

        return Session
    if name == "LabError":
        from labkit.errors import LabError

        return LabError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
