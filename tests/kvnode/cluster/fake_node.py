"""A stand-in for a node: it holds its two ports, says that it is ready, and keeps the rules it is told.

So that the supervisor's tests do not depend on the database. It takes a node's arguments and uses a node's exit codes.
A file `fail` in the data directory makes it end with exit code 4.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Server(ThreadingHTTPServer):
    """One fake node's HTTP side."""

    daemon_threads = True
    rules: dict[str, Any]


class Handler(BaseHTTPRequestHandler):
    """POST /faults stores the rules, GET /faults shows them, GET /info shows the process id."""

    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.rules = json.loads(self.rfile.read(length))["rules"]
        self._answer({"rules": self.server.rules})

    def do_GET(self) -> None:
        self._answer({"rules": self.server.rules, "pid": os.getpid()})

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cluster-file", type=Path)
    parser.add_argument("--name")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--exit-with-stdin", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    options.data_dir.mkdir(exist_ok=True)
    (options.data_dir / "data").write_text(options.name)
    if (options.data_dir / "fail").exists():
        print("the data directory is unusable: a file says so", file=sys.stderr)
        sys.exit(4)
    nodes = json.loads(options.cluster_file.read_text())["nodes"]
    mine = next(node for node in nodes if node["name"] == options.name)
    try:
        peer = socket.create_server((mine["host"], mine["peer_port"]))
        server = Server((mine["host"], mine["http_port"]), Handler)
    except OSError:
        print(f"port {mine['http_port']} or {mine['peer_port']} is in use", file=sys.stderr)
        sys.exit(3)
    server.rules = {}
    if options.exit_with_stdin:
        threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
    http, peers = f"{mine['host']}:{mine['http_port']}", f"{mine['host']}:{mine['peer_port']}"
    print(f"ready {options.name} http={http} peer={peers}", flush=True)
    with peer:
        server.serve_forever()


if __name__ == "__main__":
    main()
