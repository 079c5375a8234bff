"""Pods belong to workloads by their owners, whatever they are called."""

from __future__ import annotations

import pytest

from mora.domain import Workload
from mora.sources.prometheus.ownership import resolve

SHOP = {"namespace": "shop"}


def pod(name: str, kind: str, owner: str) -> dict[str, str]:
    return {**SHOP, "pod": name, "owner_kind": kind, "owner_name": owner}


def replica_set(name: str, kind: str, owner: str) -> dict[str, str]:
    return {**SHOP, "replicaset": name, "owner_kind": kind, "owner_name": owner}


def job(name: str, kind: str, owner: str) -> dict[str, str]:
    return {**SHOP, "job_name": name, "owner_kind": kind, "owner_name": owner}


@pytest.mark.parametrize(
    ("owned", "expected"),
    [
        (pod("x", "ReplicaSet", "web-1"), Workload("shop", "web")),
        (pod("x", "ReplicaSet", "roll-1"), Workload("shop", "roll", "Rollout")),
        (pod("x", "StatefulSet", "db"), Workload("shop", "db", "StatefulSet")),
        (pod("x", "DaemonSet", "agent"), Workload("shop", "agent", "DaemonSet")),
        (pod("x", "Job", "report-1"), Workload("shop", "report", "CronJob")),
        (pod("x", "Job", "once"), Workload("shop", "once", "Job")),
        (pod("x", "Job", "unlisted"), Workload("shop", "unlisted", "Job")),
        (pod("x", "ReplicaSet", "alone"), Workload("shop", "alone", "ReplicaSet")),
        (pod("x", "ReplicaSet", "unlisted-1"), Workload("shop", "unlisted-1", "ReplicaSet")),
        (pod("x", "ReplicationController", "legacy-7"), Workload("shop", "legacy", "DeploymentConfig")),
        (pod("x", "StrimziPodSet", "kafka"), Workload("shop", "kafka", "StrimziPodSet")),
        (pod("x", "<none>", "<none>"), Workload("shop", "x", "Pod")),
        (pod("x", "", ""), Workload("shop", "x", "Pod")),
        (pod("x", "Job", "etl-59"), Workload("shop", "etl", "Job")),
        (pod("x", "Job", "hourly-7"), Workload("shop", "hourly", "ScaledJob")),
        (pod("x", "SparkApplication", "etl-20261126-x7k2p"), Workload("shop", "etl", "SparkApplication")),
    ],
)
def test_a_pod_is_its_owner_s(owned: dict[str, str], expected: Workload) -> None:
    sets = [replica_set("web-1", "Deployment", "web"), replica_set("roll-1", "Rollout", "roll")]
    jobs = [job("report-1", "CronJob", "report"), job("once", "<none>", "<none>"), job("etl-59", "", "")]
    jobs.append(job("hourly-7", "ScaledJob", "hourly"))
    controllers = [
        {**SHOP, "replicationcontroller": "legacy-7", "owner_kind": "DeploymentConfig", "owner_name": "legacy"}
    ]
    sets.append(replica_set("alone", "<none>", "<none>"))
    found = resolve([owned, owned], [*sets, *sets], jobs, controllers)  # two kube-state-metrics
    assert found.pods == {("shop", "x"): expected}
    assert found.refused == ()


def test_the_same_name_in_another_namespace_is_another_workload() -> None:
    other = {**pod("x", "ReplicaSet", "web-1"), "namespace": "blog"}
    found = resolve([pod("x", "ReplicaSet", "web-1"), other], [replica_set("web-1", "Deployment", "web")], [])
    assert found.pods == {
        ("shop", "x"): Workload("shop", "web"),
        ("blog", "x"): Workload("blog", "web-1", "ReplicaSet"),
    }


@pytest.mark.parametrize("name", ['evil"} or vector(1)', "../../etc", "UPPER", "", "a b", "$(id)", "x\n- y"])
def test_a_name_that_kubernetes_would_not_take_goes_no_further(name: str) -> None:
    found = resolve([pod("x", "StatefulSet", name)], [], [])
    assert found.pods == {}
    assert len(found.refused) == 1


def test_a_static_pod_is_one_workload_on_all_nodes() -> None:
    found = resolve([pod("etcd-node-1", "Node", "node-1"), pod("etcd-node-2", "Node", "node-2")], [], [])
    assert set(found.pods.values()) == {Workload("shop", "etcd", "Pod")}


def test_what_lacks_its_owner_s_row_is_known_by_the_metric_that_is_missing() -> None:
    pods = [pod("x", "ReplicaSet", "web-1"), pod("y", "Job", "report-1"), pod("z", "ReplicaSet", "alone")]
    found = resolve(pods, [replica_set("alone", "<none>", "<none>")], [])
    assert found.orphans == {
        "kube_replicaset_owner": {Workload("shop", "web-1", "ReplicaSet")},
        "kube_job_owner": {Workload("shop", "report", "Job")},
    }


def test_parallel_pods_of_a_job_are_pods_of_one_run() -> None:
    pods = [pod("a", "Job", "fan-1"), pod("b", "Job", "fan-1"), pod("c", "Job", "fan-2"), pod("d", "StatefulSet", "db")]
    found = resolve(pods, [], [job("fan-1", "CronJob", "fan"), job("fan-2", "CronJob", "fan")])
    assert found.runs == {("shop", "a"): "fan-1", ("shop", "b"): "fan-1", ("shop", "c"): "fan-2"}


@pytest.mark.parametrize("kind", ["<script>", "Kind\nkind: Role", "a b", "x" * 80])
def test_a_kind_that_kubernetes_would_not_take_goes_no_further(kind: str) -> None:
    found = resolve([pod("x", kind, "web")], [], [])
    assert found.pods == {}
    assert len(found.refused) == 1
