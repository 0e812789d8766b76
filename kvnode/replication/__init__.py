"""Replication: quorum reads and writes, read repair and hinted handoff.

coordinator.py (serves clients) asks whom replica_plan.py names; quorum.py counts, replica.py answers, hints.py keeps
what a replica missed, fallback.py stands in for an owner that cannot be reached.

Must not live here: what this node holds (records/), and how replicas come to agree unasked (anti_entropy/).
"""
