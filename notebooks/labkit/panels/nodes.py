"""One row a node: its light in words, and the buttons that break and mend it."""

from __future__ import annotations

from html import escape

import ipywidgets  # type: ignore[import-untyped]

from labkit.lab import Lab, NodeFacts
from labkit.panels.buttons import CommandButton
from labkit.panels.style import light, swatch


def node_html(facts: NodeFacts) -> str:
    """A node's line, pill and details."""
    if facts.state == "running":
        details = [f"port {facts.http_port}", f"{facts.rate:.0f} op/s"]
    else:
        details = [f"port {facts.http_port}"]
    details.append(f"peers say: {facts.peers_say}")
    if facts.reason and facts.state == "failed":
        details.append(facts.reason)
    return (
        f'<div class="lab-node">{swatch(facts.name)}<span class="name">{escape(facts.name)}</span>'
        f"{light(facts.state, cut_off=facts.cut_off)}"
        f'<span class="more">{escape(" · ".join(details))}</span></div>'
    )


class NodeRow:
    """The widgets of one node."""

    def __init__(self, lab: Lab, facts: NodeFacts) -> None:
        """Make them; `refresh` keeps them up to date."""
        name = facts.name
        self.name = name
        self.light = ipywidgets.HTML(node_html(facts), layout={"flex": "1 1 330px", "min_width": "0"})
        self.light.add_class(f"lab-light-{name}")

        def button(label: str, verb: str, doing: str, hint: str) -> CommandButton:
            action = getattr(lab, verb)
            return CommandButton(
                lab,
                label,
                f"{doing} {name}",
                lambda: action(name),
                css_class=f"lab-{label.lower().replace(' ', '-')}-{name}",
                hint=hint,
            )

        self.kill = button("Kill", "kill", "killing", "kill -9: gone at once, nothing said, nothing flushed")
        self.pause = button("Pause", "pause", "pausing", "SIGSTOP: it lives and says nothing")
        self.resume = button("Resume", "resume", "resuming", "SIGCONT: it goes on where it stopped")
        self.restart = button("Restart", "restart", "restarting", "start it again on its own disk")
        self.cut = button("Cut off", "isolate", "cutting off", "cut its links to the other nodes")
        buttons = [self.kill, self.restart, self.pause, self.resume, self.cut]
        self.widget = ipywidgets.HBox(
            [self.light, ipywidgets.HBox(buttons, layout={"flex": "0 0 auto", "flex_flow": "row wrap"})],
            layout={"align_items": "center", "flex_flow": "row wrap"},
        )
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
        self.restart.allow(facts.state != "starting")
        self.cut.allow(running and not facts.cut_off)
