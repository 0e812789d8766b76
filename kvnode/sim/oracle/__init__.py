"""The oracle: judges every answer of a run, and every row that becomes durable, against a model of its own.

    model.py      what a version is, and when one supersedes another: written anew from the paper, shares no code with
                  versions/, so that a fault there is not repeated here
    history.py    what every disk has ever made durable
    facts.py      what a later read must show: who held which version when an answer came
    writes.py     answers to PUT and DELETE        reads.py     answers to GET
    freshness.py  reads against earlier answers    refusals.py  refusals that say "definite"
    counters.py   all of that for counters         statuses.py  how a request may end at all
    messages.py   what nodes tell each other       letting_go.py  what nodes delete: hints, records, tombstones

Each check counts how often it has really judged, under "checked: ...", beside the faults of the run.

Must not live here: what the final reads say (client.py keeps the ledger), and whether replicas agree (agreement.py).
"""

from kvnode.sim.oracle.oracle import Oracle

__all__ = ["Oracle"]
