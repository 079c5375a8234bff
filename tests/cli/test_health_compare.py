"""`mora health compare` as a user meets it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import running
from tests.health.making import labelled_file


def mora(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return running.mora("health", "compare", *arguments, cwd=cwd, XDG_CACHE_HOME=str(cwd / "cache"))


def test_a_labelled_file_of_ones_own_is_compared_and_its_scores_are_kept(tmp_path: Path) -> None:
    labelled_file(tmp_path)
    asked = ("shop.csv", "--detectors", "robust-z,context-distance", "--jobs", "1")
    told = mora(*asked, "-o", "json", "--report", "out.html", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    assert document["sets"] == {"shop": 2}
    assert {row["detector"] for row in document["rows"]} == {"robust-z", "context-distance"}
    assert "Wrote out.html." in told.stderr
    assert (tmp_path / "out.html").stat().st_size > 10_000
    assert len(list((tmp_path / "cache" / "mora" / "compare").glob("*.npz"))) == 4
    table = mora(*asked, cwd=tmp_path)
    assert "shop: 2 series, threshold tracking" in table.stdout
    assert "vs context-distance" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop.csv", "-o", "xml"), "There is no output 'xml' of a comparison."),
        (("none.csv", "--detectors", "robust-z"), "none.csv cannot be read: No such file or directory."),
        (("shop.csv", "--detectors", "magic"), "There is no 'magic' among the detectors."),
        (("shop.csv", "--detectors", "robust-z", "--train-share", "2"), "must be from 0.05 to 0.9"),
        (("--sets", "clouds", "--detectors", "robust-z"), "There is no labelled set 'clouds'."),
    ],
)
def test_what_cannot_be_compared_is_an_error_with_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    labelled_file(tmp_path)
    refused = mora(*arguments, cwd=tmp_path)
    assert refused.returncode == 1
    assert message in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
