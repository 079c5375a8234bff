"""Several forecasters as one: weights out of fold, members that are left out, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from mora.documents import Misfit
from mora.domain import Target
from mora.domain.learning import AtRow, Experiments, Level, Past, Place, Saved
from mora.errors import NotEnoughData
from mora.features import TARGETS
from mora.forecasters import combined
from mora.forecasters.combined import FittedCombined, StackedForecaster
from mora.seams import Silent
from mora.testing import examples
from tests.forecasters.histories import CPU, fitted, grid, past, waves


class Says:
    """A fitted forecaster that says one level everywhere, or nothing."""

    reasons = ()

    def __init__(self, level: Level | None) -> None:
        self.level = level

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        return [{} if self.level is None else {Target.CPU: self.level} for _ in places]

    def save(self) -> Saved:
        return Saved()


def stacked(data: Past | Experiments, members: str = "naive+yesterday") -> FittedCombined:
    return StackedForecaster(members).fit(data, seed=0, reporter=Silent())


def test_levels_are_weighted_and_those_that_are_silent_leave_their_weight_to_the_others() -> None:
    members = {"a": Says((1.0, 2.0)), "b": Says((3.0, 8.0)), "c": Says(None)}
    found = FittedCombined(members, {Target.CPU: {"a": 0.3, "b": 0.3, "c": 0.4}})
    place = AtRow(examples.history(), 50)
    assert found.levels([place]) == [{Target.CPU: (2.0, 5.0)}]
    assert FittedCombined({"c": members["c"]}, {Target.CPU: {"c": 1.0}}).levels([place]) == [{}]


def test_the_weights_are_convex_and_go_to_what_forecasts_best_out_of_fold() -> None:
    # A day's wave, an hour ahead: yesterday knows what the last hour does not.
    one = grid(waves(8, noise=0.01, sundays=False), 1)
    weights = stacked(past(one)).weights[Target.CPU]
    assert sum(weights.values()) == pytest.approx(1)
    assert min(weights.values()) >= 0
    assert weights["yesterday"] > 0.8


def test_what_comes_after_the_training_rows_changes_no_weight() -> None:
    one = grid(waves(8), 1)
    row = 6 * 288
    assert stacked(past(one, until=row)).weights == stacked(past(one.before(row), until=row)).weights


def test_a_member_that_cannot_be_fitted_is_left_out_with_a_reason() -> None:
    found = stacked(past(grid(waves(1.5), 24)), "naive+xgboost")
    assert list(found.members) == ["naive"]
    assert any(reason.text.startswith("without xgboost: XGBoost of cpu needs") for reason in found.reasons)
    with pytest.raises(NotEnoughData, match="without xgboost"):
        stacked(past(grid(waves(1.5), 24)), "xgboost")


def test_with_too_few_horizons_all_count_alike_and_the_reason_says_so() -> None:
    pieces = examples.experiments()
    for data in (past(grid(waves(2), 24)), Experiments(pieces[:5], pieces[5:], TARGETS)):
        found = stacked(data)
        assert found.weights[Target.CPU] == {"naive": 0.5, "yesterday": 0.5}
        assert "too few to weigh forecasts of cpu" in " ".join(reason.text for reason in found.reasons)


def test_what_is_cheap_learns_by_the_hour_and_of_nothing_later() -> None:
    one = grid(waves(8), 1)
    hours = combined._by_the_hour(past(one, until=1000))
    assert hours.grid.step_seconds == 3600
    assert hours.fit_until == len(hours.grid) == 83
    assert hours.grid.means[CPU][-1] == pytest.approx(np.mean(one.means[CPU][988:1000]))


def test_weights_of_what_is_no_member_are_refused() -> None:
    saved = Saved({"weights": {"cpu": {"naive": 0.4, "lstm": 0.6}}, "members": {"naive": {}}, "reasons": []})
    with pytest.raises(Misfit, match="not among the members"):
        StackedForecaster().restore(saved)


@pytest.mark.parametrize("name", ["../x", "stacked", "unknown"])
def test_a_member_that_mora_does_not_have_is_refused(name: str) -> None:
    saved = fitted(StackedForecaster("naive+yesterday"), past(grid(waves(3), 24))).save()
    document = {**saved.document, "members": {**saved.document["members"], name: {}}}
    with pytest.raises(Misfit, match="is no forecaster of MOrA"):
        StackedForecaster().restore(Saved(document, saved.arrays))
