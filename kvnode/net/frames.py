"""Frames on a peer connection: four bytes of length (big-endian), then one msgpack message."""

from __future__ import annotations

from collections.abc import Iterator

from kvnode.config import FRAME_BYTES_MAX

_HEAD = 4


class FrameError(Exception):
    """What came is no frame; the connection is of no more use."""


def frame(payload: bytes) -> bytes:
    """One frame."""
    return len(payload).to_bytes(_HEAD, "big") + payload


class FrameReader:
    """Cuts a stream of bytes into payloads. Invariant: what is kept is shorter than one frame.

    bytes_max: the longest payload that is taken; smaller for strangers. A frame that comes in many pieces is
    gathered and cut once, so that its cost is in proportion to its length.
    """

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.bytes_max = bytes_max
        self._rest = bytearray()
        self._need = _HEAD

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` completes, to be taken to the end; FrameError if a length is out of bounds."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return
            data = bytes(self._rest)
            self._rest.clear()
        start, end = 0, len(data)
        self._need = _HEAD
        while end - start >= _HEAD:
            length = int.from_bytes(data[start : start + _HEAD], "big")
            if not 0 < length <= self.bytes_max:
                raise FrameError(f"a frame of {length} bytes; expected 1 to {self.bytes_max}")
            if end - start - _HEAD < length:
                self._need = _HEAD + length
                break
            yield data[start + _HEAD : start + _HEAD + length]
            start += _HEAD + length
        if start < end:
            self._rest += data[start:]
