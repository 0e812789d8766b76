"""Buttons and settings that answer at once: they change their own look first, then queue the work.

Lives here: what happens between a click and its command.
Must not live here: how a control looks and how its events reach the kernel (controls.py), what is done (the lab).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from labkit.lab import Lab
from labkit.panels.controls import Button

SETTLE_S = 1.0


class CommandButton(Button):
    """A button for one command; while it is carried out the button says so and takes no second click."""

    def __init__(
        self,
        lab: Lab,
        label: str,
        doing: str,
        action: Callable[[], object],
        *,
        css_class: str,
        **traits: Any,
    ) -> None:
        """`doing` is the progressive form ("killing node-2") for the status line; traits: hint, subject, icon."""
        super().__init__(description=label, **traits)
        self.add_class(css_class)
        self._lab, self._label, self._doing, self._action = lab, label, doing, action
        self._lock = threading.Lock()
        self._busy = False
        self._wanted_disabled = False
        self.on_click(self._clicked)

    def allow(self, allowed: bool) -> None:
        """Whether the command makes sense now; while it is being carried out the button stays disabled."""
        with self._lock:
            self._wanted_disabled = not allowed
            if not self._busy and self.disabled == allowed:
                self.disabled = not allowed

    def _command(self) -> tuple[str, Callable[[], object]]:
        """What a click asks for: in words, and as what is done when its turn comes."""
        return self._doing, self._action

    def _clicked(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy = True
            self.disabled = True
            self.description = "working…"
        doing, action = self._command()
        self._lab.submit(doing, action, done=self._done)

    def _done(self, _problem: str | None) -> None:
        with self._lock:
            self._busy = False
            self.description = self._label
            self.disabled = self._wanted_disabled


class ChosenButton(CommandButton):
    """A command about what is chosen elsewhere in the panel when it is clicked: what is chosen by the time that its
    turn comes is not meant."""

    def __init__(
        self,
        lab: Lab,
        label: str,
        choose: Callable[[], tuple[str, Callable[[], object]]],
        *,
        css_class: str,
        **traits: Any,
    ) -> None:
        """`choose` answers the progressive form ("killing node-2") and the action, both about what is chosen now."""
        super().__init__(lab, label, label, int, css_class=css_class, **traits)
        self._choose = choose

    def _command(self) -> tuple[str, Callable[[], object]]:
        return self._choose()


def _stretch_to(widget: Any, value: Any) -> bool:
    """Let `widget` be able to show `value`, if it can (somebody may have set a rate beyond the slider's end)."""
    if hasattr(widget, "options"):
        return value in widget.options
    if value > widget.max:
        widget.max = value
    return bool(value >= widget.min)


class Setting:
    """A slider or choice for a setting that lives elsewhere: sends changes, follows others' ones."""

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
        widget.told = f"now {widget.value}"

    def follow(self, value: Any) -> None:
        """Show what the setting is elsewhere, unless a change of our own is still on its way."""
        with self._lock:
            settling = self._sending or time.monotonic() - self._sent_at < SETTLE_S
            if settling or value == self._known:
                return
            if not _stretch_to(self.widget, value):
                return
            self._known = value
        self.widget.value = value

    def _changed(self, change: Any) -> None:
        value = change["new"]
        self.widget.told = f"now {value}"
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
