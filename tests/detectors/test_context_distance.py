"""The distance on context features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.detectors.context_distance import ContextDistance
from mora.detectors.levels import paced
from mora.detectors.tracking import Tracking
from mora.domain.learning import Saved
from mora.errors import BadInput, BadModel

DAY = 1440


def service(days: float, seed: int = 1) -> pd.DataFrame:
    """A service at 60 s: load with a day's shape, CPU and network that follow it, memory that does not."""
    rng = np.random.default_rng(seed)
    rows = int(days * DAY)
    moments = pd.date_range("2026-11-02", periods=rows, freq="60s", tz="UTC").as_unit("us")
    load = 50 + 40 * np.sin(2 * np.pi * np.arange(rows) / DAY) + rng.normal(0, 3, rows)
    return pd.DataFrame(
        {
            "timestamp": moments,
            "requests_per_second": load,
            "cpu_cores_value": 0.004 * load + rng.normal(0, 0.01, rows),
            "mem_bytes_value": 3e8 + rng.normal(0, 2e6, rows),
        }
    )


@pytest.fixture(scope="module")
def trained() -> ContextDistance:
    detector = ContextDistance()
    detector.fit(service(5))
    return detector


def test_cpu_without_load_is_found_though_neither_is_out_of_its_range(trained: ContextDistance) -> None:
    """What one metric alone cannot show: CPU of a busy hour in a quiet one."""
    frame = service(1, seed=2)
    sick = slice(int(0.75 * DAY), int(0.75 * DAY) + 10)
    frame.loc[frame.index[sick], "cpu_cores_value"] += 0.2
    scores = trained.score(frame)
    assert scores[sick].max() > 2 * np.delete(scores, np.arange(sick.start, sick.stop + 60)).max()
    assert trained.contributions(frame)["cpu_cores_value"].iloc[sick].max() > 0.4


@given(factor=st.floats(1e-6, 1e9), column=st.sampled_from(["cpu_cores_value", "mem_bytes_value"]))
@settings(max_examples=8, deadline=None)
def test_the_unit_of_a_metric_changes_no_score(factor: float, column: str) -> None:
    frame = service(1)
    plain, scaled = ContextDistance(), ContextDistance()
    plain.fit(frame)
    other = frame.assign(**{column: frame[column] * factor})
    scaled.fit(other)
    np.testing.assert_allclose(scaled.score(other), plain.score(frame), rtol=1e-6)


def test_the_first_hour_of_an_incident_is_abnormal_to_its_end(trained: ContextDistance) -> None:
    """The default with the default: a hog of one hour is seen from its first minutes to its last."""
    threshold = paced(Tracking(), 60)
    threshold.fit(trained.score(service(2, seed=3)))
    frame = service(1, seed=4)
    frame.loc[frame.index[600:660], "cpu_cores_value"] += 0.3
    scores = trained.score(frame)
    abnormal = scores > threshold.follow(scores)
    assert abnormal[603:660].all()
    assert abnormal[:600].mean() < 0.01
    # Nor has it learnt it when it comes back on the next day.
    frame.loc[frame.index[1200:1260], "cpu_cores_value"] += 0.3
    again = trained.score(frame)
    assert (again[1202:1210] > threshold.level).all()
    assert (again[1200:1260] > threshold.level).mean() > 0.9


def test_samples_of_another_step_are_refused(trained: ContextDistance) -> None:
    with pytest.raises(BadInput, match="300 s apart; the detector was trained on samples 60 s apart"):
        trained.score(service(1)[::5])


def test_a_metric_that_is_not_known_for_a_while_leaves_the_others_their_say(trained: ContextDistance) -> None:
    frame = service(1, seed=5)
    frame.loc[frame.index[700:], "mem_bytes_value"] = np.nan
    frame.loc[frame.index[800:810], "cpu_cores_value"] += 0.5
    scores = trained.score(frame)
    assert np.isfinite(scores).all()
    assert scores[803:810].min() > scores[:700].max()
    assert (trained.contributions(frame)["mem_bytes_value"].iloc[712:] == 0).all()


def test_a_metric_that_is_hardly_known_is_left_out_with_a_reason() -> None:
    frame = service(1).assign(rare=np.r_[np.ones(10), np.full(DAY - 10, np.nan)])
    detector = ContextDistance()
    detector.fit(frame)
    assert detector.columns == ("requests_per_second", "cpu_cores_value", "mem_bytes_value")
    assert detector.reasons == ("rare is left out: 10 of its samples are known, and 30 are needed.",)


def test_it_is_small_for_five_metrics() -> None:
    frame = service(3).assign(a=lambda f: f["cpu_cores_value"] ** 2, b=1.0)
    detector = ContextDistance()
    detector.fit(frame)
    assert sum(array.nbytes for array in detector.save().arrays.values()) <= 20_000


@pytest.mark.parametrize("name", ["middle", "day", "precision", "units"])
def test_arrays_that_do_not_fit_together_are_refused(trained: ContextDistance, name: str) -> None:
    saved = trained.save()
    for wrong in (saved.arrays[name][:-1], np.full_like(saved.arrays[name], np.nan)):
        with pytest.raises(BadModel):
            ContextDistance().restore(Saved(saved.document, {**saved.arrays, name: wrong}))


def test_a_byte_more_of_a_metric_that_never_moved_is_not_abnormal_and_a_fifth_more_is() -> None:
    usual = service(2).assign(disk_bytes=7e8)
    detector = ContextDistance()
    detector.fit(usual)
    later = service(1, seed=2).assign(disk_bytes=7e8)
    plain, byte, fifth = later.copy(), later.copy(), later.copy()
    byte.loc[DAY // 2 :, "disk_bytes"] += 1
    fifth.loc[DAY // 2 :, "disk_bytes"] *= 1.2
    np.testing.assert_allclose(detector.score(byte), detector.score(plain), rtol=1e-3)
    assert detector.score(fifth)[DAY // 2 + 60 :].min() > 3 * detector.score(plain).max()
