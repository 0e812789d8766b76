"""Stories of requests: bounded, and put together across nodes in the order of time."""

import asyncio

from kvnode.config import TRACE_COUNT_MAX, TRACE_EVENTS_MAX, TRACES_KEPT_MAX
from kvnode.observe import Traces
from kvnode.operations import Put
from kvnode.sim.loop import run
from kvnode.sim.world import World


def test_oldest_event_is_forgotten_first() -> None:
    traces = Traces(lambda: 1.0)
    for number in range(TRACE_COUNT_MAX + 1):
        traces.note(1 + number // TRACE_EVENTS_MAX, str(number))
    assert [what for _, what, _ in traces.events(1)] == [str(number) for number in range(1, TRACE_EVENTS_MAX)]


def test_the_newest_stories_stay_for_who_asks_again_and_oldest_are_forgotten() -> None:
    traces = Traces(lambda: 1.0)
    for trace_id in range(1, TRACES_KEPT_MAX + 1):
        traces.note(trace_id, "happened")
    assert traces.events(1) == traces.events(1) == ((1.0, "happened", ""),)
    traces.note(2, "went on")
    traces.note(TRACES_KEPT_MAX + 1, "happened")
    assert traces.events(1) == ()
    assert traces.events(2) == ((1.0, "happened", ""), (1.0, "went on", ""))


def test_a_story_is_bounded_and_no_request_has_none() -> None:
    traces = Traces(lambda: 1.0)
    for _ in range(TRACE_EVENTS_MAX + 5):
        traces.note(7, "happened", "node-2")
    traces.note(0, "happened")
    assert len(traces.events(7)) == TRACE_EVENTS_MAX
    assert traces.events(0) == ()


def test_a_put_tells_its_whole_story_across_the_nodes() -> None:
    async def events() -> list[tuple[str, str, str]]:
        world = World(3)
        await world.start()
        answer = await world.ask("node-1", Put("key", b'"value"'))
        assert answer is not None
        await asyncio.sleep(1.0)  # virtual: the third replica may be late
        told = await world.node("node-2").inspection.trace(int(answer[1]["cause"], 16))
        times = [event[0] for _, event in told]
        assert times == sorted(times)
        return [(node, what, peer) for node, (_, what, peer) in told]

    told = run(events())
    assert told[0] == ("node-1", "coordinates a put", "")
    for peer in ("node-2", "node-3"):
        sent = told.index(("node-1", "sent the record to", peer))
        received = told.index((peer, "received the record from", "node-1"))
        stored = told.index((peer, "stored", ""))
        assert sent < received < stored
    stored_by_second = sorted(told.index((node, "stored", "")) for node in ("node-1", "node-2", "node-3"))[1]
    assert told.index(("node-1", "answered the client", "")) > stored_by_second
