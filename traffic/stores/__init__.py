"""Databases that take the traffic: one protocol and its adapters. Only kvnode.py knows kvnode's HTTP API."""
