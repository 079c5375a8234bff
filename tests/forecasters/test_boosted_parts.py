"""Rows to learn from: which there are, what each counts, and when one option is surely better than another."""

from __future__ import annotations

import numpy as np
import pytest

from mora.forecasters import tabular
from mora.forecasters.boosted_parts import HIGH, MEAN, Part, joined_parts, part_of, pinball, surely_best
from mora.forecasters.places import Lesson
from tests.forecasters.histories import CPU, MEMORY, grid, waves

COLUMNS = (CPU, MEMORY)
NAIVE_ALONE = np.array([1.0, 0.0, 0.0, 0.0])


def parts() -> tuple[Part, Part]:
    one = grid(waves(9), 24)
    idle = {name: tabular.idle_of(one.filled[name]) for name in COLUMNS}
    lesson = Lesson(one, 120, len(one))
    found = [part_of(lesson, COLUMNS, CPU, idle, is_check=is_check) for is_check in (False, True)]
    assert found[0] is not None
    assert found[1] is not None
    return found[0], found[1]


def test_what_trains_ends_where_what_is_checked_begins() -> None:
    training, checking = parts()
    # Rows 24..96, whose horizons end by row 120; and those from row 120 to the last whole horizon.
    assert (len(training), len(checking)) == (120 - 24 - 24 + 1, 216 - 120 - 24 + 1)
    assert training.table.shape[1] == len(tabular.names(COLUMNS, CPU))
    assert len(training.given(HIGH)) == len(training.wanted(NAIVE_ALONE, HIGH)) == 3 * len(training)


def test_busy_rows_count_more_within_bounds() -> None:
    training, _ = parts()
    worth, level = training.worth(NAIVE_ALONE, MEAN), training.plain[:, 0]
    assert (np.diff(worth[np.argsort(level)]) >= 0).all()
    assert 0.2 <= worth.min() <= 1 <= worth.max() <= 5


def test_parts_are_joined_and_thinned_and_nothing_is_nothing() -> None:
    training, checking = parts()
    joined = joined_parts([training, None, checking], 50)
    assert joined is not None
    assert len(joined) <= 50
    assert joined.apart == 3
    assert joined_parts([None], 50) is None


def test_an_option_is_better_only_by_more_than_one_standard_error_over_whole_horizons() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(1, 2, 240)
    luck = first + rng.normal(0, 0.5, 240)
    assert surely_best(np.stack([first, 0.5 * first, 0.4 * first]), 24, 1) == 2
    assert surely_best(np.stack([first, first, luck - luck.mean() + first.mean()]), 24, 1) == 0
    assert surely_best(np.stack([first, 0.5 * first])[:, :47], 24, 1) == 0


@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_the_pinball_loss_is_smallest_at_the_quantile(quantile: float) -> None:
    values = np.random.default_rng(1).normal(10, 2, 4000)
    levels = np.linspace(5, 15, 201)
    lost = [pinball(values - level, quantile, np.ones(4000)).mean() for level in levels]
    assert levels[int(np.argmin(lost))] == pytest.approx(np.quantile(values, quantile), abs=0.06)
