"""Frames: any cut of the stream gives the same payloads; anything else is a FrameError."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvnode.config import FRAME_BYTES_MAX
from kvnode.net.frames import FrameError, FrameReader, frame


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=12))
def test_payloads_come_out_whole_however_the_stream_was_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader, found = FrameReader(), list[bytes]()
    for start, end in itertools.pairwise(places):
        found.extend(reader.feed(stream[start:end]))
    assert found == payloads


@given(st.lists(st.binary(max_size=64), max_size=6))
def test_random_bytes_are_payloads_or_a_frame_error(chunks: list[bytes]) -> None:
    reader = FrameReader(bytes_max=16)
    with contextlib.suppress(FrameError):
        for chunk in chunks:
            assert all(0 < len(payload) <= 16 for payload in reader.feed(chunk))


@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_before_its_bytes_come(length: int) -> None:
    with pytest.raises(FrameError, match=f"a frame of {length} bytes; expected 1 to {FRAME_BYTES_MAX}"):
        list(FrameReader().feed(length.to_bytes(4, "big")))


def test_frames_before_a_bad_one_are_still_delivered() -> None:
    found = []
    with pytest.raises(FrameError):
        for payload in FrameReader().feed(frame(b"good") + b"\x00\x00\x00\x00"):
            found.append(payload)
    assert found == [b"good"]


def test_a_large_frame_that_trickles_in_costs_in_proportion_to_its_length() -> None:
    """1. Every piece of a half frame copied all that had come before.

    2. A stranger who sent 8 MB in small pieces stalled the node for seconds.
    """
    stream = frame(bytes(8 * 1024 * 1024))
    reader, started = FrameReader(), time.process_time()
    found = [len(p) for at in range(0, len(stream), 1024) for p in reader.feed(stream[at : at + 1024])]
    assert found == [8 * 1024 * 1024]
    assert time.process_time() - started < 0.5
