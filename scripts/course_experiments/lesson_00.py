"""Lesson 00: start here."""

from __future__ import annotations

import time

from course_experiments.experiment import Experiment, Found
from labkit import Session
from labkit.course import copies, ex00, scenes
from labkit.course.trials import WAITS, time_reads, write_with_two_dead

VICTIM = "node-2"
DEAD_FOR_S = 5.0
GAP_S_MAX = 5.0


def copies_are_merged(session: Session) -> Found:
    """A node that can ask nobody acknowledges, and is not overruled: no vote."""
    dots = [session.client.put("tweet/bench", "x", node=f"node-{number}")["dot"] for number in (1, 2)]
    scene = session.play(scenes.nobody_to_ask, tries=1)
    why = copies.why_equal(equal=True, dots=dots, alone=scene) if scene.conclusive else "–"
    return Found(scene.conclusive, why == copies.MERGE, f"{scene.status}; {why}")


def a_node_dies_and_nothing_is_lost(session: Session) -> Found:
    """Under 50 op/s: killed, away for some seconds, back; writes go on, the gap is short, nothing is lost."""
    session.traffic.reset()
    session.traffic.start()
    time.sleep(1.0)
    session.kill(VICTIM)
    session.wait_until(lambda: session.node(VICTIM).peers_say == "dead", what="the others to notice")
    while_dead = session.measure(seconds=DEAD_FOR_S)
    hints = session.traffic.stats()["convergence"]["hints_pending_total"]
    session.restart(VICTIM)
    session.wait_agreement(percent=99, in_a_row=3)
    ledger = session.check()
    writes = while_dead.counts["like"] + while_dead.counts["tweet"]
    good = ledger["status"] == "ok" and ledger["lost"] == 0 and writes > 0
    short = ledger["longest_gap_s"] < GAP_S_MAX
    told = (
        f"{ledger['acknowledged']} acknowledged, {ledger['lost']} lost, gap {ledger['longest_gap_s']:.2f} s"
    )
    return Found(hints > 0, good and short, f"{told}, {hints} hints, {writes} writes while dead")


def ten_of_a_thousand(session: Session) -> Found:
    """Exercise 00.1 on real reads."""
    waits = time_reads(session)
    status = ex00.judge_waits({"users": 10}, waits).status
    return Found(len(waits.took_ms) == WAITS, status == "right", f"{waits.longer} of {len(waits.took_ms)}")


def refused_for_certain(session: Session) -> Found:
    """Exercise 00.3: two nodes known to be dead, a write refused for certain, and not there later."""
    found = write_with_two_dead(session.cluster)
    status = ex00.judge_refused({"later": ex00.CERTAINLY_NOT}, found).status
    return Found(found.definite is True, status == "right", f"{found}")


EXPERIMENTS = (
    Experiment("00", "nobody to ask", copies.MERGE, 1.0, copies_are_merged),
    Experiment("00", "a node dies", "0 lost, writes go on", 14.0, a_node_dies_and_nothing_is_lost),
    Experiment("00", "waits above p99", "10 of 1 000", 2.0, ten_of_a_thousand),
    Experiment("00", "a write with two dead", "refused, and never there", 6.0, refused_for_certain),
)
