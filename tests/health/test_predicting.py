"""Rows of a table are flagged as CloudSentinel flags them, and how well is measured beside a rule of one line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.health.predicting import best_rule, level_of, predict, quality_of
from mora.synthetic import NODE_COLUMNS, nodes, service


def test_the_5250_observations_are_separated_and_one_line_does_as_well() -> None:
    found = predict(nodes())
    assert found.quality is not None
    assert found.rule is not None
    assert found.quality.precision >= 0.96
    assert found.quality.recall >= 0.99
    assert found.quality.f1 >= 0.98
    assert found.rule.quality.f1 == 1
    assert str(found.rule).startswith("cpu_percent > 8")
    assert found.label == "is_anomaly"
    assert found.detector.columns == NODE_COLUMNS


def test_lower_scores_are_more_abnormal_and_below_0_is_flagged() -> None:
    table = predict(nodes(ordinary=800, abnormal=40, seed=3)).table
    flagged = table["predicted_anomaly"] == 1
    assert (table.loc[flagged, "anomaly_score"] < 0).all()
    assert (table.loc[~flagged, "anomaly_score"] >= 0).all()
    assert table.loc[table["is_anomaly"] == 1, "anomaly_score"].max() < 0


def test_a_table_is_judged_by_another_history() -> None:
    usual = nodes(ordinary=1000, abnormal=0, seed=5).drop(columns="is_anomaly")
    found = predict(nodes(ordinary=300, abnormal=30, seed=6), usual, contamination=0.01)
    assert found.quality is not None
    assert found.quality.recall == 1
    assert found.flagged < 50


def test_a_history_that_was_predicted_before_and_options_of_a_detector_are_taken() -> None:
    usual = predict(nodes(ordinary=400, abnormal=0, seed=5)).table
    found = predict(nodes(ordinary=300, abnormal=30, seed=6), usual, detector="isolation-forest:trees=20")
    assert found.detector.columns == NODE_COLUMNS
    assert len(found.detector.save().arrays["roots"]) == 20


def test_a_column_with_a_cell_that_is_no_number_is_left_out_with_a_reason() -> None:
    table = nodes(ordinary=100, abnormal=5).astype({"cpu_percent": object}).assign(host="a")
    table.loc[3, "cpu_percent"] = "n/a%"
    found = predict(table)
    assert "cpu_percent" not in found.detector.columns
    assert found.reasons[0].startswith("cpu_percent is left out, since not all of its cells are numbers: 1 of 105")
    assert predict(table, metrics=["disk_percent"]).reasons == ()


def test_the_table_comes_back_as_it_was_with_two_columns_more() -> None:
    table = nodes(ordinary=100, abnormal=5).assign(host="a", note="=1+1")
    found = predict(table).table
    pd.testing.assert_frame_equal(found[list(table.columns)], table)
    assert list(found.columns) == [*table.columns, "predicted_anomaly", "anomaly_score"]


def test_a_row_without_a_verdict_has_no_flag_and_no_score() -> None:
    table = nodes(ordinary=200, abnormal=10)
    table.loc[7, list(NODE_COLUMNS)] = np.nan
    found = predict(table)
    assert found.known == len(table) - 1
    assert found.table["predicted_anomaly"].isna().to_numpy().nonzero()[0].tolist() == [7]
    assert found.table["anomaly_score"].isna().to_numpy().nonzero()[0].tolist() == [7]


def test_a_detector_that_looks_back_reads_the_time_of_a_csv() -> None:
    made = service(pd.Timestamp("2026-01-05", tz="UTC"), span=pd.Timedelta("3D"), step=pd.Timedelta("5min"), seed=1)
    text = made.assign(timestamp=made["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    found = predict(text, detector="context-distance", metrics=["cpu_usage", "latency_p95"])
    assert found.detector.columns == ("cpu_usage", "latency_p95")
    assert found.table["timestamp"].equals(text["timestamp"])
    with pytest.raises(BadInput, match="lack the column timestamp"):
        predict(text.assign(timestamp="soon"), detector="context-distance")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=20, max_size=400), st.floats(0.01, 0.4))
def test_no_more_than_the_contamination_is_flagged(scores: list[float], contamination: float) -> None:
    values = np.array(scores)
    flagged = (values > level_of(values, contamination)).sum()
    assert flagged <= np.ceil(contamination * (len(values) - 1)) + 1


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60))
def test_no_rule_of_one_level_is_better_than_the_best(rows: list[tuple[int, bool]]) -> None:
    values = np.array([value for value, _ in rows], dtype=float)
    labels = np.array([label for _, label in rows])
    best = best_rule(pd.DataFrame({"cpu": values}), labels)
    others = [quality_of(flags, labels).f1 for cut in range(9) for flags in (values > cut + 0.5, values < cut + 0.5)
              if 0 < flags.sum() < len(flags)]  # fmt: skip
    if best is None:
        assert others == []
    else:
        assert best.quality.f1 == pytest.approx(max(others))


@pytest.mark.parametrize(
    ("table", "options", "error", "message"),
    [
        (nodes(ordinary=50, abnormal=5).assign(anomaly_score=1), {}, BadInput, "predicted before"),
        (nodes(ordinary=50, abnormal=5), {"contamination": 0.0}, BadInput, "contamination of 0"),
        (nodes(ordinary=50, abnormal=5), {"metrics": ["disk"]}, BadInput, "lacks the metric disk"),
        (nodes(ordinary=50, abnormal=5).assign(is_anomaly=2), {}, BadDataset, "neither 0 nor 1"),
        (pd.DataFrame({"host": ["a"] * 30}), {}, BadDataset, "no column of numbers"),
        (nodes(ordinary=50, abnormal=5).assign(host="a"), {"metrics": ["host"]}, BadDataset, "host is no column"),
        (nodes(ordinary=5, abnormal=1), {}, NotEnoughData, "20 known samples"),
    ],
)
def test_what_cannot_be_judged_is_an_error(
    table: pd.DataFrame, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        predict(table, **options)  # type: ignore[arg-type]  # each case has its own


def test_a_history_with_other_metrics_is_refused() -> None:
    with pytest.raises(BadInput, match="lacks the metrics"):
        predict(nodes(ordinary=50, abnormal=5), pd.DataFrame({"cpu": np.arange(50.0), "mem": 1.0}))
