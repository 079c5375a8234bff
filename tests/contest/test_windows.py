"""Which windows a history has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.contest.windows import all_rows, plan, windows_of
from mora.domain import Target
from mora.errors import NotEnoughData
from tests.contest.making import wave

HOUR, DAY = 3600.0, 86_400.0


@given(st.floats(3.0, 20.0), st.sampled_from([HOUR, DAY]), st.integers(1, 4), st.sampled_from([None, 2 * DAY]))
def test_every_window_lies_in_the_history_a_horizon_after_what_was_learnt(
    days: float, horizon: float, folds: int, window: float | None
) -> None:
    history = wave(days)
    try:
        cut = plan(history, horizon, folds=folds, window_seconds=window)
    except NotEnoughData:
        assert days < 6
        return
    assert 1 <= len(cut.folds) <= folds
    rows = all_rows(cut)
    assert list(rows) == sorted(set(rows))
    assert rows[-1] + cut.grid.steps <= len(cut.grid)
    for fold, origins in zip(cut.folds, cut.origins, strict=True):
        assert origins
        assert origins[0] - fold.train_stop >= cut.grid.steps
        if window is not None:
            assert fold.train_stop - fold.train_start == round(window / cut.grid.step_seconds)


def test_windows_say_what_was_used() -> None:
    history = wave(8.0)
    cut = plan(history, DAY)
    found = windows_of(cut, history, Target.CPU, group="shop")
    use = history.columns["cpu_cores_value"]
    first = history.sample(cut.grid, int(found.rows[0]))
    assert found.truth[0] == pytest.approx(use[first : first + 288].mean())
    assert found.steps.shape == (len(found), 24)
    assert found.truth_high[0] == pytest.approx(np.quantile(found.steps[0], 0.95))
    assert found.seconds[0] == history.series.start + first * 300
    assert (found.series, found.group) == ("web", "shop")


def test_samples_that_are_coarser_than_the_horizon_are_refused() -> None:
    with pytest.raises(NotEnoughData, match="coarser than the horizon"):
        plan(wave(8.0), 60.0)
