"""The table of a history: no scale, nothing of the future, names for every column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.domain.learning import HorizonGrid
from mora.forecasters import tabular
from mora.forecasters.horizon import PLAIN, plain_at, truth_at
from tests.forecasters.histories import CPU, MEMORY, grid, waves

COLUMNS = (CPU, MEMORY)


def made(one: HorizonGrid, rows: list[int], scale: float = 1.0) -> np.ndarray:
    idle = {name: tabular.idle_of(one.filled[name][:100]) for name in COLUMNS}
    return tabular.table(one, np.array(rows), COLUMNS, CPU, idle)


@pytest.mark.parametrize("hours", [1.0, 24.0])
def test_every_feature_has_a_name_of_its_own(hours: float) -> None:
    one = grid(waves(9), hours)
    names = tabular.names(COLUMNS, CPU)
    assert len(set(names)) == len(names) == made(one, [len(one)]).shape[1]


@settings(max_examples=25, deadline=None)
@given(
    hours=st.sampled_from([1.0, 6.0, 24.0, 72.0]),
    days=st.floats(3.5, 9),
    part=st.floats(0.4, 1),
    seed=st.integers(0, 99),
)
def test_what_comes_at_a_row_or_after_it_changes_no_feature(hours: float, days: float, part: float, seed: int) -> None:
    one = grid(waves(days, seed=seed), hours)
    row = max(int(len(one) * part), one.steps)
    later = {name: np.where(np.arange(len(one)) < row, values, 9e9) for name, values in one.filled.items()}
    other = HorizonGrid(one.horizon_seconds, one.steps, one.start_seconds, later, later)
    idle = {name: tabular.idle_of(one.filled[name][: one.steps]) for name in COLUMNS}
    at = np.array([row])
    for grid_now in (one.before(row), other):
        for given_now, expected in (
            (tabular.table(grid_now, at, COLUMNS, CPU, idle), tabular.table(one, at, COLUMNS, CPU, idle)),
            (tabular.anchors(grid_now, at, CPU, idle[CPU]), tabular.anchors(one, at, CPU, idle[CPU])),
        ):
            np.testing.assert_array_equal(given_now, expected)


@settings(max_examples=20, deadline=None)
@given(scale=st.sampled_from([1e-6, 0.01, 7.0, 1e6]), hours=st.sampled_from([1.0, 24.0]))
def test_a_service_that_has_grown_looks_like_what_it_was(scale: float, hours: float) -> None:
    columns = waves(9)
    one, other = grid(columns, hours), grid({name: scale * values for name, values in columns.items()}, hours)
    rows = [one.steps, len(one) // 2, len(one)]
    np.testing.assert_allclose(made(one, rows), made(other, rows), rtol=1e-4, atol=1e-5)


def test_a_row_has_the_same_features_alone_and_among_others() -> None:
    one = grid(waves(9), 1)
    rows = [12, 700, 1500, len(one)]
    together = made(one, rows)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(made(one, [row])[0], together[number])


@pytest.mark.parametrize("hours", [1.0, 24.0])
def test_anchors_are_the_plain_forecasts_of_the_mean(hours: float) -> None:
    one = grid(waves(9), hours)
    for row in (len(one), len(one) - 7, one.steps_of_day * 3):
        plain = plain_at(one, CPU, row)
        found = np.exp(tabular.anchors(one, np.array([row]), CPU, 0.1)[0]) - 0.1
        expected = [plain[name][0] if name in plain else plain["naive"][0] for name in tabular.ANCHORS]
        assert found.tolist() == pytest.approx(expected)
        assert set(tabular.ANCHORS) == set(PLAIN)


def test_truths_are_those_of_a_forecast_and_unknown_where_too_little_was_recorded() -> None:
    columns = waves(5)
    columns[CPU][600:1000] = np.nan
    one = grid(columns, 24)
    rows = np.arange(24, len(one) + 1)
    for row, truth in zip(rows.tolist(), tabular.truths(one, rows, CPU).tolist(), strict=True):
        known = truth_at(one, CPU, row) if one.knows(CPU, row - 24, row) else None
        assert np.isnan(truth) if known is None else truth == pytest.approx(known[0])


def test_a_column_that_is_idle_has_finite_features() -> None:
    one = grid({CPU: np.zeros(288 * 9), MEMORY: np.full(288 * 9, 1e8)}, 1)
    found = made(one, [12, 1000, len(one)])
    assert np.isfinite(found[-1]).sum() > 0.9 * found.shape[1]
