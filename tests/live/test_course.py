"""The course on a real cluster: its scenes, its exercises, and that everything it breaks is whole again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvnode.cluster import LocalCluster
from labkit import Session
from labkit.course import ex03, ex04, scenes
from labkit.course.editor import write_together
from labkit.course.questions import Choice
from labkit.errors import LabError
from labkit.worlds import TITLES

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

NAME = "course"
BASE_PORT = 12_050
KILLED_IN_A_SCENE = """
import sys, time
from kvnode.cluster import LocalCluster
from labkit.course.scene import Scene
cluster = LocalCluster.attach(sys.argv[1], sys.argv[2])
with Scene("never ends", cluster) as scene:
    scene.fault("delay", 300)
    scene.fault("skew", 2, -5000)
    scene.fault("isolate", 1)
    scene.fault("kill", 3)
    print("in the scene", flush=True)
    time.sleep(50)
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def session(state: Path) -> Iterator[Session]:
    """A session of this process, on a cluster and a service of its own."""
    wanted = {
        "QUORUM_LAB_STATE": str(state),
        "QUORUM_LAB_CLUSTER": NAME,
        "QUORUM_LAB_BASE_PORT": str(BASE_PORT),
        "QUORUM_LAB_TRAFFIC_PORT": str(BASE_PORT + 20),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    began = time.monotonic()
    opened = Session.open(lesson="02")
    print(f"opened in {time.monotonic() - began:.1f} s")
    yield opened
    opened.close()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def is_whole(cluster: LocalCluster) -> bool:
    """No fault, and everybody running."""
    return not cluster.faults() and all(
        info.state == "running" and not info.clock_skew_ms and not info.disk_delay_ms
        for info in cluster.nodes
    )


def test_a_lesson_opens_whole_after_whatever_the_one_before_left(session: Session) -> None:
    session.cluster.partition([[1], [2, 3]])
    session.cluster.kill(3)
    session.cluster.skew(2, -5000)
    session.cluster.slow_disk(1, 20)
    session.traffic.configure(world="collab", bug="lww", rate=200)
    session.traffic.start("collab")
    for name, kind in (("twitter", "bot"), ("collab", "fixer"), ("inventory", "power")):
        panel = session.world(name)
        panel.people[kind].widget.value = "5"
        panel.preset.value = "black-friday"
    session.wait_until(lambda: session.idle, what="the clicks to be carried out")
    assert session.traffic.stats()["clock"]["weekday"] == "friday"
    assert {one["kind"]: one["busy"] for one in session.traffic.people("inventory")}["power"] == 5
    assert Session.open(lesson="04") is session
    assert all(one["busy"] == 1 for name in TITLES for one in session.traffic.people(name))
    assert is_whole(session.cluster)
    worlds = session.traffic.stats()["workloads"]
    assert not any(world["running"] for world in worlds.values())
    assert worlds["collab"]["bug"] is None
    preflight = session.preflight()
    assert preflight.state in ("ok", "slow"), preflight
    assert preflight.seconds < 2.0


def test_alice_sees_new_and_bob_after_her_sees_old(session: Session) -> None:
    scene = session.play(scenes.alice_tells_bob)
    assert scene.conclusive, scene.status
    assert (scene.of("Alice")[0].value, scene.of("Bob")[0].value) == ("new", "old")
    assert scene.session_verdicts()[1].status == "at risk"
    assert scene.seconds < 4.0
    traces = scene.traces()
    assert len(traces) == 3 and all(events for events in traces.values())
    assert is_whole(session.cluster)


@pytest.mark.parametrize(
    ("story", "options", "outcome"),
    [
        (scenes.lunch_break, {"seconds": 1}, "siblings"),
        (scenes.one_breath, {}, "replaced"),
        (scenes.two_coordinators, {}, "siblings"),
        (scenes.without_reading, {}, "replaced"),
    ],
)
def test_what_was_seen_decides_and_not_the_time(
    session: Session, story: Callable[..., str], options: dict[str, Any], outcome: str
) -> None:
    scene = session.play(story, **options)
    assert scene.conclusive, scene.status
    assert scene.outcome == outcome


def test_a_slow_watch_loses_the_last_acknowledged_write(session: Session) -> None:
    scene = session.play(scenes.slow_watch)
    assert scene.conclusive, scene.status
    assert scene.of("Bob")[-1].values == ["at 9"]
    assert is_whole(session.cluster)


def test_a_scene_whose_fault_misses_is_inconclusive_whatever_was_seen(session: Session) -> None:
    scene = session.play(scenes.slow_watch, tries=2, behind_ms=0)
    assert not scene.conclusive
    assert "his node's clock was behind" in scene.status


def test_an_error_inside_a_scene_leaves_nothing_broken(session: Session) -> None:
    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError), session.scene("breaks off") as scene:
        scene.fault("pause", 2)
        scene.fault("isolate", 3)
        1 / 0  # noqa: B018
    assert scene.status.startswith("inconclusive: it was broken off")
    assert is_whole(session.cluster)
    assert threading.active_count() <= threads
    with pytest.raises(LabError, match="no fault called"), session.scene("x") as scene:
        scene.fault("explode")


