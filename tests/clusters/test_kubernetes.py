"""KubernetesCluster against a strict API server on loopback: what it really sends, and what it makes of the answers."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.kubernetes import KubernetesCluster
from mora.domain import Allocation, Autoscaler, Container, Resources, Role, Target, Workload
from mora.errors import BadInput, ClusterError
from tests.clusters.fake_api import FakeApi, FakeCluster

MIB = 2**20
FRONTEND = Workload("shop", "frontend")
SOON = timedelta(seconds=5)


def deployment(name: str, **template_metadata: Any) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, **template_metadata},
                "spec": {
                    "initContainers": [
                        {"name": "migrate", "image": "shop:1"},
                        {"name": "logs", "image": "fluent:3", "restartPolicy": "Always"},
                    ],
                    "containers": [
                        {"name": "cache", "image": "redis:7"},
                        {
                            "name": "server",
                            "image": "shop:1",
                            "env": [{"name": "PORT", "value": "8080"}],
                            "resources": {
                                "requests": {"cpu": "250m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
                                "limits": {"cpu": "1", "memory": "256Mi"},
                            },
                        },
                    ],
                },
            },
        },
    }


def other(kind: str, name: str) -> dict[str, Any]:
    manifest = deployment(name)
    manifest["kind"] = kind
    if kind == "StatefulSet":
        manifest["spec"]["serviceName"] = name
    else:
        del manifest["spec"]["replicas"]
        manifest["status"] = {
            "desiredNumberScheduled": 3,
            "currentNumberScheduled": 3,
            "numberMisscheduled": 0,
            "numberReady": 3,
        }
    return manifest


def hpa(metrics: list[dict[str, Any]], *, name: str = "frontend", target: str = "frontend") -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": 2,
            "maxReplicas": 8,
            "metrics": metrics,
        },
    }


def pod(name: str, app: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "labels": {"app": app}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def resource_metric(name: str, **target: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster()
    cluster.add(deployment("frontend", annotations={"kubectl.kubernetes.io/default-container": "server"}))
    cluster.add(deployment("cart"))
    return cluster


@pytest.fixture
def cluster(api: FakeApi, tmp_path: Path) -> KubernetesCluster:
    return KubernetesCluster(kubeconfig=api.kubeconfig(tmp_path / "config"), poll=timedelta(milliseconds=5))


SERVER = Resources(250, 1000, 128 * MIB, 256 * MIB)
ALL_SECTIONS = frozenset({"resources", "requests", "limits"})


def test_an_allocation_is_the_templates(cluster: KubernetesCluster) -> None:
    assert cluster.allocation(FRONTEND) == Allocation(
        replicas=2,
        containers=(
            Container("cache", Resources(), "redis:7", sections=frozenset()),
            Container("server", SERVER, "shop:1", is_main=True, sections=ALL_SECTIONS),
            # migrate ends before the pod starts
            Container("logs", Resources(), "fluent:3", role=Role.NATIVE_SIDECAR, sections=frozenset()),
        ),
    )


def test_the_main_container_is_the_annotated_one_else_named_like_the_workload_else_the_first(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    fake.add(deployment("server"))

    def main(name: str) -> str | None:
        found = cluster.allocation(Workload("shop", name)).main
        return None if found is None else found.name

    assert (main("frontend"), main("server"), main("cart")) == ("server", "server", "cache")


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (
            [resource_metric("cpu", type="Utilization", averageUtilization=70)],
            Autoscaler("frontend", Target.CPU, True, 70, 2, 8),
        ),
        (
            [resource_metric("cpu", type="AverageValue", averageValue="350m")],
            Autoscaler("frontend", Target.CPU, False, 350, 2, 8),
        ),
        (
            [
                resource_metric("memory", type="AverageValue", averageValue="200Mi"),
                {
                    "type": "ContainerResource",
                    "containerResource": {
                        "name": "cpu",
                        "container": "server",
                        "target": {"type": "Utilization", "averageUtilization": 60},
                    },
                },
            ],
            Autoscaler("frontend", Target.CPU, True, 60, 2, 8, container="server"),
        ),
        (
            [resource_metric("memory", type="AverageValue", averageValue="200Mi")],
            Autoscaler("frontend", Target.MEMORY, False, 200 * MIB, 2, 8),
        ),
        (
            [
                {
                    "type": "External",
                    "external": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "5"}},
                }
            ],
            Autoscaler("frontend", Target.REPLICAS, False, 0, 2, 8),
        ),
    ],
)
def test_an_hpa_is_read_by_the_metric_it_follows(
    fake: FakeCluster, cluster: KubernetesCluster, metrics: list[dict[str, Any]], expected: Autoscaler
) -> None:
    for one in (hpa(metrics, name="other", target="cart"), hpa(metrics)):
        fake.add(one)
    assert cluster.allocation(FRONTEND).autoscaler == expected


def test_injected_sidecars_are_distinguished_from_the_templates_own(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    spec = fake.get("Deployment", "frontend")["spec"]["template"]["spec"]
    proxy = {"name": "istio-proxy", "image": "proxy:1", "resources": {"requests": {"cpu": "100m"}}}
    pod_spec = {**spec, "containers": [proxy, *spec["containers"]]}
    for n, app in enumerate(("frontend", "frontend", "cart")):
        fake.add(pod(f"frontend-{n}", app, pod_spec))
    assert cluster.injected_sidecars(FRONTEND) == (
        Container(
            "istio-proxy",
            Resources(cpu_request_millicores=100),
            "proxy:1",
            role=Role.SIDECAR,
            is_injected=True,
            sections=frozenset({"resources", "requests"}),
        ),
    )


def test_new_resources_are_one_patch_by_container_name_in_which_null_drops_a_limit(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    now = cluster.allocation(FRONTEND)
    cluster.apply(FRONTEND, now.with_main(Resources(127, None, 237 * MIB, 237 * MIB)))
    (sent,) = fake.patches
    assert sent.path == "/apis/apps/v1/namespaces/shop/deployments/frontend"
    assert sent.content_type == "application/strategic-merge-patch+json"
    resources = {"requests": {"cpu": "127m", "memory": "237Mi"}, "limits": {"cpu": None, "memory": "237Mi"}}
    assert sent.body == {"spec": {"template": {"spec": {"containers": [{"name": "server", "resources": resources}]}}}}
    containers = fake.get("Deployment", "frontend")["spec"]["template"]["spec"]["containers"]
    assert containers[1]["env"] == [{"name": "PORT", "value": "8080"}]
    assert containers[1]["resources"]["requests"]["ephemeral-storage"] == "1Gi"
    assert cluster.allocation(FRONTEND).main == Container(
        "server", Resources(127, None, 237 * MIB, 237 * MIB), "shop:1", is_main=True, sections=ALL_SECTIONS
    )


def test_replicas_are_set_through_the_scale_subresource(fake: FakeCluster, cluster: KubernetesCluster) -> None:
    cluster.apply(FRONTEND, Allocation(replicas=5))
    (sent,) = fake.patches
    assert sent.path == "/apis/apps/v1/namespaces/shop/deployments/frontend/scale"
    assert sent.body == {"spec": {"replicas": 5}}
    assert cluster.allocation(FRONTEND).replicas == 5


def test_what_is_already_set_is_not_sent(fake: FakeCluster, cluster: KubernetesCluster) -> None:
    cluster.apply(FRONTEND, cluster.allocation(FRONTEND))
    assert fake.patches == []


def test_a_native_sidecar_is_patched_among_the_init_containers(fake: FakeCluster, cluster: KubernetesCluster) -> None:
    cluster.apply(FRONTEND, Allocation(containers=(Container("logs", Resources(cpu_request_millicores=20)),)))
    spec = fake.patches[0].body["spec"]["template"]["spec"]
    assert set(spec) == {"initContainers"}
    assert spec["initContainers"][0]["resources"]["requests"] == {"cpu": "20m", "memory": None}


def test_a_container_that_the_template_lacks_is_refused_rather_than_added(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    with pytest.raises(ClusterError, match=r"no container 'istio-proxy'[^$]*cache, server, logs"):
        cluster.apply(FRONTEND, Allocation(containers=(Container("istio-proxy", SERVER),)))
    assert fake.patches == []


def test_replicas_that_an_hpa_would_set_back_are_refused(fake: FakeCluster, cluster: KubernetesCluster) -> None:
    fake.add(hpa([resource_metric("cpu", type="Utilization", averageUtilization=70)]))
    with pytest.raises(ClusterError, match=r"scaled by the HPA 'frontend' \(2 to 8 replicas\)"):
        cluster.apply(FRONTEND, Allocation(replicas=3))
    assert fake.patches == []


def test_a_restart_is_the_annotation_of_kubectl_and_waits_for_the_new_pods(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    cart = Workload("shop", "cart")
    cluster.restart([FRONTEND, cart], SOON)
    assert [sent.path.rpartition("/")[2] for sent in fake.patches] == ["frontend", "cart"]
    annotations = fake.patches[0].body["spec"]["template"]["metadata"]["annotations"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", annotations["kubectl.kubernetes.io/restartedAt"])
    for name in ("frontend", "cart"):
        manifest = fake.get("Deployment", name)
        assert manifest["status"]["observedGeneration"] == manifest["metadata"]["generation"] == 2


def test_a_rollout_that_does_not_end_is_reported_with_numbers_and_the_pods_reasons(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    status = fake.get("Deployment", "frontend")["status"]
    fake.stuck = {"frontend"}
    status.update(replicas=3, updatedReplicas=1, availableReplicas=2)
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    broken = {
        "name": "server",
        "ready": False,
        "restartCount": 0,
        "image": "shop:2",
        "imageID": "",
        "state": {"waiting": waiting},
    }
    spec = {"containers": [{"name": "server", "image": "shop:2"}]}
    fake.add({**pod("frontend-x", "frontend", spec), "status": {"containerStatuses": [broken]}})
    with pytest.raises(ClusterError) as told:
        cluster.wait_ready([FRONTEND, Workload("shop", "cart")], timedelta(milliseconds=50))
    assert "Deployment 'frontend' in namespace 'shop' has 2 of 2 replicas available, 1 of the newest" in str(told.value)
    assert "3 in all" in told.value.message
    assert "'cart'" not in told.value.message
    assert told.value.hint == "frontend-x: server ImagePullBackOff no such image"


def test_a_deployment_past_its_own_deadline_is_not_waited_for(fake: FakeCluster, cluster: KubernetesCluster) -> None:
    fake.stuck = {"frontend"}
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "stuck"}
    fake.get("Deployment", "frontend")["status"]["conditions"] = [condition]
    with pytest.raises(ClusterError, match="does not become ready: stuck"):
        cluster.wait_ready([FRONTEND], timedelta(hours=1))


def test_stateful_sets_and_daemon_sets_are_sized_as_well(fake: FakeCluster, cluster: KubernetesCluster) -> None:
    fake.add(other("StatefulSet", "db"))
    fake.add(other("DaemonSet", "agent"))
    db, agent = Workload("shop", "db", "StatefulSet"), Workload("shop", "agent", "DaemonSet")
    assert cluster.services("shop") == ["agent", "cart", "db", "frontend"]
    assert cluster.allocation(agent).replicas == 3
    cluster.apply(db, Allocation(replicas=4))
    cluster.restart([db, agent], SOON)
    assert fake.patches[0].path == "/apis/apps/v1/namespaces/shop/statefulsets/db/scale"
    with pytest.raises(ClusterError, match="one pod a node"):
        cluster.apply(agent, Allocation(replicas=4))


def test_a_workload_that_is_not_there_is_answered_with_those_that_are(cluster: KubernetesCluster) -> None:
    with pytest.raises(
        ClusterError, match=r"no Deployment 'frontent'[^$]*cart \(Deployment\), frontend \(Deployment\)"
    ):
        cluster.allocation(Workload("shop", "frontent"))
    with pytest.raises(ClusterError, match="has no workloads, or does not exist"):
        cluster.allocation(Workload("shopp", "frontend"))


def test_a_forbidden_verb_is_reported_with_the_rule_that_allows_it(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    fake.forbidden = {("patch", "deployments/scale")}
    with pytest.raises(ClusterError) as told:
        cluster.apply(FRONTEND, Allocation(replicas=3))
    assert 'cannot patch resource "deployments/scale"' in told.value.message
    assert '{apiGroups: ["apps"], resources: ["deployments/scale"], verbs: ["patch"]}' in str(told.value.hint)


def test_what_kubernetes_rejects_as_invalid_is_reported_with_its_message(cluster: KubernetesCluster) -> None:
    with pytest.raises(ClusterError, match="must be less than or equal to cpu limit of 1"):
        cluster.apply(FRONTEND, Allocation(containers=(Container("server", Resources(2000, 1000)),)))


def test_rejected_credentials_are_reported(api: FakeApi, tmp_path: Path) -> None:
    cluster = KubernetesCluster(kubeconfig=api.kubeconfig(tmp_path / "stale", token="old"))
    with pytest.raises(ClusterError, match="rejects these credentials"):
        cluster.allocation(FRONTEND)


def test_a_cluster_that_is_down_is_reported_with_its_address(api: FakeApi, tmp_path: Path) -> None:
    cluster = KubernetesCluster(kubeconfig=api.kubeconfig(tmp_path / "down", port=9))
    with pytest.raises(ClusterError, match=r"http://127.0.0.1:9 cannot be reached: Connection refused"):
        cluster.allocation(FRONTEND)


def test_a_missing_kubeconfig_or_context_is_reported(api: FakeApi, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no usable kubeconfig"):
        KubernetesCluster(kubeconfig=tmp_path / "absent")
    with pytest.raises(BadInput, match="nowhere"):
        KubernetesCluster(kubeconfig=api.kubeconfig(tmp_path / "config"), context="nowhere")
