"""Frames made at random at a node's peer port: by a stranger, and by one who knows the secret and talks nonsense.

PEER_FUZZ_FRAMES sets how many of each kind (10,000 in the acceptance), PEER_FUZZ_SEED which.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from kvnode.cluster import LocalCluster
from kvnode.messages import UNDECODABLE, Began, Hello, Message, Moment, Proof, Welcome, decode, encode
from kvnode.net.frames import frame
from kvnode.records.kinds import encode_state
from kvnode.versions import Context, Dot, Siblings

pytestmark = pytest.mark.live

FRAMES = int(os.environ.get("PEER_FUZZ_FRAMES", "1000"))
SEED = int(os.environ.get("PEER_FUZZ_SEED", "1"))
KEYS = [f"kept-{number}" for number in range(40)]
EDGES = [0, 1, 2, 3, 7, 255, 256, 2**15 - 1, 2**15, 2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1]
NUMBERS = [*EDGES, *(-edge for edge in EDGES), 2**64 - 1, -(2**63)]
FLOATS = [0.0, -0.0, 1.5, -1.0, 1e12, 1e300, -1e300, float("nan"), float("inf"), float("-inf")]
TEXTS = [
    "",
    "node-1",
    "node-2",
    "node-9",
    "kv",
    "counter",
    "alive",
    "suspect",
    "dead",
    "fuzz-k",
    "\x00",
    "é" * 40,
]
RECORD = encode_state(Siblings().write(Dot("node-2.1", 1), b"1", context=Context(), timestamp=1.0)[0])
NOT_SPOKEN = (Hello, Welcome, Proof, Moment, Began)
"""What links say to each other; and by what a node tells how often its own folder was started: who knows the secret and
speaks in its name can say that the folder has gone back in time, and then it is refilled, as it should be."""
SPOKEN = [kind for kind in typing.get_args(Message) if kind not in NOT_SPOKEN]


class Maker:
    """Makes messages at random, of the right shape, with numbers at the edges of what a number can be."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def typed(self) -> bytes:
        kind = self.chance.choice(SPOKEN)
        return encode(self.struct(inspect.type_info(kind)))

    def random(self) -> bytes:
        """Random bytes, or a message with some of its bytes changed."""
        if self.chance.random() < 0.5:
            return self.chance.randbytes(self.chance.randrange(1, 200))
        payload = bytearray(self.typed())
        for _ in range(self.chance.randrange(1, 4)):
            payload[self.chance.randrange(len(payload))] = self.chance.randrange(256)
        return bytes(payload)

    def struct(self, info: Any) -> list[Any]:
        tag = [info.tag] if info.tag is not None else []
        return [*tag, *(self.value(field.type) for field in info.fields)]

    def value(self, info: Any) -> Any:
        chance = self.chance
        match info:
            case inspect.StructType():
                return self.struct(info)
            case inspect.UnionType():
                return self.value(chance.choice(info.types))
            case inspect.NoneType():
                return None
            case inspect.BoolType():
                return chance.random() < 0.5
            case inspect.IntType():
                return chance.choice(NUMBERS) if chance.random() < 0.5 else chance.randrange(300)
            case inspect.FloatType():
                return chance.choice(FLOATS)
            case inspect.StrType():
                return chance.choice(TEXTS)
            case inspect.BytesType():
                return chance.choice((b"", RECORD, chance.randbytes(chance.randrange(40))))
            case inspect.VarTupleType():
                return [self.value(info.item_type) for _ in range(chance.randrange(4))]
            case inspect.TupleType():
                return [self.value(each) for each in info.item_types]
        raise AssertionError(f"no value for {info}")


