"""Made-up samples follow the formulas that they claim, and their labels say where a fault is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mora.errors import BadInput
from mora.synthetic import FAULTS, NODE_COLUMNS, SERVICE_COLUMNS, nodes, service

START = datetime(2026, 1, 5, tzinfo=UTC)
DAY, STEP = timedelta(days=1), timedelta(seconds=30)


def at_hour(frame: pd.DataFrame, hour: int) -> pd.DataFrame:
    return frame.set_index("timestamp").between_time(f"{hour:02}:00", f"{hour:02}:59:59")


def test_the_table_of_the_document_is_met_at_its_two_hours() -> None:
    made = service(START, span=30 * DAY, step=STEP, seed=1)
    night, noon = at_hour(made, 2), at_hour(made, 14)
    expected = {
        "request_rate": (12.5, 112.5, 3.0),
        "latency_p95": (0.237, 0.413, 0.015),
        "error_rate": (0.25, 2.25, 0.05),
        "cpu_usage": (0.0125, 0.1125, 0.005),
    }
    for name, (least, most, deviation) in expected.items():
        assert night[name].mean() == pytest.approx(least, abs=0.06 * deviation)
        assert noon[name].mean() == pytest.approx(most, abs=0.06 * deviation)
        assert noon[name].std() == pytest.approx(deviation, rel=0.03)
    base = made["memory_usage"].mean()
    assert 0.5e9 < base < 1.5e9
    assert night["memory_usage"].mean() == pytest.approx(noon["memory_usage"].mean(), rel=0.005)
    assert made["memory_usage"].std() == pytest.approx(0.03 * base, rel=0.01)


def test_nothing_is_negative_though_the_cpu_of_the_night_would_be() -> None:
    made = service(START, span=30 * DAY, step=STEP, seed=1)
    assert (made[list(SERVICE_COLUMNS)] >= 0).all().all()
    assert (at_hour(made, 2)["cpu_usage"] == 0).mean() == pytest.approx(0.006, abs=0.003)


def test_faults_are_where_the_labels_are_and_in_the_second_half() -> None:
    whole, broken = (service(START, span=4 * DAY, step=STEP, seed=3, faults=n) for n in (0, 5))
    differs = (whole[list(SERVICE_COLUMNS)] != broken[list(SERVICE_COLUMNS)]).any(axis=1)
    labelled = broken["label"] == 1
    assert not (differs & ~labelled).any()
    assert not labelled[: len(broken) // 2].any()
    starts = (labelled & ~labelled.shift(fill_value=False)).sum()
    assert starts == 5
    assert labelled.sum() == sum(2 * fault.minutes for fault in FAULTS)
    ratio = broken.loc[labelled, "latency_p95"] / whole.loc[labelled, "latency_p95"]
    assert ratio.max() == pytest.approx(3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_faults_fit_or_are_refused(faults: int, hours: int, seed: int) -> None:
    try:
        made = service(START, span=timedelta(hours=hours), step=timedelta(minutes=1), seed=seed, faults=faults)
    except BadInput:
        assert faults > 0
    else:
        label = made["label"].to_numpy()
        assert np.count_nonzero(np.diff(label, prepend=0) == 1) == faults
        assert len(made) == 60 * hours


@pytest.mark.parametrize("span", [timedelta(), timedelta(seconds=10), timedelta(days=100_000)])
def test_a_span_without_a_row_or_with_too_many_is_refused(span: timedelta) -> None:
    with pytest.raises(BadInput, match="rows"):
        service(START, span=span, step=STEP, seed=1)


def test_the_same_seed_makes_the_same() -> None:
    one, other = (service(START, span=DAY, step=STEP, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(nodes(seed=3), nodes(seed=3))
    assert not nodes(seed=3).equals(nodes(seed=4))


def test_nodes_are_the_5250_observations_of_the_document() -> None:
    made = nodes()
    assert len(made) == 5250
    assert made["is_anomaly"].sum() == 250
    odd, usual = made[made["is_anomaly"] == 1], made[made["is_anomaly"] == 0]
    for name in NODE_COLUMNS:
        assert odd[name].min() > usual[name].max()
    # In no order of its own.
    assert 0.01 < made["is_anomaly"].to_numpy()[:2000].mean() < 0.09


def test_there_must_be_an_observation() -> None:
    with pytest.raises(BadInput, match="observations"):
        nodes(ordinary=0, abnormal=0)
