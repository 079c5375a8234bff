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
        (pod("x", "ReplicaSet", "alone"), None),
        (pod("x", "Node", "node-1"), None),
        (pod("x", "<none>", "<none>"), None),
        (pod("x", "SparkApplication", "etl"), None),
    ],
)
def test_a_pod_is_its_owner_s(owned: dict[str, str], expected: Workload | None) -> None:
    sets = [replica_set("web-1", "Deployment", "web"), replica_set("roll-1", "Rollout", "roll")]
    jobs = [job("report-1", "CronJob", "report"), job("once", "<none>", "<none>")]
    sets.append(replica_set("alone", "<none>", "<none>"))
    found = resolve([owned, owned], [*sets, *sets], jobs)  # two kube-state-metrics
    assert found.pods == ({} if expected is None else {("shop", "x"): expected})
    assert found.refused == ()


def test_the_same_name_in_another_namespace_is_another_workload() -> None:
    other = {**pod("x", "ReplicaSet", "web-1"), "namespace": "blog"}
    found = resolve([pod("x", "ReplicaSet", "web-1"), other], [replica_set("web-1", "Deployment", "web")], [])
    assert found.pods == {("shop", "x"): Workload("shop", "web")}


@pytest.mark.parametrize("name", ['evil"} or vector(1)', "../../etc", "UPPER", "", "a b", "$(id)", "x\n- y"])
def test_a_name_that_kubernetes_would_not_take_goes_no_further(name: str) -> None:
    found = resolve([pod("x", "StatefulSet", name)], [], [])
    assert found.pods == {}
    assert len(found.refused) == 1
