"""When too few windows are covered."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.backtest.history import history_of
from mora.domain import Target
from mora.drift.coverage import chance_of_so_few, coverage_of
from mora.drift.inputs import corrected
from tests.drift import making


@given(st.integers(1, 200), st.floats(0.5, 0.99), st.data())
def test_the_chance_is_one_and_falls_with_what_is_covered(windows: int, stated: float, data: st.DataObject) -> None:
    covered = data.draw(st.integers(0, windows))
    chance = chance_of_so_few(covered, windows, stated, float(windows))
    assert 0 <= chance <= 1
    assert chance_of_so_few(windows, windows, stated, float(windows)) == pytest.approx(1.0)
    if covered:
        assert chance_of_so_few(covered - 1, windows, stated, float(windows)) <= chance + 1e-12


def test_memory_that_grows_by_a_third_every_hour_outgrows_its_bounds() -> None:
    frame = making.history()
    calm = history_of(frame, "frontend")
    growing = frame["mem_bytes_value"].to_numpy().copy()
    growing[-making.DAY :] *= np.repeat(1.3 ** np.arange(1, 25), 12)
    leaking = history_of(frame.assign(mem_bytes_value=growing), "frontend")
    trained = float(calm.series.start + 22 * 86_400)
    fine, short = (coverage_of(one, Target.MEMORY, 3600.0, trained) for one in (calm, leaking))
    assert fine is not None
    assert not corrected([fine.comparison()])[0].has_drifted
    assert short is not None
    assert corrected([short.comparison()])[0].has_drifted
    assert short.share < 0.8 < float(short.stated.mean())
    begun = datetime.fromtimestamp(calm.series.start + 23 * 86_400, short.since.tzinfo)
    assert abs((short.since - begun).total_seconds()) < 6 * 3600


def test_a_history_without_samples_says_nothing() -> None:
    frame = making.history()
    frame.loc[frame.index[-making.DAY * 2 :], "mem_bytes_value"] = np.nan
    history = history_of(frame, "frontend")
    assert coverage_of(history, Target.MEMORY, 3600.0, float(history.series.start + 22 * 86_400)) is None
    assert coverage_of(history, Target.CPU, 1000.0, float(history.series.start + 22 * 86_400)) is None
