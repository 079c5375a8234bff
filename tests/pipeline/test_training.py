"""Training several services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from mora import dataset, pipeline
from mora.config import load_settings
from mora.errors import NotEnoughData
from mora.model import TrainSettings
from mora.pipeline.training import Lesson, Trained, learn
from tests.fakes_learning import WORKLOAD, driven, observed
from tests.model.making import version


def test_a_service_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    frame, cards = driven(scenarios=("browsing",), replicas=(1,), users=(10,), repeats=1)
    for name, rows in frame.groupby("experiment_id"):
        dataset.write_experiment(tmp_path, rows.reset_index(drop=True), cards[str(name)])
    done = pipeline.train_all(["frontend", "nope"], data_dir=tmp_path, models_dir=tmp_path / "models", jobs=1)
    assert isinstance(done[0].error, NotEnoughData)
    assert all(trained.model is None for trained in done)
    assert "mora collect" in pipeline.describe_training(done[0])


def test_a_model_of_a_cluster_that_cannot_be_kept_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cluster:
        def run(self, work: object, asked: object) -> Iterator[tuple[str, Trained]]:
            for number, service in enumerate(("cart", "frontend")):
                yield service, Trained(service, version(number), None, 1.0)

    monkeypatch.setattr("mora.scaleout.connect", lambda scheduler: nullcontext(Cluster()))
    (tmp_path / "cart").mkdir()
    (tmp_path / "cart" / "notes.txt").write_text("mine")
    refused, kept = pipeline.train_all(["cart", "frontend"], models_dir=tmp_path, scheduler="tcp://127.0.0.1:1")
    assert refused.model is None
    assert "not a model" in str(refused.error)
    assert kept.kept == f"version {version(1).digest[:12]} is the champion"


def test_without_settings_a_training_is_that_of_the_command_without_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrainSettings] = []

    def train(*_: object, settings: TrainSettings, **__: object) -> None:
        asked.append(settings)

    monkeypatch.setattr("mora.model.train", train)
    lesson = Lesson(WORKLOAD, observed(days=1), {}, ())
    learn(lesson)
    learn(lesson, TrainSettings())
    assert asked == [pipeline.train_settings(load_settings()), TrainSettings()]
    assert asked[0].candidates != ()
