"""Join, leave and removal while the cluster works: deciding the next ring, and handing partitions over.

paxos.py (pure: how one value is decided) <- acceptor.py (what was promised, on disk) <- proposer.py (asks the members)
<- changes.py (which change is decided when); dissemination.py (how everybody learns of the ring); bootstrap.py (a
pending owner fetches its partitions); cleanup.py (a former owner lets go of them).
"""
