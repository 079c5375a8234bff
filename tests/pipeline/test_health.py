"""Training and scoring, from files to files: many services, one that fails, what is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mora.errors import BadInput, BadModel, MoraError
from mora.health.events import State
from mora.health.model import HealthModel
from mora.model import TrainSettings, train
from mora.pipeline.health import (
    HealthTrained,
    Learning,
    list_health,
    load_health,
    name_of_file,
    score_health,
    train_health,
    train_health_all,
)
from tests import fakes_learning as fakes
from tests.health.made import healthy, with_fault

QUICK = Learning(detector="robust-z", threshold="quantile")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        healthy(400, seed=number).to_csv(tmp_path / f"web-{number}.csv", index=False)
    (tmp_path / "broken.csv").write_text("timestamp,a\n1,x\n")
    return tmp_path


def test_many_are_trained_and_one_that_fails_stops_none(folder: Path) -> None:
    names = [str(path) for path in sorted(folder.glob("*.csv"))]
    reported = []

    class Reporter:
        def advance(self, task: str, done: float, total: float, note: str = "") -> None:
            reported.append((task, done, total))

    outcomes = list(train_health_all(names, reporter=Reporter(), health_dir=folder / "health", learning=QUICK))
    assert [outcome.error is None for outcome in outcomes] == [False, True, True, True]
    assert reported == [("train", number, 4) for number in range(5)]
    assert [service for _, service, _ in list_health(folder / "health")] == ["web-0", "web-1", "web-2"]


def test_many_are_trained_in_several_processes_as_in_one(folder: Path) -> None:
    names = [str(folder / f"web-{number % 3}.csv") for number in range(17)]
    outcomes = list(train_health_all(names, jobs=2, health_dir=folder / "health", learning=QUICK))
    assert len(outcomes) == 17
    assert all(outcome.error is None for outcome in outcomes)
    alone = train_health(names[0], health_dir=folder / "alone", learning=QUICK)
    assert load_health("web-0", health_dir=folder / "health").threshold == alone.threshold


def test_a_file_is_scored_by_the_detector_of_its_service(folder: Path) -> None:
    train_health(str(folder / "web-0.csv"), service="web", namespace="shop", health_dir=folder / "h", learning=QUICK)
    with_fault(healthy(400, seed=9), 300).to_csv(folder / "later.csv", index=False)
    scored = score_health(
        str(folder / "later.csv"), service="web", namespace="shop", health_dir=folder / "h", gap=timedelta(minutes=1)
    )
    worst = max(scored.judged.events, key=lambda event: event.peak)
    assert scored.samples["timestamp"][300] <= worst.start <= scored.samples["timestamp"][319]
    assert State(scored.judged.frame["state"].iloc[305]) == State.ABNORMAL


def test_samples_from_the_future_are_not_judged(folder: Path) -> None:
    train_health(str(folder / "web-0.csv"), health_dir=folder / "h", learning=QUICK)
    frame = healthy(400)
    frame.loc[399, "timestamp"] = pd.Timestamp(2126, 1, 1, tz="UTC")
    frame.to_csv(folder / "later.csv", index=False)
    judged = score_health(str(folder / "later.csv"), service="web-0", health_dir=folder / "h").judged
    assert len(judged.frame) == 399
    assert "1 sample from the future left out: a clock is wrong." in judged.remarks


def test_a_detector_that_is_not_there_names_those_that_are(folder: Path) -> None:
    train_health(str(folder / "web-0.csv"), health_dir=folder / "h", learning=QUICK)
    with pytest.raises(BadModel, match=r"no detector of 'cart'.*those of web-0(.|\n)*mora health train cart"):
        load_health("cart", health_dir=folder / "h")
    (folder / "h" / "default" / "web-0" / "detector.json").write_text("{}")
    ((space, service, found),) = list_health(folder / "h")
    assert (space, service) == ("default", "web-0")
    assert isinstance(found, MoraError)


def test_a_training_that_fails_leaves_the_old_detector(folder: Path) -> None:
    train_health(str(folder / "web-0.csv"), service="web", health_dir=folder / "h", learning=QUICK)
    before = load_health("web", health_dir=folder / "h").files
    with pytest.raises(MoraError):
        train_health(str(folder / "broken.csv"), service="web", health_dir=folder / "h", learning=QUICK)
    assert load_health("web", health_dir=folder / "h").files == before


def test_a_file_gives_a_name_or_asks_for_one() -> None:
    assert name_of_file(Path("a/My_Metrics.csv"), None) == "my-metrics"
    assert name_of_file(Path("a/x.csv"), "web") == "web"
    with pytest.raises(BadInput, match="--service NAME"):
        name_of_file(Path("a/$$.csv"), None)


def test_a_renewal_keeps_what_fits_and_does_not_learn_an_incident_that_goes_on(tmp_path: Path) -> None:
    due = replace(QUICK, only_if_due=True)
    frame = healthy(2000, step=timedelta(minutes=2))
    path = tmp_path / "web.csv"

    def outcome() -> HealthTrained:
        (found,) = train_health_all([str(path)], health_dir=tmp_path / "h", learning=due)
        assert found.error is None
        return found

    frame.to_csv(path, index=False)
    assert outcome().kept == ""
    assert outcome().kept.startswith("It is not due")
    # A day in which all scores are higher, and a fault in its last hour.
    moved = healthy(2000, step=timedelta(minutes=2), seed=2)
    moved.loc[1000:, "cpu_cores_value"] += 0.08
    sick = with_fault(moved, 1970, rows=30, factor=20)
    sick.to_csv(path, index=False)
    renewed = outcome()
    assert renewed.kept == ""
    assert renewed.model is not None
    assert any("times the usual" in reason for reason in renewed.model.card["reasons"])
    assert any("the last hour are not learnt from" in reason for reason in renewed.model.card["reasons"])
    assert renewed.model.card["rows"] == 2000 - 31
    assert renewed.model.judge(sick, gap=timedelta(minutes=10)).state == State.ABNORMAL


def test_a_renewal_is_of_the_kind_that_was_trained_unless_another_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "web.csv"
    frame = healthy(2000, step=timedelta(minutes=2))
    frame.to_csv(path, index=False)
    first = replace(QUICK, detector="robust-z", threshold="quantile:quantile=0.99")
    train_health(str(path), health_dir=tmp_path / "h", learning=first)
    nightly = replace(QUICK, only_if_due=True)

    def renewed(learning: Learning) -> HealthModel:
        return train_health(str(path), health_dir=tmp_path / "h", learning=learning)

    moved = healthy(2000, step=timedelta(minutes=2), seed=2)
    moved.loc[1000:, "cpu_cores_value"] += 0.08
    moved.to_csv(path, index=False)
    found = renewed(nightly)
    assert any("times the usual" in reason for reason in found.card["reasons"])
    assert found.card["asked"] == {"detector": "robust-z", "threshold": "quantile:quantile=0.99"}
    assert renewed(nightly).card["trained_at"] == found.card["trained_at"]
    other = renewed(replace(nightly, detector="seasonal-mad", changes_kind=True))
    assert other.card["detector"] == "seasonal-mad"
    assert any("Another kind of detector" in reason for reason in other.card["reasons"])


def test_forecast_residual_takes_the_forecast_of_the_services_own_model(tmp_path: Path) -> None:
    model = train(fakes.observed(days=6), {}, fakes.WORKLOAD, settings=TrainSettings(weights={"yesterday": 1.0}))
    model.save(tmp_path / "models" / "frontend")
    fakes.observed(days=8)[["timestamp", "cpu_cores_value", "mem_bytes_value"]].to_csv(
        tmp_path / "frontend.csv", index=False
    )
    learning = Learning(detector="forecast-residual")
    where: dict[str, Any] = {
        "health_dir": tmp_path / "health",
        "models_dir": tmp_path / "models",
        "learning": learning,
    }
    trained = train_health(str(tmp_path / "frontend.csv"), **where)
    assert any(f"the model {model.digest[:12]} of frontend forecasts it" in one for one in trained.card["reasons"])
    scored = score_health(str(tmp_path / "frontend.csv"), health_dir=tmp_path / "health")
    np.testing.assert_array_equal(
        scored.judged.frame["score"], trained.detector.score(trained.prepared(scored.samples).frame)
    )
    other = train_health(str(tmp_path / "frontend.csv"), service="cart", **where)
    assert any(one.startswith("There is no model of 'cart'") for one in other.card["reasons"])
    # Another detector asks for none.
    plain = train_health(str(tmp_path / "frontend.csv"), service="cart", **{**where, "learning": QUICK})
    assert not any("model" in one for one in plain.card["reasons"])
