"""What a node tells about itself: samples of recent durations, and counts. Knows no room."""

from kvnode.observe.samples import Samples

__all__ = ["Samples"]
