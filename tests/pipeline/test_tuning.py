"""Settings are searched on a service's data, kept beside its models, and trained with from then on."""

from __future__ import annotations

from pathlib import Path

import pytest

from mora import dataset, pipeline, registry
from mora.errors import BadModel, MoraError
from mora.model import TrainSettings
from mora.tuning.kept import alone, kept, study_file
from tests import fakes_learning as fakes
from tests.scaleout.rig import rig
from tests.tuning.making import Clock

SETTINGS = TrainSettings(weights={"factor": 1.0})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data of one service, and a forecaster whose default settings are bad."""
    monkeypatch.setitem(registry.REGISTRY["forecasters"], "factor", "tests.tuning.making:FactorForecaster")
    frame = fakes.observed(days=4, step_seconds=1200)
    card = {"experiment_id": str(frame["experiment_id"].iloc[0]), "service": "frontend", "kind": "Deployment"}
    dataset.write_experiment(tmp_path / "data", frame, card)
    return tmp_path


def tuned(home: Path, **options: object) -> list[str]:
    arguments = {"data_dir": home / "data", "models_dir": home / "models", "settings": SETTINGS, **options}
    return pipeline.tune(["frontend"], budget_seconds=3, clock=Clock(), **arguments)["frontend"]  # type: ignore[arg-type]


def test_what_the_search_finds_is_what_is_trained_from_then_on(home: Path) -> None:
    (text,) = tuned(home, jobs=2)
    assert "on windows that the search never saw its error is" in text
    factor = kept(home / "models", "frontend", "default").options["factor"]["factor"]
    assert factor == pytest.approx(1.0, abs=0.35)
    model = pipeline.train("frontend", data_dir=home / "data", models_dir=home / "models", settings=SETTINGS)
    assert model.card["settings"]["options"] == {"factor": {"factor": factor}}
    assert [reason.text for reason in model.reasons if reason.code == "tuned"] == [text]
    assert model.forecasters.keys() >= {"naive"}
    # The folder of the searches is no service, and no namespace.
    assert [path.name for path in sorted((home / "models").iterdir())] == [".tuning", "frontend"]


def test_a_forecaster_that_is_not_trained_any_more_leaves_what_was_found_alone(home: Path) -> None:
    tuned(home, jobs=1)
    other = TrainSettings(weights={"naive": 1.0})
    model = pipeline.train("frontend", data_dir=home / "data", models_dir=home / "models", settings=other)
    assert model.card["settings"]["options"] == {}
    assert "tuned" not in {reason.code for reason in model.reasons}


def test_trials_run_on_the_workers_of_a_cluster(home: Path) -> None:
    with rig(home, workers=1) as cluster:
        (text,) = tuned(home, scheduler=cluster.address)
    (local,) = tuned(home, jobs=1, models_dir=home / "other")
    assert text.partition(": ")[2] == local.partition(": ")[2]


def test_what_cannot_be_searched_has_its_sentence(home: Path) -> None:
    frame, cards = fakes.driven(replicas=(1,), users=(10,), repeats=1)
    for name, rows in frame.groupby("experiment_id"):
        dataset.write_experiment(home / "driven", rows.reset_index(drop=True), cards[str(name)])
    (text,) = tuned(home, data_dir=home / "driven")
    assert text.startswith("no settings were searched: frontend has load experiments")


def test_a_damaged_record_of_a_search_stops_the_training_that_would_rest_on_it(home: Path) -> None:
    path = study_file(home / "models", "frontend", "default").with_suffix(".json")
    path.parent.mkdir(parents=True)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(BadModel, match="keeps the settings that mora train --tune found"):
        pipeline.train("frontend", data_dir=home / "data", models_dir=home / "models", settings=SETTINGS)


def test_two_searches_of_one_service_do_not_run_at_once_and_others_go_on(home: Path) -> None:
    with alone(home / "models", "frontend", "default"):
        with pytest.raises(MoraError, match="Another mora train --tune searches the settings of 'frontend'"):
            tuned(home, jobs=1)
        arguments = {"data_dir": home / "data", "models_dir": home / "models", "settings": SETTINGS}
        found = pipeline.tune(["frontend", "cart"], budget_seconds=3, clock=Clock(), jobs=1, **arguments)  # type: ignore[arg-type]
    assert found["frontend"] == [
        "no settings were searched: Another mora train --tune searches the settings of 'frontend'."
    ]
    assert "no data of 'cart'" in found["cart"][0]
    assert tuned(home, jobs=1)
