"""The forecast of each running hour by a trained model: the model's own numbers, from what lies before the hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora import sealed
from mora.backtest.history import history_of
from mora.domain import Reason, Target
from mora.domain.learning import Floats, Level, Place, Saved
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS, epoch_seconds
from mora.model import ServiceModel, TrainSettings, train
from mora.model.hours import HourForecast, forecast_of
from tests import fakes_learning as fakes
from tests.model.making import plain_model

STEP = 300.0
TARGETS = (Target.CPU, Target.MEMORY)


@cache
def model() -> ServiceModel:
    settings = TrainSettings(weights={"yesterday": 0.5, "moving-average": 0.5})
    return train(fakes.observed(days=6), {}, fakes.WORKLOAD, settings=settings)


@cache
def samples(days: int = 6) -> tuple[Floats, dict[str, Floats]]:
    rows = fakes.observed(days=days)
    names = ("cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value")
    return epoch_seconds(rows), {name: rows[name].to_numpy(dtype=np.float64) for name in names}


@cache
def settled() -> HourForecast:
    seconds, columns = samples()
    return HourForecast.of(model()).settled(seconds, columns, step=STEP, first=float(seconds[-400]))[0]


def test_it_is_what_the_model_itself_forecasts_at_the_beginning_of_each_hour() -> None:
    found = as_they_are()
    grid = history_of(fakes.observed(days=6), "frontend").grid(3600.0)
    hour = model().horizons[3600]
    for row in range(1296, len(grid) - 12, 12):
        for target in TARGETS:
            parts = hour.parts(grid, target, model().forecasters, row)
            expected = hour.calibrations[target].point_forecast(parts)
            own = found[TARGET_COLUMNS[target]][row : row + 12]
            np.testing.assert_allclose(own, expected, rtol=1e-9)


def test_it_looks_no_further_back_than_its_forecasts_do() -> None:
    # The day before, and the hour that followed then.
    assert settled().back_hours == 25
    seconds, columns = samples()
    begin = np.flatnonzero(np.isfinite(settled().at(seconds, columns)["cpu_cores_value"]))[0]
    assert seconds[begin] - seconds[0] == 25 * 3600


@cache
def as_they_are() -> dict[str, Floats]:
    return settled().at(*samples())


@settings(max_examples=6, deadline=None)
@given(cut=st.integers(320, 1720), seed=st.integers(0, 2**16))
def test_nothing_that_comes_later_changes_a_forecast(cut: int, seed: int) -> None:
    seconds, columns = samples()
    changed = {name: values.copy() for name, values in columns.items()}
    later = np.random.default_rng(seed).normal(1e9, 1e9, len(seconds) - cut)
    for values in changed.values():
        values[cut:] = np.where(later > 1e9, later, np.nan)
    before = as_they_are()
    for name, forecast in settled().at(seconds, changed).items():
        np.testing.assert_array_equal(forecast[:cut], before[name][:cut])


def test_what_is_saved_is_restored_without_the_model() -> None:
    saved = settled().save()
    other = HourForecast.restore(saved)
    assert other.in_words("cpu_cores_value") == settled().in_words("cpu_cores_value")
    assert f"the model {model().digest[:12]} of frontend" in other.in_words("cpu_cores_value")
    assert "trained on samples up to 2026-09-07T07:55:00Z" in other.in_words("cpu_cores_value")
    for name, forecast in other.at(*samples()).items():
        np.testing.assert_array_equal(forecast, as_they_are()[name])


@pytest.mark.parametrize(
    "change", [{"shares": {}}, {"steps": 0}, {"back_hours": 10**9}, {"metrics": {"a": "b"}}, {"until": "x"}, {"own": 3}]
)
def test_what_was_not_saved_is_not_restored(change: Mapping[str, Any]) -> None:
    saved = settled().save()
    with pytest.raises(sealed.UNREADABLE):
        HourForecast.restore(Saved({**saved.document, **change}, saved.arrays))


def test_a_model_of_experiments_or_without_an_hour_forecasts_none() -> None:
    driven = SimpleNamespace(is_driven=True, workload=fakes.WORKLOAD)
    with pytest.raises(NotEnoughData, match="load experiments, which forecast no time"):
        HourForecast.of(cast(ServiceModel, driven))
    with pytest.raises(NotEnoughData, match="no forecast of an hour"):
        HourForecast.of(replace(plain_model(), horizons={}))


def test_samples_that_are_too_coarse_or_too_few_have_no_forecast() -> None:
    seconds, columns = samples()
    made = HourForecast.of(model())
    with pytest.raises(NotEnoughData, match="too coarse"):
        made.settled(seconds, columns, step=7200.0, first=float(seconds[-400]))
    with pytest.raises(NotEnoughData, match="too few hours"):
        made.settled(seconds, columns, step=STEP, first=float(seconds[20]))
    with pytest.raises(NotEnoughData, match="forecasts nothing"):
        made.settled(seconds, {"latency": columns["cpu_cores_value"]}, step=STEP, first=float(seconds[-400]))


@dataclass(frozen=True)
class Mute:
    """Forecasts nothing."""

    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        return [{} for _ in places]

    def save(self) -> Saved:
        return Saved()


def test_a_forecaster_that_is_silent_is_named() -> None:
    seconds, columns = samples()
    one = replace(
        HourForecast.of(model()), own={"lstm": Mute()}, shares={t: {"lstm": 0.6, "naive": 0.4} for t in TARGETS}
    )
    found, told = one.settled(seconds, columns, step=STEP, first=float(seconds[-400]))
    assert told[0].startswith("LSTM forecasts nothing of cpu_cores_value from 4d13h of samples")
    # What needs an hour looks at six.
    assert found.back_hours == 6


def test_a_model_of_the_samples_themselves_knows_cpu_and_memory_or_one_metric() -> None:
    seconds, columns = samples()
    both = HourForecast.learnt(seconds, columns, names=("yesterday",), step=STEP)
    assert list(both.metrics) == ["cpu_cores_value", "mem_bytes_value"]
    alone = HourForecast.learnt(seconds, {"value": columns["cpu_cores_value"]}, names=("yesterday",), step=STEP)
    assert alone.metrics == {"value": Target.CPU}
    assert alone.shares[Target.CPU] == both.shares[Target.CPU]
    with pytest.raises(NotEnoughData, match="neither CPU nor memory"):
        HourForecast.learnt(seconds, {"a": seconds, "b": seconds}, names=("yesterday",), step=STEP)
    with pytest.raises(NotEnoughData, match="mostly gaps"):
        HourForecast.learnt(seconds[[0, 1, -1]], {"a": seconds[:3]}, names=("yesterday",), step=STEP)


def test_a_service_without_a_model_has_a_reason_that_says_what_to_do(tmp_path: Path) -> None:
    found, why = forecast_of("frontend", "default", tmp_path)
    assert found is None
    assert why[0].endswith("Train one: mora train frontend")
    assert why[1].startswith("So every metric is compared with the same time yesterday")
    model().save(tmp_path / "frontend")
    found, why = forecast_of("frontend", "default", tmp_path)
    assert found is not None
    assert found.whose == f"the model {model().digest[:12]} of frontend"
    assert why == ()
