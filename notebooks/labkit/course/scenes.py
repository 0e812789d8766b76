"""The scenes of the lessons, each a function of a `Scene`.

The notebooks hold the same functions, word by word (a test compares them), so that a student reads and changes them
where they run; exercises and measurements of the course take them from here.
Each returns the key that it is about; its guards say what must have been so for it to mean anything.
"""

from __future__ import annotations

from labkit.course.people import Pending
from labkit.course.scene import Scene

# fmt: off


def a_slow_write(scene: Scene, w: int) -> tuple[str, Pending]:
    """A write through node-1 while every message between nodes takes 700 ms."""
    key = scene.key("news", "old")
    scene.fault("delay", 700)
    write = scene.person("Writer", node=1).begin_put(key, "new", w=w)
    scene.sleep(0.08)
    return key, write


def alice_tells_bob(scene: Scene, *, w: int = 2, r: int = 2, repair: bool = False, bob_waits: bool = False) -> str:
    key, write = a_slow_write(scene, w)
    scene.fault("delay", 0, nodes=(1, 3))
    alice = scene.person("Alice", node=3).get(key, r=2, repair=repair)
    scene.tells("Alice", "Bob")
    scene.fault("delay", 0, nodes=(2, 3))
    if bob_waits:
        write.wait()
    bob = scene.person("Bob", node=2).get(key, r=r, repair=repair)
    scene.guard("Alice saw new before Bob asked", lambda: alice.value == "new" and alice.end_ms < bob.sent_ms)
    scene.guard("Bob was answered before the write", lambda: bob_waits or r == 3 or bob.end_ms < write.end_ms)
    return key


def lunch_break(scene: Scene, seconds: float = 5) -> str:
    key = scene.key("menu", "soup")
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=2)
    before_lunch = bob.get(key)
    first = alice.put(key, "soup, salad", context=alice.get(key).context)
    second = alice.put(key, "soup, salad, bread", context=alice.get(key).context)
    scene.sleep(seconds)
    late = bob.put(key, "soup, pizza", context=before_lunch.context)
    bob.get(key, r=3)
    scene.guard("all three writes were acknowledged", lambda: first.ok and second.ok and late.ok)
    scene.guard("Bob wrote long after Alice", lambda: late.sent_ms - second.end_ms > 900 * seconds)
    return key


def one_breath(scene: Scene) -> str:
    key = scene.key("menu", "soup")
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=2)
    first = alice.put(key, "salad", context=alice.get(key).context)
    read = bob.get(key)
    second = bob.put(key, "salad, pizza", context=read.context)
    bob.get(key, r=3)
    scene.guard("both writes were acknowledged", lambda: first.ok and second.ok)
    scene.guard("Bob had read what Alice wrote", lambda: read.values == ["salad"])
    return key


def two_coordinators(scene: Scene) -> str:
    key = scene.key("menu", "soup")
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=2)
    seen_by_alice, seen_by_bob = alice.get(key), bob.get(key)
    first = alice.put(key, "salad", context=seen_by_alice.context)
    second = bob.put(key, "pizza", context=seen_by_bob.context)
    bob.get(key, r=3)
    scene.guard("both writes were acknowledged", lambda: first.ok and second.ok)
    scene.guard("Alice's was over before Bob's began", lambda: first.end_ms < second.sent_ms)
    return key


def without_reading(scene: Scene) -> str:
    key = scene.key("menu", "soup")
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=1)
    first = alice.put(key, "salad", context=alice.get(key).context)
    second = bob.put(key, "pizza")
    bob.get(key, r=3)
    scene.guard("both writes were acknowledged", lambda: first.ok and second.ok)
    return key


def slow_watch(scene: Scene, behind_ms: float = 5000) -> str:
    key = scene.key("meeting")
    scene.fault("skew", 2, -behind_ms)
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=2)
    alice.put(key, "at 8", mode="lww")
    first = alice.put(key, "at 9", mode="lww")
    second = bob.put(key, "at 10", mode="lww")
    bob.get(key, r=3)
    scene.guard("Bob wrote later, and was acknowledged", lambda: second.ok and first.end_ms < second.sent_ms)
    scene.guard("his node's clock was behind", lambda: second.timestamp < first.timestamp)
    return key


