"""A detector is due where what is usual moved away from it or it is old, and never learns an incident that goes on."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from mora.health.model import HealthModel, train
from mora.health.renewal import drift_of, renewal_of
from tests.health.made import healthy, with_fault

STEP = timedelta(minutes=5)
DAY = 288


def growing(days: int, share_a_day: float) -> pd.DataFrame:
    """A service whose use grows slowly, with a day's rhythm."""
    frame = healthy(days * DAY, step=STEP, seed=3)
    day = np.arange(len(frame)) / DAY
    for name in ("cpu_cores_value", "mem_bytes_value", "latency_p95_seconds"):
        frame[name] *= (1 + 0.2 * np.sin(2 * np.pi * day)) * (1 + share_a_day * day)
    return frame


@pytest.fixture(scope="module")
def model() -> HealthModel:
    return train(growing(14, 0), service="web")


def later(days: int, share_a_day: float = 0.0) -> pd.DataFrame:
    return growing(14 + days, share_a_day)[14 * DAY :].reset_index(drop=True)


def test_what_stays_as_it_is_is_not_due_and_what_grows_is(model: HealthModel) -> None:
    found = renewal_of(model, later(10))
    assert not found.is_due
    assert "times the usual" in found.why
    grown = later(10, 0.01)
    assert (drift_of(model, model.judge(grown)) or 0) > 1.5
    assert renewal_of(model, grown).is_due


def test_an_incident_of_hours_makes_none_due_and_is_not_to_be_learnt(model: HealthModel) -> None:
    samples = with_fault(later(3), 3 * DAY - 8, rows=8)
    found = renewal_of(model, samples)
    assert not found.is_due
    (incident,) = found.incidents
    assert incident.start >= samples["timestamp"][3 * DAY - 8]
    assert found.unlearnt[:-1] == found.incidents
    assert found.unlearnt[-1].end == samples["timestamp"].iloc[-1]
    assert found.unlearnt[-1].end - found.unlearnt[-1].start == timedelta(hours=1)
    assert renewal_of(model, with_fault(later(3), 10, rows=8)).incidents == ()


def test_what_is_old_or_cannot_be_judged_is_due(model: HealthModel) -> None:
    found = renewal_of(model, later(40)[30 * DAY :].reset_index(drop=True))
    assert found.is_due
    assert "has seen nothing for" in found.why
    assert renewal_of(model, later(2).drop(columns="mem_bytes_value")).is_due


def test_too_short_a_time_says_nothing(model: HealthModel) -> None:
    short = later(1)[: DAY // 3]
    assert drift_of(model, model.judge(short)) is None
    assert not renewal_of(model, short).is_due
