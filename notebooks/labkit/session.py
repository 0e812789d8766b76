"""A session: this notebook's hold on a running cluster and its traffic.

Lives here: attach or start, the one ticker that measures, the one worker that carries out clicks, and the
verbs behind the buttons.
Must not live here: widgets (panels), charts (figures), processes (kvnode.cluster).

Who ends what: a cluster that was running before is left running; one that this kernel started ends with the
kernel, however that dies, because its supervisor watches a pipe that the kernel holds.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kvnode.client import Client
from kvnode.cluster import ClusterError, LocalCluster
from kvnode.cluster.contract import ClusterState
from labkit.course.course import Course
from labkit.course.teaching import Teaching
from labkit.errors import LabError, Timeout
from labkit.growth import Growth
from labkit.lab import NodeFacts
from labkit.launch import opening
from labkit.launch.service import TrafficService
from labkit.live.chart import plotly_script
from labkit.live.page import page
from labkit.live.ticker import Ticker
from labkit.observe import joining_node, link_delay_ms, moments, node_facts
from labkit.panels import Cockpit, PostTweet, ReplicaView
from labkit.panels.faults import Faults
from labkit.panels.freeze import Freeze
from labkit.panels.made import Made
from labkit.panels.pulse import BEAT_EVERY_S, pulse
from labkit.panels.ring import RingPanel
from labkit.panels.world import World
from labkit.samples import History, Measured, measured_between, sample_from_stats
from labkit.tables import in_one_sentence, node_table
from labkit.verdicts import meaning
from labkit.waiting import wait_until
from labkit.worker import Worker
from labkit.worlds import FIRST, SHORT

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
STANDARD_RATE = 50
LARGE_VARIABLE = "QUORUM_LAB_LARGE"
WELL_S_MAX = 10.0


def _leave(refreshers: list[Callable[[], None]], refresh: Callable[[], None]) -> None:
    if refresh in refreshers:
        refreshers.remove(refresh)


class Session(Teaching):
    """Cluster, traffic, measurements and panels of one notebook; `Session.open()` makes or finds it."""

    _current: Session | None = None
    _opening = threading.Lock()

    def __init__(self, cluster: LocalCluster, traffic: TrafficService, summary: str) -> None:
        """Use `Session.open()`; this only binds what was found."""
        self.cluster = cluster
        self.traffic = traffic
        self.summary = summary
        self.history = History()
        self.replicas = cluster.replicas
        self.client: Client = cluster.client()
        self._refreshers: list[Callable[[], None]] = []
        self._nodes: list[NodeFacts] = []
        self._settings: dict[str, float] = {}
        self.chosen_world = FIRST
        self._told: Mapping[str, Any] = {}  # what the service said last of each world
        self._outage = ""
        self._cockpit: Cockpit | None = None
        self._large = os.environ.get(LARGE_VARIABLE, "") not in ("", "0")
        self._panels: dict[str, Any] = {}
        self.made = Made()
        self._worker = Worker()
        self._growth: Growth | None = None
        self.course = Course(self)
        self._tick()
        self.ticker = Ticker(self._tick).start()
        self._heart = Ticker(self._beat, interval_s=BEAT_EVERY_S, name="labkit-heart").start()

    # --- open and close ----------------------------------------------------------------------------------

    @classmethod
    def open(cls, *, nodes: int | None = None, lesson: str = "") -> Session:
        """Attach to the running cluster, or start one of `nodes` nodes; a second call reuses the first's.

        nodes: without it a cluster that ran before starts with as many as it had (one may have joined), a new one with
        3. lesson: "02" and the like: resets faults and traffic to what that lesson needs. Raises LabError with the
        reason and a way on.
        """
        session = cls._found_or_started(nodes)
        if lesson:
            session.course.open(lesson)
        return session

    @classmethod
    def _found_or_started(cls, nodes: int | None) -> Session:
        with cls._opening:
            current = cls._current
            if current is not None and current._alive():
                return current
            if current is not None:
                current._stop_threads()
            plotly_script()  # on its way to the page while the cluster starts
            found = opening.find_or_start(nodes=nodes)
            cls._current = cls(found.cluster, found.traffic, found.summary)
            return cls._current

    def close(self) -> None:
        """Stop measuring, and stop the cluster if this kernel started it."""
        self._stop_threads()
        Session._current = None
        self.cluster.stop()

    def _alive(self) -> bool:
        if not self.ticker.alive:
            return False
        try:
            self.cluster.status()
        except ClusterError:
            return False
        return self.traffic.is_answering()

    def _stop_threads(self) -> None:
        self._heart.stop()
        self.ticker.stop()
        self._worker.stop()

    def __repr__(self) -> str:
        """The one friendly sentence."""
        return self.summary

    # --- measure -----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now_s = time.monotonic()
        try:
            stats = self.traffic.stats()
            self.history.add(sample_from_stats(stats, now_s))
            self._outage = ""
        except LabError as error:
            stats = {}
            self._outage = str(error)
        try:
            state = self.cluster.state()
        except ClusterError as error:
            self._outage = str(error)
        else:
            self._see_nodes(state, now_s)
            self._told = stats.get("workloads", {})
            self._read_settings()
        for refresh in [] if page().is_frozen else list(self._refreshers):
            refresh()

    def _read_settings(self) -> None:
        told = self._told.get(self.chosen_world, {})
        wanted = {"rate": told.get("target_rate"), "r": told.get("r"), "w": told.get("w")}
        known = {name: float(value) for name, value in wanted.items() if value is not None}
        self._settings = {**self._settings, **known}

    def _beat(self) -> None:
        """Apart from the ticks: a tick that waits for a hanging service does not mean that the kernel has ended."""
        if self.ticker.alive:
            pulse().tick()

    def _see_nodes(self, state: ClusterState, now_s: float) -> None:
        """Facts for the lights, marks for what has happened, and a client that knows every member."""
        infos, joining = state.nodes, joining_node(state.change)
        before, self._nodes = self._nodes, node_facts(infos, self.history.latest, joining=joining)
        self._settings = {**self._settings, "delay_ms": link_delay_ms(infos)}
        for text in moments(before, self._nodes):
            self.history.mark(text, now_s)
        members = {facts.name for facts in self._nodes if not facts.joining}
        if before and members != {facts.name for facts in before if not facts.joining}:
            self.client = self.cluster.client()

    def subscribe(self, refresh: Callable[[], None]) -> Callable[[], None]:
        """Call `refresh` on the ticker's thread after every tick; what is answered ends that."""
        self._refreshers.append(refresh)
        return partial(_leave, self._refreshers, refresh)

    def nodes(self) -> list[NodeFacts]:
        """The newest facts about every node; no waiting."""
        return list(self._nodes)

    def settings(self) -> Mapping[str, float]:
        """rate, r and w of the chosen world, and delay_ms, as last reported; no waiting."""
        return dict(self._settings)

    def status(self) -> tuple[str, bool]:
        """The status line: an outage first, else how the last command went."""
        return (self._outage, True) if self._outage else self._worker.status

    def node(self, name: str) -> NodeFacts:
        """The newest facts about one node."""
        return next(facts for facts in self._nodes if facts.name == name)

    def node_table(self) -> pandas.DataFrame:
        """Every node as it describes itself: address, process, disk, keys."""
        return node_table(self.cluster, self.client)

    def wait_until(self, ask: Callable[[], T], *, what: str, timeout_s: float = 15.0) -> T:
        """The first true answer of `ask`; a clear Timeout otherwise."""
        return wait_until(ask, what=what, timeout_s=timeout_s)

    def measure(self, seconds: float) -> Measured:
        """Watch the traffic for that long: what was acknowledged meanwhile, by all and by each node."""
        before, began = self.traffic.stats(), time.monotonic()
        time.sleep(seconds)
        after, took_s = self.traffic.stats(), time.monotonic() - began
        return measured_between(before, after, took_s)

    def wait_agreement(
        self, *, percent: float = 99.0, in_a_row: int = 3, timeout_s: float = 30.0
    ) -> list[float]:
        """Wait for `in_a_row` fresh convergence checks of at least `percent` %; those shares in %."""
        shares: list[float] = []
        seen: object = self.traffic.stats()["convergence"].get("checked_at")

        def agreed() -> bool:
            nonlocal seen
            convergence = self.traffic.stats()["convergence"]
            if convergence.get("checked_at") == seen:
                return False
            seen = convergence.get("checked_at")
            share = convergence.get("share")
            if share is None or share * 100 < percent:
                shares.clear()
            else:
                shares.append(share * 100)
            return len(shares) >= in_a_row

        wait_until(
            agreed, what=f"{in_a_row} checks in a row with {percent:g} % agreement", timeout_s=timeout_s
        )
        return shares

    def check(self) -> dict[str, Any]:
        """Read back every acknowledged write and every counter: the ledger's verdict, and its `meaning` in words."""
        verdict = self.traffic.check()
        return {**verdict, "meaning": meaning(verdict)}

    # --- the verbs behind the buttons --------------------------------------------------------------------

    def submit(
        self,
        doing: str,
        action: Callable[[], object],
        *,
        done: Callable[[str | None], None] | None = None,
    ) -> None:
        """Queue `action` for the one worker thread."""

        def carried_out(problem: str | None) -> None:
            if done is not None:
                done(problem)
            self.ticker.wake()  # what was changed is seen at once, not at the next tick

        self._worker.submit(doing, action, carried_out)

    @property
    def idle(self) -> bool:
        """Whether every click has been carried out."""
        return self._worker.idle

    def kill(self, node: str) -> None:
        """SIGKILL it."""
        self.cluster.kill(node)

    def pause(self, node: str) -> None:
        """SIGSTOP it."""
        self.cluster.pause(node)

    def resume(self, node: str) -> None:
        """SIGCONT it."""
        self.cluster.resume(node)

    def restart(self, node: str) -> None:
        """Bring it back on its own disk."""
        self.cluster.restart(node)

    def isolate(self, node: str) -> None:
        """Cut all its links to its peers; clients still reach it."""
        self.cluster.isolate(node)

    def heal(self) -> None:
        """Take back every cut, delay and loss."""
        self.cluster.heal()

    def delay(self, delay_ms: float) -> None:
        """Let every message between nodes take that much longer, one way."""
        self.cluster.delay(delay_ms)
        self.history.mark(f"links +{delay_ms:g} ms", time.monotonic())

    def choose(self, world: str) -> None:
        """Which world rate, R, W, Start and Stop are about: the one that the cockpit shows."""
        self.chosen_world = world
        self._read_settings()

    def set_rate(self, rate: float) -> None:
        """Ask for that many operations/s of the chosen world."""
        self.traffic.configure(world=self.chosen_world, rate=rate)

    def set_quorum(self, *, r: int | None = None, w: int | None = None) -> None:
        """How many replicas a read or a write of the chosen world waits for."""
        wanted: dict[str, Any] = {name: value for name, value in (("r", r), ("w", w)) if value is not None}
        self.traffic.configure(world=self.chosen_world, **wanted)

    def start_traffic(self) -> None:
        """Let the people of the chosen world begin."""
        self.traffic.start(self.chosen_world)

    def stop_traffic(self) -> None:
        """Let the people of the chosen world rest."""
        self.traffic.stop(self.chosen_world)

    def reset(self) -> None:
        """All nodes running, no faults, standard traffic, empty charts, and a new ledger: as before the first class.

        The ledger begins once all nodes are well, so that what the last fault has left is not the next class's.
        """
        self.traffic.stop()
        self.cluster.reset()
        quorum = min(2, self.replicas)
        for world in SHORT:
            rate = {"rate": STANDARD_RATE} if world == FIRST else {}
            self.traffic.configure(world=world, r=quorum, w=quorum, loop="open", bug=None, **rate)
        self.choose(FIRST)
        with suppress(Timeout):  # a node that stays ill is seen on its light
            wait_until(self._all_well, what="all nodes to be well", timeout_s=WELL_S_MAX)
        self.traffic.reset()
        self.traffic.start()
        self.history.clear()

    def _all_well(self) -> bool:
        nodes = self.traffic.stats()["nodes"]
        well = {name for name, node in nodes.items() if node["healthy"] and node["state"] == "alive"}
        return well >= {facts.name for facts in self._nodes if not facts.joining}

    # --- data --------------------------------------------------------------------------------------------

    def put(self, key: str, value: str) -> Mapping[str, Any]:
        """One quorum write through a running node chosen by chance; the database's whole answer."""
        running = [facts.name for facts in self._nodes if facts.state == "running"]
        with in_one_sentence("The database did not take the write."):
            return self.client.put(key, value, node=random.choice(running) if running else None)

    def replicas_of(self, key: str) -> list[Mapping[str, Any]]:
        """What each replica holds now: no quorum, no repair."""
        with in_one_sentence(f"No node could tell what the replicas hold of {key}."):
            return list(self.client.replicas(key)["replicas"])

    # --- panels ------------------------------------------------------------------------------------------

    @property
    def large(self) -> bool:
        """Whether panels are made for the back of a room, as the cockpit is (QUORUM_LAB_LARGE=1 begins so)."""
        return self._large if self._cockpit is None else bool(self._cockpit.large)

    def cockpit(self, *, large: bool | None = None) -> Cockpit:
        """The panel with everything in it; the same one each time. large: for the back of a room."""
        if self._cockpit is None:
            is_large = self._large if large is None else large
            self._cockpit = Cockpit(self, large=is_large, here=self.course.cells.here)
        elif large is not None:
            self._cockpit.large = large
        return self._cockpit

    def panel(self, name: str, make: Callable[[], T]) -> T:
        """A panel of this name; the one that a former run of the cell made is closed, so that nothing piles up."""
        before = self._panels.pop(name, None)
        if before is not None:
            before.close()
        panel = self._panels[name] = self.made.anew(f"panel {name}", make)
        return panel

    def post_tweet(self, text: str = "") -> PostTweet:
        """A box to post a tweet of your own, with a first proposal."""
        tweet: PostTweet = self.course.cells.here()(lambda: PostTweet(self, text))
        return tweet

    def replica_view(self, key: str) -> ReplicaView:
        """The same key on every replica."""
        view: ReplicaView = self.course.cells.here()(lambda: ReplicaView(self, key))
        return view

    @property
    def growth(self) -> Growth:
        """The joins and leaves of this session, and the records of those that are over."""
        if self._growth is None:
            self._growth = Growth(self)
        return self._growth

    def ring(self, *mine: str) -> RingPanel:
        """Who holds what, with buttons by which nodes join and leave. mine: keys that it points at."""
        return self.panel("ring", lambda: RingPanel(self, self.cluster, self.growth, mine=mine))

    def faults(self) -> Faults:
        """Everything that can be broken, under one lease: undone when the panel is closed, or the kernel ends."""
        return self.panel("faults", lambda: Faults(self, self.cluster))

    def world(self, name: str) -> World:
        """One world of the traffic by hand: "twitter", "collab" or "inventory"."""
        return self.panel(f"world {name}", lambda: World(self, self.traffic, name))

    def freeze(self) -> Freeze:
        """A button that freezes everything on the page; measuring goes on."""
        return self.panel("freeze", Freeze)
