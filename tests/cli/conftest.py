"""What the commands are tried on: the cluster and the history that the VPA recommender's tests use."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora import dataset, pipeline
from tests.fakes_learning import driven
from tests.vpa.conftest import cluster, fleet

__all__ = ["cluster", "fleet"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the driven data of one service, and its model."""
    folder = tmp_path_factory.mktemp("home")
    frame, cards = driven()
    for name, rows in frame.groupby("experiment_id"):
        dataset.write_experiment(folder / "data", rows.reset_index(drop=True), cards[str(name)])
    pipeline.train("frontend", data_dir=folder / "data", models_dir=folder / "models")
    return folder
