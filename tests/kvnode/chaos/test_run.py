"""What a plan of schedule makes of a cluster; LocalCluster and the roots are replaced by recorders."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs

from kvnode.chaos import run as chaos_module
from kvnode.chaos.convergence import Roots
from kvnode.chaos.run import Chaos
from kvnode.chaos.schedule import ScheduledFault
from kvnode.cluster.contract import Bandwidth, Command, Delay, Kill, Pause, Restart, Resume, Wipe, name_of
from kvnode.cluster.errors import NodeFailed
from kvnode.cluster.local import LocalCluster


class Clock:
    """Time that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Stand:
    """Notes every command with its moment, and knows who is dead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.done: list[tuple[float, str]] = []
        self.dead: set[str] = set()
        self.refuses: str | None = None

    @property
    def nodes(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                name=name,
                state="dead" if name in self.dead else "running",
                reason="killed",
                log_file=Path("log"),
            )
            for name in ("node-1", "node-2", "node-3")
        ]

    def do(self, command: Command) -> None:
        """Noted as the method of LocalCluster would be: what is as usual is left out."""
        fields = structs.asdict(command)
        nodes = (
            fields.pop("nodes", None)
            if isinstance(command, Kill | Pause | Resume | Restart | Wipe | Bandwidth)
            else ()
        )
        usual = {field.name: field.default for field in structs.fields(command)}
        options = {name: value for name, value in fields.items() if value != usual[name]}
        getattr(self, name_of(command))(*(nodes or ()), **options)

    def __getattr__(self, name: str) -> Any:
        def note(*words: Any, **options: Any) -> None:
            if name == "kill":
                self.dead.update(words)
            if name in ("restart", "reset"):
                self.dead -= set(words) if words else set(self.dead)
            shown = ", ".join([*map(str, words), *(f"{key}={value}" for key, value in options.items())])
            self.done.append((round(self._clock.now_s - 100.0, 3), f"{name}({shown})"))
            if name == self.refuses:
                raise NodeFailed("node-2 ended with exit code 4")

        return note


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(chaos_module, "time", clock)
    return clock


class AgreeAfter:
    """Roots that are seen equal after so many seconds, or never."""

    def __init__(self, clock: Clock, seconds: float | None = 5.0) -> None:
        self._clock = clock
        self.seconds = seconds

    def wait_until_seen_equal(self, within_s: float) -> float | None:
        self._clock.sleep(within_s if self.seconds is None else self.seconds)
        return self.seconds


def run(clock: Clock, stand: Stand, schedule: list[ScheduledFault], agree: AgreeAfter | None = None) -> Chaos:
    roots = agree or AgreeAfter(clock)
    chaos = Chaos(cast(LocalCluster, stand), cast(Roots, roots), lambda line: None)
    chaos.work(schedule, seconds=12.0)
    return chaos


def test_troubles_overlap_and_each_is_undone_in_its_time(clock: Clock) -> None:
    stand = Stand(clock)
    chaos = run(
        clock,
        stand,
        [
            ScheduledFault(3, "kill", ("node-2",), 4.0),
            ScheduledFault(6, "delay", (), 1.5, Delay(20, distribution="exponential")),
            ScheduledFault(8, "bandwidth", ("node-1", "node-3"), 0.5, Bandwidth(50_000)),
            ScheduledFault(9, "partition", ("node-1",), 9.0),
        ],
    )
    assert stand.done == [
        (3.0, "kill(node-2)"),
        (6.0, "delay(ms=20, distribution=exponential)"),
        (7.0, "restart(node-2)"),
        (7.5, "delay(ms=0.0)"),
        (8.0, "bandwidth(node-1, node-3, bytes_per_s=50000)"),
        (8.5, "bandwidth(bytes_per_s=0.0)"),
        (9.0, "partition(groups=[['node-1']])"),
        (12.0, "reset()"),
    ]
    assert (dict(chaos.counts), chaos.violations) == (
        {"kill": 1, "delay": 1, "bandwidth": 1, "partition": 1},
        [],
    )


def test_a_disk_is_lost_only_in_peace_and_the_plan_waits_for_it(clock: Clock) -> None:
    stand = Stand(clock)
    chaos = run(
        clock,
        stand,
        [
            ScheduledFault(3, "pause", ("node-1",), 5.0),
            ScheduledFault(6, "lost disk", ("node-2",)),
            ScheduledFault(9, "kill", ("node-3",), 1),
        ],
    )
    assert stand.done == [
        (3.0, "pause(node-1)"),
        (6.0, "reset()"),
        (11.0, "wipe(node-2)"),
        (11.0, "restart(node-2)"),
        (19.0, "kill(node-3)"),
        (20.0, "restart(node-3)"),
        (22.0, "reset()"),
    ]
    assert chaos.counts["lost disk"] == 1


def test_without_agreement_no_disk_is_lost(clock: Clock) -> None:
    stand = Stand(clock)
    chaos = run(clock, stand, [ScheduledFault(3, "lost disk", ("node-2",))], AgreeAfter(clock, None))
    assert [what for _, what in stand.done] == ["reset()", "reset()"]
    assert (dict(chaos.counts), chaos.violations) == ({"lost disk, put off": 1}, [])


def test_a_node_that_ends_by_itself_is_a_violation_and_comes_back(clock: Clock) -> None:
    stand = Stand(clock)
    stand.dead.add("node-3")
    chaos = run(clock, stand, [ScheduledFault(3, "kill", ("node-1",), 1)])
    assert chaos.violations == ["node-3 ended by itself: killed; see log"]
    assert (3.0, "restart(node-3)") in stand.done


def test_a_node_that_does_not_come_back_is_a_violation(clock: Clock) -> None:
    stand = Stand(clock)
    stand.refuses = "restart"
    chaos = run(clock, stand, [ScheduledFault(3, "kill", ("node-2",), 1)])
    assert chaos.violations == ["end of kill: node-2 ended with exit code 4"]


def test_a_second_store_is_not_lost_before_the_first_says_that_it_is_complete(clock: Clock) -> None:
    stand = Stand(clock)
    left = {"node-2": 7, "node-1": 0}
    refill = SimpleNamespace(stats=lambda name: {"refill": {"partitions": left[name]}})
    stand.__dict__["client"] = lambda: refill
    schedule = [
        ScheduledFault(at, "lost disk in a storm", (name,), 1.0)
        for at, name in ((1, "node-2"), (4, "node-1"))
    ]
    chaos = run(clock, stand, schedule)
    assert [what for _, what in stand.done] == ["wipe(node-2)", "restart(node-2)", "reset()"]
    assert chaos.counts["lost disk in a storm, put off"] == 1
    left["node-2"] = 0
    stand.done.clear()
    run(clock, stand, schedule)
    assert [what for _, what in stand.done][:4] == [
        "wipe(node-2)",
        "restart(node-2)",
        "wipe(node-1)",
        "restart(node-1)",
    ]


def test_a_trouble_of_a_node_that_has_left_befalls_another_that_is_whole(clock: Clock) -> None:
    stand = Stand(clock)
    chaos = run(
        clock, stand, [ScheduledFault(1, "pause", ("node-3",), 5), ScheduledFault(3, "kill", ("node-9",), 1)]
    )
    assert [what for _, what in stand.done] == [
        "pause(node-3)",
        "kill(node-2)",
        "restart(node-2)",
        "resume(node-3)",
        "reset()",
    ]
    assert not chaos.counts["of who has left"]


def test_a_cut_between_nodes_of_which_too_few_are_left_is_left_out(clock: Clock) -> None:
    stand = Stand(clock)
    schedule = [ScheduledFault(1, "pause", (f"node-{n}",), 9) for n in (1, 2, 3)]
    chaos = run(clock, stand, [*schedule, ScheduledFault(3, "one-way cut", ("node-1", "node-9"), 1)])
    assert chaos.counts["of who has left"] == 1
    assert chaos.violations == []
