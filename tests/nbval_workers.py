"""A pytest plugin for notebooks that are tested two at a time: each worker's kernels find a cluster of their own.

Kernels inherit the worker's environment. Without it the second notebook would attach to the cluster that the first has
started, and reset it in the middle of a lesson.
Must not live here: what a notebook must show (its own cells).
"""

from __future__ import annotations

import os

import pytest

PORTS_APART = 40


def pytest_configure(config: pytest.Config) -> None:
    """Name the cluster of this worker, and its ports, before any kernel starts."""
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    number = int(worker.removeprefix("gw") or 0)
    os.environ["QUORUM_LAB_CLUSTER"] = f"notebooks-{worker or 'alone'}"
    os.environ["QUORUM_LAB_BASE_PORT"] = str(9_999 + PORTS_APART * number)
    os.environ["QUORUM_LAB_TRAFFIC_PORT"] = str(7_342 + PORTS_APART * number)
