"""Panels: widgets that turn clicks into commands and measurements into lights, tiles and charts."""

from labkit.panels.cockpit import Cockpit
from labkit.panels.post_tweet import PostTweet
from labkit.panels.replicas import ReplicaView

__all__ = ["Cockpit", "PostTweet", "ReplicaView"]
