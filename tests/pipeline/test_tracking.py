"""Trainings in a tracker: the training stands whatever the tracker does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mora.config import load_settings
from mora.errors import MoraError, ToolMissing
from mora.model import versions
from mora.pipeline.tracking import follow_champion, track, track_champion
from mora.pipeline.training import Trained
from mora.tracking import TrainingRun
from tests.model.making import version

AT = datetime(2026, 10, 1, tzinfo=UTC)


class Notebook:
    """A tracker that remembers; or one that is down."""

    def __init__(self, *, is_down: bool = False) -> None:
        self.runs: list[TrainingRun] = []
        self.marks: list[tuple[str, str, str]] = []
        self._is_down = is_down

    def log(self, run: TrainingRun) -> str:
        self._answer()
        self.runs.append(run)
        return "page 1"

    def mark(self, name: str, version: str, alias: str) -> None:
        self._answer()
        self.marks.append((name, version, alias))

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
    assert b"frontend: trained on" in notebook.runs[0].extra["report.txt"]


def test_a_tracker_that_is_down_is_named_and_the_training_stands(tmp_path: Path) -> None:
    versions.keep(tmp_path / "frontend", version(1), at=AT)
    notebook = Notebook(is_down=True)
    trained = Trained("frontend", version(1), None, 3.0)
    assert track(trained, notebook, models_dir=tmp_path) == "not tracked: The notebook is shut. Open it."
    assert track_champion("frontend", notebook, models_dir=tmp_path).startswith("frontend: the alias champion is not")
    assert track(Trained("frontend", None, MoraError("no data"), 1.0), notebook, models_dir=tmp_path) == ""


def test_the_alias_follows_the_champion(tmp_path: Path) -> None:
    versions.keep(tmp_path / "frontend", version(1), at=AT)
    notebook = Notebook()
    assert track_champion("frontend", notebook, models_dir=tmp_path) == ""
    assert notebook.marks == [("default.frontend", version(1).digest, "champion")]


def test_the_alias_is_followed_where_trainings_are_tracked_and_without_mlflow_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise ToolMissing("Tracking in MLflow needs the extra mlflow.")

    monkeypatch.setattr("mora.pipeline.tracking.open_tracker", missing)
    versions.keep(tmp_path / "frontend", version(1), at=AT)
    assert follow_champion("frontend", load_settings({"models_dir": tmp_path}, {}, tmp_path)) == ""
    said = follow_champion("frontend", load_settings({"models_dir": tmp_path, "train_track": True}, {}, tmp_path))
    assert said == "frontend: the alias champion is not moved. Tracking in MLflow needs the extra mlflow."
