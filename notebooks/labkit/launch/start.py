"""python -m labkit.launch.start: the whole lab by one command, and its end by one Ctrl-C.

Lives here: the command line and the signals. What is started, and how it ends, is in launcher.py, which is
imported only once signals are handled: a Ctrl-C in the first half second must not meet a half-started Python.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys

# The same as labkit.launch.opening reads in a notebook; not imported from there, for that takes half a second.
CLUSTER_VARIABLE = "QUORUM_LAB_CLUSTER"
BASE_PORT_VARIABLE = "QUORUM_LAB_BASE_PORT"
TRAFFIC_PORT_VARIABLE = "QUORUM_LAB_TRAFFIC_PORT"
TRAFFIC_PORT = 7342
NODES_MAX = 9
RATE_MAX = 5000.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; 0 then, 1 if something could not be started or ended by itself."""
    options = read_arguments(argv)
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, signal.default_int_handler)  # each of them raises KeyboardInterrupt
    try:
        signal.pthread_sigmask(
            signal.SIG_UNBLOCK, STOP_SIGNALS
        )  # held back until here by scripts/environment.sh
        from labkit.launch import launcher

        return launcher.run(options, stop_signals=STOP_SIGNALS)
    except KeyboardInterrupt:
        print("\nInterrupted; nothing was started.")
        return 0


def read_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """All options; the environment variables of the notebooks are the defaults."""
    parser = argparse.ArgumentParser(
        prog="start_demo_ui.sh", description="A cluster, real traffic on it, and a live notebook."
    )
    environment = os.environ
    parser.add_argument("--nodes", type=_number(1, NODES_MAX), metavar="N", help="database nodes (3)")
    parser.add_argument(
        "--port",
        type=_number(1, 65_535),
        metavar="P",
        default=environment.get(TRAFFIC_PORT_VARIABLE) or TRAFFIC_PORT,
        help="port of the traffic service and its status page (7342)",
    )
    parser.add_argument(
        "--rate",
        type=_rate,
        metavar="R",
        default=50.0,
        help="operations/s at the start (50); 0 starts quietly",
    )
    parser.add_argument(
        "--cluster",
        "--name",
        metavar="NAME",
        default=environment.get(CLUSTER_VARIABLE) or "quorum-lab",
        help="the cluster's name (quorum-lab); one that runs already is used",
    )
    parser.add_argument(
        "--base-port",
        type=_number(1, 65_535),  # what is wrong with one of these, the cluster says
        metavar="P",
        default=environment.get(BASE_PORT_VARIABLE) or None,
        help="first node's port (9999)",
    )
    parser.add_argument(
        "--lab-port",
        type=_number(1, 65_535),
        metavar="P",
        default=8888,
        help="JupyterLab's port, or the next free (8888)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--no-lab", action="store_true", help="no JupyterLab: cluster, traffic and status page"
    )
    return parser


class _number:
    """An integer within bounds, for argparse."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = self._least - 1
        if not self._least <= value <= self._most:
            raise argparse.ArgumentTypeError(
                f"expected a number from {self._least} to {self._most}, got {text!r}"
            )
        return value


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= RATE_MAX:
        raise argparse.ArgumentTypeError(f"expected operations/s from 0 to {RATE_MAX:.0f}, got {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
