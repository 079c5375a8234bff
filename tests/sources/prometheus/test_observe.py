"""PrometheusSource against a real Prometheus with backfilled series; test_access has what no real one does at will."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora import metrics
from mora.domain import Window, Workload
from mora.errors import BadInput, SourceUnavailable
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.rig import Series, backfill, cluster, serve

MIB = 2**20
HOURS = 8
# Ends now, so that services() finds it: whole minutes, so that every sample lies on a round second.
END_SECONDS = time.time() // 60 * 60
START_SECONDS = END_SECONDS - HOURS * 3600
END = datetime.fromtimestamp(END_SECONDS, UTC)
FRONTEND = Workload("shop", "frontend")


def ramp(at: float) -> float:
    """Memory that says when it was scraped: a row that is shifted, doubled or left out shows."""
    return at - START_SECONDS


def shop() -> list[Series]:
    series = cluster(
        {"frontend": ("server", "istio-proxy"), "cart": ("server",)}, start=START_SECONDS, end=END_SECONDS, every=15
    )
    return [
        Series(one.metric, one.labels, ramp, one.start, one.end, one.every)
        if one.metric == "container_memory_working_set_bytes" and one.labels["container"] == "server"
        else one
        for one in series
    ]


def fast_and_young() -> list[Series]:
    """A namespace that is scraped every 2.5 s, whose pods are a minute old."""
    return cluster(
        {"web": ("app", "cache")},
        namespace="young",
        start=END_SECONDS - 60,
        end=END_SECONDS,
        every=2.5,
        has_nodes=False,
    )


def deaf() -> list[Series]:
    """A namespace of which only kube-state-metrics tells, for the last half of the time."""
    everything = cluster(
        {"api": ("api",)}, namespace="deaf", start=END_SECONDS - 1800, end=END_SECONDS, every=15, has_nodes=False
    )
    return [one for one in everything if one.metric.startswith("kube_") and "resource" not in one.metric]


@pytest.fixture(scope="module")
def tsdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return backfill([*shop(), *fast_and_young(), *deaf()], tmp_path_factory.mktemp("prometheus"))


@pytest.fixture(scope="module")
def url(tsdb: Path) -> Iterator[str]:
    with serve(tsdb) as address:
        yield address


@pytest.fixture
def source(url: str) -> PrometheusSource:
    return PrometheusSource(url, retries=0)


def last(span: timedelta, step: timedelta) -> Window:
    return Window(END - span, END, step)


def test_an_observation_has_all_twelve_metrics_and_the_extra_ones(source: PrometheusSource) -> None:
    window = last(timedelta(minutes=30), timedelta(seconds=15))
    seen = source.observe(FRONTEND, window)
    row = seen.metrics.iloc[-1]
    assert set(metrics.METRIC_COLUMNS) <= set(seen.metrics.columns) <= set(metrics.ALL_COLUMNS)
    assert seen.metrics.index.equals(
        pd.date_range(window.start, window.end, freq="15s", name="timestamp", unit="us")  # both ends
    )
    assert seen.metrics.notna().all(axis=None)
    assert row["cpu_cores_value"] == pytest.approx(0.2)  # the second of two pods
    assert row["cpu_cores_total"] == pytest.approx(0.33)  # both, with their sidecars
    assert row["net_rx_bytes_value"] == pytest.approx(2000)
    assert row["net_tx_bytes_value"] == pytest.approx(4000)
    assert row["replica_count_value"] == 2
    assert row["pod_restarts_value"] == row["oom_kills"] == 0
    assert row["node_cpu_util_value"] == pytest.approx(0.6)
    assert row["node_mem_util_value"] == pytest.approx(0.5)
    assert row["throttled_ratio"] == pytest.approx(0.1)
    assert (row["cpu_request_cores"], row["cpu_limit_cores"]) == (0.25, 0.5)
    assert (row["mem_request_bytes"], row["mem_limit_bytes"]) == (256 * MIB, 512 * MIB)
    assert row["service_stability_value"] == 1
    assert row["resource_pressure_value"] == pytest.approx(0.6)
    assert seen.warnings == ()
    assert seen.queries == source.queries(FRONTEND, window)


def test_the_main_container_is_distinguished_from_its_sidecars_which_are_kept_apart(source: PrometheusSource) -> None:
    seen = source.observe(FRONTEND, last(timedelta(minutes=10), timedelta(seconds=15)))
    assert (seen.main_container, seen.main_container_chosen_by) == (
        "server",
        "the only container beside injected sidecars",
    )
    assert set(seen.containers["container"]) == {"istio-proxy"}
    assert len(seen.containers) == 41
    assert seen.containers["cpu_cores"].iloc[-1] == pytest.approx(0.02)
    assert seen.containers["mem_limit_bytes"].iloc[-1] == 512 * MIB
    young = source.observe(Workload("young", "web"), last(timedelta(seconds=30), timedelta(seconds=5)))
    assert (young.main_container, young.main_container_chosen_by) == ("app", "the first by name of app, cache")


def test_a_range_beyond_11000_points_is_joined_row_by_row(source: PrometheusSource) -> None:
    window = last(timedelta(seconds=23_500), timedelta(seconds=1))
    memory = source.observe(FRONTEND, window).metrics["mem_bytes_value"]
    asked = np.arange(END_SECONDS - 23_500, END_SECONDS + 1) - START_SECONDS
    assert len(memory) == 23_501
    np.testing.assert_array_equal(memory.to_numpy(), asked // 15 * 15)  # the latest scrape at each second


def test_a_grid_that_lies_between_whole_seconds_is_asked_for_exactly(source: PrometheusSource) -> None:
    start = END - timedelta(minutes=5) - timedelta(milliseconds=750)
    window = Window(start, END, timedelta(milliseconds=500))
    seen = source.observe(FRONTEND, window).metrics["mem_bytes_value"]
    asked = start.timestamp() + 0.5 * np.arange(window.sample_count) - START_SECONDS
    assert seen.index[0] == pd.Timestamp(start)
    np.testing.assert_array_equal(seen.to_numpy(), asked // 15 * 15)


def test_a_server_that_runs_out_of_samples_is_asked_for_shorter_pieces(
    tsdb: Path, source: PrometheusSource, tmp_path: Path
) -> None:
    window = last(timedelta(hours=2), timedelta(seconds=1))
    whole = source.observe(FRONTEND, window).metrics
    copy = tmp_path / "tsdb"
    shutil.copytree(tsdb, copy, ignore=shutil.ignore_patterns("lock", "wal", "chunks_head", "queries.active"))
    with serve(copy, "--query.max-samples=20000") as narrow:
        pieces = PrometheusSource(narrow, retries=0).observe(FRONTEND, window).metrics
    pd.testing.assert_frame_equal(pieces, whole)


def test_the_rate_window_is_four_of_the_scrape_intervals_that_are_found(source: PrometheusSource) -> None:
    window = last(timedelta(minutes=1), timedelta(seconds=15))
    seen = source.observe(FRONTEND, window)
    assert seen.rate_window == timedelta(seconds=60)
    assert "[60s]" in seen.queries["cpu_cores_value"]


def test_young_pods_do_not_look_like_rarely_scraped_ones(source: PrometheusSource) -> None:
    young = source.observe(Workload("young", "web"), last(timedelta(seconds=30), timedelta(seconds=5)))
    assert young.rate_window == timedelta(seconds=10)
    assert "[60s]" in young.queries["node_cpu_util_value"]  # node-exporter keeps its own pace


def test_queries_can_be_read_before_anything_is_sent() -> None:
    nowhere = PrometheusSource("http://127.0.0.1:9", retries=0)
    window = last(timedelta(minutes=1), timedelta(seconds=15))
    assert "[$__rate_window]" in nowhere.queries(FRONTEND, window)["cpu_cores_value"]
    given = PrometheusSource("http://127.0.0.1:9", rate_window=timedelta(minutes=2))
    assert "[120s]" in given.queries(FRONTEND, window)["cpu_cores_value"]


def test_what_answers_nothing_is_nan_with_a_warning_that_names_the_metric(source: PrometheusSource) -> None:
    seen = source.observe(Workload("deaf", "api"), last(timedelta(hours=1), timedelta(seconds=15)))
    frame, warnings = seen.metrics, "\n".join(seen.warnings)
    assert frame[["cpu_cores_value", "mem_bytes_value", "net_rx_bytes_value", "cpu_limit_cores"]].isna().all(axis=None)
    assert frame["replica_count_value"].iloc[-1] == 2
    assert frame["network_activity_rate_value"].isna().all()
    assert "cpu_cores_value is empty: container_cpu_usage_seconds_total has no samples" in warnings
    assert "scrape interval of cAdvisor could not be found" in warnings
    assert "cpu_request_cores, cpu_limit_cores" in warnings
    assert "The workload is known from" in warnings  # half an hour of the hour asked for
    assert seen.main_container == "api"


def test_a_service_that_does_not_exist_is_answered_with_those_that_do(source: PrometheusSource) -> None:
    with pytest.raises(BadInput) as told:
        source.observe(Workload("shop", "frontent"), last(timedelta(minutes=5), timedelta(seconds=15)))
    assert "There is no Deployment 'frontent' in namespace 'shop'" in told.value.message
    assert "Did you mean 'frontend'?" in told.value.message
    assert told.value.hint is not None
    assert "cart, frontend" in told.value.hint


def test_a_namespace_that_does_not_exist_is_answered_with_those_that_do(source: PrometheusSource) -> None:
    with pytest.raises(BadInput, match=r"knows no workload in namespace 'shopp'[^$]*deaf, shop, young"):
        source.observe(Workload("shopp", "frontend"), last(timedelta(minutes=5), timedelta(seconds=15)))


def test_a_workload_of_another_kind_is_reported(source: PrometheusSource) -> None:
    with pytest.raises(SourceUnavailable, match="no samples of a StatefulSet by that name"):
        source.observe(Workload("shop", "frontend", "StatefulSet"), last(timedelta(minutes=5), timedelta(seconds=15)))


def test_a_window_before_all_data_is_reported(source: PrometheusSource) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(SourceUnavailable, match="no workloads at all between 2020-01-01 00:00 UTC"):
        source.observe(FRONTEND, Window(long_ago, long_ago + timedelta(hours=1), timedelta(seconds=15)))


def test_services_are_the_workloads_of_a_namespace(source: PrometheusSource) -> None:
    assert source.services("shop") == ["cart", "frontend"]
    assert source.services("nowhere") == []


def test_a_window_finer_than_a_millisecond_is_refused(source: PrometheusSource) -> None:
    with pytest.raises(BadInput, match="whole milliseconds"):
        source.observe(FRONTEND, Window(END, END, timedelta(microseconds=1500)))


def test_check_tells_the_version_that_answers(source: PrometheusSource) -> None:
    assert source.check()[0].isdigit()
