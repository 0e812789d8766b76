"""Replication: quorum writes and reads, read repair and hinted handoff.

routing.py takes a client's request to a node that may coordinate it. write.py and read.py are the algorithms, from the
plan (replica_plan.py) to the answer; quorum.py counts. values.py and counters.py say what a write makes of what is
held, under a dot of dots.py. replica.py answers peers, hints.py keeps what a replica missed, fallback.py stands in for
an owner that cannot be reached.

Must not live here: what this node holds (records/), and how replicas come to agree unasked (anti_entropy/).
"""
