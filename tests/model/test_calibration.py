"""Weights, bounds and confidence from validation windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Target
from mora.model import TrainSettings
from mora.model.calibration import Calibration, ValidationWindow, calibrate, near, reach_of
from mora.model.settings import PRIOR_RATE


def window(index: int, role: str, *, point_forecast: float = 1.0, needed: float = 1.1) -> ValidationWindow:
    parts = {"prophet": point_forecast, "lstm": point_forecast, "naive": point_forecast}
    return ValidationWindow(f"{index}", "choose" if role == "choose" else "score", parts, point_forecast, needed)


def calibration_of(windows: list[ValidationWindow]) -> Calibration:
    return calibrate(Target.CPU, windows, prior_multiplier=1.3, settings=TrainSettings())


def test_windows_that_chose_do_not_count_for_confidence() -> None:
    choosing = [window(index, "choose") for index in range(20)]
    assert calibration_of(choosing).confidence == pytest.approx(PRIOR_RATE[Target.CPU])
    scored = calibration_of([*choosing, *(window(index, "score") for index in range(8))])
    assert (scored.kept, scored.windows) == (8, 8)
    assert scored.confidence == pytest.approx((8 + 8 * PRIOR_RATE[Target.CPU]) / 16)


def test_a_window_that_was_exceeded_lowers_confidence() -> None:
    choosing = [window(index, "choose") for index in range(20)]
    broken = calibration_of([*choosing, *(window(index, "score", needed=5.0) for index in range(8))])
    assert broken.kept == 0
    assert broken.confidence < 0.5


def test_scoring_windows_move_neither_weights_nor_bound() -> None:
    choosing = [window(index, "choose") for index in range(20)]
    one = calibration_of(choosing)
    other = calibration_of([*choosing, *(window(index, "score", needed=9.0) for index in range(20))])
    assert (one.shares, one.multiplier) == (other.shares, other.multiplier)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=25))
def test_calibration_is_free_of_units(rows: list[tuple[float, float]]) -> None:
    def windows(scale: float) -> list[ValidationWindow]:
        found = []
        for index, (point_forecast, needed) in enumerate(rows):
            role = "choose" if index % 3 else "score"
            found.append(window(index, role, point_forecast=point_forecast * scale, needed=needed * scale))
        return found

    one, other = calibration_of(windows(1.0)), calibration_of(windows(2.0**20))
    assert one.shares == other.shares
    assert one.multiplier == pytest.approx(other.multiplier, rel=1e-9)
    assert (one.kept, one.confidence) == (other.kept, other.confidence)


def test_over_time_a_window_bounds_later_ones_only_after_it_was_scored() -> None:
    def at(age: float, role: str, needed: float) -> ValidationWindow:
        return replace(window(int(age), role, needed=needed), age=age)

    def calibrated(*windows: ValidationWindow) -> Calibration:
        settings = TrainSettings()
        return calibrate(Target.CPU, windows, prior_multiplier=1.3, settings=settings, half_life_windows=7.0)

    past = [at(30.0 - index, "choose", 1.1) for index in range(20)]
    first, second = at(5.0, "score", 3.0), at(3.0, "score", 3.0)
    both = calibrated(*past, first, second)
    # The first surprise is exceeded; what it taught lifts the bound for what follows.
    assert (both.kept, both.windows) == (1, 2)
    assert both.multiplier >= 3.0
    assert calibrated(*past, first).kept == 0
    overlapping = at(4.5, "score", 3.0)
    assert calibrated(*past, first, overlapping).kept == 0


def test_few_windows_take_the_figure_of_other_services_with_a_reason() -> None:
    few = calibration_of([window(index, "choose") for index in range(4)])
    assert few.multiplier == 1.3
    assert few.is_prior
    assert "cpu: 4 validation windows are too few" in few.reasons[-1].text


@given(
    st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 10.0), st.floats(0.0, 10.0)), min_size=3, max_size=25),
    st.floats(1e-3, 1e9),
)
def test_holding_forecasts_within_reach_enlarges_no_error_that_was_validated(
    rows: list[tuple[float, float, float]], scale: float
) -> None:
    windows = [
        ValidationWindow(f"{n}", "choose", {"naive": naive * scale, "prophet": said * scale}, truth * scale, 0.0)
        for n, (naive, said, truth) in enumerate(rows)
    ]
    reach = reach_of(windows)
    assert reach == pytest.approx(scale * max(abs(truth - naive) for naive, _, truth in rows))
    for window in windows:
        levels = {name: (value, 2 * value) for name, value in window.parts.items()}
        found = near(levels, reach)
        assert abs(found["prophet"][0] - window.truth) <= abs(levels["prophet"][0] - window.truth) * (1 + 1e-9)
        assert found["prophet"][1] - found["prophet"][0] == pytest.approx(levels["prophet"][0], abs=1e-9 * scale)
        assert found["naive"] == levels["naive"]


def test_of_too_few_windows_no_reach_is_known_and_forecasts_stay_as_they_are() -> None:
    assert reach_of([window(index, "choose") for index in range(2)]) is None
    assert near({"naive": (1.0, 1.0), "prophet": (9.0, 9.5)}, None)["prophet"] == (9.0, 9.5)
    assert near({"prophet": (9.0, 9.5)}, 1.0) == {"prophet": (9.0, 9.5)}


def test_a_card_says_how_far_a_forecast_may_reach_and_those_of_before_do_not() -> None:
    found = replace(calibration_of([window(index, "choose") for index in range(20)]), reach=0.25)
    assert Calibration.from_dict(found.to_dict()) == found
    before = {name: value for name, value in found.to_dict().items() if name != "reach"}
    assert Calibration.from_dict(before).reach is None
