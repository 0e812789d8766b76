"""Convergence: once faults have stopped and some time has passed, do all replicas hold the same?

As Maelstrom ends a run (its documentation, "Workloads": final reads after the nemesis has stopped and the network has
had time to settle): faults stop, wait, then read every replica of every key by itself. Those reads are judged here.

Must not live here: stopping faults, waiting and reading (whoever runs the cluster).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kvnode.checkers.verdict import Verdict

CLAIM = "all replicas agreed in the end"
UNREACHABLE: Final = "unreachable"
"""In place of a digest: the replica did not answer."""

Digests = Mapping[str, str | None]
"""Of one key: replica -> digest of what it holds, None for nothing, or UNREACHABLE."""


def agree(digests: Digests) -> bool:
    """Whether every replica answered, and with the same."""
    return UNREACHABLE not in digests.values() and len(set(digests.values())) == 1


def known_to_differ(digests: Digests | None) -> bool:
    """Whether two replicas that answered hold different things."""
    return digests is not None and len(set(digests.values()) - {UNREACHABLE}) > 1


def check_convergence(
    final: Mapping[str, Digests | None], *, waited_s: float, bound_s: float | None = None
) -> Verdict:
    """Judge the last look at every key (None: it could not be looked at).

    waited_s: how long after the end of faults and writes it was taken. bound_s: how long convergence may take; None:
    nobody waited to the end, so replicas that differ may still come to agree.
    """
    differing = {key: seen for key, seen in final.items() if seen and known_to_differ(seen)}
    unread = [key for key, seen in final.items() if not seen or UNREACHABLE in seen.values()]
    facts: dict[str, float] = {
        "keys": len(final),
        "differing": len(differing),
        "waited_s": round(waited_s, 3),
    }
    evidence = [f"{key!r}: {_described(seen)}" for key, seen in sorted(differing.items())]
    if differing and bound_s is not None and waited_s >= bound_s:
        return Verdict.broken(CLAIM, evidence, facts)
    if differing:
        why = f"only {waited_s:.1f} s" + (
            " were waited" if bound_s is None else f" of {bound_s:.1f} s had passed"
        )
        return Verdict.not_known(CLAIM, [why, *evidence], facts)
    if unread:
        return Verdict.not_known(
            CLAIM, [f"{key!r}: not every replica answered" for key in sorted(unread)], facts
        )
    if not final:
        return Verdict.not_known(CLAIM, "there was no key to look at", facts)
    return Verdict.holds(CLAIM, facts)


def _described(digests: Digests) -> str:
    return ", ".join(f"{replica} {digest or 'nothing'}" for replica, digest in sorted(digests.items()))