def nobody_to_ask(scene: Scene) -> str:
    key = scene.key("tweet", "lunch?")
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=2)
    seen_by_alice, seen_by_bob = alice.get(key), bob.get(key)
    scene.fault("isolate", 1)
    his = bob.put(key, "lunch at 12", context=seen_by_bob.context)
    alice.put(key, "lunch at 1", context=seen_by_alice.context, w=1)
    alone = alice.get(key, r=1, repair=False)
    scene.fault("heal")
    scene.guard("Alice's node had not heard of Bob", lambda: his.ok and his.value not in alone.values)
    return key


def twenty_friends(scene: Scene, friends: int = 20) -> str:
    key = scene.key("likes", 0)
    crowd = scene.crowd(friends, node=1)
    read = crowd.get(key)
    written = crowd.put(key, [one.number + 1 for one in read])
    scene.person("Alice", node=2).get(key, r=3)
    last_ms, first_ms = max(one.end_ms for one in read), min(one.sent_ms for one in written)
    scene.guard("everybody had read before anybody wrote", lambda: last_ms < first_ms)
    scene.guard("every read and every write was answered well", lambda: all(one.ok for one in read + written))
    return key


def lost_update(scene: Scene) -> str:
    key = scene.key("likes", 0)
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=1)
    alice_read, bob_read = alice.get(key), bob.get(key)
    first = alice.put(key, alice_read.number + 1)
    second = bob.put(key, bob_read.number + 1)
    bob.get(key, r=3)
    scene.guard("both read before either wrote", lambda: alice_read.ok and bob_read.end_ms < first.sent_ms)
    scene.guard("both writes were acknowledged", lambda: first.ok and second.ok)
    return key


def twenty_friends_add(scene: Scene, friends: int = 20) -> str:
    key = scene.key("likes")
    added = scene.crowd(friends).increment(key)
    scene.person("Alice", node=2).count(key, r=3)
    scene.guard("every like was acknowledged", lambda: all(one.ok for one in added))
    return key


def a_like_sent_again(scene: Scene, actor: str | None = None) -> str:
    key = scene.key("likes")
    alice = scene.person("Alice", node=1)
    scene.fault("pause", 2)
    scene.fault("pause", 3)
    first = alice.increment(key, actor=actor, w=2)
    scene.fault("resume", 2)
    scene.fault("resume", 3)
    again = alice.increment(key, actor=actor, w=2)
    alice.count(key, r=3)
    scene.guard("first an error that left it open", lambda: first.outcome == "unknown" and again.ok)
    return key


def split_likes(scene: Scene, alice_gives: int = 5, bob_gives: int = 6, bob_takes_back: int = 2) -> str:
    key = scene.key("likes")
    alice, bob = scene.person("Alice", node=1), scene.person("Bob", node=2)
    alice.increment(key, actor="alice", total=3, w=3)
    scene.fault("partition", [[1], [2, 3]])
    alice.increment(key, actor="alice", total=alice_gives, w=1)
    bob.increment(key, actor="bob", total=bob_gives, taken_back=bob_takes_back, w=2)
    left, right = alice.count(key, r=1, repair=False), bob.count(key, r=1, repair=False)
    scene.fault("heal")
    alice.count(key, r=3)
    scene.guard("neither knew of the other", lambda: len(left.totals) == 1 and right.totals["alice"][0] == 3)
    return key


def a_smaller_total(scene: Scene) -> str:
    key = scene.key("likes")
    alice = scene.person("Alice", node=1)
    first = alice.increment(key, actor="alice", total=5, w=3)
    second = alice.increment(key, actor="alice", total=4, w=3)
    alice.count(key, r=3)
    scene.guard("all three replicas took both messages", lambda: first.ok and second.ok)
    return key
