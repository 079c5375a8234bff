"""Files written whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mora.dataset import (
    read_dataset,
)
from mora.errors import BadInput, MoraError
from mora.files import (
    folder_lock,
    locked_folder,
    made_folder,
    open_lock,
    own_temporary_folder,
    read_regular,
    scratch_folder,
    sweep_folders,
    write_files,
)
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


def test_a_full_device_is_an_error_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MoraError, match=r"full: No space left on device"):
        write_files([(tmp_path / "full", "x")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("planted", [".new.tmp", ".new.0123456789ab.tmp", "new"])
def test_a_planted_link_never_changes_what_it_points_at(planted: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / planted).symlink_to(victim)
    write_files([(folder / "new", "text")])
    assert victim.read_text() == "mine"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"new": "text"}
    assert not (folder / "new").is_symlink()


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    (tmp_path / ".new.0123456789ab.tmp").write_text("torn")
    (tmp_path / ".new.aaaaaaaaaaaa.tmp").write_text("of a living one")
    with (tmp_path / ".new.aaaaaaaaaaaa.tmp").open() as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        write_files([(tmp_path / "new", "text")])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new.aaaaaaaaaaaa.tmp", "new"]


def test_files_are_as_readable_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_files([(tmp_path / "new", "text")])
    finally:
        os.umask(before)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_name_as_long_as_file_systems_take_can_be_written(tmp_path: Path) -> None:
    write_files([(tmp_path / ("n" * 255), "text"), (tmp_path / ("\u00e9" * 127), "text")])
    assert {path.name for path in tmp_path.iterdir()} == {"n" * 255, "\u00e9" * 127}


_WRITER = """
import sys
import tempfile
from pathlib import Path
from mora.files import write_files
for number in range(150):
    write_files([(Path(sys.argv[1]) / name, sys.argv[2] * 200_000) for name in ("one", "two")])
"""


def test_two_writers_of_a_file_never_tear_a_read(tmp_path: Path) -> None:
    write_files([(tmp_path / name, "a" * 200_000) for name in ("one", "two")])
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), letter]) for letter in "ab"]
    reads = torn = 0
    while any(writer.poll() is None for writer in writers):
        for name in ("one", "two"):
            text = (tmp_path / name).read_text()
            reads += 1
            torn += len(text) != 200_000 or len(set(text)) != 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert reads > 10
    assert torn == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_lock_is_opened_only_as_a_file_of_its_own(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    for name in ("fifo", "link", "dangling", "elsewhere", "folder/lock"):
        with pytest.raises(MoraError, match="a link or a device"):
            open_lock(tmp_path / name)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    os.close(open_lock(tmp_path / "new/lock"))


def test_a_folder_that_another_process_writes_is_refused_after_the_wait(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "out"):
        with (
            pytest.raises(MoraError, match=r"Another process is writing to .*out\."),
            folder_lock(tmp_path / "out", wait_seconds=0),
        ):
            pytest.fail("locked twice")
        assert list((tmp_path / "out").iterdir()) == []
    with folder_lock(tmp_path / "out", wait_seconds=0):
        pass


def test_what_may_never_end_or_never_begin_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "file").write_bytes(b"1234")
    (tmp_path / "link").symlink_to("file")
    for name in ("pipe", "zero", "."):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(tmp_path / name, 10)
    with pytest.raises(OSError, match="larger than the 0 MiB"):
        read_regular(tmp_path / "file", 3)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent", 3)
    assert read_regular(tmp_path / "file", 4) == b"1234"
    assert read_regular(tmp_path / "link", 4) == b"1234"
    with pytest.raises(OSError, match="it is a link"):
        read_regular(tmp_path / "link", 4, follows_links=False)


def test_folders_that_killed_runs_left_are_swept_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    left = tmp_path / "mora-run-left"
    left.mkdir()
    (left / "file").write_text("left")
    (tmp_path / "mora-run-link").symlink_to(left)
    living, descriptor = locked_folder(tmp_path, "mora-run-")
    (tmp_path / "other").mkdir()
    sweep_folders(tmp_path, "mora-run-*")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["mora-run-link", living.name, "other"])
    os.close(descriptor)
    sweep_folders(tmp_path, "mora-run-*")
    assert not living.exists()


def test_a_run_has_a_temporary_folder_of_its_own_and_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("TMPDIR", raising=False)
    with own_temporary_folder("run") as folder:
        assert folder.parent == tmp_path
        assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(folder)
        Path(tempfile.mkdtemp()).joinpath("file").write_text("x")
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() == str(tmp_path)
    assert "TMPDIR" not in os.environ
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(MoraError, match=r"temporary folder cannot be created(.|\n)*TMPDIR"), scratch_folder("run"):
        pass


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("old")
    (tmp_path / "a.sh").chmod(0o750)
    write_files([(tmp_path / "a.sh", "new")])
    assert ((tmp_path / "a.sh").stat().st_mode & 0o777, (tmp_path / "a.sh").read_text()) == (0o750, "new")


def test_a_folder_of_results_is_made_or_the_error_names_the_flag(tmp_path: Path) -> None:
    assert made_folder(tmp_path / "a" / "b", "Scores").is_dir()
    (tmp_path / "wall").write_text("a file where a folder is needed")
    with pytest.raises(BadInput, match=r"Scores cannot be kept in .*wall.inside") as refused:
        made_folder(tmp_path / "wall" / "inside", "Scores")
    assert "--cache" in str(refused.value.hint)
