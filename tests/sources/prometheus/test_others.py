"""Pods of custom resources, bare pods and Jobs made one by one: each has a row, described by all of its pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mora.domain import Resources, Workload, WorkloadState
from mora.sources.prometheus import inventory
from mora.sources.prometheus.fleet_promql import Scope
from tests.sources.prometheus.test_inventory_names import NOW, shop, wire

MIB = 2**20
Rows = dict[str, list[tuple[dict[str, str], float]]]


def pods(kind: str, name: str, *of: tuple[str, str, float]) -> Rows:
    """Pods of one owner: each with its name, its container and the cores that this requests."""
    rows: Rows = {"kube_pod_owner": [], "kube_pod_container_info": [], "kube_pod_container_resource_requests": []}
    for pod, container, cores in of:
        at = {"namespace": "shop", "pod": pod}
        rows["kube_pod_owner"].append(({**at, "owner_kind": kind, "owner_name": name}, 1.0))
        rows["kube_pod_container_info"].append(({**at, "container": container, "image": "shop/x:1"}, 1.0))
        amount = {**at, "container": container, "resource": "cpu"}
        rows["kube_pod_container_resource_requests"].append((amount, cores))
    return rows


def read(rows: Rows, earlier: Mapping[str, list[dict[str, str]]] | None = None) -> dict[str, WorkloadState]:
    asked = wire(rows)
    if earlier is not None:
        series = lambda start, end, params: earlier.get(str(params["match[]"]).partition("{")[0], [])  # noqa: E731
        asked._client.get_series = series
    states, _ = inventory.read(asked, Scope(("shop",)), NOW)
    return {f"{state.workload.kind}/{state.workload.name}": state for state in states}


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("StrimziPodSet", "kafka-kafka", "StrimziPodSet/kafka-kafka"),
        ("Cluster", "pg", "Cluster/pg"),
        ("ReplicationController", "legacy-7", "ReplicationController/legacy-7"),
        ("<none>", "<none>", "Pod/a-0"),
        ("", "", "Pod/a-0"),
        ("Node", "0", "Pod/a"),
    ],
)
def test_pods_of_any_owner_are_a_workload_of_its_kind(kind: str, name: str, found: str) -> None:
    states = read(shop(**pods(kind, name, ("a-0", "main", 1.5))))
    assert set(states) == {"Deployment/web", found}
    other = states[found].allocation
    assert (other.replicas, other.containers[0].resources) == (1, Resources(1500))


def test_as_many_replicas_are_known_as_pods_that_have_not_ended() -> None:
    rows = shop(**pods("Cluster", "pg", ("pg-1", "pg", 1.0), ("pg-2", "pg", 1.0), ("pg-0", "pg", 1.0)))
    bare = pods("", "", ("done", "main", 1.0))
    rows = {metric: [*rows.get(metric, []), *bare.get(metric, [])] for metric in {*rows, *bare}}
    rows["kube_pod_status_phase"] = [
        ({"namespace": "shop", "pod": pod, "phase": "Succeeded"}, value)
        for pod, value in (("done", 1.0), ("pg-1", 0.0))
    ]
    states = read(rows)
    assert states["Cluster/pg"].allocation.replicas == 3
    assert "Pod/done" not in states


def test_pods_that_are_not_alike_show_all_containers_and_no_replicas() -> None:
    state = read(shop(**pods("RayCluster", "ray", ("ray-head", "head", 2.0), ("ray-worker-1", "worker", 8.0))))[
        "RayCluster/ray"
    ]
    assert [(one.name, one.resources) for one in state.allocation.containers] == [
        ("head", Resources(2000)),
        ("worker", Resources(8000)),
    ]
    assert state.allocation.replicas is None
    assert [reason.code for reason in state.reasons] == ["pods-differ"]


def test_a_missing_metric_between_pods_and_workloads_is_named_with_what_to_enable() -> None:
    """kubernetes/kube-state-metrics#1590: no ReplicaSets are exported."""
    rows = shop(**pods("ReplicaSet", "api-1", ("api-1-x", "api", 1.0)))
    del rows["kube_replicaset_owner"]
    asked = wire(rows)
    states, warnings = inventory.read(asked, Scope(("shop",)), NOW)
    found = {f"{state.workload.kind}/{state.workload.name}": state for state in states}
    assert set(found) == {"Deployment/web", "ReplicaSet/web-1", "ReplicaSet/api-1"}
    (why,) = found["Deployment/web"].reasons
    assert why.code == "owners-unknown"
    assert why.text.startswith("without kube_replicaset_owner its pods are not known. ")
    assert "--resources" in why.text
    assert [reason.code for reason in found["ReplicaSet/web-1"].reasons] == ["owner-unknown"]
    assert any("what owns 2 ReplicaSets with pods is not known" in warning for warning in warnings)


def test_what_owned_a_replica_set_lately_owns_it_though_nothing_says_so_now() -> None:
    rows = shop()
    del rows["kube_replicaset_owner"]
    owner = {"namespace": "shop", "replicaset": "web-1", "owner_kind": "Deployment", "owner_name": "web"}
    states = read(rows, {"kube_replicaset_owner": [owner]})
    assert set(states) == {"Deployment/web"}
    assert states["Deployment/web"].allocation.replicas == 2


def test_a_replica_set_that_nothing_owns_lacks_no_metric() -> None:
    rows = shop(**pods("ReplicaSet", "alone", ("alone-x", "api", 1.0)))
    rows["kube_replicaset_owner"].append(
        ({"namespace": "shop", "replicaset": "alone", "owner_kind": "", "owner_name": ""}, 1.0)
    )
    assert read(rows)["ReplicaSet/alone"].reasons == ()


def jobs(*names: str) -> dict[str, list[dict[str, Any]]]:
    """What the series of the last days say of Jobs that are gone."""
    owners = [{"namespace": "shop", "job_name": name, "owner_kind": "", "owner_name": ""} for name in names]
    of_pods = [{"namespace": "shop", "pod": f"{name}-x", "owner_kind": "Job", "owner_name": name} for name in names]
    return {"kube_job_owner": owners, "kube_pod_owner": of_pods}


def test_jobs_that_come_again_and_again_are_one_workload_even_between_two_runs() -> None:
    states = read(shop(), jobs("etl-1", "etl-2", "etl-3", "once"))
    assert set(states) == {"Deployment/web", "Job/etl"}
    assert states["Job/etl"].workload == Workload("shop", "etl", "Job")


def test_jobs_whose_names_say_nothing_are_grouped_by_a_label_that_is_exported() -> None:
    names = ("1764133201", "1764133202", "1764133203")
    earlier = jobs(*names)
    assert set(read(shop(), earlier)) == {"Deployment/web"}
    earlier["kube_job_labels"] = [{"namespace": "shop", "job_name": name, "label_app": "etl"} for name in names]
    assert set(read(shop(), earlier)) == {"Deployment/web", "Job/etl"}


def test_a_job_that_ran_once_and_is_gone_is_no_workload() -> None:
    assert set(read(shop(), jobs("etl-1", "etl-2"))) == {"Deployment/web"}
