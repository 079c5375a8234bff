"""Argo Rollouts from kube-state-metrics: a canary beside stable pods, a template that a Deployment has."""

from __future__ import annotations

import pytest

from mora.domain import Resources, Workload, WorkloadState
from mora.sources.prometheus import inventory
from mora.sources.prometheus.fleet_promql import Scope
from tests.sources.prometheus.test_inventory_names import NOW, wire

MIB = 2**20


def rollout(*, canaries: int, stable: int, deployment: float | None = None) -> WorkloadState:
    """A Rollout with pods of two ReplicaSets; those of the canary are the newest, and ask for less."""
    pods = [("web-stable", n, 1.0, 1.0) for n in range(stable)] + [("web-canary", n, 2.0, 0.2) for n in range(canaries)]
    rows: dict[str, list[tuple[dict[str, str], float]]] = {
        "kube_replicaset_owner": [
            ({"namespace": "shop", "replicaset": name, "owner_kind": "Rollout", "owner_name": "web"}, 1.0)
            for name in ("web-stable", "web-canary")
        ]
    }
    for owner, number, created, cores in pods:
        pod = {"namespace": "shop", "pod": f"{owner}-{number}"}
        of_container = {**pod, "container": "web"}
        for metric, labels, value in (
            ("kube_pod_owner", {**pod, "owner_kind": "ReplicaSet", "owner_name": owner}, 1.0),
            ("kube_pod_created", pod, created),
            ("kube_pod_container_info", {**of_container, "image": "shop/web:1"}, 1.0),
            ("kube_pod_container_resource_requests", {**of_container, "resource": "cpu"}, cores),
        ):
            rows.setdefault(metric, []).append((labels, value))
    if deployment is not None:
        rows["kube_deployment_spec_replicas"] = [({"namespace": "shop", "deployment": "web"}, deployment)]
    states, _ = inventory.read(wire(rows), Scope(("shop",)), NOW)
    (found,) = (state for state in states if state.workload.kind == "Rollout")
    return found


@pytest.mark.parametrize(("canaries", "stable", "millicores"), [(1, 4, 1000), (4, 1, 200)])
def test_what_most_pods_have_is_compared(canaries: int, stable: int, millicores: int) -> None:
    state = rollout(canaries=canaries, stable=stable)
    assert state.allocation.containers[0].resources == Resources(cpu_request_millicores=millicores)
    assert "canary" in [reason.code for reason in state.reasons]
    assert "canary" not in [reason.code for reason in rollout(canaries=0, stable=2).reasons]


def test_a_deployment_of_its_name_without_replicas_has_its_template() -> None:
    assert rollout(canaries=0, stable=2).template_in is None
    assert rollout(canaries=0, stable=2, deployment=3).template_in is None
    state = rollout(canaries=0, stable=2, deployment=0)
    assert state.template_in == Workload("shop", "web")
    assert "template-elsewhere" in [reason.code for reason in state.reasons]
