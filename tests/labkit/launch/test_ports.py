"""A busy port means the next free one, and the end of the ports is said."""

from __future__ import annotations

import socket

import pytest

from labkit.errors import LabError
from labkit.launch import ports


def test_a_busy_port_means_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ports.free_port(port, purpose="a test") > port


def test_without_a_free_port_it_says_for_what_and_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(LabError, match=r"JupyterLab between 8888 and 8937\. Name another one"):
        ports.free_port(8888, purpose="JupyterLab", do="Name another one")
