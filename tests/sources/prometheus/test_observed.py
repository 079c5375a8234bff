"""Observations without what cannot be: one absurd sample, counters that step back, a scrape interval that changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.domain import LeftOut, Observation, Target, Window, Workload
from mora.sources.prometheus.believable import Nodes
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.observed import believed
from tests.sources.rig import Series, backfill, cluster, serve

END_SECONDS = 1_790_000_100.0 // 300 * 300
END = datetime.fromtimestamp(END_SECONDS, UTC)
INDEX = pd.date_range(END - timedelta(minutes=19), END, freq="1min", name="timestamp")


def frames(cores: list[float], sidecar: list[float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    metrics = pd.DataFrame(
        {
            "cpu_cores_value": cores,
            "cpu_cores_total": np.array(cores) * 2,
            "mem_bytes_value": 1e8,
            "mem_bytes_total": 2e8,
            "cpu_limit_cores": 1.0,
        },
        index=INDEX,
    )
    others = pd.DataFrame(
        {"timestamp": INDEX, "container": "proxy", "cpu_cores": sidecar, "mem_bytes": 1e7, "cpu_limit_cores": np.nan}
    )
    return metrics, others


def test_what_no_node_has_is_not_known_nor_is_the_sum_that_it_is_part_of() -> None:
    main, proxy = [0.2] * 20, [0.01] * 20
    main[3], proxy[7] = 900.0, 50.0
    metrics, others = frames(main, proxy)
    found, found_others, left_out = believed(metrics, others, Nodes(8.0, 1e10), has_quota=False)
    assert np.flatnonzero(found["cpu_cores_value"].isna()).tolist() == [3]
    assert np.flatnonzero(found["cpu_cores_total"].isna()).tolist() == [3, 7]
    assert np.flatnonzero(found_others["cpu_cores"].isna()).tolist() == [7]
    assert left_out == {Target.CPU: LeftOut(1, 20, "exceed the largest node's 8 cores")}
    assert left_out[Target.CPU].words("CPU") == "1 of 20 CPU samples exceed the largest node's 8 cores: left out"
    assert metrics["cpu_cores_value"].iloc[3] == 900.0  # what was given stays as it was


def test_a_limit_that_is_enforced_bounds_use_and_ordinary_use_stays() -> None:
    metrics, others = frames([*([0.5] * 19), 3.0], [0.01] * 20)
    found, _, left_out = believed(metrics, others, Nodes(8.0), has_quota=True)
    assert found["cpu_cores_value"].isna().sum() == 1
    assert "twice the CPU limit of 1 core" in left_out[Target.CPU].why
    metrics, others = frames([0.5] * 20, [0.01] * 20)
    found, same, left_out = believed(metrics, others, Nodes(8.0), has_quota=True)
    pd.testing.assert_frame_equal(found, metrics)
    pd.testing.assert_frame_equal(same, others)
    assert left_out == {}


# --- in a real Prometheus --------------------------------------------------------------------------------------------


def shop(hours: float, every: float) -> list[Series]:
    start = END_SECONDS - hours * 3600
    return cluster({"web": ("web",)}, start=start, end=END_SECONDS, every=every, replicas=1, has_nodes=False)


def counted(series: list[Series], change: Callable[[Series], list[Series]]) -> list[Series]:
    return [
        new for one in series for new in (change(one) if one.metric == "container_cpu_usage_seconds_total" else [one])
    ]


def observed(folder: Path, series: list[Series], span: timedelta, step: timedelta) -> Observation:
    with serve(backfill(series, folder)) as url:
        return PrometheusSource(url, retries=0).observe(Workload("shop", "web"), Window(END - span, END, step))


def test_a_counter_that_two_collectors_write_is_read_as_means(tmp_path: Path) -> None:
    def doubled(one: Series) -> list[Series]:
        def value(at: float) -> float:
            minutes = at // 60 * 60
            count = 90_000 + 0.1 * (minutes - one.start)
            return count if at == minutes else count - 0.4

        return [Series(one.metric, one.labels, value, one.start, one.end, 30)]

    seen = observed(tmp_path, counted(shop(3, 60), doubled), timedelta(hours=2), timedelta(minutes=1))
    used = seen.metrics["cpu_cores_value"].dropna()
    assert len(used) > 100
    assert float(used.max()) < 0.13
    assert float(used.mean()) == pytest.approx(0.1, abs=0.01)
    assert any("often steps back" in one for one in seen.warnings)


def test_one_absurd_sample_is_left_out_and_counted(tmp_path: Path) -> None:
    def absurd(one: Series) -> list[Series]:
        wrong = END_SECONDS - 3600

        def value(at: float) -> float:
            return 1.7e9 if at == wrong else 0.1 * (at - one.start)

        return [Series(one.metric, one.labels, value, one.start, one.end, one.every)]

    seen = observed(tmp_path, counted(shop(3, 30), absurd), timedelta(hours=2), timedelta(minutes=1))
    assert float(seen.metrics["cpu_cores_value"].max()) < 0.2
    (told,) = [one for one in seen.warnings if "left out" in one]
    assert told == "3 of 121 CPU samples exceed twice the CPU limit of 0.5 cores: left out."


def test_a_history_whose_scrape_interval_changed_is_observed_in_full(tmp_path: Path) -> None:
    def changed(one: Series) -> list[Series]:
        cut = END_SECONDS - 6 * 3600
        old = Series(one.metric, one.labels, one.value, one.start, cut - 300, 300)
        return [old, Series(one.metric, one.labels, one.value, cut, one.end, 60)]

    seen = observed(tmp_path, counted(shop(30, 60), changed), timedelta(hours=28), timedelta(minutes=5))
    used = seen.metrics["cpu_cores_value"]
    assert used.notna().all()
    assert float(used.min()) == pytest.approx(0.1, rel=0.01)
    assert any("changed from 5m to 1m" in one for one in seen.warnings)
