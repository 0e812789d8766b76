"""Where a cluster keeps its files, and that they are private."""

import os
import stat
from pathlib import Path

import pytest

from kvnode.cluster.errors import BadCommand, ClusterError
from kvnode.cluster.paths import SOCKET_PATH_BYTES_MAX, Paths, make_private, opening, state_root, try_lock


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
        Paths.of(name, tmp_path)


def test_the_socket_lies_beside_the_state_where_the_path_is_short_enough() -> None:
    assert Paths.of("lab", "/short").socket_path() == Path("/short/lab/control.sock")


def test_a_long_path_gets_a_short_socket_of_its_own(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30)
    one, other = Paths.of("one", deep).socket_path(), Paths.of("other", deep).socket_path()
    assert one != other
    assert one.parent.name == f"quorum-lab-{os.getuid()}"
    assert max(len(os.fsencode(path)) for path in (one, other)) <= SOCKET_PATH_BYTES_MAX


def test_a_made_folder_is_private(tmp_path: Path) -> None:
    make_private(tmp_path / "a/b")
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o770, 0o701])
def test_a_folder_that_is_open_to_others_is_closed(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state/lab"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    make_private(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_who_can_write_beside_a_folder_could_replace_it(tmp_path: Path) -> None:
    root = tmp_path / "state"
    root.mkdir()
    root.chmod(0o777)
    make_private(root / "lab")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    root.chmod(0o1777)  # sticky, as /tmp: what is ours stays ours
    make_private(root / "lab")
    assert stat.S_IMODE(root.stat().st_mode) == 0o1777
    root.chmod(0o755)
    make_private(root / "lab")
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    os.chown(tmp_path / "lab", 12_345, -1)
    with pytest.raises(ClusterError, match=r"lab belongs to another user; set QUORUM_LAB_STATE"):
        make_private(tmp_path / "lab")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    os.chown(tmp_path / "open", 12_345, -1)
    with pytest.raises(ClusterError, match=r"others can write to .*open, which belongs to another user"):
        make_private(tmp_path / "open/lab")


def test_a_folder_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ClusterError, match=r"no folder .*; set QUORUM_LAB_STATE"):
        make_private(tmp_path / "file/under")


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    paths = Paths.of("lab", tmp_path)
    make_private(paths.folder)
    first = try_lock(paths.lock_file)
    assert first is not None
    assert try_lock(paths.lock_file) is None
    os.close(first)
    second = try_lock(paths.lock_file)
    assert second is not None
    os.close(second)


def test_who_opens_second_waits_for_the_first_and_is_told_once(tmp_path: Path) -> None:
    paths, waited = Paths.of("lab", tmp_path), []
    with opening(paths, timeout_s=1):
        with (
            pytest.raises(ClusterError, match="another start of lab was not done within 0 s"),
            opening(paths, timeout_s=0.2, on_wait=lambda: waited.append(1)),
        ):
            pass
        assert waited == [1]
    with opening(paths, timeout_s=0.2, on_wait=lambda: waited.append(2)):
        pass
    assert waited == [1]
