"""Statistical models: what they forecast, what is kept of them, and what happens where they cannot be fitted."""

from __future__ import annotations

import numpy as np
import pytest

from mora.documents import Misfit
from mora.domain import Target
from mora.domain.learning import AtRow, Experiments, Floats, Past, Saved
from mora.errors import NotEnoughData
from mora.features import TARGETS
from mora.forecasters import statistical
from mora.forecasters.horizon import plain_at, truth_at
from mora.forecasters.statistical import AutoArima, AutoEts, AutoTheta, FittedStatistical, Mstl, Series, Statistical
from mora.fusion import NAIVE
from mora.seams import Silent
from mora.testing import examples
from tests.forecasters.histories import CPU, MEMORY, fitted, grid, past, waves


def learnt(forecaster: Statistical, data: Past | Experiments) -> FittedStatistical:
    return forecaster.fit(data, seed=0, reporter=Silent())


def errors(found: FittedStatistical, hours: float, days: int) -> tuple[float, float]:
    """Of the forecast, and of the naive one, over the days after it was fitted."""
    one = grid(waves(days + 2, sundays=False), hours)
    rows = list(range(days * one.steps_of_day, len(one) - one.steps, 37))
    own, naive = [], []
    for row, levels in zip(rows, found.levels([AtRow(one, row) for row in rows]), strict=True):
        truth = truth_at(one, CPU, row)
        assert truth is not None
        own.append(abs(levels[Target.CPU][0] - truth[0]))
        naive.append(abs(plain_at(one, CPU, row)[NAIVE][0] - truth[0]))
    return float(np.mean(own)), float(np.mean(naive))


@pytest.mark.parametrize("forecaster", [AutoTheta(), Mstl()])
def test_an_hour_ahead_a_season_of_a_day_errs_less_than_the_naive_forecast(forecaster: Statistical) -> None:
    one = grid(waves(5, sundays=False), 1)
    found = learnt(forecaster, past(one))
    assert found.reasons == ()
    own, naive = errors(found, 1, 5)
    assert own < 0.8 * naive


def test_a_season_that_is_too_long_or_not_covered_is_off_and_the_reason_says_so() -> None:
    short = learnt(AutoTheta(), past(grid(waves(1.5), 24)))
    assert [reason.text for reason in short.reasons] == [
        "autotheta does without a daily season: less than two days are there"
    ]
    long = learnt(AutoEts(), past(grid(waves(3), 1)))
    assert "288 steps are more than it can take" in long.reasons[0].text
    assert long.series[Target.CPU].season == 1


@pytest.mark.parametrize("level", [0.0, 2.5])
def test_of_a_constant_series_nothing_is_fitted_and_it_stays_what_it_is(level: float) -> None:
    one = grid({CPU: np.full(24 * 5, level), MEMORY: np.full(24 * 5, 1e8)}, 24, 3600)
    found = learnt(AutoArima(), past(one))
    assert found.models == {}
    assert found.levels([AtRow(one, 100)]) == [{Target.CPU: (level, level), Target.MEMORY: (1e8, 1e8)}]


def test_too_short_a_series_is_refused_with_what_is_there() -> None:
    with pytest.raises(NotEnoughData, match="autoets needs 24 steps of cpu, there are 12"):
        learnt(AutoEts(), past(grid(waves(0.5), 24)))


def test_a_target_that_cannot_be_fitted_has_a_reason_and_where_none_can_that_is_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit = statistical._fit

    def breaks(kind: str, series: Series) -> object:
        if series.scale < breaks_below:
            raise np.linalg.LinAlgError("Singular matrix")
        return fit(kind, series)

    monkeypatch.setattr(statistical, "_fit", breaks)
    breaks_below = 1e6
    found = learnt(AutoTheta(), past(grid(waves(3), 24)))
    assert list(found.series) == [Target.MEMORY]
    assert "autotheta has no forecast of cpu: it ends in Singular matrix" in [reason.text for reason in found.reasons]
    breaks_below = 1e12
    with pytest.raises(NotEnoughData, match=r"no forecast of cpu.*no forecast of memory"):
        learnt(AutoTheta(), past(grid(waves(3), 24)))


class Breaks:
    """A fitted model that cannot go on."""

    def forward(self, y: Floats, h: int, level: list[int]) -> dict[str, Floats]:
        nothing = np.full(h, np.nan)
        if len(y) % 2:
            raise ZeroDivisionError
        return {"mean": nothing, "hi-90": nothing}


@pytest.mark.parametrize("row", [100, 101])
def test_where_a_model_breaks_down_there_is_no_forecast(row: int) -> None:
    one = grid(waves(6), 24)
    series = Series(one.filled[CPU][:144], 1, 1, 24)
    found = FittedStatistical("autoets", {Target.CPU: series}, models={Target.CPU: Breaks()})
    assert found.levels([AtRow(one, row)]) == [{}]


def test_of_experiments_the_longest_is_learned_from() -> None:
    pieces = [piece.cut(0, 40 + 2 * number) for number, piece in enumerate(examples.experiments())]
    found = learnt(AutoTheta(), Experiments(pieces[:5], pieces[5:], TARGETS))
    np.testing.assert_array_equal(found.series[Target.CPU].values, pieces[4].values[CPU])
    assert found.series[Target.REPLICAS].is_constant


def test_what_was_not_saved_by_it_is_refused() -> None:
    saved = fitted(AutoTheta(), past(grid(waves(3), 24))).save()
    with pytest.raises(Misfit, match="kind is 'autotheta', not 'mstl'"):
        Mstl().restore(saved)
    for series in (np.array([np.nan, 1.0]), np.ones((2, 2)), np.array(["a"]), np.array([], dtype=np.float64)):
        with pytest.raises(Misfit, match="no list of finite numbers"):
            AutoTheta().restore(Saved(saved.document, {**saved.arrays, "cpu": series}))


def test_steps_taken_together_are_counted_back_from_the_end() -> None:
    assert statistical._together(np.arange(8.0), 3).tolist() == [3.0, 6.0]
    assert statistical._together(np.arange(2.0), 3).tolist() == []