class Caller:
    """Sends frames to one node, over a new connection whenever the last was cut.

    A frame that must be refused is waited for until it is, so that no frame is sent into a connection that is cut.
    """

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        self._dial = dial
        self._stream: socket.socket | None = None
        self.cut_count = 0

    def send(self, payload: bytes, *, must_be_refused: bool) -> None:
        if self._stream is not None and self._is_cut(self._stream):
            self.close()
            self.cut_count += 1
        if self._stream is None:
            self._stream = self._dial()
            self._stream.setblocking(True)
        with contextlib.suppress(OSError):
            self._stream.sendall(frame(payload))
            if must_be_refused:
                self._stream.settimeout(10.0)
                while self._stream.recv(65_536):
                    pass

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    @staticmethod
    def _is_cut(stream: socket.socket) -> bool:
        stream.setblocking(False)
        try:
            while data := stream.recv(65_536):
                del data
        except BlockingIOError:
            stream.setblocking(True)
            return False
        except OSError:
            return True
        return True


def is_message(payload: bytes, kinds: tuple[type, ...] = (object,)) -> bool:
    with contextlib.suppress(*UNDECODABLE):
        return isinstance(decode(payload), kinds)
    return False


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    state = tmp_path_factory.mktemp("peer-fuzz")
    with LocalCluster.start("exp-peer-fuzz", nodes=3, base_port=17_140, state_dir=state) as running:
        client = running.client()
        for key in KEYS:
            client.put(key, key, w=3)
        yield running


def check_that_it_goes_on(cluster: LocalCluster, until: Callable[..., None]) -> None:
    client = cluster.client()
    assert [node.state for node in cluster.nodes] == ["running"] * 3
    assert [node.restarts for node in cluster.nodes] == [0] * 3
    names = [node.name for node in cluster.nodes]
    until(
        lambda: all(set(client.health(name)["members"].values()) == {"alive"} for name in names),
        within_s=20,
        what="all are alive, for all",
    )
    assert {client.ring(node=name)["epoch"] for name in names} == {1}
    for key in KEYS:
        assert client.get(key, r=3)["value"] == key
    client.put("after", "it", w=3)


@pytest.mark.parametrize("kind", ["typed", "random"])
def test_what_a_stranger_sends_is_cut_off_and_changes_nothing(
    cluster: LocalCluster, kind: str, until: Callable[..., None]
) -> None:
    maker = Maker(random.Random(SEED))
    port = cluster.node("node-1").peer_port
    caller = Caller(lambda: socket.create_connection(("127.0.0.1", port), timeout=10.0))
    for _ in range(FRAMES):
        caller.send(maker.typed() if kind == "typed" else maker.random(), must_be_refused=True)
    assert caller.cut_count >= FRAMES - 1
    caller.close()
    check_that_it_goes_on(cluster, until)


@pytest.mark.parametrize("kind", ["typed", "random"])
def test_one_who_knows_the_secret_and_talks_nonsense_ends_nothing(
    cluster: LocalCluster,
    kind: str,
    speak_as: Callable[..., socket.socket],
    until: Callable[..., None],
) -> None:
    maker = Maker(random.Random(SEED + 1))
    caller = Caller(lambda: speak_as(cluster, "node-2", "node-1"))
    read = 0
    for _ in range(FRAMES):
        payload = maker.typed() if kind == "typed" else maker.random()
        if is_message(payload, NOT_SPOKEN):
            continue
        can_be_read = is_message(payload)
        read += can_be_read
        caller.send(payload, must_be_refused=not can_be_read)
    caller.close()
    assert read > FRAMES // 50, "some of it can be read"
    check_that_it_goes_on(cluster, until)
    stats = cluster.client().stats("node-1")
    assert sum(stats["messages_implausible_total"].values()) > 0


def test_after_it_every_node_starts_and_holds_what_it_held(
    cluster: LocalCluster, until: Callable[..., None]
) -> None:
    for node in cluster.nodes:
        cluster.restart(node.name)
    client = cluster.client()
    until(
        lambda: all(set(client.health(node.name)["members"].values()) == {"alive"} for node in cluster.nodes),
        within_s=20,
        what="all are alive, for all",
    )
    for key in KEYS:
        assert client.get(key, r=3)["value"] == key


def test_the_maker_makes_messages_of_every_kind() -> None:
    maker = Maker(random.Random(SEED))
    seen = set()
    for _ in range(4_000):
        with contextlib.suppress(msgspec.MsgspecError):
            seen.add(type(decode(maker.typed())))
    assert seen == set(SPOKEN)
