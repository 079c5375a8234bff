"""Trainings in a tracker: the training stands whatever the tracker does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.config import load_settings
from mora.errors import MoraError, ToolMissing
from mora.model import versions
from mora.pipeline.tracking import follow_roles, track, track_roles
from mora.pipeline.training import Trained
from mora.tracking import TrainingRun
from tests.model.making import version

AT = datetime(2026, 10, 1, tzinfo=UTC)


class Notebook:
    """A tracker that remembers; or one that is down."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.runs: list[TrainingRun] = []
        self.marks: list[tuple[str, str, str]] = []
        self.unmarked: list[tuple[str, str]] = []
        self._is_down = is_down

    def log(self, run: TrainingRun) -> str:
        self._answer()
        self.runs.append(run)
        return "page 1"

    def mark(self, name: str, version: str, alias: str) -> None:
        self._answer()
        self.marks.append((name, version, alias))

    def unmark(self, name: str, alias: str) -> None:
        self._answer()
        self.unmarked.append((name, alias))

    def _answer(self) -> None:
        if self._is_down:
            raise MoraError("The notebook is shut.", hint="Open it.")


@pytest.mark.parametrize(("as_challenger", "alias"), [(False, "champion"), (True, "challenger")])
def test_a_training_is_logged_with_its_role(tmp_path: Path, as_challenger: bool, alias: str) -> None:
    versions.keep(tmp_path / "frontend", version(1), at=AT)
    versions.keep(tmp_path / "frontend", version(2), at=AT, as_challenger=as_challenger)
    notebook = Notebook()
    said = track(Trained("frontend", version(2), None, 3.0), notebook, models_dir=tmp_path)
    assert said == "tracked: page 1"
    assert (notebook.runs[0].alias, notebook.runs[0].version) == (alias, version(2).digest)
    # A training that becomes the champion ends the test of a challenger.
    assert notebook.unmarked == ([] if as_challenger else [("default.frontend", "challenger")])
    assert b"frontend: trained on" in notebook.runs[0].extra["report.txt"]


def test_a_tracker_that_is_down_is_named_and_the_training_stands(tmp_path: Path) -> None:
    versions.keep(tmp_path / "frontend", version(1), at=AT)
    notebook = Notebook(is_down=True)
    trained = Trained("frontend", version(1), None, 3.0)
    assert track(trained, notebook, models_dir=tmp_path) == "not tracked: The notebook is shut. Open it."
    assert track_roles("frontend", notebook, models_dir=tmp_path).startswith("frontend: the aliases champion and")
    assert track(Trained("frontend", None, MoraError("no data"), 1.0), notebook, models_dir=tmp_path) == ""


def test_the_aliases_follow_the_champion_and_the_challenger(tmp_path: Path) -> None:
    name = "default.frontend"
    versions.keep(tmp_path / "frontend", version(1), at=AT)
    versions.keep(tmp_path / "frontend", version(2), at=AT, as_challenger=True)
    notebook = Notebook()
    assert track_roles("frontend", notebook, models_dir=tmp_path) == ""
    assert notebook.marks == [(name, version(1).digest, "champion"), (name, version(2).digest, "challenger")]
    assert notebook.unmarked == []
    known = versions.known_versions(tmp_path / "frontend")
    versions.change(tmp_path / "frontend", replace(known, challenger=None), before=known)
    assert track_roles("frontend", notebook, models_dir=tmp_path) == ""
    assert notebook.unmarked == [(name, "challenger")]


def test_the_aliases_are_followed_where_trainings_are_tracked_and_the_tracker_is_opened_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Notebook] = []

    def open_one() -> Notebook:
        opened.append(Notebook())
        return opened[-1]

    monkeypatch.setattr("mora.pipeline.tracking.open_tracker", open_one)
    for service in ("frontend", "cart"):
        versions.keep(tmp_path / service, version(1), at=AT)
    both = ["frontend", "cart"]
    assert follow_roles(both, load_settings({"models_dir": tmp_path}, {}, tmp_path)) == []
    assert opened == []
    tracked = load_settings({"models_dir": tmp_path, "train_track": True}, {}, tmp_path)
    assert follow_roles([], tracked) == follow_roles(both, tracked) == []
    assert [[name for name, _, _ in one.marks] for one in opened] == [["default.frontend", "default.cart"]]


def test_without_mlflow_the_aliases_stay_and_that_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ToolMissing("Tracking in MLflow needs the extra mlflow.")

    monkeypatch.setattr("mora.pipeline.tracking.open_tracker", missing)
    tracked = load_settings({"models_dir": tmp_path, "train_track": True}, {}, tmp_path)
    assert follow_roles(["frontend"], tracked) == [
        "frontend: the aliases champion and challenger are not moved. Tracking in MLflow needs the extra mlflow."
    ]
