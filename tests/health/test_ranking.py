"""Ranking: means, intervals, and a detector beside another on the series that both scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.health.contest import Result
from mora.health.measures import Events
from mora.health.ranking import interval, ranking


def result(detector: str, series: str, vus: float, *, set_name: str = "shop", events: Events | None = None) -> Result:
    by = {} if events is None else {"quantile": events}
    return Result(detector, set_name, series, vus, vus / 2, by, dict.fromkeys(by, 0.5), 1.0, 0.5)


def test_the_best_comes_first_and_events_are_added_up() -> None:
    half = Events(2, 1, 2, 1, (60.0,), 1.0, 100, 4)
    rows = ranking(
        [
            result("weak", "a", 0.2, events=half),
            result("weak", "b", 0.4, events=half),
            result("strong", "a", 0.6),
            result("strong", "b", 0.8),
        ],
        "quantile",
        reference="weak",
    )
    assert [row.detector for row in rows] == ["strong", "weak"]
    strong, weak = rows
    assert [strong.vus_pr, strong.auc_pr] == pytest.approx([0.7, 0.35])
    assert list(strong.ahead or ()) == pytest.approx([0.4, 0.4, 0.4])
    assert weak.ahead is None
    assert weak.events == Events(4, 2, 4, 2, (60.0, 60.0), 2.0, 200, 8)


def test_a_difference_is_sure_from_five_series_on() -> None:
    for count, is_sure in ((4, False), (5, True)):
        names = [str(number) for number in range(count)]
        rows = [*(result("weak", name, 0.2) for name in names), *(result("strong", name, 0.6) for name in names)]
        strong, weak = ranking(rows, "quantile", reference="weak")
        assert strong.is_surely_apart == is_sure
        assert not weak.is_surely_apart
    mixed = [result("weak", name, 0.5) for name in names]
    mixed += [result("strong", name, vus) for name, vus in zip(names, (0.1, 0.9, 0.4, 0.6, 0.5), strict=True)]
    assert not any(row.is_surely_apart for row in ranking(mixed, "quantile", reference="weak"))


def test_a_subset_is_compared_on_the_series_that_both_scored() -> None:
    rows = ranking(
        [result("all", "a", 0.9), result("all", "b", 0.1), result("few", "a", 0.8), result("few", "b", np.nan)],
        "quantile",
        reference="all",
    )
    few = next(row for row in rows if row.detector == "few")
    assert (few.series, few.failed) == (1, 1)
    assert few.ahead is not None
    assert few.ahead[0] == pytest.approx(-0.1)


def test_one_that_failed_everywhere_comes_last_and_is_counted() -> None:
    rows = ranking([result("broken", "a", np.nan), result("works", "a", 0.0)], "quantile")
    assert [(row.detector, row.series, row.failed) for row in rows] == [("works", 1, 0), ("broken", 0, 1)]
    assert np.isnan(rows[1].vus_pr)
    assert rows[1].events == Events()


def test_sets_keep_their_order() -> None:
    rows = ranking([result("one", "a", 0.1, set_name="b"), result("one", "a", 0.9, set_name="a")], "quantile")
    assert [row.set_name for row in rows] == ["b", "a"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_interval_holds_the_mean_and_is_the_same_each_time(values: list[float]) -> None:
    mean, low, high = interval(np.array(values))
    if len(values) == 1:
        assert mean == values[0]
        assert np.isnan([low, high]).all()
        return
    assert low - 1e-9 <= mean <= high + 1e-9
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    assert interval(np.array(values)) == (mean, low, high)
