"""The command line: arguments in, exit status out.

Here: parsing, choosing an event loop, one-line errors.
Must not live here: the service (service/), the arguments of runs (runs/commandline.py) and the runs themselves
(runs/run.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from traffic.discovery import Address, NoCluster, await_start, from_cluster, from_urls, token_of
from traffic.fleet.coordinator import PROCESSES_MAX
from traffic.load.arrivals import PATTERNS
from traffic.load.driver import Settings
from traffic.load.rates import checked_rate
from traffic.process import loop_factory, open_standard_streams
from traffic.runs import commandline
from traffic.runs.recording import BadRecording
from traffic.runs.run import CannotRun
from traffic.service.access import link
from traffic.service.serve import CannotServe, Service, serve
from traffic.stores.kvnode import TOKEN

NODES_DEFAULT = "http://127.0.0.1:9999,http://127.0.0.1:10000,http://127.0.0.1:10001"
BAD_ARGUMENTS = 2
WAIT_S_MAX = 600.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 good, 1 a verdict is violated (run, replay) or the generator broke, 2 bad arguments or a
    verdict that is unknown, 3 port busy."""
    open_standard_streams()
    options = _parser().parse_args(arguments)
    try:
        if options.command == "report":
            return commandline.report_of(options)
        if options.command == "page":
            return _page(options.port)
        if options.command == "serve" and options.cluster and options.wait_s:
            await_start(options.cluster, options.wait_s)
        token = options.token or os.environ.get(TOKEN) or (options.cluster and token_of(options.cluster))
        if token:
            os.environ[TOKEN] = token  # the one place where the store looks
        addresses = _addresses(options)
        settings = _settings(options)
    except (NoCluster, ValueError, CannotRun, BadRecording) as error:
        return _complain(error, BAD_ARGUMENTS)
    work: Coroutine[Any, Any, int]
    if options.command == "serve":
        service = Service(
            options.port, not options.no_start, options.exit_with_stdin, options.seed, options.processes
        )
        work = serve(addresses, settings, service)
    elif options.command == "run":
        work = commandline.run_of(options, addresses, settings)
    else:
        work = commandline.replay_of(options, addresses)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work)
    except CannotServe as error:
        return _complain(error, error.exit_status)
    except (NoCluster, CannotRun, BadRecording) as error:
        return _complain(error, BAD_ARGUMENTS)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m traffic", description="Real traffic for a real cluster.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve_command = commands.add_parser("serve", help="the traffic service and its status page")
    serve_command.add_argument("--port", type=_port, default=7342, help="default 7342")
    serve_command.add_argument("--no-start", action="store_true", help="wait for somebody to press start")
    serve_command.add_argument(
        "--exit-with-stdin", action="store_true", help="end when standard input ends (the parent is gone)"
    )
    serve_command.add_argument(
        "--processes",
        type=_processes,
        default=1,
        metavar="K",
        help="generators in so many processes of their own, when one is not enough (default 1: in the service's)",
    )
    serve_command.add_argument(
        "--wait-s",
        type=_seconds,
        default=0.0,
        metavar="S",
        help="with --cluster: wait so long for a cluster that is just starting (default 0)",
    )
    run_command = commands.add_parser("run", help="one run without the service")
    commandline.add_run(run_command)
    replay_command = commands.add_parser("replay", help="play a recorded run again")
    commandline.add_replay(replay_command)
    commandline.add_report(
        commands.add_parser("report", help="a report of a recorded run, without a cluster")
    )
    page_command = commands.add_parser("page", help="the link to the status page that may break nodes, too")
    page_command.add_argument("--port", type=_port, default=7342, help="of the running service, default 7342")
    for command in (serve_command, run_command, replay_command):
        where = command.add_mutually_exclusive_group()
        where.add_argument("--nodes", metavar="URL,URL,…", help=f"default {NODES_DEFAULT}")
        where.add_argument("--cluster", metavar="NAME", help="the nodes of this local cluster")
        command.add_argument(
            "--token",
            help="what the nodes demand of clients; better in $QUORUM_LAB_TOKEN, which nobody else sees",
        )
    serve_command.add_argument("--rate", type=float, default=50.0, help="operations/s, default 50")
    run_command.add_argument("--rate", metavar="RATE", help=commandline.RATE_HELP)
    for command in (serve_command, run_command):
        command.add_argument("--pattern", choices=PATTERNS, default="poisson")
        command.add_argument("--r", type=int, default=2, help="read quorum, default 2")
        command.add_argument("--w", type=int, default=2, help="write quorum, default 2")
        command.add_argument("--seed", type=int, help="play the same traffic again")
    return parser


def _page(port: int) -> int:
    if (control := link(port)) is None:
        reason = f"no service of this user runs on port {port}; python -m traffic serve starts one"
        return _complain(NoCluster(reason), BAD_ARGUMENTS)
    print(control)
    return 0


def _addresses(options: argparse.Namespace) -> list[Address]:
    if options.cluster is not None:
        return from_cluster(options.cluster)
    return from_urls(options.nodes if options.nodes is not None else NODES_DEFAULT)


def _settings(options: argparse.Namespace) -> Settings:
    if options.command == "replay":
        return Settings()
    for name in ("r", "w"):
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")
    rate = checked_rate(options.rate) if options.command == "serve" else Settings().rate
    return Settings(rate=rate, pattern=options.pattern, r=options.r, w=options.w)


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port between 1 and 65535, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= WAIT_S_MAX:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {WAIT_S_MAX:g}, got {text!r}")
    return seconds


def _processes(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= PROCESSES_MAX:
        raise argparse.ArgumentTypeError(f"expected a number between 1 and {PROCESSES_MAX}, got {text!r}")
    return int(text)


def _complain(error: Exception, status: int) -> int:
    print(f"traffic: {error}", file=sys.stderr)
    return status
