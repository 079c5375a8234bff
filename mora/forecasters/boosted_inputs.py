"""What the inputs of boosted trees add to a forecast: SHAP values of the trees, exactly, and of the anchor they mend.

The logarithm of the forecast is the last horizon's, what the other plain forecasts say over it, each times its weight,
and the trees' sum. Features that say the same to a person, such as the sine and the cosine of the hour, are one input.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from mora import helios_features
from mora.domain.learning import Contributions, Floats, HorizonGrid
from mora.forecasters import tabular
from mora.forecasters.horizon import plain_labels
from mora.fusion import NAIVE
from mora.shapley import TreeArrays, grouped, in_units, in_words, last_horizon, of_trees

Rows = np.ndarray

_TIMES = {"hour", "hour_sin", "hour_cos", "minutes_since_midnight"}
_DAYS = {"day_of_week", "is_weekend", "day_sin", "day_cos"}
# Of a feature's name behind that of its column, and how it is called. {0}: the column, {1}: the number of the feature.
_WORDS = (
    (re.compile(r"lag_(\d+)"), "{0} {1} steps before"),
    (re.compile(r"rolling_mean_(\d+)"), "mean {0} of {1} steps"),
    (re.compile(r"rolling_std_(\d+)"), "spread of {0} over {1} steps"),
    (re.compile(r"rolling_min_(\d+)"), "lowest {0} of {1} steps"),
    (re.compile(r"rolling_max_(\d+)"), "highest {0} of {1} steps"),
    (re.compile(r"pct_change_(\d+)"), "change of {0} over {1} steps"),
    (re.compile(r"horizon_(\d+)_back"), "{0} of the horizon {1} before"),
    (re.compile(r"same_time_1d_ago"), "{0} a day earlier"),
    (re.compile(r"same_time_7d_ago"), "{0} a week earlier"),
    (re.compile(r"same_time_(\d+)d_ago"), "{0} {1} days earlier"),
    (re.compile(r"then_changed_(\d+)d_ago"), "how {0} changed then, {1} days earlier"),
    (re.compile(r"second_last"), "{0} 2 steps before"),
    (re.compile(r"mean_(\w+)"), "mean {0} of the last {1}"),
    (re.compile(r"max_horizon"), "highest {0} of the last horizon"),
    (re.compile(r"min_horizon"), "lowest {0} of the last horizon"),
    (re.compile(r"max_day"), "highest {0} of the last day"),
    (re.compile(r"slope"), "slope of {0}"),
)


def feature_in_words(name: str, columns: Sequence[str], grid: HorizonGrid) -> str:
    """How a feature of tabular.names() is called; by its own name where there is no word for it."""
    if name in _TIMES or name in _DAYS:
        return "time of day" if name in _TIMES else "day of the week"
    for column in columns:
        rest = name.removeprefix(f"{column}_")
        if rest == name or name in {ratio for ratio, _, _ in helios_features.ratios(columns)}:
            continue
        if rest in ("last", "slots"):
            return plain_labels(grid, column)[rest]
        for pattern, words in _WORDS:
            found = pattern.fullmatch(rest)
            if found:
                return words.format(in_words(column), *found.groups()).replace(" 1 steps", " 1 step")
    return name


def contributions(
    grid: HorizonGrid,
    rows: Rows,
    background: Rows,
    *,
    column: str,
    columns: Sequence[str],
    names: Sequence[str],
    given: tuple[Floats, Floats],
    trees: TreeArrays,
    share: float,
    offset: float,
    anchor: Sequence[float],
    idle: float,
    forecasts: tuple[Floats, Floats],
) -> Contributions:
    """Of one target. given, forecasts: what the trees are given, and the means that come out, of rows and background.

    names: of the trees' inputs. share, offset: of the trees' sum counts `share`, and `offset` is added. anchor: weights
    of the plain forecasts, in the order of tabular.ANCHORS.
    """
    base, values = of_trees(trees, *given)
    weights = np.array(anchor)
    plain, usual = (tabular.anchors(grid, some, column, idle) for some in (rows, background))
    over, usually = ((some - some[:, :1]) * weights for some in (plain, usual))
    labels = plain_labels(grid, column)
    amounts = np.hstack([(over - usually.mean(axis=0))[:, 1:], share * values])
    words = [
        *(labels[name] for name in tabular.ANCHORS if name != NAIVE),
        *(feature_in_words(name, columns, grid) for name in names),
    ]
    average = float(forecasts[1].mean())
    inputs, amounts, sizes = grouped(words, amounts, np.hstack([over[:, 1:], given[0]]))
    levels = tabular.levels(grid, rows, column)
    start = float(usually.mean(axis=0).sum()) + offset + share * base
    found = in_units(levels, start, amounts, forecasts[0], idle=idle, usual=average)
    return Contributions(
        (last_horizon(grid.horizon_seconds), *inputs), average, found, np.column_stack([levels, np.nan_to_num(sizes)])
    )
