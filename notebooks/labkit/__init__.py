"""labkit: what the notebooks need to show a real cluster to a class. `Session.open()` is the way in."""

from labkit.errors import LabError
from labkit.session import Session

__all__ = ["LabError", "Session"]
