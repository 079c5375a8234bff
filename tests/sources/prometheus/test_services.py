"""Many services at once read as each does alone, on a real Prometheus with backfilled series."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mora.domain import Window, Workload
from mora.errors import BadInput
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.services import COLUMNS, Floats, Key, queries, read_services
from tests.sources.rig import Series, backfill, cluster, serve

END_SECONDS = time.time() // 60 * 60
START_SECONDS = END_SECONDS - 1800
END = datetime.fromtimestamp(END_SECONDS, UTC)
RATE_WINDOW = timedelta(seconds=60)


def twice(series: list[Series]) -> list[Series]:
    """Each series as two scrapers bring it."""
    return [
        Series(one.metric, {**one.labels, "job": job}, one.value, one.start, one.end, one.every)
        for one in series
        for job in ("a", "b")
    ]


def calls(service: str, reporter: str, per_second: float) -> list[Series]:
    """A mesh's counts of a service: a tenth of the requests fail, all take 30 ms."""
    to = {"reporter": reporter, "destination_workload": service, "destination_workload_namespace": "shop"}

    def counted(metric: str, share: float, **labels: str) -> Series:
        return Series(
            metric,
            {**to, **labels},
            lambda at: share * per_second * (at - START_SECONDS),
            START_SECONDS,
            END_SECONDS,
            15,
        )

    return [
        counted("istio_requests_total", 0.9, response_code="200"),
        counted("istio_requests_total", 0.1, response_code="503"),
        *(
            counted("istio_request_duration_milliseconds_bucket", share, le=le, response_code="200")
            for le, share in (("25", 0.0), ("50", 1.0), ("+Inf", 1.0))
        ),
    ]


def stateful() -> list[Series]:
    """A StatefulSet named like a Deployment of the namespace, and one of its own."""
    made = []
    for name in ("cart", "db"):
        pod = {"namespace": "shop", "pod": f"{name}-0"}
        for metric, labels, value in (
            ("kube_pod_owner", {**pod, "owner_kind": "StatefulSet", "owner_name": name}, 1.0),
            ("kube_statefulset_status_replicas_ready", {"namespace": "shop", "statefulset": name}, 1.0),
            ("container_memory_working_set_bytes", {**pod, "container": "server"}, 7e8),
        ):
            made.append(Series(metric, labels, lambda at, value=value: value, START_SECONDS, END_SECONDS, 15))  # type: ignore[misc]
    return made


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    shop = cluster(
        {"frontend": ("server", "istio-proxy"), "cart": ("server",), "cart-canary": ("server",)},
        start=START_SECONDS,
        end=END_SECONDS,
        every=15,
        rollout_every=900,
    )
    other = cluster(
        {"web": ("app", "web")}, start=START_SECONDS, end=END_SECONDS, every=15, namespace="other", has_nodes=False
    )
    # Frontend is counted where it receives; cart by its callers alone.
    counted = [*calls("frontend", "destination", 10), *calls("frontend", "source", 99), *calls("cart", "source", 5)]
    tsdb = backfill([*twice([*shop, *stateful()]), *other, *counted], tmp_path_factory.mktemp("prometheus"))
    with serve(tsdb) as address:
        yield address


@pytest.fixture(scope="module")
def source(url: str) -> PrometheusSource:
    return PrometheusSource(url, retries=0, rate_window=RATE_WINDOW)


def window(rows: int, step: int = 15) -> Window:
    return Window(END - (rows - 1) * timedelta(seconds=step), END, timedelta(seconds=step))


def read(source: PrometheusSource, asked: Window, *namespaces: str) -> dict[Key, dict[str, Floats]]:
    with source.wire() as wire:
        return dict(read_services(wire, namespaces, COLUMNS, asked, RATE_WINDOW))


@pytest.mark.parametrize("rows", [1, 100])
def test_each_service_reads_as_it_does_alone(source: PrometheusSource, rows: int) -> None:
    asked = window(rows)
    found = read(source, asked, "shop", "other")
    assert set(found) == {("shop", name) for name in ("frontend", "cart", "cart-canary", "db")} | {("other", "web")}
    for namespace, name in (("shop", "frontend"), ("shop", "cart"), ("shop", "cart-canary"), ("other", "web")):
        alone = source.observe(Workload(namespace, name), asked).metrics
        for column in COLUMNS[:7]:
            np.testing.assert_allclose(
                found[namespace, name][column], alone[column].to_numpy(), rtol=1e-9, err_msg=f"{name} {column}"
            )


def test_requests_latency_and_errors_are_taken_where_they_are_received(source: PrometheusSource) -> None:
    found = read(source, window(4), "shop")
    for service, per_second in (("frontend", 10.0), ("cart", 5.0)):
        columns = found["shop", service]
        np.testing.assert_allclose(columns["requests_per_second"], per_second)
        np.testing.assert_allclose(columns["error_ratio"], 0.1)
        assert (columns["latency_p95_seconds"] > 0.025).all()
        assert (columns["latency_p95_seconds"] <= 0.05).all()
    assert "requests_per_second" not in found["shop", "db"]


def test_of_one_name_the_deployment_is_meant_and_another_kind_is_found_alone(source: PrometheusSource) -> None:
    found = read(source, window(2), "shop")
    assert found["shop", "cart"]["mem_bytes_value"].max() < 2e8
    np.testing.assert_allclose(found["shop", "db"]["mem_bytes_value"], 7e8)
    np.testing.assert_allclose(found["shop", "db"]["replica_count_value"], 1.0)


def test_only_what_is_asked_for_is_read_and_a_namespace_without_pods_is_empty(source: PrometheusSource) -> None:
    with source.wire() as wire:
        found = dict(read_services(wire, ["shop"], ["replica_count_value"], window(2), RATE_WINDOW))
        assert all(set(columns) == {"replica_count_value"} for columns in found.values())
        assert dict(read_services(wire, ["nowhere"], COLUMNS, window(2), RATE_WINDOW)) == {}


def test_a_namespace_that_is_no_name_is_refused_before_it_is_asked() -> None:
    with pytest.raises(BadInput, match="namespace"):
        queries(['shop"} or vector(1)'], RATE_WINDOW)
