"""Starts a cluster, the traffic service and JupyterLab, says what runs where, and waits for the end.

A cluster of that name that runs already is used and left running; so is its traffic service. Whatever was
started here ends here: at Ctrl-C, SIGTERM, a closed terminal, and also when this process is killed, because
each of them holds a pipe to it.
Must not live here: how these processes are kept (kvnode.cluster), and the command line (start.py).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvnode.cluster import ClusterError, LocalCluster, NotRunning
from kvnode.cluster.paths import OPENING_TIMEOUT_S, Paths, opening
from labkit.errors import LabError
from labkit.launch import CLUSTER_VARIABLE, TRAFFIC_PORT_VARIABLE
from labkit.launch.notebook_server import Address, NotebookServer
from labkit.launch.service import TrafficService
from labkit.launch.traffic_start import find_or_start_traffic

NOTEBOOK = Path(__file__).resolve().parents[2] / "00-start-here.ipynb"
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what runs where."""

    name: str
    address: str
    what: str
    log_file: Path


def run(options: argparse.Namespace, *, stop_signals: Sequence[signal.Signals]) -> int:
    """Run until KeyboardInterrupt, which the stop signals raise; the exit status, once everything has ended."""
    status = 0
    with contextlib.ExitStack() as running:
        try:
            run_until_something_ends(running, options)
        except KeyboardInterrupt:
            pass
        except LabError as error:
            tell(f"\n{error.what}")
            tell("".join(f"  {part}\n" for part in (error.why, error.do) if part), end="")
            status = 1
        except ClusterError as error:
            tell(f"\nThe cluster could not be started: {error}")
            status = 1
        finally:
            for number in stop_signals:  # a second Ctrl-C must not leave half of it behind
                signal.signal(number, signal.SIG_IGN)
        tell("\nStopping what was started here ...")
    tell("Stopped.")
    return status


def run_until_something_ends(running: contextlib.ExitStack, options: argparse.Namespace) -> None:
    """Start everything, say so, and wait until something ends; what must be stopped goes on `running`."""
    began = time.monotonic()
    waiting = "another start of this cluster is under way: waiting for it"
    with opening(
        Paths.of(options.cluster), timeout_s=OPENING_TIMEOUT_S, on_wait=lambda: tell(f"  {waiting}")
    ):
        check_port(options.port)
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
        time.sleep(POLL_S)
        if server is not None and (status := server.ended()) is not None:
            if status:
                raise LabError(f"JupyterLab ended with status {status}.", do=f"see {server.log_file}")
            tell("\nJupyterLab was shut down from its menu.")
            return
        try:
            cluster.status()
        except NotRunning:
            raise LabError(f"The cluster {cluster.name} was stopped from elsewhere.") from None
        except ClusterError:
            continue  # its supervisor is busy: ask again


def check_port(port: int) -> None:
    """Fail before anything is started if another program holds the traffic service's port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        is_taken = probe.connect_ex(("127.0.0.1", port)) == 0
    if is_taken and not TrafficService(f"http://127.0.0.1:{port}").is_answering():
        raise LabError(f"Port {port} is held by another program.", do=f"name another one: --port {port + 1}")


def start_server(running: contextlib.ExitStack, options: argparse.Namespace) -> NotebookServer:
    """Begin with JupyterLab: it takes longest, and nodes start beside it."""
    folder = Paths.of(options.cluster).folder / "jupyter"
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
                f"bash scripts/stop-cluster-local.sh --cluster {options.cluster}",
            )
    return cluster


def start_traffic(
    running: contextlib.ExitStack, cluster: LocalCluster, options: argparse.Namespace
) -> TrafficService:
    """The traffic service of this cluster: found, or started (then it is stopped at the end)."""

    @contextlib.contextmanager
    def starting() -> Iterator[None]:
        if not cluster.owned:
            running.callback(_stop_sidecar, cluster)
        with step("starting the traffic"):
            yield

    service, was_there = find_or_start_traffic(
        cluster, options.port, rate=options.rate, exact_port=True, starting=starting()
    )
    if was_there:
        tell("  the traffic service runs already: it is used, and left running at the end")
    return service


def _stop_sidecar(cluster: LocalCluster) -> None:
    with contextlib.suppress(ClusterError):
        cluster.stop_sidecar("traffic")


def show(
    cluster: LocalCluster,
    traffic: TrafficService,
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
    rows.append(Row("traffic", traffic.url, "traffic and status page", logs[0] if logs else Path("-")))
    if server is not None and address is not None:
        rows.append(Row("notebook", address.base_url.rstrip("/"), "JupyterLab", server.log_file))
    tell(f"\nUp in {seconds:.1f} s.\n")
    tell(table(rows))
    if address is not None:
        tell(f"\nThe notebook:  {address.url}")
    tell(f"{'' if address else chr(10)}Status page:   {traffic.page}")
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
