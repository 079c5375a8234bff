"""The suite of forecasters: a small one passes, and each way to break the contract fails the test that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest

from mora.domain import Target
from mora.domain.learning import AfterWindow, AtRow, Experiments, Level, Past, Place, Saved
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.seams import Forecaster, Reporter
from mora.testing import ForecasterContract

CALLS = count()


class FittedLast:
    """Predicts the last known value, times a factor that was learned."""

    reasons = ()

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def levels(self, places: Sequence[Place]) -> Sequence[Mapping[Target, Level]]:
        return [self.level(place) for place in places]

    def level(self, place: Place) -> Mapping[Target, Level]:
        if isinstance(place, AfterWindow):
            last = {name: float(values[-1]) for name, values in place.segment.values.items()}
        elif isinstance(place, AtRow):
            last = {name: self.of_row(values, place.row) for name, values in place.grid.filled.items()}
        else:
            return {}
        use = {target: last[name] * self.factor for target, name in TARGET_COLUMNS.items() if name in last}
        return {target: (value, value) for target, value in use.items()}

    def of_row(self, values: np.ndarray[Any, Any], row: int) -> float:
        return float(values[row - 1])

    def save(self) -> Saved:
        return Saved({"factor": self.factor})


class Last:
    """Forecasts the last known value."""

    name, is_refitted = "last", True
    fitted: type[FittedLast] = FittedLast

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedLast:
        return self.fitted(1.0)

    def restore(self, saved: Saved) -> FittedLast:
        return self.fitted(saved.document["factor"])


class TestLast(ForecasterContract):
    @pytest.fixture
    def forecaster(self) -> Forecaster:
        return Last()


class Below(FittedLast):
    def __init__(self, factor: float = 1.0) -> None:
        super().__init__(-factor)


class Negative(Last):
    name, fitted = "negative", Below


class Ahead(FittedLast):
    def of_row(self, values: np.ndarray[Any, Any], row: int) -> float:
        return float(values[-1])


class LooksAhead(Last):
    name, fitted = "looks-ahead", Ahead


class Random(Last):
    """Another factor at each fit."""

    name = "random"

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedLast:
        return FittedLast(1.0 + next(CALLS))


class Forgetful(Last):
    name = "forgetful"

    def restore(self, saved: Saved) -> FittedLast:
        return FittedLast(2.0)


class Careless(Last):
    """Sets what it was given to zero."""

    name = "careless"

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedLast:
        if isinstance(data, Past):
            for values in data.grid.means.values():
                np.asarray(values)[:] = 0.0
        return FittedLast()


class Nameless(Last):
    name = ""


HISTORY = {"kind": "history"}


@pytest.mark.parametrize(
    ("broken", "test", "options"),
    [
        (Nameless(), ForecasterContract.test_it_has_a_name_and_says_whether_it_is_refitted, {}),
        (Negative(), ForecasterContract.test_levels_are_finite_and_ordered_and_never_below_zero, HISTORY),
        (LooksAhead(), ForecasterContract.test_of_a_history_it_looks_back_only, {}),
        (Random(), ForecasterContract.test_the_same_data_and_seed_give_the_same_forecast, HISTORY),
        (Forgetful(), ForecasterContract.test_saved_and_restored_it_answers_the_same_to_the_last_bit, HISTORY),
        (Careless(), ForecasterContract.test_what_it_is_given_is_not_changed, HISTORY),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_forecaster_that_breaks_the_contract_fails_the_test_that_names_it(
    broken: Forecaster, test: Callable[..., None], options: Mapping[str, str]
) -> None:
    with pytest.raises(AssertionError):
        test(ForecasterContract(), broken, **options)


class Demanding(Last):
    """Needs more data than there is."""

    name = "demanding"
    error: Exception = NotEnoughData("A single sample is too little.")

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedLast:
        raise self.error


def test_too_little_data_may_be_refused_with_its_own_error_alone() -> None:
    suite, demanding = ForecasterContract(), Demanding()
    suite.test_too_little_data_is_not_enough_data_and_nothing_else(demanding)
    demanding.error = IndexError("list index out of range")
    with pytest.raises(IndexError):
        suite.test_too_little_data_is_not_enough_data_and_nothing_else(demanding)
