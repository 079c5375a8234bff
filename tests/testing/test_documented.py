"""The fill-in examples of mora.testing run as they are printed, and the suites find what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins import documented

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *files: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def test_the_documented_forecaster_passes_the_documented_suite(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        ("my_package/__init__.py", ""),
        ("my_package/median.py", documented("import numpy as np")),
        ("test_median.py", documented("import pytest")),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "16 passed" in ran.stdout


def test_a_forecaster_that_looks_ahead_or_forgets_fails_with_the_values_shown(tmp_path: Path) -> None:
    broken = documented("import numpy as np")
    broken = broken.replace("values[first : place.row]", "values[first:]").replace('name = "median"', "name = ''")
    ran = run(
        tmp_path,
        ("my_package/__init__.py", ""),
        ("my_package/median.py", broken),
        ("test_median.py", documented("import pytest")),
    )
    assert ran.returncode == 1
    assert "test_of_a_history_it_looks_back_only" in ran.stdout
    assert "AssertionError: assert ''" in ran.stdout


@pytest.mark.parametrize(
    ("suite", "fixture"),
    [
        ("ForecasterContract", "forecaster"),
        ("DetectorContract", "detector"),
        ("SourceContract", "stage"),
        ("PolicyContract", "policy"),
        ("OutputContract", "output"),
    ],
)
def test_a_fixture_that_is_not_filled_in_says_so(tmp_path: Path, suite: str, fixture: str) -> None:
    ran = run(tmp_path, ("test_it.py", f"from mora.testing import {suite}\n\nclass TestIt({suite}):\n    pass\n"))
    assert ran.returncode == 1
    assert f"Fill in the fixture `{fixture}`" in ran.stdout
