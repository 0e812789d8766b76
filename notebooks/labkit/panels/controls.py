"""Controls that everybody can use, by mouse, by keyboard and by ear, also while a cell computes.

Lives here: the four kinds of control as widgets, and how their events reach the kernel.
Must not live here: what a control is for (buttons.py, cockpit.py), how it looks (panels.css).

They are made of the browser's own elements (controls.js): ipywidgets' own have no accessible names beyond their text
("Kill", three times), and a button that is disabled while it works loses the focus.

How events get through while a cell computes: JupyterLab addresses widget messages to a subshell, a second thread of
the kernel that is free meanwhile. But ipykernel (7.4 at least) takes a widget's message to the shell on which that
widget sent its own last one; a widget made by a cell would be bound to the busy main shell. `Reachable` takes that
note away after each message, so that the address the page wrote counts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets  # type: ignore[import-untyped]
import traitlets


class Reachable(ipywidgets.Widget):  # type: ignore[misc]
    """A widget whose events come through while a cell computes."""

    def open(self) -> None:
        """Open the comm, and leave no note of the shell that opened it."""
        super().open()
        self._forget_shell()

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        self._forget_shell()

    def _forget_shell(self) -> None:
        if self.comm is not None:
            self.comm.__dict__.pop("_reply_subshell_id", None)


class Control(Reachable, anywidget.AnyWidget):
    """One control. label: its name, for eyes and ears. hint: what it does, shown when the mouse rests on it."""

    _esm = Path(__file__).parent / "controls.js"

    kind = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)


class Button(Control):
    """A button. subject: to what its description refers; with it the accessible name is whole ("Kill node-2")."""

    description = traitlets.Unicode().tag(sync=True)
    subject = traitlets.Unicode().tag(sync=True)
    icon = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        """Without a handler it does nothing; `on_click` gives it one."""
        super().__init__(kind="button", **traits)
        self._handlers: list[Callable[[], object]] = []
        self.on_msg(self._heard)

    def on_click(self, handler: Callable[[], object]) -> None:
        """Call `handler` at every click."""
        self._handlers.append(handler)

    def click(self) -> None:
        """As if somebody had clicked it."""
        for handler in self._handlers:
            handler()

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("event") == "click":
            self.click()


class Slider(Control):
    """Whole numbers from `min` to `max`, by sliding in steps or typed exactly; sent when the drag ends.

    told: what the kernel has said to the last change; it shows that the change has arrived.
    """

    value = traitlets.Int(0).tag(sync=True)
    min = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(100).tag(sync=True)
    step = traitlets.Int(1).tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)
    continuous_update = False

    def __init__(self, **traits: Any) -> None:
        """Give it a label."""
        super().__init__(kind="slider", **traits)


class Choice(Control):
    """One of a few values, all of them in sight."""

    value = traitlets.Any().tag(sync=True)
    options: Any = traitlets.Tuple().tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        """Give it a label, options, and one of them as value."""
        super().__init__(kind="choice", **traits)


class Menu(Control):
    """One of several values, by name. words: what is shown for each of the options."""

    value = traitlets.Any().tag(sync=True)
    options: Any = traitlets.Tuple().tag(sync=True)
    words: Any = traitlets.Tuple().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        """Give it a label, options with words, and one of them as value."""
        super().__init__(kind="menu", **traits)
