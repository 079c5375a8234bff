"""Seasonal MAD."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.detectors.seasonal_mad import SeasonalMad
from mora.domain.learning import Saved
from mora.errors import BadModel


def days(count: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    moments = pd.date_range("2026-11-02", periods=count * 144, freq="600s", tz="UTC").as_unit("us")
    load = 5 + 4 * np.sin(2 * np.pi * np.arange(len(moments)) / 144)
    return pd.DataFrame({"timestamp": moments, "load": load + rng.normal(0, 0.1, len(moments)), "flat": 1.0})


def test_the_load_of_noon_is_unusual_at_night() -> None:
    detector = SeasonalMad()
    detector.fit(days(5))
    frame = days(1)
    noon, night = 36, 108
    frame.loc[night, "load"] = frame["load"][noon]
    scores = detector.score(frame)
    assert scores.argmax() == night
    assert scores[night] > 5 * np.median(scores)
    assert detector.contributions(frame)["load"][night] == pytest.approx(1.0)


def test_a_metric_that_is_not_known_leaves_the_score_to_the_others() -> None:
    detector = SeasonalMad()
    detector.fit(days(5))
    frame = days(1)
    frame.loc[3, "load"] = np.nan
    frame.loc[4, ["load", "flat"]] = np.nan
    scores = detector.score(frame)
    assert scores[3] == 0
    assert np.isnan(scores[4])


@pytest.mark.parametrize("name", ["middle", "spread", "day", "day_spread"])
def test_arrays_that_do_not_fit_together_are_refused(name: str) -> None:
    detector = SeasonalMad()
    detector.fit(days(3))
    saved = detector.save()
    with pytest.raises(BadModel, match="does not fit together"):
        SeasonalMad().restore(Saved(saved.document, {**saved.arrays, name: saved.arrays[name][:-1]}))


def test_a_byte_more_of_a_metric_that_never_moved_is_not_abnormal() -> None:
    moments = pd.date_range("2026-11-02", periods=3000, freq="60s", tz="UTC").as_unit("us")
    rng = np.random.default_rng(1)
    usual = pd.DataFrame({"timestamp": moments, "cpu": rng.normal(1, 0.1, 3000), "disk": 7e8})
    detector = SeasonalMad()
    detector.fit(usual)
    np.testing.assert_allclose(detector.score(usual.assign(disk=7e8 + 1)), detector.score(usual), atol=1e-2)
    assert detector.score(usual.assign(disk=7.7e8)).min() > detector.score(usual).max()
