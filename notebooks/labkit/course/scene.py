"""A scene: a small experiment with people, faults and guards, in milliseconds, on the real cluster.

    with session.scene("Alice tells Bob") as scene:
        key = scene.key("x", "old")
        scene.fault("delay", 700)
        write = scene.person("Writer", node=1).begin_put(key, "new", w=2)
        ...
        scene.guard("Bob asked before the write was acknowledged", lambda: bob.sent_ms < write.answered_ms)

A fault that did not bite proves nothing: each guard says what must have been so for the scene to mean anything, and
a scene with a broken guard is *inconclusive*, whatever was seen. Everything that the scene did to the cluster is
undone at its end, also after an error; if the kernel dies, the cluster undoes it (the lease).
Invariant: at most OPERATIONS_MAX operations under way at once, and LASTS_S_MAX seconds: people, not load.
Must not live here: pictures (pictures.py), and what a scene is to show (the lessons).
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kvnode.checkers.verdict import Verdict
from kvnode.client import Client
from kvnode.cluster import ClusterError, LocalCluster
from kvnode.errors import KvError
from labkit.course.aftermath import Aftermath
from labkit.course.crowd import Crowd
from labkit.course.cuts import FAULTS, cut_pairs, node_name
from labkit.course.operations import Operation
from labkit.course.people import Pending, Person, wall_ms
from labkit.course.stage import on_stage
from labkit.course.verdicts import judged
from labkit.errors import LabError

OPERATIONS_MAX = 32
LASTS_S_MAX = 60.0
KEY_TRIES_MAX = 400
STORE_WITHIN_S = 10.0


Here = Callable[[], Callable[[Callable[[], Any]], Any]]


@dataclass(frozen=True)
class Guard:
    """What must have been so, and whether it was."""

    claim: str
    held: bool


class Scene:
    """One run. `operations`, `guards`, `status` and `cuts` tell of it afterwards; `about`: the key that it is about."""

    def __init__(
        self,
        name: str,
        cluster: LocalCluster,
        *,
        ended: Callable[[Scene], None] | None = None,
        here: Here | None = None,
    ) -> None:
        self.name = name
        self.operations: list[Operation] = []
        self.guards: list[Guard] = []
        self.cuts: list[dict[str, Any]] = []
        self.first_versions: dict[str, Mapping[str, Any]] = {}
        self.told: list[tuple[str, str]] = []
        self.about = ""
        self.problem = ""
        self.seconds = 0.0
        self.nodes = tuple(info.name for info in cluster.nodes)
        self.replicas = cluster.replicas
        self._cluster = cluster
        self._ended = ended
        self._here: Here = here or (lambda: lambda make: make())
        self._held: LocalCluster | None = None
        self._delay_ms_max = 0.0
        self._after_it = Aftermath(cluster)
        self._tests: list[tuple[str, Callable[[], object]]] = []
        self._people: dict[str, Person] = {}
        self._pending: list[Pending] = []
        self._under_way = 0
        self._lock = threading.Lock()
        self._after = contextlib.ExitStack()
        self._zero_s = time.monotonic()
        self.wall_ms_at_zero = wall_ms()

    # --- begin and end ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._held = self._after.enter_context(on_stage(self._cluster, f"the scene {self.name!r}"))
        self._begin_clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._end()
            else:
                self.problem = " ".join(str(error).split()) or type(error).__name__
        finally:
            self._undo()
            self.seconds = self.now_ms() / 1000.0
        if self._ended is not None:
            self._ended(self)

    def _end(self) -> None:
        for pending in self._pending:
            pending.wait()
        for claim, test in self._tests:
            try:
                held = bool(test())
            except (TypeError, ValueError, KeyError, IndexError, AttributeError):
                held = False  # what it compares is not there: so the scene did not go as it should
            self.guards.append(Guard(claim, held))

    def _undo(self) -> None:
        self._close_cuts()
        self._held = None
        try:
            self._after.close()
        finally:
            self._after_it.look(self.operations)

    def _close_cuts(self) -> None:
        for cut in self.cuts:
            cut["to_ms"] = self.now_ms() if cut["to_ms"] is None else cut["to_ms"]

    def _begin_clock(self) -> None:
        """Time begins at the first thing that happens; what was prepared before does not count."""
        self._zero_s = time.monotonic()
        self.wall_ms_at_zero = wall_ms()

    # --- what happens in it -------------------------------------------------------------------------------

    def key(self, name: str, value: Any = None) -> str:
        """A fresh key; with a value it is stored at all replicas first. Time begins after the last such key."""
        key = self._fresh_key(name)
        if value is not None:
            self.first_versions[key] = {
                **self._stored_everywhere(key, value),
                "value": value,
                "label": "before",
            }
        if not self.operations:
            self._begin_clock()
        return key

    def person(self, who: str, *, node: str | int) -> Person:
        """Somebody who talks to this node."""
        name = self._node_name(node)
        known = self._people.get(who)
        if known is None or known.node != name:
            known = self._people[who] = _Noted(who, name, self._cluster.client(), self)
        return known

    def crowd(self, count: int, *, node: str | int | None = None) -> Crowd:
        """So many friends, who act at once; all through one node, or else through each node in turn."""
        nodes = self.nodes[: self.replicas] if node is None else (self._node_name(node),)
        return Crowd(
            [self.person(f"friend {number + 1}", node=nodes[number % len(nodes)]) for number in range(count)]
        )

    def fault(self, verb: str, *arguments: Any, **options: Any) -> None:
        """delay, cut, partition, isolate, heal, pause, resume, kill, restart, skew, slow_disk, as of LocalCluster."""
        if verb not in FAULTS:
            raise LabError(f"There is no fault called {verb!r}.", why=f"expected one of {', '.join(FAULTS)}")
        if self._held is None:
            raise LabError("This scene is over.", do="make faults inside of its with block")
        try:
            getattr(self._held, verb)(*arguments, **options)
        except (ClusterError, TypeError) as error:
            raise LabError(f"The fault {verb} could not be made.", why=str(error)) from error
        if verb == "delay" and arguments:
            self._delay_ms_max = max(self._delay_ms_max, float(arguments[0]))
        if verb in ("heal", "reconnect", "partition"):
            self._close_cuts()
        for pair in cut_pairs(verb, arguments, self.nodes):
            self.cuts.append({"nodes": pair, "from_ms": self.now_ms(), "to_ms": None})

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        if self.now_ms() / 1000.0 + seconds > LASTS_S_MAX:
            raise LabError(f"A scene lasts at most {LASTS_S_MAX:g} s.")
        time.sleep(seconds)

    def tells(self, one: str, other: str) -> None:
        """`one` tells `other` what they saw, outside the database: from now on both know it."""
        self.told.append((one, other))

    def guard(self, claim: str, test: Callable[[], object]) -> None:
        """At the end `test` must be true, or the scene is inconclusive: `claim` did not come about."""
        self._tests.append((claim, test))

    # --- what a person tells it ---------------------------------------------------------------------------

    def now_ms(self) -> float:
        """Milliseconds since the scene began."""
        return (time.monotonic() - self._zero_s) * 1000.0

    def begin(self) -> None:
        """One more operation begins; LabError if there are too many at once, or the scene lasts too long."""
        if self.now_ms() > LASTS_S_MAX * 1000.0:
            raise LabError(f"A scene lasts at most {LASTS_S_MAX:g} s.")
        with self._lock:
            if self._under_way >= OPERATIONS_MAX:
                raise LabError(
                    f"A scene has at most {OPERATIONS_MAX} operations under way at once.",
                    do="for load, use the traffic",
                )
            self._under_way += 1

    def ended(self, operation: Operation) -> None:
        """An operation is over."""
        with self._lock:
            self._under_way -= 1
            self.operations.append(operation)
            self.operations.sort(key=lambda one: one.sent_ms)

    def wait_for(self, pending: Pending) -> None:
        """The scene is not over before this is."""
        self._pending.append(pending)

    # --- what came of it ----------------------------------------------------------------------------------

    @property
    def conclusive(self) -> bool:
        """Whether it ended well and every guard held."""
        return not self.problem and all(guard.held for guard in self.guards)

    @property
    def status(self) -> str:
        """ "conclusive", or "inconclusive: …" with what did not come about."""
        if self.problem:
            return f"inconclusive: it was broken off ({self.problem})"
        missed = [guard.claim for guard in self.guards if not guard.held]
        return f"inconclusive: this did not come about: {'; '.join(missed)}" if missed else "conclusive"

    def of(self, who: str) -> list[Operation]:
        """One person's operations in their order."""
        return [operation for operation in self.operations if operation.who == who]

    def traces(self) -> dict[str, list[dict[str, Any]]]:
        """What the nodes noted of each operation, by trace id: node, wall_ms, event, peer?."""
        late_ms = max((one.sent_ms for one in self.operations), default=0.0) + 2 * self._delay_ms_max
        if self._delay_ms_max and late_ms > self.now_ms():
            time.sleep(
                (late_ms - self.now_ms()) / 1000.0
            )  # what was under way at the end has arrived by then
        self._after_it.fetch_traces(self.operations)
        return {name: list(events) for name, events in self._after_it.events.items()}

    def versions(self, key: str) -> list[dict[str, Any]]:
        """Every version of a key that this scene made or saw, oldest first; replaced: no read found it at its end."""
        found: dict[str, dict[str, Any]] = {}
        if key in self.first_versions:
            self._add(found, self.first_versions[key], label="before")
        for operation in self.operations:
            if operation.key != key or not operation.ok:
                continue
            if operation.verb in ("put", "delete") and operation.answer:
                made = {**operation.answer, "value": operation.value, "deleted": operation.verb == "delete"}
                self._add(found, made, label=operation.who)
            for sibling in operation.siblings:
                self._add(found, sibling, label="")
        held = self._after_it.left.get(key)
        for version in found.values():
            version["replaced"] = held is not None and version["dot"] not in held
        return sorted(found.values(), key=lambda one: (one.get("seen_ms", 0.0), one["dot"]))

    @property
    def outcome(self) -> str:
        """Of the key that the scene is about: "siblings" if several versions stand beside each other, or "replaced"."""
        left = [one for one in self.versions(self.about) if not one["replaced"]]
        return "siblings" if len(left) > 1 else "replaced"

    def session_verdicts(self) -> list[Verdict]:
        """Read your writes and monotonic reads, as the checker judges these people; who was told counts as one."""
        return judged(self.operations, self.told, n=self.replicas)

    def table(self) -> Any:
        """Every operation in a row."""
        from labkit.course.pictures import operations_table

        return operations_table(self.operations)

    def space_time(self) -> Any:
        """People and nodes as lines, real messages as arrows, to scale."""
        from labkit.course.pictures import space_time

        return self._here()(lambda: space_time(self))

    def version_graph(self, key: str = "") -> Any:
        """Which version had seen which, of the key that the scene is about."""
        from labkit.course.pictures import version_graph

        return self._here()(lambda: version_graph(self, key or self.about))

    def verdict(self) -> Any:
        """The checker's verdicts as a card."""
        from labkit.course.pictures import VerdictCard

        return self._here()(lambda: VerdictCard(self.session_verdicts()))

    def _repr_html_(self) -> str:
        from labkit.course.pictures import scene_html

        return scene_html(self)

    def __repr__(self) -> str:
        return f"{self.name}: {self.status} ({self.seconds:.1f} s)"

    def _add(self, found: dict[str, dict[str, Any]], version: Mapping[str, Any], *, label: str) -> None:
        dot = str(version["dot"])
        if dot not in found:
            found[dot] = {
                **version,
                "label": label or str(version.get("label", "")),
                "seen_ms": float(len(found)),
            }

    # --- inside -------------------------------------------------------------------------------------------

    def _client(self) -> Client:
        return self._cluster.client()

    def _node_name(self, node: str | int) -> str:
        name = node_name(node)
        if name not in self.nodes:
            raise LabError(f"There is no {name}.", why=f"the cluster has {', '.join(self.nodes)}")
        return name

    def _fresh_key(self, name: str) -> str:
        """On more nodes than replicas a key must lie on the first ones, which the scenes name."""
        stem = f"scene/{name}/{secrets.token_hex(4)}"
        if len(self.nodes) <= self.replicas:
            return stem
        wanted, client = set(self.nodes[: self.replicas]), self._client()
        for number in range(KEY_TRIES_MAX):
            key = f"{stem}-{number}"
            if set(client.ring(key=key)["preference_list"]) == wanted:
                return key
        raise LabError(f"No key lies on {', '.join(sorted(wanted))}.", do="let the added nodes leave first")

    def _stored_everywhere(self, key: str, value: Any) -> Mapping[str, Any]:
        """After a fault the replicas may need a moment to see each other again."""
        client, deadline = self._client(), time.monotonic() + STORE_WITHIN_S
        while True:
            try:
                return client.put(key, value, w=self.replicas)
            except KvError as error:
                if time.monotonic() > deadline:
                    raise LabError(
                        f"The scene {self.name!r} cannot begin.",
                        why=f"its first value could not be stored at all replicas: {error}",
                        do="press Reset in the cockpit, then run this cell again",
                    ) from error
            time.sleep(0.1)


class _Noted(Person):
    """A person whose pending operations the scene waits for."""

    def begin_put(self, key: str, value: Any, **options: Any) -> Pending:
        """The same as `put`, without waiting."""
        return self._wait_later(super().begin_put(key, value, **options))

    def begin_get(self, key: str, **options: Any) -> Pending:
        """The same as `get`, without waiting."""
        return self._wait_later(super().begin_get(key, **options))

    def _wait_later(self, pending: Pending) -> Pending:
        scene = self._notebook
        assert isinstance(scene, Scene)
        scene.wait_for(pending)
        return pending
