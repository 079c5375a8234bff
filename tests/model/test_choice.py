"""A model takes the blend's place where it is clearly better, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Target
from mora.domain.learning import Floats
from mora.fusion import Weights
from mora.model import TrainSettings
from mora.model.calibration import ValidationWindow, weights_of
from mora.model.choice import BLEND, MIXTURE, Forecasts, choose_model, mixture_of

DEFAULT = Weights({"prophet": 0.4, "lstm": 0.6})


def forecasts(default: Floats, others: Mapping[str, Floats], truth: Floats, *, apart: float = 1.0) -> Forecasts:
    return Forecasts(default, others, truth, 1.0 + apart * np.arange(len(truth), dtype=np.float64)[::-1])


def noisy(truth: Floats, error: float, seed: int) -> Floats:
    return np.asarray(truth + error * np.random.default_rng(seed).standard_normal(len(truth)))


TRUTH = 10.0 + np.sin(np.arange(24.0))


def test_a_model_that_is_clearly_better_takes_the_place_of_the_blend() -> None:
    found = choose_model(DEFAULT, forecasts(TRUTH + 1.0, {"xgboost": noisy(TRUTH, 0.1, 0)}, TRUTH), "cpu ahead")
    assert (found.model, found.shares) == ("xgboost", {"xgboost": 1.0})
    assert [reason.code for reason in found.reasons] == ["model-chosen"]
    assert found.reasons[0].text.startswith("cpu ahead: xgboost takes the place of the blend; its error is 0.0")


def test_a_model_that_is_better_by_less_than_one_standard_error_does_not() -> None:
    # Better in one window of many, by much: the mean of the differences is their standard error.
    default = TRUTH + 1.0
    other = default.copy()
    other[5] -= 1.0
    found = choose_model(DEFAULT, forecasts(default, {"xgboost": other}, TRUTH), "cpu ahead")
    assert (found.model, found.shares) == (BLEND, DEFAULT.shares)
    assert found.reasons[0].text == (
        "cpu ahead: the blend stays; of 1 other models xgboost comes nearest: its error is 0.96 times the blend's on "
        "24 validation windows, not less by more than one standard error"
    )


def test_windows_that_overlap_are_one_witness() -> None:
    default, better = TRUTH + 1.0, TRUTH + 0.5
    # Twenty-four windows within two horizons tell as much as two.
    found = choose_model(DEFAULT, forecasts(default, {"xgboost": better}, TRUTH, apart=1 / 12), "cpu ahead")
    assert found.model == BLEND
    assert "2 horizons of validation windows are too few" in found.reasons[0].text
    assert choose_model(DEFAULT, forecasts(default, {"xgboost": better}, TRUTH), "cpu").model == "xgboost"


def test_the_mixture_of_models_that_err_apart_is_chosen_and_judged_by_weights_of_other_windows() -> None:
    ones = {f"m{number}": noisy(TRUTH, 1.0, number) for number in range(6)}
    own = forecasts(noisy(TRUTH, 1.0, 99), ones, TRUTH)
    found = choose_model(DEFAULT, own, "cpu")
    assert found.model == MIXTURE
    assert found.shares == mixture_of(own)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    # A mixture that knew the windows it is judged on would tell more of one that was right by chance.
    lucky = noisy(TRUTH, 1.0, 7)
    lucky[:3] = TRUTH[:3]
    alone = forecasts(TRUTH + 0.3, {"lucky": lucky, "m1": ones["m1"]}, TRUTH)
    assert choose_model(DEFAULT, alone, "cpu").model == BLEND


@pytest.mark.parametrize("level", [0.0, 3.5])
def test_a_series_that_never_changes_keeps_the_blend(level: float) -> None:
    flat = np.full(12, level)
    found = choose_model(DEFAULT, forecasts(flat, {"xgboost": flat, "lightgbm": flat + 0.1}, flat), "cpu")
    assert found.model == BLEND
    assert "xgboost comes nearest: its error is the blend's" in found.reasons[0].text


FLOATS = st.lists(st.integers(0, 1000), min_size=8, max_size=8).map(lambda found: np.array(found) / np.float64(64))


# Powers of two, so that a difference of exactly one standard error stays one.
@given(FLOATS, FLOATS, FLOATS, FLOATS, st.integers(-20, 20).map(lambda power: 2.0**power))
def test_scaling_a_history_changes_no_choice_and_no_model_is_chosen_that_errs_more(
    truth: Floats, default: Floats, one: Floats, two: Floats, scale: float
) -> None:
    own = forecasts(default, {"one": one, "two": two}, truth)
    found = choose_model(DEFAULT, own, "cpu")
    scaled = choose_model(
        DEFAULT, forecasts(default * scale, {"one": one * scale, "two": two * scale}, truth * scale), "cpu"
    )
    assert scaled.model == found.model
    if found.model in own.others:
        assert np.abs(own.others[found.model] - truth).mean() < np.abs(default - truth).mean()
    assert sum(found.shares.values()) == pytest.approx(1.0)


# --- by the settings ----------------------------------------------------------------------------------------------

SETTINGS = TrainSettings(weights={"prophet": 0.4, "lstm": 0.6}, candidates=("xgboost",))


def window(number: int, **parts: float) -> ValidationWindow:
    found = {"naive": 3.0, "prophet": 1.3, "lstm": 1.3, "xgboost": 1.0 + 0.01 * number, **parts}
    return ValidationWindow(f"{number}", "choose", found, truth=1.0, needed=1.0, age=float(9 - number))


WINDOWS = [window(number) for number in range(8)]


def test_without_candidates_nothing_is_compared() -> None:
    found = weights_of(Target.CPU, WINDOWS, replace(SETTINGS, candidates=()), "cpu", plain=("naive",))
    assert (found.shares, found.reasons, found.model) == ({"prophet": 0.4, "lstm": 0.6}, (), BLEND)


def test_candidates_are_compared_with_the_blend() -> None:
    found = weights_of(Target.CPU, WINDOWS, SETTINGS, "cpu", plain=("naive",))
    assert found.model == "xgboost"


def test_a_candidate_that_lacks_a_window_is_not_chosen() -> None:
    parts = {name: value for name, value in WINDOWS[0].parts.items() if name != "xgboost"}
    found = weights_of(Target.CPU, [replace(WINDOWS[0], parts=parts), *WINDOWS[1:]], SETTINGS, "cpu", plain=("naive",))
    assert found.model != "xgboost"
    assert "xgboost" not in found.shares


def test_a_model_that_is_asked_for_forecasts_however_bad_it_is() -> None:
    asked = TrainSettings(weights={"bad": 1.0}, model="bad")
    found = weights_of(Target.CPU, [window(n, bad=9.0) for n in range(8)], asked, "cpu", plain=("naive",))
    assert (found.model, found.shares) == ("bad", {"bad": 1.0})
    assert found.reasons[0].text == "cpu: bad forecasts, since it is asked for"
    mixed = weights_of(Target.CPU, WINDOWS, replace(SETTINGS, model=MIXTURE), "cpu", plain=("naive",))
    assert mixed.model == MIXTURE
    assert mixed.shares["xgboost"] > 0.5


def test_a_model_asked_for_without_a_forecast_is_named_in_the_reasons() -> None:
    asked = TrainSettings(weights={"absent": 1.0}, model="absent")
    found = weights_of(Target.CPU, WINDOWS, asked, "cpu", failed=("absent",), plain=("naive",))
    assert found.shares == {"naive": 1.0}
    assert [reason.code for reason in found.reasons] == ["part-failed", "model-missing"]
