"""A comparison: every detector on every series, each alone, nothing of the judged part known before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.errors import BadInput
from mora.health.contest import _OWN_RULES, Scores, Task, entrant, measure, one_by_one, run, run_task
from tests.health.making import labelled_series


def test_a_detector_that_sees_the_faults_is_measured_so(tmp_path: Path) -> None:
    series = labelled_series(tmp_path)
    results = run(series, [entrant("robust-z", "detectors")], [entrant("quantile", "thresholds")])
    assert [(one.detector, one.set_name, one.series) for one in results] == [
        ("robust-z", "shop", "api"),
        ("robust-z", "shop", "web"),
    ]
    for one in results:
        assert one.vus_pr > 0.8
        assert one.auc_pr == 1.0
        assert one.events["quantile"].recall == 1.0
        assert one.range_f1["quantile"] > 0.25
        assert one.failure == ""


def test_labels_of_the_training_part_and_values_of_the_judged_one_change_no_threshold(tmp_path: Path) -> None:
    (one, _) = labelled_series(tmp_path)
    detector = entrant("robust-z", "detectors")
    _, scores = run_task(Task(detector, one))
    odd = one.frame.copy()
    odd.loc[one.judge.start :, ["cpu", "latency"]] *= 5
    _, others = run_task(Task(detector, replace(one, frame=odd, labels=~one.labels)))
    np.testing.assert_array_equal(scores.calibrate, others.calibrate)
    assert (others.judge != scores.judge).all()


def test_a_detector_that_refuses_a_series_is_a_failure_of_that_one(tmp_path: Path) -> None:
    series = labelled_series(tmp_path)
    empty = series[0].frame.assign(cpu=np.nan, latency=np.nan)
    results = run(
        [replace(series[0], frame=empty), series[1]],
        [entrant("robust-z", "detectors")],
        [entrant("quantile", "thresholds")],
    )
    assert "known samples" in results[0].failure
    assert np.isnan(results[0].vus_pr)
    assert results[1].failure == ""


def test_too_few_scores_to_calibrate_leave_the_ranking_measured(tmp_path: Path) -> None:
    (one, _) = labelled_series(tmp_path)
    scores = Scores(np.full(52, np.nan), one.labels[one.judge].astype(np.float64), 0.1, 0.2)
    result = measure(Task(entrant("robust-z", "detectors"), one), scores, [entrant("quantile", "thresholds")])
    assert result.vus_pr > 0.9
    assert result.events == {}
    assert "threshold quantile" in result.failure


def test_a_sample_without_a_score_raises_no_alarm(tmp_path: Path) -> None:
    (one, _) = labelled_series(tmp_path)
    scores = Scores(np.arange(52.0), np.full(390, np.nan), 0.1, 0.2)
    result = measure(Task(entrant("robust-z", "detectors"), one), scores, [entrant("quantile", "thresholds")])
    assert result.events["quantile"].flagged == 0


def test_options_are_handed_on_and_wrong_ones_are_errors() -> None:
    made = entrant("quantile:quantile=0.9", "thresholds").threshold()
    assert made.quantile == 0.9  # type: ignore[attr-defined]  # a Quantile
    assert dict(entrant("quantile:a=true;b=x;c=3", "thresholds").options) == {"a": True, "b": "x", "c": 3}
    with pytest.raises(BadInput, match="does not take"):
        entrant("robust-z:speed=9", "detectors").detector()
    for text in ("quantile:", "quantile"):
        assert entrant(text, "thresholds").options == {}
    with pytest.raises(BadInput, match="option that cannot be read"):
        entrant("quantile:=3", "thresholds")
    with pytest.raises(BadInput, match="no 'magic'"):
        entrant("magic", "detectors")


def test_a_detector_is_judged_by_the_rule_of_its_document(tmp_path: Path) -> None:
    series = labelled_series(tmp_path)
    detectors = [entrant(name, "detectors") for name in ("isolation-forest", "robust-z")]
    results = run(series, detectors, [entrant(name, "thresholds") for name in ("own", "quantile:quantile=0.95")])
    forest, z = results[0], results[2]
    assert forest.events["own"] == forest.events["quantile:quantile=0.95"]
    assert "own" not in z.events


@pytest.mark.parametrize("rule", sorted(set(_OWN_RULES.values())))
def test_the_rule_of_a_document_is_a_threshold_that_can_be_made(rule: str) -> None:
    threshold = entrant(rule, "thresholds").threshold()
    threshold.fit(np.linspace(0, 1, 100))
    assert 0 < threshold.level < 3


def test_progress_reaches_the_end_and_results_keep_their_order(tmp_path: Path) -> None:
    series = labelled_series(tmp_path)
    told: list[tuple[float, float]] = []

    class Telling:
        def advance(self, task: str, done: float, total: float, note: str = "") -> None:
            told.append((done, total))

    detectors = [entrant("robust-z", "detectors")]
    results = run(
        series,
        detectors,
        [entrant("quantile", "thresholds")],
        workers=lambda tasks: one_by_one(tasks[::-1]),
        reporter=Telling(),
    )
    assert [one.series for one in results] == ["api", "web"]
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_frames_are_handed_to_a_detector_with_rows_from_nought(tmp_path: Path) -> None:
    (one, _) = labelled_series(tmp_path)
    moved = replace(one, fit=slice(100, 158))
    _, scores = run_task(Task(entrant("robust-z", "detectors"), moved))
    assert len(scores.judge) == 390
    assert isinstance(moved.frame.index, pd.RangeIndex)