def test_people_meet_refusals_and_silence_as_outcomes(session: Session) -> None:
    with session.scene("two sides") as scene:
        key = scene.key("x", "before")
        scene.fault("pause", 2)
        scene.fault("pause", 3)
        write = scene.person("Alice", node=1).put(key, "lost?", w=2)
    assert (write.outcome, write.status, write.trace_id is not None) == ("unknown", 503, True)
    assert "W=2 unmet" in write.sentence()


def test_exercise_02_1_judges_by_what_the_cluster_does(session: Session) -> None:
    panel = session.exercise("02.1")
    assert panel.check({"R": "2", "W": "2"}).status == "right"
    wrong = [panel.check({"R": r, "W": w}) for r, w in (("1", "1"), ("1", "3"), ("3", "1"))]
    assert {one.status for one in wrong} == {"not yet"}, wrong
    assert len({one.hint for one in wrong}) == 3
    assert is_whole(session.cluster)


def test_exercise_02_2_judges_by_the_scene_with_the_change(session: Session) -> None:
    panel = session.exercise("02.2")
    question = panel.exercise.fields["change"]
    assert isinstance(question, Choice)
    found = {option: panel.check({"change": option}).status for option in question.options}
    assert list(found.values()) == ["not yet", "right", "not yet", "not yet", "right"], found


def test_exercise_02_3_judges_by_a_measurement(session: Session) -> None:
    panel = session.exercise("02.3")
    assert panel.check({"fresh": 86}).status == "right"
    assert is_whole(session.cluster)


def only_two(scene: Any) -> str:
    key: str = scene.key("k", "milk")
    seen = scene.person("Alice", node=1).get(key)
    for node in (1, 2):
        scene.person(f"W{node}", node=node).put(key, f"milk {node}", context=seen.context)
    scene.person("Alice", node=1).get(key, r=3)
    return key


def blind_merge(scene: Any) -> str:
    key: str = scene.key("k", "milk")
    seen = scene.person("Alice", node=1).get(key)
    for node in (1, 2, 3):
        scene.person(f"W{node}", node=node).put(key, f"milk {node}", context=seen.context)
    scene.person("Alice", node=1).get(key, r=3)
    scene.person("Alice", node=1).put(key, "milk 1, milk 2, milk 3", mode="siblings")
    return key


def keeps_one(scene: Any) -> str:
    key: str = scene.key("k", "milk")
    seen = scene.person("Alice", node=1).get(key)
    for node in (1, 2, 3):
        scene.person(f"W{node}", node=node).put(key, f"milk {node}", context=seen.context)
    three = scene.person("Alice", node=1).get(key, r=3)
    scene.person("Alice", node=1).put(key, "milk 1", context=three.context)
    return key


