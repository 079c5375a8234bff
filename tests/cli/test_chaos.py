"""mora chaos: list, run --dry-run, manifests, and report, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mora.chaos.catalogue import KINDS
from mora.chaos.folder import begin, write_part
from mora.chaos.scenario import scenario_names
from tests.chaos.made import TOML, run_part, scenario
from tests.running import mora


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run."""
    found = scenario(tmp_path, TOML.replace("50%", "51%"))
    begin(tmp_path / "run", found)
    write_part(tmp_path / "run", run_part(found))
    return tmp_path / "run"


def test_the_list_has_every_fault_and_every_scenario(tmp_path: Path) -> None:
    done = mora("chaos", "list", cwd=tmp_path)
    assert done.returncode == 0
    assert all(f"  {kind}" in done.stdout for kind in KINDS)
    assert all(f"  {name}: " in done.stdout for name in scenario_names())


def test_a_dry_run_prints_each_fault_and_starts_nothing(tmp_path: Path) -> None:
    home = tmp_path / "sandboxes"
    done = mora("chaos", "run", "every-fault", "--dry-run", cwd=tmp_path, MORA_SANDBOX_HOME=str(home))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 11
    assert not home.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["chaos-mesh", "litmus"])
def test_manifests_for_a_cluster_go_to_stdout_and_what_differs_to_stderr(tmp_path: Path, engine: str) -> None:
    words = ["chaos", "run", "every-fault", "--target", "kubernetes", "--dry-run", "-n", "lab", "--engine", engine]
    done = mora(*words, cwd=tmp_path)
    assert done.returncode == 0
    found = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert {one["metadata"]["namespace"] for one in found} == {"lab"}
    assert "No SIGSTOP" in done.stderr


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["run", "earthquake"], "There is no scenario 'earthquake'."),
        (["run", "one-fault", "--target", "kubernetes"], "MOrA injects nothing into a cluster."),
        (["run", "one-fault", "--target", "moon"], "'moon' is no target."),
        (["run", "one-fault", "--target", "kubernetes", "--dry-run", "--engine", "x"], "There is no engine 'x'."),
        (["run", "suite", "--sandbox", "default"], "suite has 8 parts, and one sandbox runs one."),
        (["run", "one-fault", "--sandbox", "gone"], "No sandbox named 'gone' is running."),
        (["run", "one-fault", "--detector", "magic"], "magic"),
        (["report", "nowhere"], "nowhere has no finished part of a run."),
        (["report", "nowhere", "-o", "pdf"], "There is no output 'pdf'."),
    ],
)
def test_what_cannot_be_is_an_error_with_what_to_do(tmp_path: Path, words: list[str], error: str) -> None:
    done = mora("chaos", *words, cwd=tmp_path, MORA_SANDBOX_HOME=str(tmp_path / "sandboxes"))
    assert done.returncode == 1
    assert error in done.stderr
    assert done.stdout == ""


def test_a_run_is_reported_in_every_format_and_a_miss_has_its_exit_code(folder: Path) -> None:
    done = mora("chaos", "report", str(folder), cwd=folder)
    assert done.returncode == 0
    assert "1 of 2 faults detected" in done.stdout
    found = mora("chaos", "report", str(folder), "-o", "json", "--fail-on-miss", cwd=folder)
    assert found.returncode == 3
    assert json.loads(found.stdout)["verdict"] == "FAIL"
    page = folder.parent / "page.html"
    done = mora("chaos", "report", str(folder), "-o", "html", "--out", str(page), cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Content-Security-Policy" in page.read_text()


def test_a_run_can_be_judged_by_another_detector(folder: Path) -> None:
    words = ["chaos", "report", str(folder), "--detector", "robust-z", "--threshold", "quantile", "-o", "json"]
    found = json.loads(mora(*words, cwd=folder).stdout)
    assert (found["detector"], found["threshold"]) == ("robust-z", "quantile")
    words = ["chaos", "report", str(folder), "-d", "robust-z", "--threshold", "quantile:quantile=0.9", "-o", "json"]
    assert json.loads(mora(*words, cwd=folder).stdout)["threshold"] == "quantile:quantile=0.9"
    done = mora("chaos", "report", str(folder), "--threshold", "quantile:quantile=2", cwd=folder)
    assert done.returncode == 1
    assert "2" in done.stderr
