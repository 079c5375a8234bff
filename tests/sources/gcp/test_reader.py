"""The reader gcp by the real client against a Cloud Monitoring on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mora.domain import Window, Workload
from mora.errors import BadInput, SourceUnavailable
from mora.sources.cloud.source import CloudSource
from mora.sources.gcp.client import MonitoringClient, TimeSeries
from mora.sources.gcp.metrics import Asked
from mora.sources.gcp.reader import GcpReader
from tests.sources.gcp.monitoring import Monitoring, Stored
from tests.sources.gcp.shop import FRONTEND, PODS, REDIS, WINDOW, shop, without


def test_every_metric_of_a_workload_arrives_in_its_unit(source: CloudSource) -> None:
    seen = source.observe(FRONTEND, WINDOW)
    last = seen.metrics.iloc[-1]
    assert last["cpu_cores_value"] == pytest.approx(0.35)
    assert last["cpu_cores_total"] == pytest.approx(0.55)
    assert last["mem_bytes_value"] == 120e6  # what the kernel can take back is not counted
    assert last["mem_bytes_total"] == 220e6
    assert (last["cpu_request_cores"], last["cpu_limit_cores"]) == (0.5, 1.0)
    assert (last["mem_request_bytes"], last["mem_limit_bytes"]) == (2**28, 2**29)
    assert last["net_rx_bytes_value"] == pytest.approx(2000)
    assert last["net_tx_bytes_value"] == pytest.approx(8000)
    assert last["replica_count_value"] == 2
    assert (last["node_cpu_util_value"], last["node_mem_util_value"]) == (0.6, 0.5)
    restarts = seen.metrics["pod_restarts_value"]
    assert (restarts.max(), restarts.iloc[-1], restarts.iloc[0]) == (2, 0, 0)
    assert seen.main_container == "server"
    assert not seen.warnings


def test_workloads_are_known_by_the_owner_that_gke_names(source: CloudSource) -> None:
    assert source.services("shop") == ["frontend", "redis"]
    assert [state.workload for state in source.states()] == [FRONTEND, REDIS]
    assert source.states("shop")[0].allocation.replicas == 2


def test_without_the_owners_labels_the_form_of_the_pods_names_tells(
    source: CloudSource, monitoring: Monitoring
) -> None:
    monitoring.stored = shop(with_owners=False)
    assert [state.workload for state in source.states("shop")] == [FRONTEND, REDIS]


def test_a_workload_whose_name_begins_alike_is_not_mixed_in(source: CloudSource, monitoring: Monitoring) -> None:
    monitoring.stored += [
        Stored(s.metric, s.resource, {**s.labels, "resource.labels.pod_name": "frontend-canary-6d9f8c7b54-abcde",
               "metadata.system_labels.top_level_controller_name": "frontend-canary"}, s.points, s.unit, s.is_whole)
        for s in shop() if s.labels.get("resource.labels.pod_name") == PODS[1]
    ]  # fmt: skip
    assert source.observe(FRONTEND, WINDOW).metrics["replica_count_value"].iloc[-1] == 2
    assert source.observe(Workload("shop", "frontend-canary"), WINDOW).metrics["replica_count_value"].iloc[-1] == 1


def test_a_gap_stays_a_gap(source: CloudSource, monitoring: Monitoring) -> None:
    monitoring.stored = without(shop(), 30, 50)
    memory = source.observe(FRONTEND, WINDOW).metrics["mem_bytes_value"]
    missing = memory.index[memory.isna()]
    assert [f"{at:%H:%M}" for at in missing] == ["10:35", "10:40", "10:45", "10:50"]


def test_of_two_clusters_one_must_be_named(source: CloudSource, monitoring: Monitoring) -> None:
    monitoring.stored += shop(cluster="us")
    with pytest.raises(BadInput, match="several clusters: eu, us"):
        source.services("shop")


def test_clusters_of_one_name_in_two_locations_are_two(source: CloudSource, monitoring: Monitoring) -> None:
    """Their pods may have the same names, as redis-0: added up, they would be one that uses twice as much."""
    monitoring.stored = [
        replace(one, labels={**one.labels, "resource.labels.location": location})
        for location in ("europe-west1", "us-east1")
        for one in shop()
    ]
    with pytest.raises(BadInput, match="several clusters: europe-west1/eu, us-east1/eu") as refused:
        source.observe(REDIS, WINDOW)
    assert "--source gcp:PROJECT/europe-west1/eu" in str(refused.value.hint)
    client = MonitoringClient(endpoint=monitoring.address)
    with pytest.raises(BadInput, match="several clusters"):
        CloudSource(GcpReader(client, "eu")).observe(REDIS, WINDOW)
    seen = CloudSource(GcpReader(client, "us-east1/eu")).observe(REDIS, WINDOW)
    assert seen.metrics["cpu_cores_value"].iloc[-1] == pytest.approx(0.05)


def test_an_empty_project_is_an_error_that_says_so(source: CloudSource, monitoring: Monitoring) -> None:
    monitoring.stored = []
    with pytest.raises(Exception, match="no samples of any container in the last hour") as refused:
        source.observe(FRONTEND, WINDOW)
    assert "project shop-prod" in str(refused.value)


def test_the_doctor_finds_credentials_rights_and_metrics(source: CloudSource) -> None:
    tried = list(source.check())
    assert [one.is_ok for one in tried] == [True] * 6
    assert "the service account mora@shop-prod.iam.gserviceaccount.com, project shop-prod" in tried[0].words


def test_the_doctor_says_of_databases_that_they_cannot_be_read(
    source: CloudSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MonitoringClient.series

    def series(self: MonitoringClient, asked: Asked, filter_: str, window: Window) -> Iterator[TimeSeries | str]:
        if asked.resource == "cloudsql_database":
            raise SourceUnavailable("It limits the rate of requests.", hint="Try again.")
        return real(self, asked, filter_, window)

    monkeypatch.setattr(MonitoringClient, "series", series)
    last = list(source.check())[-1]
    assert (last.name, last.is_ok, last.is_needed, last.remedy) == ("databases", False, False, "Try again.")


def test_the_flat_frame_of_helios_has_the_service_beside_its_database(
    source: CloudSource, monitoring: Monitoring
) -> None:
    frame, remarks = source.flat(FRONTEND, WINDOW)
    assert list(frame.columns) == [
        "timestamp", "memory_bytes", "cpu_utilization", "memory_utilization", "db_cpu", "db_memory", "db_connections"
    ]  # fmt: skip
    assert len(frame) == WINDOW.sample_count
    assert frame.iloc[-1, 1:].tolist() == pytest.approx([120e6, 0.35, 120e6 / 2**29, 0.25, 0.5, 10])
    assert remarks == ()
    named, _ = source.flat(FRONTEND, WINDOW, database="shop-db")
    assert named.equals(frame)
    with pytest.raises(BadInput, match="no samples of a Cloud SQL instance 'another'") as refused:
        source.flat(FRONTEND, WINDOW, database="another")
    assert refused.value.hint == "It has them of these: shop-db."
    monitoring.stored += [
        replace(one, labels={"resource.labels.database_id": "shop-prod:second"})
        for one in shop()
        if one.resource == "cloudsql_database"
    ]
    with pytest.raises(BadInput, match="several databases: second, shop-db"):
        source.flat(FRONTEND, WINDOW)
