"""The audit log: whole after a crash, one writer, readable while it is written; what was edited is refused."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.errors import BadInput, MoraError
from mora.inplace.journal import Journal, read_log

AT = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def written(folder: Path, *events: str) -> Path:
    journal = Journal(folder, "shop")
    with journal.opened():
        for event in events:
            journal.append(event, now=AT, why="ünïcode")
    return folder / "shop" / "2026-11.jsonl"


def test_what_is_appended_is_read_again_in_order_over_months(tmp_path: Path) -> None:
    written(tmp_path, "a", "b")
    journal = Journal(tmp_path, "shop")
    with journal.opened() as before:
        journal.append("c", now=datetime(2026, 12, 1, tzinfo=UTC))
    assert [one["event"] for one in before] == ["a", "b"]
    assert [one["event"] for one in read_log(tmp_path / "shop")] == ["a", "b", "c"]


@settings(max_examples=25, deadline=None)
@given(st.integers(min_value=1, max_value=40))
def test_a_line_that_was_being_written_when_the_machine_stopped_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, lost: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    path = written(folder, "a", "b")
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    with Journal(folder, "shop").opened() as events:
        assert [one["event"] for one in events] == ["a"]
    assert path.read_bytes().endswith(b"\n")


def test_a_disk_that_fills_up_in_the_middle_of_a_line_leaves_none_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "a")
    write, turns = os.write, [0]

    def full(descriptor: int, data: bytes) -> int:
        turns[0] += 1
        if turns[0] == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:10] if turns[0] == 1 else data)

    journal = Journal(tmp_path, "shop")
    with journal.opened():
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(MoraError, match="No space left"):
                journal.append("b", now=AT)
        journal.append("c", now=AT)
    assert [one["event"] for one in read_log(tmp_path / "shop")] == ["a", "c"]


def test_a_clock_that_is_set_back_by_a_month_keeps_the_order(tmp_path: Path) -> None:
    written(tmp_path, "a")
    journal = Journal(tmp_path, "shop")
    with journal.opened():
        journal.append("b", now=datetime(2026, 10, 31, tzinfo=UTC))
    assert [one["event"] for one in read_log(tmp_path / "shop")] == ["a", "b"]


def test_words_that_are_no_utf_8_do_not_end_the_loop(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "shop")
    with journal.opened():
        journal.append("refused", now=AT, why="half a pair: \ud800")
    (event,) = read_log(tmp_path / "shop")
    assert event["why"] == "half a pair: ?"


@pytest.mark.parametrize(
    "line", [b"{}\n", b"not json\n", b'{"v":1,"at":"yesterday","event":"a"}\n', b"[" * 9000 + b"\n"]
)
def test_a_log_that_was_edited_is_refused_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = written(tmp_path, "a")
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(BadInput, match="line 2"):
        list(read_log(tmp_path / "shop"))


def test_a_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a")
    path.write_bytes(path.read_bytes().replace(b'"v": 1', b'"v": 2'))
    with pytest.raises(BadInput, match="newer MOrA"):
        list(read_log(tmp_path / "shop"))


def test_one_writer_at_a_time_and_no_link_is_followed(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "shop")
    with journal.opened(), pytest.raises(MoraError, match="Another process"), Journal(tmp_path, "shop").opened():
        pass
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "shop" / "2026-11.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MoraError):
        journal.append("a", now=AT)
