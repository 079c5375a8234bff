"""Metrics: the names and labels of a cluster, from fake pods and from the running sandbox."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mora.domain import Resources
from mora.quantities import MIB
from mora.sandbox import SandboxHandle
from mora.sandbox.cgroups import Usage
from mora.sandbox.exporter import (
    DeploymentView,
    PodView,
    render_cadvisor,
    render_kube_state,
    render_mesh,
    render_node,
)
from mora.sandbox.shop.calls import BUCKET_MILLISECONDS, CallCounts, ParallelCounts
from mora.sandbox.spec import SERVICES
from tests.running import until
from tests.sandbox.shopper import CARD, Shopper, query, value

SERVICE_NAMES = sorted(spec.name for spec in SERVICES)
SHIPPED = {spec.name: spec.resources for spec in SERVICES}
# The pods of a Deployment by their owners, as on any cluster.
OWNER = (
    'group by (namespace, pod) (label_replace(kube_pod_owner{{owner_kind="ReplicaSet"}}, "replicaset", "$1",'
    ' "owner_name", "(.+)") * on (namespace, replicaset) group_left() group by (namespace, replicaset)'
    ' (kube_replicaset_owner{{owner_kind="Deployment", owner_name="{service}"}}))'
)


def view(**changes: Any) -> DeploymentView:
    """A deployment of one pod."""
    usage = Usage(12.5, 100, 40, 3.0, 30 * MIB, 20 * MIB, 2)
    fields: dict[str, Any] = {
        "name": "frontend-1",
        "uid": "u-1",
        "container_id": "c-1",
        "replica_set": "frontend-rs",
        "image": "shop:1",
        "resources": Resources(100, 200, 32 * MIB, 64 * MIB),
        "container": usage,
        "pod": usage,
        "received_bytes": 7,
        "sent_bytes": 8,
        "is_ready": True,
        "is_running": True,
        "restarts": 1,
        "last_terminated_reason": "OOMKilled",
        "created_at": 1e9,
    }
    return DeploymentView("frontend", 2, 1, 3, ["frontend-rs"], [PodView(**fields | changes)])


def samples(page: bytes, name: str) -> list[tuple[Mapping[str, str], float]]:
    """Labels and values of a series."""
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name == name
    ]


def test_a_container_and_its_pod_have_the_counters_of_their_groups() -> None:
    page = render_cadvisor([view()])
    cpu = samples(page, "container_cpu_usage_seconds_total")
    assert [(labels["container"], value) for labels, value in cpu] == [("server", 12.5), ("", 12.5)]
    for name, expected in (
        ("container_memory_working_set_bytes", 30 * MIB),
        ("container_memory_rss", 20 * MIB),
        ("container_oom_events_total", 2),
        ("container_cpu_cfs_periods_total", 100),
        ("container_cpu_cfs_throttled_periods_total", 40),
    ):
        assert [value for _, value in samples(page, name)] == [expected, expected]
    assert samples(page, "container_network_receive_bytes_total")[0][1] == 7
    assert samples(page, "container_network_transmit_bytes_total")[0][1] == 8


def test_without_a_cpu_limit_there_are_no_periods() -> None:
    page = render_cadvisor([view(resources=Resources(100, None, 32 * MIB, None))])
    assert samples(page, "container_cpu_cfs_periods_total") == []
    assert samples(page, "container_cpu_usage_seconds_total") != []
    limits = samples(render_kube_state([view(resources=Resources(100))], "n"), "kube_pod_container_resource_limits")
    assert limits == []


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({}, "Running"),
        ({"is_running": False}, "Running"),  # in back-off
        ({"is_running": False, "restarts": 0}, "Pending"),
    ],
)
def test_a_pod_is_pending_until_its_container_has_started_once(changes: dict[str, Any], phase: str) -> None:
    phases = samples(render_kube_state([view(**changes)], "node-1"), "kube_pod_status_phase")
    assert [labels["phase"] for labels, value in phases if value == 1] == [phase]


def test_a_deployment_has_desired_and_available_replicas_owners_and_the_last_termination() -> None:
    page = render_kube_state([view()], "node-1")
    assert samples(page, "kube_deployment_spec_replicas")[0][1] == 2
    assert samples(page, "kube_deployment_status_replicas_available")[0][1] == 1
    assert samples(page, "kube_replicaset_owner")[0][0]["owner_name"] == "frontend"
    assert samples(page, "kube_pod_owner")[0][0]["owner_name"] == "frontend-rs"
    assert samples(page, "kube_pod_container_status_last_terminated_reason")[0][0]["reason"] == "OOMKilled"
    assert samples(render_kube_state([view(last_terminated_reason=None)], "n"), "kube_pod_container_status_last") == []


def test_the_node_has_idle_cpu_time_and_memory() -> None:
    page = render_node("node-1")
    assert {labels["mode"] for labels, _ in samples(page, "node_cpu_seconds_total")} >= {"idle", "user", "system"}
    available, total = (samples(page, f"node_memory_Mem{name}_bytes")[0][1] for name in ("Available", "Total"))
    assert 0 < available <= total


def test_requests_between_services_have_the_names_of_a_service_mesh() -> None:
    edge = BUCKET_MILLISECONDS.index(25)
    buckets = tuple(3 if place == edge else 1 if place == 0 else 0 for place in range(len(BUCKET_MILLISECONDS) + 1))
    calls = (
        CallCounts("frontend", "cartservice", False, buckets, 61.5),
        CallCounts(None, "frontend", True, buckets, 70.0),
    )
    page = render_mesh([view(calls=calls, parallel_calls=(ParallelCounts("frontend", "cartservice", "payment", 9),))])
    served, failed = samples(page, "istio_requests_total")
    labels, requests = served
    assert requests == 4
    assert dict(labels) == {
        "namespace": "default",
        "pod": "frontend-1",
        "reporter": "source",
        "source_workload": "frontend",
        "source_workload_namespace": "default",
        "destination_workload": "cartservice",
        "destination_workload_namespace": "default",
        "response_code": "200",
    }
    assert (failed[0]["reporter"], failed[0]["source_workload"], failed[0]["response_code"]) == (
        "destination",
        "unknown",
        "503",
    )
    series = "istio_request_duration_milliseconds"
    up_to = {labels["le"]: n for labels, n in samples(page, f"{series}_bucket") if labels["reporter"] == "source"}
    assert (up_to["10"], up_to["25"], up_to["+Inf"]) == (1, 4, 4)
    assert [total for _, total in samples(page, f"{series}_sum")] == [61.5, 70.0]
    assert samples(page, "mora_sandbox_parallel_calls_total")[0][1] == 9


# --- in the Prometheus of the running sandbox ------------------------------------------------------------------------


def labels_of(sandbox: SandboxHandle, selector: str) -> dict[str, str]:
    """The labels of a series, once it was scraped: the targets of a sandbox that has just begun are scraped in turn."""
    until(lambda: query(sandbox, selector), f"a series {selector}")
    labels: dict[str, str] = query(sandbox, selector)[0]["metric"]
    return labels


@pytest.mark.slow
@pytest.mark.parametrize(
    ("series", "job", "labels"),
    [
        ("container_cpu_usage_seconds_total", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_memory_working_set_bytes", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_memory_rss", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_oom_events_total", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_cpu_cfs_periods_total", "kubelet", {"namespace", "pod", "container", "image", "name", "id"}),
        ("container_cpu_cfs_throttled_periods_total", "kubelet", {"namespace", "pod", "container", "image"}),
        ("kube_pod_owner", "kube-state-metrics", {"namespace", "pod", "owner_kind", "owner_name"}),
        ("kube_replicaset_owner", "kube-state-metrics", {"namespace", "replicaset", "owner_kind", "owner_name"}),
        ("kube_deployment_spec_replicas", "kube-state-metrics", {"namespace", "deployment"}),
        ("kube_deployment_status_replicas_available", "kube-state-metrics", {"namespace", "deployment"}),
        ("kube_deployment_status_observed_generation", "kube-state-metrics", {"namespace", "deployment"}),
        ("kube_pod_container_resource_requests", "kube-state-metrics", {"pod", "container", "resource", "unit"}),
        ("kube_pod_container_resource_limits", "kube-state-metrics", {"pod", "container", "resource", "unit"}),
        ("kube_pod_container_status_restarts_total", "kube-state-metrics", {"namespace", "pod", "container"}),
        ("kube_pod_container_status_ready", "kube-state-metrics", {"namespace", "pod", "container"}),
        ("kube_pod_status_phase", "kube-state-metrics", {"namespace", "pod", "phase"}),
        ("kube_pod_info", "kube-state-metrics", {"namespace", "pod", "node", "host_network"}),
        ("kube_pod_container_info", "kube-state-metrics", {"namespace", "pod", "container", "image", "image_spec"}),
        ("kube_pod_start_time", "kube-state-metrics", {"namespace", "pod"}),
        ("kube_node_status_allocatable", "kube-state-metrics", {"node", "resource", "unit"}),
        ("node_cpu_seconds_total", "node-exporter", {"cpu", "mode", "instance"}),
        ("node_memory_MemAvailable_bytes", "node-exporter", {"instance"}),
        ("node_memory_MemTotal_bytes", "node-exporter", {"instance"}),
        ("node_uname_info", "node-exporter", {"nodename", "instance"}),
    ],
)
def test_a_series_has_the_job_and_the_labels_of_a_cluster(
    sandbox: SandboxHandle, series: str, job: str, labels: set[str]
) -> None:
    selector = f'{series}{{container="server"}}' if "container" in labels else series
    found = labels_of(sandbox, selector)
    assert found["job"] == job
    assert labels <= found.keys()
    assert found.get("namespace", "default") == "default"
    assert found.get("metrics_path") == ("/metrics/cadvisor" if job == "kubelet" else None)


@pytest.mark.slow
def test_the_mesh_counts_the_requests_that_passed_and_which_calls_ran_at_once(sandbox: SandboxHandle) -> None:
    """A page waits for the catalogue and the cart at once; an order asks for the cart, prices and payment in turn."""
    shopper = Shopper(sandbox.shop_url)
    edges: set[tuple[str, str]] = set()
    at_once: set[str] = set()
    called = {
        ("unknown", "frontend"),
        ("frontend", "cartservice"),
        ("frontend", "checkoutservice"),
        ("checkoutservice", "paymentservice"),
    }
    deadline = time.monotonic() + 60
    while not edges >= called or "frontend" not in at_once:  # one pod's calls may be scraped before another's
        assert time.monotonic() < deadline, f"Prometheus has only {edges} and {at_once}"
        shopper.get("/product/OLJCESPC7Z")
        shopper.add("OLJCESPC7Z")
        shopper.post("/cart/checkout", CARD)
        edges = {
            (row["metric"]["source_workload"], row["metric"]["destination_workload"])
            for row in query(sandbox, "istio_requests_total")
        }
        at_once = {row["metric"]["source_workload"] for row in query(sandbox, "mora_sandbox_parallel_calls_total")}
    assert ("paymentservice", "cartservice") not in edges
    assert at_once == {"frontend"}


@pytest.mark.slow
def test_the_pods_own_group_and_network_have_no_container(sandbox: SandboxHandle) -> None:
    for series in ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes"):
        pod_level = [r["metric"] for r in query(sandbox, f'{series}{{container=""}}')]
        assert len(pod_level) == len(SERVICE_NAMES)
        assert all("image" not in labels and "name" not in labels for labels in pod_level)
    for direction in ("receive", "transmit"):
        labels = labels_of(sandbox, f"container_network_{direction}_bytes_total")
        assert (labels["interface"], labels["job"]) == ("eth0", "kubelet")
        assert "container" not in labels


@pytest.mark.slow
def test_the_owners_lead_from_a_deployment_to_its_own_pods(sandbox: SandboxHandle) -> None:
    for service in SERVICE_NAMES:
        pods = [r["metric"]["pod"] for r in query(sandbox, OWNER.format(service=service))]
        assert pods == [sandbox.status()["services"][service]["pods"][0]["name"]]


@pytest.mark.slow
def test_the_node_of_a_pod_can_be_joined_with_the_metrics_of_the_node(sandbox: SandboxHandle) -> None:
    joined = (
        'count(kube_pod_info * on (node) group_left() label_replace(node_uname_info, "node", "$1", "nodename", "(.+)"))'
    )
    assert value(sandbox, joined) == len(SERVICE_NAMES)
    busy = value(sandbox, '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5s]))')
    assert busy is None or 0 <= busy <= 1


@pytest.mark.slow
def test_requests_and_limits_in_prometheus_are_those_that_are_set(sandbox: SandboxHandle) -> None:
    for service, resources in SHIPPED.items():
        assert resources.cpu_request_millicores is not None
        for kind, resource, amount in (
            ("requests", "cpu", resources.cpu_request_millicores / 1000),
            ("limits", "memory", resources.memory_limit_bytes),
        ):
            selector = f'kube_pod_container_resource_{kind}{{pod=~"{service}-.*", resource="{resource}"}}'
            assert value(sandbox, selector) == amount
