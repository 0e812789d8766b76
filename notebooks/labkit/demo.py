"""python -m labkit.demo: the whole lab by one command, and its end by one Ctrl-C.

Starts a cluster, the traffic service and JupyterLab on the first notebook, says what runs where, and waits.
A cluster of that name that runs already is used and left running; so is its traffic service. Whatever was
started here ends here: at Ctrl-C, SIGTERM, a closed terminal, and also when this process is killed, because
each of them holds a pipe to it. Must not live here: how these processes are kept (kvnode.cluster).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from kvnode.cluster import ClusterError, LocalCluster, NotRunning
from kvnode.cluster.places import Places
from labkit.errors import LabError
from labkit.notebook_server import Address, NotebookServer
from labkit.opening import BASE_PORT_VARIABLE, CLUSTER_VARIABLE, TRAFFIC_PORT, TRAFFIC_PORT_VARIABLE
from labkit.service import TrafficService

NOTEBOOK = Path(__file__).resolve().parents[1] / "00-start-here.ipynb"
NODES_MAX = 9
RATE_MAX = 5000.0
WATCH_S = 0.5
TRAFFIC_READY_TIMEOUT_S = 30.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(BaseException):
    """Somebody asked for the end, by a signal."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what runs where."""

    name: str
    address: str
    what: str
    log_file: Path


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; 0 then, 1 if something could not be started or ended by itself."""
    options = read_arguments(argv)
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, _raise_stop)
    with contextlib.ExitStack() as running:
        try:
            watch(running, options)
            status = 0
        except Stop:
            status = 0
        except LabError as error:
            tell(f"\n{error.what}")
            tell("".join(f"  {part}\n" for part in (error.why, error.do) if part), end="")
            status = 1
        except ClusterError as error:
            tell(f"\nThe cluster could not be started: {error}")
            status = 1
        finally:
            for number in STOP_SIGNALS:  # a second Ctrl-C must not leave half of it behind
                signal.signal(number, signal.SIG_IGN)
        tell("\nStopping what was started here ...")
    tell("Stopped.")
    return status


def watch(running: contextlib.ExitStack, options: argparse.Namespace) -> None:
    """Start everything, say so, and wait until something ends; what must be stopped goes on `running`."""
    began = time.monotonic()
    server = None if options.no_lab else start_server(running, options)
    cluster = start_cluster(running, options)
    traffic = start_traffic(running, cluster, options)
    address = None
    if server is not None:
        with step("waiting for JupyterLab"):
            address = server.wait_ready()
    show(cluster, traffic, server, address, seconds=time.monotonic() - began)
    if address is not None and not options.no_browser:
        open_browser(address.url)
    while True:
        time.sleep(WATCH_S)
        if server is not None and (status := server.ended()) is not None:
            if status:
                raise LabError(f"JupyterLab ended with status {status}.", do=f"see {server.log_file}")
            tell("\nJupyterLab was shut down from its menu.")
            return
        try:
            cluster.status()
        except NotRunning:
            raise LabError(f"The cluster {cluster.name} was stopped from elsewhere.") from None


def start_server(running: contextlib.ExitStack, options: argparse.Namespace) -> NotebookServer:
    """Begin with JupyterLab: it takes longest, and nodes start beside it."""
    folder = Places.of(options.cluster).folder / "jupyter"
    environment = {CLUSTER_VARIABLE: options.cluster, TRAFFIC_PORT_VARIABLE: str(options.port)}
    server = NotebookServer(NOTEBOOK, port=options.lab_port, folder=folder, environment=environment)
    running.callback(server.stop)
    return server


def start_cluster(running: contextlib.ExitStack, options: argparse.Namespace) -> LocalCluster:
    """The cluster of that name: found, or started (then it is stopped at the end)."""
    with step(f"starting the cluster {options.cluster}"):
        cluster = LocalCluster.attach_or_start(options.cluster, options.nodes, base_port=options.base_port)
        if cluster.owned:
            running.callback(cluster.stop)
    if not cluster.owned:
        tell(f"  the cluster {options.cluster} runs already: it is used, and left running at the end")
        if options.nodes not in (None, len(cluster.nodes)):
            raise LabError(
                f"The running cluster {options.cluster} has {len(cluster.nodes)} nodes, not {options.nodes}.",
                do="leave out --nodes, name another cluster with --cluster, or stop it: "
                f"bash scripts/stop-cluster-local.sh --name {options.cluster}",
            )
    return cluster


def start_traffic(running: contextlib.ExitStack, cluster: LocalCluster, options: argparse.Namespace) -> str:
    """The URL of the traffic service of this cluster: found, or started as its sidecar."""
    url = f"http://127.0.0.1:{options.port}"
    for sidecar in cluster.sidecars:
        if sidecar.name == "traffic" and sidecar.state == "running" and sidecar.ready_line:
            tell("  the traffic service runs already: it is used, and left running at the end")
            return sidecar.ready_line.split()[-1]
    service = TrafficService(url)
    if service.is_answering():
        driven = {str(node.get("url", "")).rstrip("/") for node in service.stats().get("nodes", {}).values()}
        if driven == {node.rstrip("/") for node in cluster.urls}:
            tell("  the traffic service runs already: it is used, and left running at the end")
            return url
        raise LabError(
            f"Port {options.port} is held by the traffic service of another cluster.",
            do=f"name another port: --port {options.port + 1}",
        )
    command = [sys.executable, "-P", "-m", "traffic", "serve", "--port", str(options.port)]
    command += ["--cluster", cluster.name, "--rate", f"{options.rate:g}"]
    with step("starting the traffic"):
        if not cluster.owned:
            running.callback(_stop_sidecar, cluster)
        try:
            sidecar = cluster.start_sidecar(
                "traffic", command, ready_prefix="ready traffic", timeout_s=TRAFFIC_READY_TIMEOUT_S
            )
        except ClusterError as error:
            raise LabError(
                "The traffic service could not be started.",
                why=str(error),
                do=f"if port {options.port} is taken, name another one: --port {options.port + 1}",
            ) from error
    return sidecar.ready_line.split()[-1]


def _stop_sidecar(cluster: LocalCluster) -> None:
    with contextlib.suppress(ClusterError):
        cluster.stop_sidecar("traffic")


def show(
    cluster: LocalCluster,
    traffic: str,
    server: NotebookServer | None,
    address: Address | None,
    *,
    seconds: float,
) -> None:
    """The table, and what to do next."""
    rows = [
        Row(node.name, node.url, f"database node ({node.state})", node.log_file) for node in cluster.nodes
    ]
    logs = [sidecar.log_file for sidecar in cluster.sidecars if sidecar.name == "traffic"]
    rows.append(Row("traffic", traffic, "traffic and status page", logs[0] if logs else Path("-")))
    if server is not None and address is not None:
        rows.append(Row("notebook", address.base_url.rstrip("/"), "JupyterLab", server.log_file))
    tell(f"\nUp in {seconds:.1f} s.\n")
    tell(table(rows))
    if address is not None:
        tell(f"\nThe notebook:  {address.url}")
    tell(f"{'' if address else chr(10)}Status page:   {traffic}")
    tell("\nCtrl-C stops everything that was started here.")


def table(rows: list[Row]) -> str:
    """What runs where, in columns."""
    cells = [("name", "address", "what it is", "log")]
    cells += [(row.name, row.address, row.what, _short(row.log_file)) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[3]])
        for line in cells
    )


def _short(path: Path) -> str:
    home = str(Path.home())
    text = str(path)
    return f"~{text[len(home) :]}" if text.startswith(f"{home}/") else text


def open_browser(url: str) -> None:
    """Open it where there is a screen; on a machine without one the URL is on the terminal."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


@contextlib.contextmanager
def step(doing: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    began = time.monotonic()
    tell(f"  {doing} ... ", end="")
    try:
        yield
    except BaseException:
        tell("")
        raise
    tell(f"done ({time.monotonic() - began:.1f} s)")


def tell(text: str, *, end: str = "\n") -> None:
    """Print, also when the terminal is gone."""
    with contextlib.suppress(OSError, ValueError):
        print(text, end=end, flush=True)


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


def read_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line; the environment variables of the notebooks are the defaults."""
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
        metavar="NAME",
        default=environment.get(CLUSTER_VARIABLE) or "quorum-lab",
        help="the cluster's name (quorum-lab); one that runs already is used",
    )
    parser.add_argument(
        "--base-port",
        type=_number(1024, 55_000),
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
    return parser.parse_args(argv)


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
