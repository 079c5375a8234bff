"""Measures: cases worked out by hand, what must always hold, and the definition of VUS-PR written out slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mora.health.measures import (
    EVENT_SECONDS,
    Events,
    alarm_events,
    auc_pr,
    count_events,
    pooled,
    range_f1,
    ranges_of,
    vus_pr,
)

MINUTES = np.arange(0, 60.0 * 400, 60.0)


def flags(count: int, *ranges: tuple[int, int]) -> NDArray[np.bool_]:
    made = np.zeros(count, dtype=bool)
    for start, end in ranges:
        made[start:end] = True
    return made


@st.composite
def labels_and_scores(draw: st.DrawFn) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    count = draw(st.integers(20, 120))
    starts = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4))
    lengths = draw(st.lists(st.integers(1, 15), min_size=4, max_size=4))
    labels = flags(count, *((start, start + length) for start, length in zip(starts, lengths, strict=False)))
    seed, digits = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([1, 6]))
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=count) + labels * draw(st.sampled_from([0.0, 1.0, 4.0])), digits).astype(
        np.float64
    )
    return labels, scores


def slow_vus_pr(labels: NDArray[np.bool_], scores: NDArray[np.float64], window: int) -> float:
    """The definition, sample by sample: areas under precision and stretched recall, for each width up to the window."""
    count, ranges = len(scores), [(int(start), int(end) - 1) for start, end in ranges_of(labels)]
    thresholds = np.sort(scores)[::-1][np.linspace(0, count - 1, 250).astype(int)]
    areas = []
    for width in range(window + 1):
        half = width // 2
        weights = [0.0] * count
        for i in range(count):
            for start, end in ranges:
                away = max(start - i, i - end, 0)
                weights[i] += 0.0 if away > half else 1.0 if away == 0 else math.sqrt(1 - away / width)
            weights[i] = min(weights[i], 1.0)
        merged: list[list[int]] = []
        for start, end in ranges:
            if merged and merged[-1][1] >= start - half:
                merged[-1][1] = end + half
            else:
                merged.append([max(start - half, 0), end + half])
        area, before = 0.0, 0.0
        for threshold in thresholds:
            predicted = [score >= threshold for score in scores]
            hit = sum(weight for weight, yes in zip(weights, predicted, strict=True) if yes)
            soft = sum(1.0 if labels[i] else weights[i] * predicted[i] for i in range(count))
            touched = sum(any(predicted[start : end + 1]) for start, end in merged) / len(merged)
            recall = min(hit / ((labels.sum() + soft) / 2), 1.0) * touched
            area += (recall - before) * hit / sum(predicted)
            before = recall
        areas.append(area)
    return float(np.mean(areas))


@settings(max_examples=25, deadline=None)
@given(labels_and_scores(), st.sampled_from([0, 1, 2, 5, 9]))
def test_vus_pr_is_what_its_definition_gives(case: tuple[NDArray[np.bool_], NDArray[np.float64]], window: int) -> None:
    labels, scores = case
    assert vus_pr(labels, scores, window) == pytest.approx(slow_vus_pr(labels, scores, window), abs=1e-9)


def test_vus_pr_has_the_figures_of_tsb_ad() -> None:
    """Computed once with TSB-AD's RangeAUC_volume_opt (its commit 8763009) on the same arrays."""
    rng = np.random.default_rng(3)
    labels = flags(500, (100, 120), (300, 303), (310, 340), (495, 500))
    scores = rng.normal(size=500) + labels * 1.5
    found = [round(vus_pr(labels, scores, window), 6) for window in (0, 10, 24, 100)]
    assert found == [0.485036, 0.516875, 0.560243, 0.687573]


@settings(max_examples=40, deadline=None)
@given(labels_and_scores(), st.integers(0, 12))
def test_only_the_order_of_scores_matters(case: tuple[NDArray[np.bool_], NDArray[np.float64]], window: int) -> None:
    labels, scores = case
    for measure in (auc_pr, lambda found, score: vus_pr(found, score, window)):
        assert measure(labels, scores) == pytest.approx(measure(labels, np.exp(scores / 3) * 7 - 2))
        assert 0 <= measure(labels, scores) <= 1 + 1e-9


def test_scores_that_are_the_labels_are_best_and_the_more_so_the_fewer_false_ones() -> None:
    labels = flags(400, (100, 140), (300, 330))
    perfect, half = labels.astype(float), flags(400, (100, 140), (200, 240)).astype(float)
    assert auc_pr(labels, perfect) == 1.0
    assert vus_pr(labels, perfect, 0) == pytest.approx(1.0)
    assert vus_pr(labels, perfect, 20) > 0.9 > vus_pr(labels, half, 20)
    # One that is a little late, or early, is nearly as good with a tolerance, and not without.
    late = np.roll(perfect, 6)
    assert vus_pr(labels, late, 20) - vus_pr(labels, half, 20) > 0.3
    assert vus_pr(labels, late, 20) > vus_pr(labels, late, 0)


