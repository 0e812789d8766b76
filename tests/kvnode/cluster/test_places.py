import os
import stat
from pathlib import Path

import pytest

from kvnode.cluster.errors import BadCommand, ClusterError
from kvnode.cluster.places import SOCKET_PATH_BYTES_MAX, Places, make_private, state_root, try_lock


def test_the_state_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("QUORUM_LAB_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_root() == tmp_path / "home/.local/state/quorum-lab"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_root() == tmp_path / "xdg/quorum-lab"
    monkeypatch.setenv("QUORUM_LAB_STATE", str(tmp_path / "mine"))
    assert state_root() == tmp_path / "mine"
    assert state_root(tmp_path / "given") == tmp_path / "given"


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 65, "a b", "a\n"])
def test_a_name_that_is_no_plain_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadCommand, match="cluster name"):
        Places.of(name, tmp_path)


def test_the_socket_lies_beside_the_state_where_the_path_is_short_enough() -> None:
    assert Places.of("lab", "/short").socket_path() == Path("/short/lab/control.sock")


def test_a_long_path_gets_a_short_socket_of_its_own(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30)
    one, other = Places.of("one", deep).socket_path(), Places.of("other", deep).socket_path()
    assert one != other
    assert one.parent.name == f"quorum-lab-{os.getuid()}"
    assert max(len(os.fsencode(path)) for path in (one, other)) <= SOCKET_PATH_BYTES_MAX


def test_a_made_folder_is_private(tmp_path: Path) -> None:
    make_private(tmp_path / "a/b")
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClusterError, match=r"no folder .*; set QUORUM_LAB_STATE"):
        make_private(tmp_path / "file/under")


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    places = Places.of("lab", tmp_path)
    make_private(places.folder)
    first = try_lock(places)
    assert first is not None
    assert try_lock(places) is None
    os.close(first)
    second = try_lock(places)
    assert second is not None
    os.close(second)
