"""The real world: peer sockets, frames, link faults and the HTTP API, plugged into runtime.py."""
