"""A forecaster of another package, from entry point to recommendation: trained, validated, saved, loaded, asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mora.domain import Target
from mora.errors import BadInput, BadModel
from mora.fusion import blend_of
from mora.model import ServiceModel, TrainSettings, learners, train
from mora.outputs.training import render
from tests import fakes_learning as fakes
from tests import plugins


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages, with the forecaster that mora.testing documents."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    source = plugins.documented("import numpy as np")
    plugins.install(folder, "mora-median", {"forecasters.median": "mora_median:MedianForecaster"}, source)
    yield folder
    plugins.forget(folder)


def settings(*forecasters: str) -> TrainSettings:
    return TrainSettings(weights=blend_of(forecasters))


def test_on_load_experiments_it_is_validated_weighed_and_asked_as_the_others_are(site: Path, tmp_path: Path) -> None:
    frame, cards = fakes.driven()
    model = train(frame, cards, fakes.WORKLOAD, settings=settings("prophet", "median"))
    assert list(model.forecasters) == ["prophet", "median", "naive"]
    table = model.report["next_steps"]["cpu"]["errors"]
    assert set(table) == {"prophet", "median", "blend", "naive"}
    assert table["median"]["mean"] == pytest.approx(table["naive"]["mean"], rel=0.5)
    header = render("frontend", model.card, seconds=1).splitlines()[2]
    assert header.split()[-6:] == ["Prophet", "median", "blend", "naive", "mean", "use"]
    shares = model.calibrations["driven"]["cpu"].shares
    assert shares["median"] == pytest.approx(0.5)
    demand = model.demand(frame)
    assert demand.cpu is not None
    assert "x median" in demand.cpu.reasons[0].text
    model.save(tmp_path / "frontend")
    assert ServiceModel.load(tmp_path / "frontend").demand(frame) == demand


def test_on_a_history_it_is_weighed_for_every_horizon(site: Path) -> None:
    history = fakes.observed(days=6)
    model = train(history, {}, fakes.WORKLOAD, settings=settings("prophet", "median"))
    for horizon in model.horizons.values():
        assert "median" in horizon.errors["cpu"]["errors"]
    demand = model.demand(history)
    assert demand.cpu is not None
    assert demand.cpu.point_forecast > 0


def test_a_model_whose_forecaster_is_not_installed_is_refused_with_the_package(site: Path, tmp_path: Path) -> None:
    frame, cards = fakes.driven(scenarios=("browsing",), replicas=(1, 2), users=(10, 20), repeats=1)
    train(frame, cards, fakes.WORKLOAD, settings=settings("median")).save(tmp_path / "frontend")
    plugins.forget(site)
    for path in site.glob("*.dist-info/entry_points.txt"):
        path.unlink()
    with pytest.raises(BadModel, match=r"forecaster 'median' of mora-median 1\.2, which is not installed") as refused:
        ServiceModel.load(tmp_path / "frontend")
    assert "pip install mora-median" in str(refused.value.hint)


def test_an_unknown_forecaster_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="no 'nonesuch' among the forecasters"):
        learners.chosen(settings("prophet", "nonesuch"))


def test_the_naive_forecast_is_always_there_and_options_reach_their_forecaster() -> None:
    from mora.forecasters.keras_fit import LstmSettings
    from mora.forecasters.lstm import LstmForecaster

    found = learners.chosen(TrainSettings(options={"lstm": LstmSettings(max_epochs=7)}))
    assert list(found) == ["prophet", "lstm", "naive"]
    assert isinstance(found["lstm"], LstmForecaster)
    assert found["lstm"].settings.max_epochs == 7
    assert list(learners.fitted_once(found)) == ["lstm"]
    assert list(learners.refitted(found)) == ["prophet", "naive"]


def test_a_single_forecaster_needs_no_other() -> None:
    frame, cards = fakes.driven(scenarios=("browsing",), replicas=(1, 2), users=(10, 20), repeats=1)
    model = train(frame, cards, fakes.WORKLOAD, settings=settings("prophet"))
    assert list(model.forecasters) == ["prophet", "naive"]
    assert set(model.calibrations["driven"][Target.CPU.value].shares) <= {"prophet", "naive"}
    assert model.demand(frame).cpu is not None


def test_the_card_and_the_report_say_which_inputs_were_chosen_and_what_that_does_to_the_error(tmp_path: Path) -> None:
    history = fakes.observed(days=6)
    chosen = TrainSettings(weights={"moving-average": 1.0}, candidates=("xgboost",), model="xgboost")
    model = train(history, {}, fakes.WORKLOAD, settings=chosen)
    told = model.card["report"]["horizons"]["3600"]["selections"]["xgboost"]["cpu"]
    assert told["folds"] == 4
    assert told["kept"]
    assert told["error_before"] > 0
    assert told["error_after"] > 0
    # Nothing of six days is known a week ago.
    assert told["dropped"]["cpu_cores_value_same_time_14d_ago"] == "unknown"
    reasons = [reason.text for reason in model.reasons if reason.code == "inputs-selected"]
    assert any(text.startswith("cpu over the next 1h: XGBoost: ") for text in reasons)
    shown = render("frontend", model.card, seconds=1)
    assert all(text in shown for text in reasons)
    model.save(tmp_path / "frontend")
    kept = ServiceModel.load(tmp_path / "frontend")
    assert kept.horizons[3600].selections == model.horizons[3600].selections
