"""How good an experiment's samples are: every flag has its figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mora.dataset import (
    assess_quality,
)
from mora.dataset.quality import outliers
from mora.domain import Window
from mora.metrics import METRIC_COLUMNS
from tests.dataset.making import SECOND, START, make_frame


def window(samples: int = 30) -> Window:
    return Window(START, START + (samples - 1) * SECOND, SECOND)


def steady(samples: int = 30) -> pd.DataFrame:
    frame = make_frame(rows=samples)
    frame["cpu_cores_value"] = 0.1
    return frame


def test_a_whole_and_steady_experiment_has_no_flags() -> None:
    quality = assess_quality(steady(), window())
    assert (quality.expected_samples, quality.samples, quality.flags) == (30, 30, ())
    assert quality.is_complete
    assert quality.is_steady
    assert set(quality.missing_ratio) == set(METRIC_COLUMNS)


@pytest.mark.parametrize(("rows", "is_complete"), [(27, True), (26, False), (0, False)])
def test_nine_tenths_of_the_samples_are_enough(rows: int, is_complete: bool) -> None:
    quality = assess_quality(steady().iloc[:rows], window())
    assert quality.is_complete is is_complete
    assert quality.samples == rows
    assert any(flag.startswith(f"few_samples: {rows} of 30") for flag in quality.flags) is not is_complete


@pytest.mark.parametrize("column", ["cpu_cores_value", "mem_bytes_value", "replica_count_value"])
def test_one_gap_in_twenty_is_allowed_for_what_is_recommended(column: str) -> None:
    frame = steady(40)
    frame.loc[:1, column] = np.nan
    assert assess_quality(frame, window(40)).is_complete
    frame.loc[2, column] = np.nan
    quality = assess_quality(frame, window(40))
    assert not quality.is_complete
    assert quality.flags == (f"missing_{column}: 7.5% of the samples (at most 5%)",)
    assert quality.missing_ratio[column] == 0.075


def test_gaps_in_other_metrics_are_reported_and_exclude_nothing() -> None:
    frame = steady()
    frame["node_cpu_util_value"] = np.nan
    quality = assess_quality(frame, window())
    assert quality.is_complete
    assert quality.missing_ratio["node_cpu_util_value"] == 1.0


@pytest.mark.parametrize(
    ("before", "after", "is_steady"),
    [
        (0.1, 0.114, True),
        (0.1, 0.116, False),
        (0.1, 0.084, False),
        (0.01, 0.0145, True),
        (0.01, 0.016, False),
        (0, 0, True),
    ],
)
def test_steadiness_marks_and_does_not_exclude(before: float, after: float, is_steady: bool) -> None:
    frame = steady()
    frame["cpu_cores_value"] = [5.0] * 10 + [before] * 10 + [after] * 10
    quality = assess_quality(frame, window())
    assert quality.is_steady is is_steady
    assert quality.is_complete


@pytest.mark.parametrize(
    ("column", "value", "limit", "words"),
    [
        ("cpu_cores_value", 2000.0, np.nan, "1 of 60 samples, up to 2000, are above 20 times the usual 0.1"),
        ("cpu_cores_value", 3.0, np.nan, "1 of 60 samples, up to 3, are above 20 times the usual 0.1"),
        ("cpu_cores_value", 0.5, 0.2, "1 of 60 samples are above twice the limit, 0.2"),
        ("mem_bytes_value", 2.0**40, np.nan, "1 of 60 samples, up to 1.1e+12, are above 20 times the usual 5.243e+07"),
    ],
)
def test_one_sample_that_the_load_cannot_explain_excludes_the_run(
    column: str, value: float, limit: float, words: str
) -> None:
    frame = steady(60)
    frame["cpu_limit_cores"] = limit
    assert assess_quality(frame, window(60)).is_complete
    frame.loc[30, column] = value
    quality = assess_quality(frame, window(60))
    assert not quality.is_complete
    assert f"outlier_{column}: {words}" in quality.flags


def test_a_limit_that_many_samples_exceed_is_not_enforced_and_makes_no_outliers() -> None:
    frame = steady(60)
    frame["cpu_limit_cores"] = 0.2
    frame.loc[20:40, "cpu_cores_value"] = 0.6
    assert outliers(frame) == []


def test_a_peak_of_a_start_and_a_history_have_no_outliers() -> None:
    frame = steady(60)
    frame["cpu_limit_cores"] = np.nan
    frame.loc[0, "cpu_cores_value"] = 0.9
    assert outliers(frame) == []
    frame["cpu_cores_value"] = 0.0
    frame.loc[0, "cpu_cores_value"] = 2.0
    frame["scenario"] = "observed"
    assert outliers(frame) == []
