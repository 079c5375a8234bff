"""Files written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.dataset import (
    read_dataset,
)
from mora.errors import MoraError
from mora.files import write_files
from tests.dataset.making import make_frame, write


def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "wall").write_text("a file where a folder is needed")
    with pytest.raises(MoraError, match=r"Cannot write .*(Not a directory|File exists)"):
        write_files([(tmp_path / "a/one", "1"), (tmp_path / "wall/two", "2")])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["wall"]


def test_a_temporary_file_that_a_crash_left_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "frontend"
    folder.mkdir()
    (folder / ".frontend_browsing_replicas_2_users_40.csv.tmp").write_text("torn")
    path = write(tmp_path, make_frame())
    assert sorted(p.name for p in folder.iterdir()) == [path.name, f"{path.stem}.json"]
    assert len(read_dataset("frontend", tmp_path)) == 20


def test_a_full_disk_is_an_error_and_leaves_nothing_half_written(tiny_disk: Path) -> None:
    kept = write(tiny_disk, make_frame(rows=20))
    frame = make_frame("frontend_browsing_replicas_2_users_40_run_2", rows=2000)
    with pytest.raises(MoraError, match=r"Cannot write .*run_2\.csv: No space left on device\.\nFree some space"):
        write(tiny_disk, frame)
    assert sorted(p.name for p in kept.parent.iterdir()) == [kept.name, f"{kept.stem}.json"]
    assert len(read_dataset("frontend", tiny_disk)) == 20


def test_a_full_device_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / ".full.tmp").symlink_to("/dev/full")
    with pytest.raises(MoraError, match=r"full: No space left on device"):
        write_files([(tmp_path / "full", "x")])
    assert list(tmp_path.iterdir()) == []
