"""The token: fresh at each start, readable by this user alone, in no answer, and demanded where nodes are broken."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from traffic import cli
from traffic.service.access import Access, link, token_file


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("QUORUM_LAB_STATE", str(folder))
    return folder


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_this_user_can_read_it() -> None:
    access = Access.make(7342)
    path = token_file(7342)
    assert path.read_text() == f"{access.token}\n"
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)


def test_a_folder_that_others_could_read_is_made_private(state: Path) -> None:
    folder = state / "traffic-control"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    planted = folder / "7342.token"
    planted.write_text("known to everybody")
    planted.chmod(0o666)
    access = Access.make(7342)
    assert (mode_of(planted), mode_of(folder)) == (0o600, 0o700)
    assert planted.read_text() == f"{access.token}\n"


def test_a_folder_that_is_a_link_elsewhere_is_not_used(state: Path, tmp_path: Path) -> None:
    state.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (state / "traffic-control").symlink_to(tmp_path / "elsewhere")
    access = Access.make(7342)
    assert access.token is None
    assert "it belongs to somebody else" in access.why_not
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_costs_the_control_and_not_the_service(state: Path) -> None:
    state.mkdir()
    state.chmod(0o500)
    assert Access.make(7342).token is None


def test_each_start_makes_another_one_and_the_old_one_is_worth_nothing() -> None:
    first, second = Access.make(7342), Access.make(7342)
    assert first.token != second.token
    assert second.allows(f"Bearer {second.token}")
    assert not second.allows(f"Bearer {first.token}")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {}x", "Bearer x{}", "Bearer é"]
)
def test_what_is_not_the_token_is_refused(header: str | None) -> None:
    access = Access.make(7342)
    assert not access.allows(None if header is None else header.format(access.token))


def test_nobody_is_allowed_without_a_token() -> None:
    for header in (None, "", "Bearer", "Bearer ", "Bearer None"):
        assert not Access(None, why_not="none").allows(header)


def test_the_file_goes_at_the_end_but_not_that_of_a_later_service() -> None:
    first = Access.make(7342)
    second = Access.make(7342)
    first.close()
    assert token_file(7342).read_text() == f"{second.token}\n"
    second.close()
    assert not token_file(7342).exists()


def test_the_link_keeps_the_token_behind_the_hash(capsys: pytest.CaptureFixture[str]) -> None:
    assert link(7342) is None
    access = Access.make(7342)
    assert link(7342) == f"http://127.0.0.1:7342/#token={access.token}"
    assert cli.main(["page", "--port", "7342"]) == 0
    assert capsys.readouterr().out == f"{link(7342)}\n"
    assert cli.main(["page", "--port", "7343"]) == cli.BAD_ARGUMENTS
    assert "no service of this user runs on port 7343" in capsys.readouterr().err
