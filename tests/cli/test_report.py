"""mora report capacity, as a user runs it."""

from __future__ import annotations

from pathlib import Path

from tests.running import mora

DATA = Path(__file__).parents[2] / "data"


def test_capacity_is_printed_in_both_units_and_written_as_a_page(tmp_path: Path) -> None:
    done = mora("report", "capacity", "--data", str(DATA), "--out", "page.html", cwd=tmp_path)
    assert "users (" in done.stdout
    assert "requests/s) of checkout at p95 <= 300ms, between 35 and 60" in done.stdout
    assert "Wrote page.html." in done.stderr
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_a_folder_without_load_experiments_says_how_to_drive_some(tmp_path: Path) -> None:
    done = mora("report", "capacity", "--data", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert "mora collect --plan adaptive" in done.stderr
