"""Runs without the service: their course, recordings, replays and reports."""
