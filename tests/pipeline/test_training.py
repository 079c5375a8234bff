"""Training several services."""

from __future__ import annotations

from pathlib import Path

from mora import dataset, pipeline
from mora.errors import NotEnoughData
from tests.fakes_learning import driven


def test_a_service_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    frame, cards = driven(scenarios=("browsing",), replicas=(1,), users=(10,), repeats=1)
    for name, rows in frame.groupby("experiment_id"):
        dataset.write_experiment(tmp_path, rows.reset_index(drop=True), cards[str(name)])
    done = pipeline.train_all(["frontend", "nope"], data_dir=tmp_path, models_dir=tmp_path / "models", jobs=1)
    assert isinstance(done[0].error, NotEnoughData)
    assert all(trained.model is None for trained in done)
    assert "mora collect" in pipeline.describe_training(done[0])
