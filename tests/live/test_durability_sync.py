"""The bytes of a write are synced before anybody is told that they are safe.

kill -9 cannot show this: the page cache survives a process. So each node runs under strace, and the order of its
system calls is checked: a replica says "stored" only after it synced its log with the record in it, and the
coordinator answers 200 only after every node that it names in `acknowledged_by` has done so. With the sync taken out
(QUORUM_LAB_UNSAFE_NO_SYNC=1) the same check must complain about every write.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from kvnode.cluster import LocalCluster
from kvnode.messages import Stored, StoreMany, StoreRecord
from kvnode.storage.log import LOG_SIDES

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        sys.platform != "linux", reason="system calls are traced with strace, which is for Linux"
    ),
    pytest.mark.skipif(
        shutil.which("strace") is None, reason="strace is not installed (apt-get install strace)"
    ),
]

StartCluster = Callable[..., LocalCluster]
Run = Callable[..., tuple[dict[str, list["Call"]], dict[str, list[str]]]]
"""Traces by node, and who acknowledged each key."""

CALLS = "pwrite64,pwritev,write,writev,sendto,sendmsg,read,readv,recvfrom,recvmsg,fdatasync,fsync"
# -D: the node stays the supervisor's own child, and strace runs beside it. $2 is the node's name.
TRACED_NODE = (
    f'exec strace -D -f -q -ttt -T -yy -s 65536 -e trace={CALLS} -e signal=none $EXTRA -o "$0/$2.strace" '
)

SENDS = ("write", "writev", "sendto", "sendmsg")
SYNCS = ("fdatasync", "fsync")


@dataclass(frozen=True)
class Call:
    """One system call: when it was entered and left (s), on what (path or socket), with which bytes."""

    name: str
    entered: float
    left: float
    target: str
    data: bytes


_LINE = re.compile(r"^(\d+) +(\d+\.\d+) (.*)$")
_START = re.compile(r"^(\w+)\(\d+<(.*?)>(?=[,)]| <unfinished)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DURATION = re.compile(r"= (-?\d+).*<(\d+\.\d+)>$")


def read_trace(path: Path) -> list[Call]:
    """The completed, successful calls of one node's trace, in the order in which they were entered."""
    calls: list[Call] = []
    unfinished: dict[tuple[str, str], tuple[float, str]] = {}
    for line in path.read_text(errors="replace").splitlines():
        matched = _LINE.match(line)
        if matched is None:
            continue
        thread, when, text = matched[1], float(matched[2]), matched[3]
        if text.endswith("<unfinished ...>"):
            unfinished[thread, text.partition("(")[0]] = when, text.removesuffix(" <unfinished ...>")
            continue
        entered = when
        if resumed := re.match(r"<\.\.\. (\w+) resumed>(.*)$", text):
            entered, beginning = unfinished.pop((thread, resumed[1]))
            text = beginning + resumed[2]
        start, result = _START.match(text), _DURATION.search(text)
        if start is None or result is None or int(result[1]) < 0:
            continue
        data = b"".join(_unescaped(string) for string in _STRING.findall(text[start.end() :]))
        calls.append(Call(start[1], entered, entered + float(result[2]), start[2], data))
    return sorted(calls, key=lambda call: call.entered)


def _unescaped(string: str) -> bytes:
    return string.encode("latin-1", errors="replace").decode("unicode_escape").encode("latin-1")


def messages(calls: list[Call], names: tuple[str, ...]) -> Iterator[tuple[Call, object]]:
    """The framed messages in these calls, each with the call that held it."""
    decode = msgspec.msgpack.Decoder(StoreRecord | StoreMany | Stored).decode
    for call in calls:
        if call.name not in names or not call.target.startswith("TCP"):
            continue
        rest = call.data
        while len(rest) >= 4 and len(rest) - 4 >= (length := int.from_bytes(rest[:4], "big")) > 0:
            with contextlib.suppress(msgspec.MsgspecError):  # another kind of message
                yield call, decode(rest[4 : 4 + length])
            rest = rest[4 + length :]


def other_end(target: str) -> str:
    """TCP:[a->b] as its peer sees it."""
    ends = re.match(r"TCP:\[(.*)->(.*)\]$", target)
    return "" if ends is None else f"TCP:[{ends[2]}->{ends[1]}]"


