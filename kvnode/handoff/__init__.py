"""Join, leave and removal while the cluster works: deciding the next ring, and handing partitions over.

paxos.py (pure: how one value is decided) <- voting.py (the same among members, durably) <- changes.py (which change is
decided when); dissemination.py (how everybody learns of the ring); bootstrap.py (a pending owner fetches its
partitions); cleanup.py (a former owner lets go of them).
"""
