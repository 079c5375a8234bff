from __future__ import annotations

import numpy as np
import pytest

from mora.bounds.carry import Carry
from mora.bounds.features import FEATURES, features, needed_levels
from mora.bounds.ticks import Floats, Ticks, cut
from mora.coverage import needed_cpu_cores, needed_memory_bytes
from tests.bounds.making import bumpy

DAY, HOUR = 86400, 3600


def ticks_of(values: Floats, horizon: int = DAY) -> Ticks:
    return cut(values[None], step_seconds=900, decisions=np.array([len(values)]), horizon_seconds=horizon)


def of(values: Floats, bound: float, *, horizon: int = DAY) -> dict[str, float]:
    """The features of one bound that was the same all along, for the window after the last sample."""
    ticks = ticks_of(values, horizon)
    issued = np.full((len(ticks.samples) + 1, 1), bound)
    found = features(issued, needed_levels(ticks, 0.10, Carry()), ticks, Carry())
    return dict(zip(FEATURES, found[-1, 0], strict=True))


def test_what_a_window_needs_is_what_coverage_counts() -> None:
    values = bumpy(days=6)
    ticks = ticks_of(values)
    for share, needs in ((0.10, needed_cpu_cores), (0.0, needed_memory_bytes)):
        found = needed_levels(ticks, share, Carry())
        for last in (23, 60, 143):
            window = ticks.samples[last - 23 : last + 1, 0].ravel()
            if not np.isnan(window).all():
                assert found[last, 0] == needs(window)


def test_shares_of_the_last_samples_that_lie_above() -> None:
    values = np.ones(4 * 96)
    values[-6:] = 5.0
    values[-1] = 1.0
    found = of(values, 2.0)
    assert found["above in an hour"] == 3 / 4
    assert found["above in three hours"] == 5 / 12
    assert found["above in a day"] == pytest.approx(np.sqrt(5 / 96))
    assert found["last sample above"] == 0.0
    values[-1] = 5.0
    assert of(values, 2.0)["last sample above"] == 1.0
    # Where the last hours are unknown, the last sample that is known counts.
    values[-8:] = np.nan
    values[-9] = 7.0
    assert of(values, 2.0)["last sample above"] == 1.0
    assert of(values, 2.0)["above in an hour"] == 0.05


@pytest.mark.parametrize("horizon", [HOUR, DAY])
def test_the_same_hours_of_days_before_speak_for_a_bound(horizon: int) -> None:
    values = np.ones(8 * 96)
    assert of(values, 2.0, horizon=horizon)["days before covered"] > 0.5
    # The hour after midnight, of every day.
    for day in range(8):
        values[day * 96 : day * 96 + 4] = 9.0
    found = of(values, 2.0, horizon=horizon)["days before covered"]
    # A tenth of a day is more than its one hour.
    assert found < -1.0 if horizon == HOUR else found > 0.5


def test_a_young_series_and_a_bound_that_rises() -> None:
    values = np.full(10 * 96, np.nan)
    values[-3 * 96 :] = 1.0
    ticks = ticks_of(values)
    issued = np.full((len(ticks.samples) + 1, 1), 2.0)
    issued[-1] = 4.0
    issued[:5] = np.nan
    found = features(issued, needed_levels(ticks, 0.10, Carry()), ticks, Carry())
    assert found[-1, 0, FEATURES.index("young")] == pytest.approx(np.exp(-1))
    assert found[-1, 0, FEATURES.index("risen in a day")] == pytest.approx(np.log(2))
    assert found[-2, 0, FEATURES.index("risen in a day")] == 0.0
    assert np.isnan(found[:5]).all()
    assert not np.isnan(found[5:]).any()
