"""Replication: quorum reads and writes, and the three ways in which replicas come to agree again.

records.py (what this replica holds) <- replica.py (answers peers) <- coordinator.py (serves clients);
read repair is in coordinator.py, hinted handoff in hints.py, Merkle anti-entropy in merkle.py, exchange.py
(asks), responder.py and schedule.py (when).
Works of maintenance.py: reaper.py (tombstones that may go), scrub.py (rows that are not what was written).
"""
