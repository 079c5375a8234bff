"""`mora health generate` as a user meets it."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from tests.running import mora


def test_a_service_goes_to_stdout_and_the_same_seed_to_the_same_file(tmp_path: Path) -> None:
    arguments = ("health", "generate", "service", "--for", "2d", "--step", "5m", "--faults", "2", "--seed", "3")
    shown = mora(*arguments, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    frame = pd.read_csv(io.StringIO(shown.stdout))
    assert len(frame) == 576
    assert frame["timestamp"].iloc[0] == "2026-01-05T00:00:00.000000Z"
    assert frame["label"].sum() == 6 + 3
    written = mora(*arguments, "--out", "made/service.csv", cwd=tmp_path)
    assert written.stderr.strip() == "Wrote made/service.csv: 576 rows."
    assert written.stdout == ""
    assert (tmp_path / "made" / "service.csv").read_text(encoding="utf-8") == shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cats",), "There is no 'cats' to generate."),
        (("nodes", "--for", "3d"), "--for is of a service"),
        (("service", "--faults", "300"), "300 faults do not fit"),
        (("service", "--start", "9999-12-31"), "after the year 9999"),
        (("service", "--start", "0001-01-01T00:00:00+02:00"), "is no moment in UTC"),
        (("service", "--start", "soon"), "--start 'soon' is no date"),
        (("service", "--for", "1s"), "is not between 1 and"),
    ],
)
def test_what_cannot_be_made_is_an_error(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = mora("health", "generate", *arguments, cwd=tmp_path)
    assert refused.returncode == 1
    assert message in " ".join(refused.stderr.split())
    assert refused.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_start_of_another_time_zone_is_written_in_utc(tmp_path: Path) -> None:
    arguments = ("health", "generate", "service", "--for", "1h", "--step", "10m")
    there = mora(*arguments, "--start", "2026-01-31T10:00:00+02:00", cwd=tmp_path)
    here = mora(*arguments, "--start", "2026-01-31T08:00:00Z", cwd=tmp_path)
    assert there.stdout.splitlines()[1].startswith("2026-01-31T08:00:00.000000Z")
    assert there.stdout == here.stdout
