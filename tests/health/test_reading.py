"""Samples come from the unified CSVs, from any table, and from a real Prometheus with a mesh."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mora.domain import Workload
from mora.errors import BadDataset, BadInput, NotEnoughData
from mora.health.reading import read_file, read_namespace, read_prometheus, read_service, usual_step
from mora.sources.prometheus.observe import PrometheusSource
from tests.health.made import START, healthy
from tests.sources import rig

DATA = Path(__file__).parents[2] / "data"


def test_the_csvs_of_a_service_are_its_metrics_of_health_in_the_order_of_time() -> None:
    read = read_service("frontend", DATA, namespace="default")
    assert read.frame["timestamp"].is_monotonic_increasing
    assert {"cpu_cores_value", "latency_p95_seconds", "replica_count_value"} <= set(read.frame.columns)
    assert "load_users" not in read.frame
    with pytest.raises(BadDataset, match="no data of 'nothing'"):
        read_service("nothing", DATA, namespace="default")


def test_one_unified_csv_is_read_as_such() -> None:
    path = next((DATA / "frontend").glob("*_run_2.csv"))
    read = read_file(path)
    assert len(read.frame) == 62
    assert "throttled_ratio" in read.frame


@pytest.mark.parametrize("form", ["iso", "seconds", "milliseconds", "naive"])
def test_times_are_dates_or_numbers_since_1970(tmp_path: Path, form: str) -> None:
    frame = healthy(30)
    epoch = frame["timestamp"].astype("int64") // 10**6
    times = {
        "iso": frame["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "naive": frame["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S"),
        "seconds": epoch,
        "milliseconds": epoch * 1000,
    }[form]
    frame.assign(timestamp=times).rename(columns={"timestamp": "time"}).to_csv(tmp_path / "web.csv", index=False)
    read = read_file(tmp_path / "web.csv").frame
    assert read["timestamp"].tolist() == frame["timestamp"].tolist()
    np.testing.assert_allclose(read["cpu_cores_value"], frame["cpu_cores_value"])


def test_a_time_that_is_infinite_is_a_row_without_a_time(tmp_path: Path) -> None:
    frame = healthy(30)
    epoch = (frame["timestamp"].astype("int64") // 10**6).astype(float)
    epoch[3] = np.inf
    frame.assign(timestamp=epoch).to_csv(tmp_path / "web.csv", index=False)
    times = read_file(tmp_path / "web.csv").frame["timestamp"]
    assert times.isna().tolist() == [row == 3 for row in range(30)]
    assert times[4] == frame["timestamp"][4]


def test_the_index_of_a_parquet_file_may_be_its_time(tmp_path: Path) -> None:
    healthy(30).set_index("timestamp").to_parquet(tmp_path / "web.parquet")
    assert read_file(tmp_path / "web.parquet").frame["timestamp"].tolist() == healthy(30)["timestamp"].tolist()


def test_a_parquet_file_and_columns_that_are_no_numbers(tmp_path: Path) -> None:
    frame = healthy(30).assign(pod="web-1", ok=True, mostly=["x", *range(29)])
    frame["mostly"] = frame["mostly"].astype(str)
    frame.to_parquet(tmp_path / "web.parquet")
    read = read_file(tmp_path / "web.parquet")
    assert "pod" not in read.frame
    assert read.remarks == ("Left out, since they are no numbers: pod, ok.",)
    assert math.isnan(read.frame["mostly"][0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", r"no column 'timestamp' or 'time'.*\n.*'a', 'b'"),
        ("timestamp,a\nsoon,2\n", "has no times: 'soon'"),
        ("timestamp,a\n1,x\n2,y\n", "no column of numbers"),
        ("timestamp,a,a\n1,2,3\n", "'a' stands twice"),
        ("timestamp,a\n", "no rows"),
        ("", "no column 'timestamp'|cannot be read"),
        ('timestamp,a\n\x00\x00,"2\n', "cannot be read|no times"),
        ("\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_of_metrics_is_refused_by_its_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "web.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises((BadDataset, NotEnoughData), match=words) as caught:
        read_file(path)
    assert "web.csv" in str(caught.value)


def test_what_is_no_file_of_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="neither"):
        read_file(tmp_path / "web.xlsx")
    with pytest.raises(BadInput, match="no file"):
        read_file(tmp_path / "web.csv")
    (tmp_path / "web.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(BadDataset, match=r"web\.parquet cannot be read"):
        read_file(tmp_path / "web.parquet")


def test_a_history_has_two_weeks_of_minutes_at_most() -> None:
    assert usual_step(timedelta(minutes=20), timedelta(seconds=1)) == timedelta(seconds=1)
    assert usual_step(timedelta(days=14), timedelta(seconds=1)) == timedelta(minutes=1)
    assert usual_step(timedelta(days=60), timedelta(seconds=30)) == timedelta(minutes=5)


# --- a Prometheus ----------------------------------------------------------------------------------------------------

SECONDS = 1800
END = (START + timedelta(seconds=SECONDS)).timestamp()


def _mesh() -> list[rig.Series]:
    """Ten requests a second of which one in ten fails in the last half, in 40 ms or less, and 400 ms from then on."""
    start, half = START.timestamp(), START.timestamp() + SECONDS / 2
    made = []
    to = {"destination_workload": "web", "destination_workload_namespace": "shop", "reporter": "source"}

    def add(metric: str, rate_before: float, rate_after: float, **labels: str) -> None:
        def value(at: float) -> float:
            return rate_before * (min(at, half) - start) + rate_after * max(at - half, 0)

        made.append(rig.Series(metric, {**to, **labels}, value, start, END, 15))

    add("istio_requests_total", 10, 9, response_code="200")
    add("istio_requests_total", 0, 1, response_code="503")
    for edge, before, after in (("25", 0, 0), ("50", 10, 0), ("250", 10, 0), ("500", 10, 10), ("+Inf", 10, 10)):
        add("istio_request_duration_milliseconds_bucket", before, after, le=edge, response_code="200")
    made.append(rig.Series("queue_length", {"app": "web", "pod": "a"}, lambda at: 3.0, start, END, 15))
    made.append(rig.Series("queue_length", {"app": "web", "pod": "b"}, lambda at: 4.0, start, END, 15))
    return made


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("health")
    services: dict[str, tuple[str, ...]] = {"web": ("server",), "cart": ("server",)}
    series = rig.cluster(services, start=START.timestamp(), end=END, every=15)
    with rig.serve(rig.backfill([*series, *_mesh()], folder)) as address:
        yield address


def read(url: str, service: str = "web", *, days: int = 1, **more: object) -> pd.DataFrame:
    source = PrometheusSource(url)
    found = read_prometheus(
        source,
        Workload("shop", service),
        span=timedelta(days=days),
        now=datetime.fromtimestamp(END, UTC),
        **more,  # type: ignore[arg-type]  # options
    )
    return found.frame


def test_use_and_the_mesh_s_requests_latency_and_errors_are_read_at_the_pace_of_the_scrapes(url: str) -> None:
    frame = read(url)
    assert frame["timestamp"].diff().dropna().unique().tolist() == [pd.Timedelta(seconds=15)]
    assert len(frame) == pytest.approx(SECONDS / 15, abs=4)
    assert frame["cpu_cores_value"].median() == pytest.approx(0.2, rel=0.1)
    early, late = frame.iloc[20:50], frame.iloc[-30:]
    assert early["requests_per_second"].median() == pytest.approx(10, rel=0.01)
    assert early["error_ratio"].max() == 0
    assert late["error_ratio"].median() == pytest.approx(0.1, rel=0.01)
    assert early["latency_p95_seconds"].median() == pytest.approx(0.04875, rel=0.01)
    assert late["latency_p95_seconds"].median() == pytest.approx(0.4875, rel=0.01)
    assert (frame["replica_count_value"].dropna() == 2).all()


def test_a_namespace_is_read_together_and_has_what_each_service_has_alone(url: str) -> None:
    now = datetime.fromtimestamp(END, UTC)
    found = dict(read_namespace(PrometheusSource(url), "shop", span=timedelta(days=14), now=now))
    assert sorted(found) == ["cart", "web"]
    assert "latency_p95_seconds" not in found["cart"].frame
    alone, together = read(url).set_index("timestamp"), found["web"].frame.set_index("timestamp")
    both = alone.index.intersection(together.index)
    assert len(both) > 100
    for name in ("cpu_cores_value", "latency_p95_seconds", "error_ratio", "replica_count_value"):
        np.testing.assert_allclose(together.loc[both, name][10:], alone.loc[both, name][10:], rtol=0.02, equal_nan=True)


def test_a_service_without_a_mesh_has_its_use_alone(url: str) -> None:
    assert "latency_p95_seconds" not in read(url, "cart")


def test_a_metric_of_one_s_own_is_one_series(url: str) -> None:
    frame = read(url, own={"queue": 'sum(queue_length{app="$service"})'})
    assert (frame["queue"].dropna() == 7).all()
    with pytest.raises(BadInput, match=r"query of queue gives 2 series(.|\n)*Sum them up"):
        read(url, own={"queue": 'queue_length{app="$service"}'})
    with pytest.raises(NotEnoughData, match="query of queue answers nothing"):
        read(url, own={"queue": 'sum(queue_length{app="other"})'})
    with pytest.raises(BadInput, match="is not a name of a metric"):
        read(url, own={"que ue}": "1"})


def test_more_than_there_is_is_not_asked_for_and_more_than_can_be_read_is_refused(url: str) -> None:
    whole = read(url)
    step = whole["timestamp"].diff().mode()[0].to_pytimedelta()
    assert len(read(url, days=400, step=step)) <= len(whole) + 2
    with pytest.raises(BadInput, match="are the most"):
        read(url, days=400, step=timedelta(milliseconds=1))
