"""One row a node: its light in words, who says what of it, and the buttons that break and mend it."""

from __future__ import annotations

from html import escape

import ipywidgets  # type: ignore[import-untyped]

from labkit.lab import Lab, NodeFacts
from labkit.panels.buttons import CommandButton
from labkit.panels.style import light, swatch


def opinions(facts: NodeFacts) -> str:
    """What its peers say of a node; where they doubt it, who says so. Each of them tells only what it believes;
    empty if none of them can tell."""
    if not facts.said_by:
        return ""
    doubts: dict[str, list[str]] = {}
    for name, state in sorted(facts.said_by.items()):
        if state != "alive":
            doubts.setdefault(state, []).append(name)
    words = [
        f"{', '.join(names)} {'says' if len(names) == 1 else 'say'} {state}"
        for state, names in doubts.items()
    ]
    return "; ".join(words) or "peers say alive"


def node_html(facts: NodeFacts) -> str:
    """A node's line, pill and details."""
    details = []
    if facts.state == "running":
        details.append(f"{facts.rate:.0f} op/s")
    if said := opinions(facts):
        details.append(said)
    if facts.reason and facts.state == "failed":
        details.append(facts.reason)
    state = "joining" if facts.joining and facts.state == "running" else facts.state
    pill = light(state, cut_off=facts.cut_off or facts.peers_say == "cut off")
    more = " · ".join(f"<span>{escape(one)}</span>" for one in details)
    return (
        f'<div class="lab-node">{swatch(facts.name)}<span class="name">{escape(facts.name)}</span>'
        f'{pill}<span class="more"><span class="port">port {facts.http_port} · </span>{more}</span></div>'
    )


class NodeRow:
    """The widgets of one node."""

    def __init__(self, lab: Lab, facts: NodeFacts) -> None:
        """Make them; `refresh` keeps them up to date."""
        name = facts.name
        self.name = name
        self.light = ipywidgets.HTML(node_html(facts))
        self.light.add_class(f"lab-light-{name}")
        self.light.add_class("lab-light")

        def button(label: str, verb: str, doing: str, hint: str) -> CommandButton:
            action = getattr(lab, verb)
            return CommandButton(
                lab,
                label,
                f"{doing} {name}",
                lambda: action(name),
                css_class=f"lab-{label.lower().replace(' ', '-')}-{name}",
                subject=name,
                hint=hint,
            )

        self.kill = button("Kill", "kill", "killing", "kill -9: gone at once, nothing said, nothing flushed")
        self.pause = button("Pause", "pause", "pausing", "SIGSTOP: it lives and says nothing")
        self.resume = button("Resume", "resume", "resuming", "SIGCONT: it goes on where it stopped")
        self.restart = button("Restart", "restart", "restarting", "start it again on its own disk")
        self.cut = button("Cut off", "isolate", "cutting off", "cut its links to the other nodes")
        self.buttons = (self.kill, self.restart, self.pause, self.resume, self.cut)
        self._bar = ipywidgets.HBox(self.buttons)
        self._bar.add_class("lab-buttons")
        self.widget = ipywidgets.HBox([self.light, self._bar])
        self.widget.add_class("lab-row")
        self.refresh(facts)

    def refresh(self, facts: NodeFacts) -> None:
        """Show the newest facts; a button that makes no sense now is disabled."""
        html = node_html(facts)
        if html != self.light.value:
            self.light.value = html
        running, paused = facts.state == "running", facts.state == "paused"
        self.kill.allow(running or paused)
        self.pause.allow(running)
        self.resume.allow(paused)
        self.restart.allow(facts.state != "starting" and not facts.joining)
        self.cut.allow(running and not facts.cut_off)

    def close(self) -> None:
        """The node is gone: nobody sees its row any more."""
        for part in (*self.buttons, self.light, self._bar, self.widget):
            part.close()
