"""What a node tells about itself: samples of recent durations, and traces of single requests. Knows no component."""

from kvnode.observe.requests import RequestObserver
from kvnode.observe.samples import DurationStats, Samples
from kvnode.observe.traces import Event, Traces

__all__ = ["DurationStats", "Event", "RequestObserver", "Samples", "Traces"]
