from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from mora.errors import MoraError
from mora.record.reading import reading
from mora.record.schema import VERSION
from mora.record.store import Record
from tests.record.making import START, seen


def test_a_file_of_another_program_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(MoraError, match="another program's database"):
        Record(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["this is no database, and longer than a header of one hundred bytes" * 3, "short"])
def test_a_file_that_is_no_database_is_not_written_to(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    for opens in (Record, lambda path: reading(path).__enter__()):
        with pytest.raises(MoraError, match="cannot be used") as refused:
            opens(path)
        assert "--record" in (refused.value.hint or "")
    assert path.read_text() == text


def test_a_record_of_a_newer_mora_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    Record(path).__exit__(None, None, None)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.commit()
    connection.close()
    with pytest.raises(MoraError, match="newer MOrA") as refused:
        Record(path)
    assert "Update MOrA" in (refused.value.hint or "")


def test_a_damaged_record_is_named_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    with Record(path) as record:
        record.take("", START, [seen(500, 120, workload=f"w{n}") for n in range(500)], [])
    damaged = bytearray(path.read_bytes())
    damaged[4096:-4096] = os.urandom(len(damaged) - 8192)
    path.write_bytes(damaged)
    with pytest.raises(MoraError, match="cannot be used") as refused, Record(path) as record:
        record.take("", START + 60, [seen(500, 120, workload=f"w{n}") for n in range(500)], [])
    assert "damaged" in (refused.value.hint or "")
    assert path.read_bytes() == bytes(damaged)


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(MoraError, match="not a regular file"):
            Record(tmp_path / name)


def test_reading_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(MoraError, match="no record") as refused, reading(tmp_path / "none.sqlite"):
        pass
    assert "mora serve" in (refused.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_becomes_a_record(tmp_path: Path) -> None:
    path = tmp_path / "record.sqlite"
    path.touch()
    with pytest.raises(MoraError, match="no record"), reading(path):
        pass
    with Record(path) as record:
        record.take("", START, [seen(500, 120)], [])
    with reading(path) as read:
        assert len(read.history("shop", "web")) == 1
