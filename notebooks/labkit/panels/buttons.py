"""Buttons and sliders that answer at once and get through while a cell computes.

How it works: JupyterLab addresses widget messages to a subshell, a second thread of the kernel that is free
while a cell computes. But ipykernel (7.4 at least) takes a widget's message to the shell on which that widget
sent its own last one; a widget made by a cell would be bound to the busy main shell. `Reachable` takes that
note away after each message, so that the address the page wrote counts. A callback changes its own widget
first (feedback at once, and the way through where the note cannot be taken away), then queues the work.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labkit.lab import Lab

SETTLE_S = 1.0


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


class ReachableSlider(Reachable, ipywidgets.IntSlider):  # type: ignore[misc]
    """A slider whose changes come through while a cell computes."""


class ReachableChoice(Reachable, ipywidgets.ToggleButtons):  # type: ignore[misc]
    """A row of choices whose changes come through while a cell computes."""


class CommandButton(Reachable, ipywidgets.Button):  # type: ignore[misc]
    """A button for one command; while it is carried out the button says so and takes no second click."""

    def __init__(
        self,
        lab: Lab,
        label: str,
        doing: str,
        action: Callable[[], object],
        *,
        css_class: str,
        hint: str,
        width: str = "86px",
        **keywords: Any,
    ) -> None:
        """`doing` is the progressive form ("killing node-2") for the status line."""
        super().__init__(description=label, layout={"width": width}, **keywords)
        self.add_class(css_class)
        self._lab, self._label, self._doing, self._action = lab, label, doing, action
        self._lock = threading.Lock()
        self._busy = False
        self._wanted_disabled = False
        self.disabled: bool = False
        self.on_click(self._clicked)
        self.tooltip = hint

    def allow(self, allowed: bool) -> None:
        """Whether the command makes sense now; while it is being carried out the button stays disabled."""
        with self._lock:
            self._wanted_disabled = not allowed
            if not self._busy and self.disabled == allowed:
                self.disabled = not allowed

    def _clicked(self, _: object) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy = True
            self.disabled = True
            self.description = "…" if len(self._label) < 4 else "working…"
        self._lab.submit(self._doing, self._action, done=self._done)

    def _done(self, _problem: str | None) -> None:
        with self._lock:
            self._busy = False
            self.description = self._label
            self.disabled = self._wanted_disabled


def _make_room(widget: Any, value: Any) -> bool:
    """Let `widget` be able to show `value` (somebody may have set a rate beyond the slider's end)."""
    if hasattr(widget, "options"):
        return value in widget.options
    if value > widget.max:
        widget.max = value
    return bool(value >= widget.min)


class Setting:
    """A slider or row of choices for a setting that lives elsewhere: sends changes, follows others' ones."""

    def __init__(
        self, lab: Lab, widget: Any, doing: str, apply: Callable[[Any], object], css_class: str
    ) -> None:
        """`doing` may hold {value}."""
        self.widget = widget
        self._lab, self._doing, self._apply = lab, doing, apply
        self._known = widget.value
        self._sending = 0
        self._sent_at = -SETTLE_S
        self._lock = threading.Lock()
        widget.add_class(css_class)
        widget.observe(self._changed, "value")
        widget.tooltip = f"now {widget.value}"

    def follow(self, value: Any) -> None:
        """Show what the setting is elsewhere, unless a change of our own is still on its way."""
        with self._lock:
            settling = self._sending or time.monotonic() - self._sent_at < SETTLE_S
            if settling or value == self._known:
                return
            if not _make_room(self.widget, value):
                return
            self._known = value
        self.widget.value = value

    def _changed(self, change: Any) -> None:
        value = change["new"]
        self.widget.tooltip = f"now {value}"
        with self._lock:
            if value == self._known:
                return
            self._known = value
            self._sending += 1
        self._lab.submit(self._doing.format(value=value), lambda: self._apply(value), done=self._sent)

    def _sent(self, _problem: str | None) -> None:
        with self._lock:
            self._sending -= 1
            self._sent_at = time.monotonic()