def synced_at(calls: list[Call], key: str) -> float | None:
    """When the node's log was first synced with this key in it."""
    logged = next(
        (
            c
            for c in calls
            if c.name.startswith("pwrite") and c.target.endswith(LOG_SIDES) and key.encode() in c.data
        ),
        None,
    )
    if logged is None:
        return None
    syncs = (c for c in calls if c.name in SYNCS and c.target == logged.target and c.entered >= logged.left)
    return next((call.left for call in syncs), None)


def broken_promises(
    traces: dict[str, list[Call]], coordinator: str, answers: dict[str, list[str]]
) -> list[str]:
    """Who said too early that a write was safe. answers: key -> acknowledged_by."""
    found = []
    asked = [
        (message.key, message.id)
        for _, message in messages(traces[coordinator], SENDS)
        if isinstance(message, StoreRecord) and message.id
    ]
    to_coordinator = {other_end(call.target) for call in traces[coordinator]}
    said = {
        node: [
            (message.id, call.entered)
            for call, message in messages(calls, SENDS)
            if isinstance(message, Stored) and call.target in to_coordinator
        ]
        for node, calls in traces.items()
    }
    for key, acknowledged_by in answers.items():
        body, ids = f'"key":"{key}"'.encode(), {number for asked_key, number in asked if asked_key == key}
        answered = next(call for call in traces[coordinator] if call.name in SENDS and body in call.data)
        for node, calls in traces.items():
            safe_at = synced_at(calls, key)
            named = node in acknowledged_by
            said_at = next((at for number, at in said[node] if number in ids), None)
            if named and (safe_at is None or safe_at > answered.entered):
                found.append(f"{key}: answered, naming {node}, which had not synced it")
            if said_at is not None and (safe_at is None or safe_at > said_at):
                found.append(f"{key}: {node} said stored and had not synced it")
            if named and node != coordinator and said_at is None:
                found.append(f"{key}: {node} is named but never said stored")
    return found


@pytest.fixture
def traced(live_cluster: StartCluster, tmp_path: Path, until: Callable[..., None]) -> Run:
    """Write through node-1 of a traced cluster; returns the traces and who acknowledged each key."""

    def run(*, sync_delay_us: int = 0) -> tuple[dict[str, list[Call]], dict[str, list[str]]]:
        extra = f"-e inject=fdatasync:delay_enter={sync_delay_us}" if sync_delay_us else ""
        script = TRACED_NODE.replace("$EXTRA", extra) + f'{sys.executable} -P -m kvnode "$@"'
        cluster = live_cluster(node_command=["sh", "-c", script, str(tmp_path)])
        client, answers = cluster.client(), {}
        for number in range(5):
            for w in (1, 2, 3):
                key = f"durable{number}at{w}"
                answers[key] = client.put(key, {"number": number}, w=w, node=0)["acknowledged_by"]
                key = f"counted{number}at{w}"
                answers[key] = client.increment(key, "me", number + 1, w=w, node=0)["acknowledged_by"]
        files = {node.name: (tmp_path / f"{node.name}.strace", node.pid) for node in cluster.nodes}
        cluster.stop()
        for file, pid in files.values():
            until(lambda file=file, pid=pid: _ended(file, pid), within_s=10, what=f"{file} is complete")
        return {node: read_trace(file) for node, (file, _) in files.items()}, answers

    return run


def _ended(trace: Path, pid: int) -> bool:
    return re.search(rf"^{pid} .*\+\+\+ (exited|killed)", trace.read_text(errors="replace"), re.M) is not None


@pytest.mark.parametrize("sync_delay_us", [0, 5_000], ids=["fast-disk", "slow-disk"])
def test_nobody_says_safe_before_the_sync(traced: Run, sync_delay_us: int) -> None:
    traces, answers = traced(sync_delay_us=sync_delay_us)
    assert len(answers) == 30
    assert broken_promises(traces, "node-1", answers) == []
    syncs = {
        node: sum(c.name in SYNCS and c.target.endswith(LOG_SIDES) for c in calls)
        for node, calls in traces.items()
    }
    print(f"{len(answers)} writes, 0 promised before the sync; syncs of the log: {syncs}")


def test_the_check_notices_that_the_sync_was_taken_out(traced: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORUM_LAB_UNSAFE_NO_SYNC", "1")
    traces, answers = traced()
    found = broken_promises(traces, "node-1", answers)
    assert {line.partition(":")[0] for line in found} == set(answers)
    assert any("said stored and had not synced it" in line for line in found)
    assert any("answered, naming node-1" in line for line in found)