def test_exercises_of_04_judge_the_students_own_run(session: Session) -> None:
    cell: dict[str, Any] = {}
    exec(ex04.THREE_ANSWER, cell)
    panel = session.exercise("04.2")
    assert panel.check(cell["three_then_one"]).status == "right"
    wrong = [panel.check(one) for one in (only_two, blind_merge, keeps_one)]
    assert {one.status for one in wrong} == {"not yet"} and len({one.hint for one in wrong}) == 3, wrong
    truth = ["<", ">", "<", "∥", "∥", ">"]
    assert session.exercise("04.1").check(truth).status == "right"
    assert session.exercise("04.3").check("at 10").status == "right"


def test_an_editor_with_siblings_loses_nothing_and_last_writer_wins_does(session: Session) -> None:
    siblings = write_together(session, seconds=6)
    assert (siblings.lost, siblings.status) == (0, "ok") and siblings.collisions > 0, siblings
    last_writer = write_together(session, seconds=6, last_writer_wins=True)
    assert last_writer.lost > 0 and last_writer.evidence, last_writer
    assert session.traffic.stats()["workloads"]["collab"]["bug"] is None


@pytest.mark.parametrize(
    ("story", "options", "who", "count"),
    [
        (scenes.twenty_friends, {}, "Alice", 1),
        (scenes.lost_update, {}, "Bob", 1),
        (scenes.twenty_friends_add, {}, "Alice", 20),
        (scenes.a_like_sent_again, {}, "Alice", 2),
        (scenes.a_like_sent_again, {"actor": "alice"}, "Alice", 1),
        (scenes.split_likes, {}, "Alice", 9),
        (scenes.a_smaller_total, {}, "Alice", 5),
    ],
)
def test_likes_are_counted_as_lesson_03_says(
    session: Session, story: Callable[..., str], options: dict[str, Any], who: str, count: int
) -> None:
    scene = session.play(story, **options)
    assert scene.conclusive, scene.status
    assert scene.of(who)[-1].number == count
    assert all(one.trace_id for one in scene.operations)  # also of what failed: so that it can be drawn
    assert is_whole(session.cluster)


def test_a_like_that_two_replicas_did_not_store_in_two_seconds_is_an_open_question(session: Session) -> None:
    first = session.play(scenes.a_like_sent_again).of("Alice")[0]
    assert (first.outcome, first.status) == ("unknown", 503)
    assert first.took_ms == pytest.approx(2000, abs=400)


def a_new_actor_each_try(alice: Any, key: str, likes_before: int) -> None:
    for number in range(5):
        if alice.increment(key, actor=f"try-{likes_before}-{number}", total=1, w=2).ok:
            return


def the_total_stays_1(alice: Any, key: str, likes_before: int) -> None:
    for _ in range(5):
        if alice.increment(key, actor="alice", total=1, w=2).ok:
            return


def no_retry(alice: Any, key: str, likes_before: int) -> None:
    alice.increment(key, actor="alice", total=likes_before + 1, w=2)


def test_exercises_of_03_judge_by_what_the_cluster_counts(session: Session) -> None:
    cell: dict[str, Any] = {}
    exec(ex03.RETRY_ANSWER, cell)
    panel = session.exercise("03.3")
    assert panel.check(cell["like"]).status == "right"
    wrong = [panel.check(one) for one in (a_new_actor_each_try, the_total_stays_1, no_retry)]
    assert {one.status for one in wrong} == {"not yet"} and len({one.hint for one in wrong}) == 3, wrong
    session.play(scenes.split_likes, alice_gives=7, bob_gives=9, bob_takes_back=4)
    assert [session.exercise("03.1").check(value).status for value in (12, 15)] == ["right", "not yet"]
    assert session.exercise("03.2").check(("5", ex03.MERGED)).status == "right"
    assert is_whole(session.cluster)


def test_a_kernel_killed_inside_a_scene_leaves_no_fault_on_a_cluster_that_is_not_its_own(
    session: Session, state: Path, until: Callable[..., None]
) -> None:
    argv = [sys.executable, "-c", KILLED_IN_A_SCENE, NAME, str(state)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "in the scene\n"
    assert not is_whole(session.cluster)
    process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: is_whole(session.cluster), within_s=5.0, what="no fault left, node-3 running")
    print(f"whole again {time.monotonic() - killed:.2f} s after kill -9")
    process.wait()
