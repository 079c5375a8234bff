"""Weights, bounds and confidence: free of units, careful with little data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Target
from mora.errors import BadInput, NotEnoughData
from mora.fusion import (
    DEFAULT_WEIGHTS,
    Weights,
    choose_weights,
    confidence,
    conformal_multiplier,
    convex_weights,
    is_clearly_worse,
)

EVEN = [1.0, 1.2, 0.9, 1.1]
amounts = st.floats(0.01, 1e6)
pairs = st.lists(st.tuples(amounts, amounts), min_size=1, max_size=30)


def test_without_evidence_the_blend_is_40_to_60() -> None:
    weights = choose_weights(Target.CPU, {"prophet": [], "lstm": [], "naive": []})
    assert dict(weights.shares) == {"prophet": 0.4, "lstm": 0.6}
    assert weights.blend({"prophet": 10.0, "lstm": 20.0, "naive": 99.0}) == pytest.approx(16.0)


def test_a_forecaster_that_does_worse_than_naive_loses_its_weight_to_the_other() -> None:
    weights = choose_weights(Target.CPU, {"prophet": EVEN, "lstm": [9, 9, 9, 9], "naive": [2, 2, 2, 2]})
    assert dict(weights.shares) == {"prophet": 1.0}
    assert weights.reasons[0].code == "worse-than-naive"
    assert "the error of lstm is 4.50 times that of the naive forecast" in weights.reasons[0].text


def test_where_both_do_worse_the_naive_forecast_is_used_with_a_reason() -> None:
    weights = choose_weights(Target.CPU, {"prophet": [9, 9, 8], "lstm": [7, 7, 7], "naive": [1, 1, 1]})
    assert dict(weights.shares) == {"naive": 1.0}
    assert [reason.code for reason in weights.reasons] == ["worse-than-naive", "worse-than-naive"]


def test_a_forecaster_that_failed_gives_its_weight_to_the_other_with_a_reason() -> None:
    weights = choose_weights(Target.MEMORY, {"prophet": EVEN, "naive": EVEN})
    assert dict(weights.shares) == {"prophet": 1.0}
    assert weights.reasons[0].code == "part-failed"


def test_one_noisy_window_does_not_overturn_the_default() -> None:
    weights = choose_weights(Target.CPU, {"prophet": [5.0], "lstm": [5.0], "naive": [1.0]})
    assert dict(weights.shares) == {"prophet": 0.4, "lstm": 0.6}


def test_other_weights_are_taken_by_option_and_checked() -> None:
    weights = choose_weights(Target.CPU, {"prophet": EVEN, "lstm": EVEN}, default={"prophet": 0.7, "lstm": 0.3})
    assert dict(weights.shares) == {"prophet": 0.7, "lstm": 0.3}
    with pytest.raises(BadInput, match="sum to 1"):
        choose_weights(Target.CPU, {}, default={"prophet": 0.7, "lstm": 0.7})


def test_learned_weights_follow_the_forecaster_that_is_right_with_a_reason() -> None:
    truth = [10.0, 20.0, 30.0]
    values = {"prophet": truth, "lstm": [15.0, 25.0, 35.0]}
    errors = {"prophet": [0.0, 0.0, 0.0], "lstm": [5.0, 5.0, 5.0], "naive": [9.0, 9.0, 9.0]}
    weights = choose_weights(Target.CPU, errors, learned=True, values=values, truth=truth)
    assert weights.shares["prophet"] == pytest.approx(1.0)
    assert weights.reasons[-1].code == "weights-learned"


@given(st.lists(st.tuples(amounts, amounts, amounts), min_size=3, max_size=20), st.floats(1e-3, 1e3))
def test_weights_are_free_of_units_and_sum_to_one(rows: list[tuple[float, float, float]], scale: float) -> None:
    columns = np.array(rows)
    errors = dict(zip(("prophet", "lstm", "naive"), columns.T.tolist(), strict=True))
    scaled = {name: [error * 2.0**10 for error in row] for name, row in errors.items()}
    weights = choose_weights(Target.CPU, errors)
    assert math.isclose(sum(weights.shares.values()), 1.0)
    assert weights.shares == choose_weights(Target.CPU, scaled).shares
    assert scale > 0


@given(pairs, st.floats(1e-3, 1e3))
def test_a_bound_is_free_of_units_and_never_below_the_point_forecast(
    rows: list[tuple[float, float]], scale: float
) -> None:
    needed, point_forecasts = (list(column) for column in zip(*rows, strict=True))
    multiplier, windows = conformal_multiplier(needed, point_forecasts, prior=1.3)
    scaled, _ = conformal_multiplier([n * scale for n in needed], [c * scale for c in point_forecasts], prior=1.3)
    assert multiplier >= 1.0
    assert windows == len(rows)
    assert scaled == pytest.approx(multiplier, rel=1e-9)


@given(st.lists(st.tuples(amounts, amounts), min_size=9, max_size=40))
def test_a_bound_covers_nine_of_ten_of_the_windows_it_rests_on(rows: list[tuple[float, float]]) -> None:
    needed, point_forecasts = np.array(rows).T
    multiplier, _ = conformal_multiplier(needed.tolist(), point_forecasts.tolist())
    assert np.mean(needed <= point_forecasts * multiplier * (1 + 1e-12)) >= 0.9


def test_the_bound_is_the_order_statistic_of_split_conformal_prediction() -> None:
    # 19 residuals at 0.9: the ceil(20 * 0.9) = 18th smallest.
    needed = [1.0 + index / 100 for index in range(1, 20)]
    assert conformal_multiplier(needed, [1.0] * 19)[0] == pytest.approx(1.18)
    assert conformal_multiplier(needed[:9], [1.0] * 9)[0] == pytest.approx(1.09)


def test_conformal_coverage_holds_on_fresh_data() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        draws = np.exp(0.3 * rng.standard_normal(20))
        multiplier, _ = conformal_multiplier(draws[:19].tolist(), [1.0] * 19)
        covered.append(draws[19] <= multiplier)
    assert 0.88 <= np.mean(covered) <= 0.93


def test_newer_windows_weigh_more_where_weights_are_given() -> None:
    needed = [3.0] * 10 + [1.1] * 30
    old_light = [0.01] * 10 + [1.0] * 30
    assert conformal_multiplier(needed, [1.0] * 40, weights=old_light)[0] == pytest.approx(1.1)
    assert conformal_multiplier(needed, [1.0] * 40)[0] == pytest.approx(3.0)


def test_too_few_windows_take_the_prior_or_the_worst_that_was_seen() -> None:
    assert conformal_multiplier([1.05, 1.1], [1.0, 1.0], prior=1.4) == (1.4, 2)
    assert conformal_multiplier([1.9, 1.1], [1.0, 1.0], prior=1.4) == (1.9, 2)
    with pytest.raises(NotEnoughData, match="2 windows are too few"):
        conformal_multiplier([1.05, 1.1], [1.0, 1.0])


@given(st.integers(0, 200), st.integers(0, 200), st.floats(0, 1))
def test_confidence_lies_between_the_rate_and_the_prior(kept: int, windows: int, prior: float) -> None:
    kept = min(kept, windows)
    sure = confidence(kept, windows, prior)
    rate = kept / windows if windows else prior
    assert min(rate, prior) - 1e-12 <= sure <= max(rate, prior) + 1e-12


@given(st.integers(0, 20), st.integers(1, 20), st.integers(2, 5), st.floats(0, 1))
def test_less_data_of_the_same_rate_only_moves_confidence_toward_the_prior(
    kept: int, windows: int, times: int, prior: float
) -> None:
    kept = min(kept, windows)
    few, many = confidence(kept, windows, prior), confidence(kept * times, windows * times, prior)
    assert abs(few - prior) <= abs(many - prior) + 1e-12


@given(st.integers(0, 100), st.integers(0, 100), st.floats(0, 1))
def test_one_more_covered_window_never_lowers_confidence(kept: int, windows: int, prior: float) -> None:
    kept = min(kept, windows)
    assert confidence(kept + 1, windows + 1, prior) >= confidence(kept, windows, prior) - 1e-12
    assert confidence(kept, windows + 1, prior) <= confidence(kept, windows, prior) + 1e-12


def test_confidence_refuses_what_cannot_be() -> None:
    with pytest.raises(BadInput):
        confidence(3, 2, 0.9)


def test_equal_errors_and_regular_trifles_are_not_worse() -> None:
    assert not is_clearly_worse([1, 1, 1], [1, 1, 1])
    assert not is_clearly_worse([0, 0, 0], [0, 0, 0])
    assert not is_clearly_worse([1.01, 1.01, 1.01], [1, 1, 1])
    assert is_clearly_worse([1.03, 1.03, 1.03], [1, 1, 1])


# --- with plain forecasts beside the parts ---------------------------------------------------------------------------

PLAIN = ("naive", "last")


def weigh(means: dict[str, float], *, windows: int = 3, learned: bool = False, opposed: bool = False) -> Weights:
    """Weights where every forecast errs as much on every window, above the truth; `opposed`: the naive one below it."""
    truth = [1e3] * windows
    values = {
        name: [1e3 + (-error if opposed and name == "naive" else error)] * windows for name, error in means.items()
    }
    errors = {name: [error] * windows for name, error in means.items()}
    return choose_weights(Target.CPU, errors, plain=PLAIN, learned=learned, values=values, truth=truth)


def test_a_forecaster_that_errs_more_than_the_plain_ones_together_loses_its_weight_to_them() -> None:
    weights = weigh({"prophet": 3.0, "lstm": 1.0, "naive": 4.0, "last": 2.0})
    # 0.4 shared as 1/16 to 1/4; together they err 0.2 x 4 + 0.8 x 2.
    assert weights.shares == pytest.approx({"lstm": 0.6, "naive": 0.08, "last": 0.32})
    assert weights.reasons[0].text == (
        "the error of prophet is 1.25 times that of the plain forecasts together of cpu on 3 validation windows: its "
        "weight goes to them"
    )


def test_a_forecaster_has_to_beat_the_mixture_and_not_the_best_plain_one_alone() -> None:
    means = {"prophet": 1.5, "lstm": 0.5, "naive": 2.0, "last": 2.0}
    assert weigh(means).shares == DEFAULT_WEIGHTS
    # Where the two err to opposite sides, together they do not err at all.
    assert weigh(means, opposed=True).shares == pytest.approx({"naive": 0.5, "last": 0.5})


def test_a_forecaster_that_failed_gives_its_weight_to_the_plain_ones_too() -> None:
    weights = weigh({"prophet": 1.0, "naive": 2.0, "last": 2.0})
    assert weights.shares == pytest.approx({"prophet": 0.4, "naive": 0.3, "last": 0.3})


def test_two_windows_judge_no_forecaster() -> None:
    assert weigh({"prophet": 3.0, "lstm": 3.0, "naive": 1.0}, windows=2).shares == DEFAULT_WEIGHTS


def test_learned_weights_go_to_every_forecast_by_its_squared_error_with_a_reason() -> None:
    weights = weigh({"prophet": 2.0, "lstm": 1.0, "naive": 2.0, "last": 2.0}, learned=True)
    assert weights.shares == pytest.approx({"lstm": 4 / 7, "prophet": 1 / 7, "naive": 1 / 7, "last": 1 / 7})
    assert [reason.code for reason in weights.reasons] == ["weights-learned"]
    assert "0.57 lstm" in weights.reasons[0].text


def test_plain_forecasts_are_not_weighed_without_the_truth() -> None:
    with pytest.raises(BadInput, match="needs each forecast"):
        choose_weights(Target.CPU, {"prophet": [1.0], "lstm": [1.0], "naive": [1.0]}, plain=PLAIN)


@given(st.lists(st.integers(0, 2**20), min_size=4, max_size=4), st.booleans(), st.integers(-20, 20))
def test_shares_sum_to_one_and_know_no_unit(means: list[int], learned: bool, power: int) -> None:
    names = ("prophet", "lstm", *PLAIN)
    # Powers of two scale without rounding.
    answers = []
    for unit in (1.0, 2.0**power):
        values = {name: [unit * mean] * 3 for name, mean in zip(names, means, strict=True)}
        answers.append(
            choose_weights(Target.CPU, values, plain=PLAIN, learned=learned, values=values, truth=[0.0] * 3).shares
        )
    plain, scaled = answers
    assert sum(plain.values()) == pytest.approx(1.0)
    assert min(plain.values()) >= 0
    assert scaled == pytest.approx(plain)


# --- convex weights ---------------------------------------------------------------------------------------------------


@given(st.integers(0, 999), st.integers(1, 5), st.integers(2, 40))
def test_convex_weights_are_no_worse_than_any_single_forecast_nor_any_other_mixture(
    seed: int, forecasters: int, windows: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 3, windows)
    forecasts = truth[:, None] + rng.normal(
        rng.normal(0, 1, forecasters), rng.uniform(0.1, 3, forecasters), (windows, forecasters)
    )
    weights = np.array(convex_weights(forecasts, truth))
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)

    def error(shares: np.ndarray) -> float:
        return float(((forecasts @ shares - truth) ** 2).mean())

    others = [*np.eye(forecasters), np.full(forecasters, 1 / forecasters), *rng.dirichlet(np.ones(forecasters), 20)]
    assert error(weights) <= min(map(error, others)) * (1 + 1e-4) + 1e-6


def test_forecasts_that_are_alike_share_and_a_strong_ridge_holds_all_to_equal_weights() -> None:
    truth = np.arange(1.0, 20.0)
    assert convex_weights(np.column_stack([truth, truth]), truth) == pytest.approx([0.5, 0.5])
    assert convex_weights(np.column_stack([truth, 3 * truth]), truth, ridge=1e6) == pytest.approx([0.5, 0.5], abs=1e-3)
    assert convex_weights(np.zeros((4, 3)), np.zeros(4)) == pytest.approx([1 / 3] * 3)
