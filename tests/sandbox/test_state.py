"""The folders of running sandboxes: private, locked while one runs, and found by name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mora.errors import BadInput, ClusterError
from mora.sandbox.state import (
    is_locked,
    list_sandboxes,
    read_state,
    remove_lock,
    sandbox_folder,
    sandbox_home,
    take_lock,
    write_private,
    write_state,
)


def test_the_home_is_private_and_in_the_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MORA_SANDBOX_HOME", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert sandbox_home() == tmp_path / "mora"
    assert stat.S_IMODE(sandbox_home().stat().st_mode) == 0o700


def test_without_a_runtime_folder_the_home_is_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MORA_SANDBOX_HOME", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert sandbox_home() == tmp_path / f"mora-{os.getuid()}"


def test_a_home_that_is_a_link_to_another_folder_is_refused(home: Path) -> None:
    home.symlink_to(home.parent)
    with pytest.raises(ClusterError, match=r"does not|belongs to this user(.|\n)*MORA_SANDBOX_HOME"):
        sandbox_home()


@pytest.mark.parametrize("name", ["", "..", "a/b", "UPPER"])
def test_a_name_that_is_no_dns_label_is_refused(home: Path, name: str) -> None:
    with pytest.raises(BadInput, match="sandbox name"):
        sandbox_folder(name)


def test_a_lock_is_taken_once_until_it_is_released(home: Path) -> None:
    folder = sandbox_folder("one")
    lock = take_lock(folder)
    assert lock is not None
    assert take_lock(folder) is None
    assert is_locked(folder)
    os.close(lock)
    assert not is_locked(folder)
    assert list(home.iterdir()) == []


def test_a_lock_on_a_removed_file_is_taken_anew(home: Path) -> None:
    folder = sandbox_folder("one")
    lock = take_lock(folder)
    assert lock is not None
    remove_lock(folder)
    second = take_lock(folder)
    assert second is not None
    os.close(lock)
    os.close(second)


def test_only_sandboxes_that_are_locked_are_listed(home: Path) -> None:
    for name in ("blue", "green"):
        sandbox_folder(name).mkdir()
        write_state(sandbox_folder(name), {"name": name})
    lock = take_lock(sandbox_folder("green"))
    assert lock is not None
    assert list_sandboxes() == ["green"]
    os.close(lock)


def test_the_state_is_private_and_read_back(home: Path) -> None:
    folder = sandbox_folder("one")
    folder.mkdir()
    assert read_state(folder) is None
    write_state(folder, {"token": "secret"})
    assert read_state(folder) == {"token": "secret"}
    assert stat.S_IMODE((folder / "state.json").stat().st_mode) == 0o600


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    write_private(path, "first")
    with path.open() as before:
        write_private(path, "second")
        assert before.read() == "first"
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]