def test_a_random_score_has_about_the_share_of_labels() -> None:
    labels = flags(4000, (1000, 1100), (3000, 3100))
    scores = np.random.default_rng(1).normal(size=4000)
    assert 0.03 < auc_pr(labels, scores) < 0.08
    assert vus_pr(labels, scores, 20) < 0.12


def test_a_missing_score_is_the_least_abnormal_and_an_infinite_one_the_most() -> None:
    labels = flags(60, (10, 20))
    scores = np.where(labels, 2.0, 1.0)
    holed, huge = scores.copy(), scores.copy()
    holed[30:40], huge[10:20] = np.nan, np.inf
    assert auc_pr(labels, holed) == auc_pr(labels, huge) == 1.0
    holed[10:20] = np.nan
    assert auc_pr(labels, holed) < 0.5
    assert np.isfinite(vus_pr(labels, np.full(60, np.nan), 10))


def test_without_a_label_there_is_no_measure() -> None:
    nothing = np.zeros(30, dtype=bool)
    assert all(np.isnan(found) for found in (auc_pr(nothing, MINUTES[:30]), vus_pr(nothing, MINUTES[:30], 5)))
    assert np.isnan(range_f1(nothing, nothing))


def test_range_f1_by_hand() -> None:
    labels = flags(100, (10, 20), (50, 60))
    # Half of the first range, nothing of the second; the alarms are all right.
    assert range_f1(labels, flags(100, (10, 15))) == pytest.approx(2 * 0.3 / 1.3)
    # The same half in two pieces is worth half as much.
    recall = (0.2 + 0.8 * 0.4 / 2) / 2
    assert range_f1(labels, flags(100, (10, 12), (13, 15))) == pytest.approx(2 * recall / (1 + recall))
    assert range_f1(labels, labels) == 1.0
    assert range_f1(labels, ~labels) == 0.0
    assert range_f1(labels, np.zeros(100, dtype=bool)) == 0.0


def test_alarms_within_half_an_hour_are_one_event() -> None:
    alarms = np.isin(np.arange(400), [10, 11, 40, 71, 300])
    assert alarm_events(MINUTES, alarms).tolist() == [[10, 41], [71, 72], [300, 301]]
    assert alarm_events(MINUTES, alarms, within=0).tolist() == [[10, 11], [11, 12], [40, 41], [71, 72], [300, 301]]
    assert EVENT_SECONDS == 1800


def test_events_by_hand() -> None:
    labels = flags(400, (100, 120), (130, 140), (200, 210))
    # One event over the first two ranges, one that is false; the third range is missed.
    alarms = np.isin(np.arange(400), [105, 125, 131, 300, 301])
    counted = count_events(MINUTES, labels, alarms)
    assert counted == Events(3, 2, 2, 1, (300.0, 60.0), 400 / 1440, 400, 5)
    assert counted.precision == 0.5
    assert counted.recall == pytest.approx(2 / 3)
    assert counted.false_alarms_per_day == pytest.approx(3.6)
    assert counted.flagged_share == 5 / 400
    assert counted.median_delay == 180.0


def test_an_alarm_all_the_time_finds_everything_and_its_flagged_share_tells() -> None:
    labels = flags(400, (100, 120))
    always = count_events(MINUTES, labels, np.ones(400, dtype=bool))
    assert (always.f1, always.flagged_share) == (1.0, 1.0)
    never = count_events(MINUTES, labels, np.zeros(400, dtype=bool))
    assert (never.f1, never.false_alarms_per_day, never.flagged_share) == (0.0, 0.0, 0.0)
    assert np.isnan(never.median_delay)


@settings(max_examples=60, deadline=None)
@given(labels_and_scores(), st.floats(-1, 2))
def test_more_alarms_never_find_fewer_ranges_nor_later(
    case: tuple[NDArray[np.bool_], NDArray[np.float64]], level: float
) -> None:
    labels, scores = case
    few = count_events(MINUTES[: len(labels)], labels, scores > level)
    more = count_events(MINUTES[: len(labels)], labels, scores > level - 0.5)
    assert more.found >= few.found
    assert few.true <= few.alarms
    assert few.found <= few.labelled == len(ranges_of(labels))
    assert all(delay >= 0 for delay in few.delays)


def test_a_gap_in_time_is_no_time_that_was_judged() -> None:
    seconds = np.r_[MINUTES[:200], MINUTES[:200] + 7 * 86400]
    counted = count_events(seconds, flags(400, (0, 5)), flags(400, (199, 201)))
    assert counted.days == pytest.approx(400 / 1440)
    assert counted.alarms == 2


def test_counts_of_many_series_are_added_up() -> None:
    one = Events(2, 1, 3, 1, (60.0,), 1.0, 100, 4)
    assert pooled([one, one]) == Events(4, 2, 6, 2, (60.0, 60.0), 2.0, 200, 8)
    assert pooled([]) == Events()
