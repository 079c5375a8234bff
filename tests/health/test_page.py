"""The page shows the score over its threshold and every metric, with events shaded; names on it are harmless."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.health.known import Known
from mora.health.model import train
from mora.health.page import health_page, thinned
from tests.health.made import healthy, with_fault


def charts(page: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return [json.loads(text) for text in found]


@pytest.fixture(scope="module")
def page() -> str:
    hostile = healthy(2000).rename(columns={"mem_bytes_value": "</script><b>x"})
    model = train(hostile, service="web", metrics=["cpu_cores_value", "latency_p95_seconds", "</script><b>x"])
    samples = with_fault(healthy(1500, seed=2), 1200).rename(columns={"mem_bytes_value": "</script><b>x"})
    judged = model.judge(samples)
    fault = Known(samples["timestamp"][1200].to_pydatetime(), samples["timestamp"][1219].to_pydatetime(), "slow")
    return health_page(model, judged, model.prepared(samples).frame, known=[fault])


def test_score_threshold_and_the_metric_that_carries_the_event_come_first(page: str) -> None:
    first, second, *rest = charts(page)
    assert [line["name"] for line in first["lines"]] == ["score", "threshold"]
    assert second["title"] == "latency_p95_seconds"
    assert len(rest) == 2
    texts = [span["text"] for span in first["spans"]]
    assert any(text.startswith("abnormal: latency_p95_seconds") for text in texts)
    assert "known: slow" in texts
    assert any(mark["text"].endswith("the threshold") for mark in first["marks"])
    event = next(span for span in first["spans"] if span["text"].startswith("abnormal"))
    known = next(span for span in first["spans"] if span["text"].startswith("known"))
    assert known["begin"] <= event["begin"] <= known["end"]


def test_names_on_the_page_are_escaped(page: str) -> None:
    assert "<b>x" not in page
    assert 'http-equiv="Content-Security-Policy"' in page


@given(st.lists(st.one_of(st.floats(-100, 100), st.just(np.nan)), min_size=1, max_size=400), st.integers(1, 40))
def test_a_thinned_series_keeps_its_extremes_its_ends_and_its_gaps(values: list[float], columns: int) -> None:
    series = np.array(values)
    kept = thinned(series, columns)
    assert (np.diff(kept) > 0).all()
    assert {kept[0], kept[-1]} == {0, len(series) - 1}
    assert len(kept) <= max(3 * columns + 2, len(series) if len(series) <= 2 * columns else 0)
    if np.isfinite(series).any():
        assert np.nanmax(series[kept]) == np.nanmax(series)
        assert np.nanmin(series[kept]) == np.nanmin(series)
    assert np.isnan(series[kept]).any() == np.isnan(series).any()
