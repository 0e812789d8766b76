"""Frames on a peer connection: four bytes of length (big-endian), then one msgpack message."""

from __future__ import annotations

from kvnode.config import FRAME_BYTES_MAX

_HEAD = 4


class FrameError(Exception):
    """What came is no frame; the connection is of no more use."""


def frame(payload: bytes) -> bytes:
    """One frame."""
    return len(payload).to_bytes(_HEAD, "big") + payload


class FrameReader:
    """Cuts a stream of bytes into payloads. Invariant: what is kept is shorter than one frame."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes; FrameError if a length is out of bounds."""
        if self._rest:
            data = self._rest + data
        payloads = []
        start, end = 0, len(data)
        while end - start >= _HEAD:
            length = int.from_bytes(data[start : start + _HEAD], "big")
            if not 0 < length <= FRAME_BYTES_MAX:
                raise FrameError(f"a frame of {length} bytes; expected 1 to {FRAME_BYTES_MAX}")
            if end - start - _HEAD < length:
                break
            payloads.append(data[start + _HEAD : start + _HEAD + length])
            start += _HEAD + length
        self._rest = data[start:]
        return payloads
