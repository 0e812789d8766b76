"""python -m labkit.launch.start: the whole lab by one command, and its end by one Ctrl-C.

Lives here: the command line and the signals. What is started, and how it ends, is in launcher.py, which is
imported only once signals are handled: a Ctrl-C in the first half second must not meet a half-started Python.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable

from labkit.launch import BASE_PORT_VARIABLE, CLUSTER_VARIABLE, TRAFFIC_PORT, TRAFFIC_PORT_VARIABLE

NODES_MAX = 9
RATE_MAX = 5000
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; 0 then, 1 if something could not be started or ended by itself."""
    options = parser().parse_args(argv)
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, signal.default_int_handler)  # each of them raises KeyboardInterrupt
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # held back by scripts/environment.sh
        from labkit.launch import launcher

        return launcher.run(options, stop_signals=STOP_SIGNALS)
    except KeyboardInterrupt:
        print("\nInterrupted; nothing was started.")
        return 0


def parser() -> argparse.ArgumentParser:
    """All options; the environment variables of the notebooks are the defaults."""
    parser = argparse.ArgumentParser(
        prog="start_demo_ui.sh", description="A cluster, real traffic on it, and a live notebook."
    )
    environment = os.environ
    parser.add_argument("--nodes", type=_within(int, 1, NODES_MAX), metavar="N", help="database nodes (3)")
    parser.add_argument(
        "--port",
        type=_within(int, 1, 65_535),
        metavar="P",
        default=environment.get(TRAFFIC_PORT_VARIABLE) or TRAFFIC_PORT,
        help="port of the traffic service and its status page (7342)",
    )
    parser.add_argument(
        "--rate",
        type=_within(float, 0, RATE_MAX, what="operations/s"),
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
        type=_within(int, 1, 65_535),  # what is wrong with one of these, the cluster says
        metavar="P",
        default=environment.get(BASE_PORT_VARIABLE) or None,
        help="first node's port (9999)",
    )
    parser.add_argument(
        "--lab-port",
        type=_within(int, 1, 65_535),
        metavar="P",
        default=8888,
        help="JupyterLab's port, or the next free (8888)",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--no-lab", action="store_true", help="no JupyterLab: cluster, traffic and status page"
    )
    return parser


def _within(
    kind: type[int] | type[float], least: int, most: int, *, what: str = "a number"
) -> Callable[[str], float]:
    """What reads an argument of this kind within bounds, for argparse."""

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            if least <= (value := kind(text)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"expected {what} from {least} to {most}, got {text!r}")

    return read


if __name__ == "__main__":
    sys.exit(main())
