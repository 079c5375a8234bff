"""What was measured, on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora.errors import BadInput, MoraError
from mora.optimize.journal import Journal, Measured, digest_of, open_journal, read_journal

MEASURED = Measured(
    users={"checkout": 30},
    p95_seconds={"checkout": 0.1, "browsing": None},
    p95_upper_seconds={"checkout": 0.12, "browsing": None},
    error_ratio={"checkout": 0.0, "browsing": None},
    requests_per_second={"checkout": 31.5},
    cores={"frontend": 0.25},
    memory_bytes={"frontend": 41_000_000},
    throttled_ratio={"frontend": 0.0},
    was_cut=True,
    setting={"frontend": (2, 340)},
    together=(frozenset({"cart", "catalog"}),),
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    journal = open_journal(tmp_path, "abc", "2026-11-01", resume=False)
    journal.add("baseline", MEASURED)
    journal.add("cart at 40m", MEASURED)
    again = open_journal(tmp_path, "abc", "later", resume=True)
    assert again == journal
    assert list(again.steps) == ["baseline", "cart at 40m"]
    assert again.written == "2026-11-01"


def test_a_new_run_starts_empty_and_keeps_the_old_file_until_its_first_step(tmp_path: Path) -> None:
    open_journal(tmp_path, "abc", "before", resume=False).add("baseline", MEASURED)
    new = open_journal(tmp_path, "abc", "now", resume=False)
    assert new.steps == {}
    assert read_journal(new.path).written == "before"


def test_there_is_nothing_to_resume_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing to resume"):
        open_journal(tmp_path, "abc", "now", resume=True)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '{"schema_version": 1, "digest": "a", "written": "b", "steps": {"x": {"users": 3}}}', "\\x00"],
)
def test_any_other_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(MoraError, match=r"some\.json"):
        read_journal(path)


def test_a_newer_file_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    Journal(path, "d", "w").add("baseline", MEASURED)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(MoraError, match="newer MOrA"):
        read_journal(path)


def test_the_digest_is_of_all_that_counts() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
