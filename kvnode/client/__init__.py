"""The client for people, and the shapes of its answers: `from kvnode.client import Client`."""

from kvnode.client.client import Client

__all__ = ["Client"]
