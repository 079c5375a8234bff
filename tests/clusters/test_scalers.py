"""VPAs and HPAs on any metric, from the strict API server: who sets what of a workload's pods, and what is unknown."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.inventory import KubernetesInventory
from mora.domain import Resources, Target, VerticalScaler
from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.clusters.kinds import RESOURCES, VPA
from tests.clusters.test_inventory import codes, only_container, pod, replica_set, the
from tests.clusters.test_kubernetes import hpa, resource_metric

MIB = 2**20
BOTH = frozenset({Target.CPU, Target.MEMORY})


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster(resources=[*RESOURCES, VPA])


@pytest.fixture
def inventory(api: FakeApi, tmp_path: Path) -> KubernetesInventory:
    return KubernetesInventory(api.kubeconfig(tmp_path / "config"), backoff=timedelta(milliseconds=1))


def vpa(name: str = "web", target: str = "web", **spec: Any) -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"targetRef": reference, **spec},
    }


def with_pods(fake: FakeCluster, cpu: str, memory: str) -> None:
    """A Deployment whose template asks for 1 core and 1Gi, and a pod of it that has less."""
    fake.add(only_container("web", resources={"requests": {"cpu": "1", "memory": "1Gi"}}))
    fake.add(replica_set("web-1", "web", 1))
    running = {"name": "server", "image": "shop:1", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    fake.add(pod("web-1-x", ("ReplicaSet", "web-1"), running))


def test_a_vpa_that_sets_requests_is_named_and_the_pods_numbers_count(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    with_pods(fake, "250m", "420Mi")
    fake.add(vpa(updatePolicy={"updateMode": "InPlaceOrRecreate"}))
    (state,) = inventory.states("shop")
    assert state.vpas == (VerticalScaler("web", "InPlaceOrRecreate"),)
    (server,) = state.allocation.containers
    assert server.resources == Resources(250, None, 420 * MIB, None)
    assert server.written == Resources(1000, None, 1024 * MIB, None)
    assert "vpa-rules" in codes(state)
    assert "pods-differ" not in codes(state)


def test_a_vpa_in_mode_off_leaves_the_templates_numbers_and_other_pods_are_reported(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    with_pods(fake, "250m", "420Mi")
    fake.add(vpa("advice", recommenders=[{"name": "mora"}], updatePolicy={"updateMode": "Off"}))
    (state,) = inventory.states("shop")
    assert state.vpas == (VerticalScaler("advice", "Off", "mora"),)
    assert state.allocation.containers[0].resources == Resources(1000, None, 1024 * MIB, None)
    (differ,) = (reason.text for reason in state.reasons if reason.code == "pods-differ")
    assert "server runs with CPU 250m/-, memory 420Mi/-, its template says CPU 1/-, memory 1Gi/-" in differ


def test_what_a_vpa_leaves_alone_is_not_ruled_by_it(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    with_pods(fake, "1", "1Gi")
    policies = [
        {"containerName": "server", "controlledResources": ["memory"]},
        {"containerName": "*", "mode": "Off"},
    ]
    fake.add(vpa(resourcePolicy={"containerPolicies": policies}))
    fake.add(vpa("elsewhere", target="other"))
    (found,) = the(inventory.states("shop"), "web").vpas
    assert found.mode == "Auto"
    assert found.rules("server", Target.MEMORY)
    assert not found.rules("server", Target.CPU)
    assert not found.rules("helper", Target.MEMORY)
    assert VerticalScaler("web").rules("helper", Target.MEMORY)


def test_vpas_that_may_not_be_read_are_unknown_and_a_cluster_without_them_is_not(
    fake: FakeCluster, api: FakeApi, tmp_path: Path, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("web"))
    fake.resources.remove(VPA)
    assert "vpas-unknown" not in codes(inventory.states("shop")[0])
    fake.resources.append(VPA)
    fake.forbidden.add(("list", "verticalpodautoscalers"))
    assert "vpas-unknown" in codes(inventory.states("shop")[0])


def test_an_hpa_on_cpu_and_a_queue_is_known_to_scale_on_both(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    fake.add(only_container("frontend"))
    queue = {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "30"}}
    cpu = resource_metric("cpu", type="Utilization", averageUtilization=70)
    fake.add(hpa([{"type": "External", "external": queue}, cpu]))
    scalers = the(inventory.states("shop"), "frontend").autoscalers
    assert [scaler.resource for scaler in scalers] == [Target.CPU, Target.REPLICAS]


def test_a_vpa_and_an_hpa_of_its_name_for_another_workload_are_named(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("web"))
    fake.add(only_container("other"))
    fake.add(vpa("web", target="other"))
    fake.add(hpa([resource_metric("cpu", type="Utilization", averageUtilization=70)], name="web", target="other"))
    states = inventory.states("shop")
    assert {"hpa-name-taken", "vpa-name-taken"} <= set(codes(the(states, "web")))
    assert not {"hpa-name-taken", "vpa-name-taken"} & set(codes(the(states, "other")))
