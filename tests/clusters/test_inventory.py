"""KubernetesInventory against the strict API server: what it lists, whose pods are whose, what bounds numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.inventory import KubernetesInventory
from mora.domain import Allocation, AmountRange, Autoscaler, Quota, Resources, Role, Target, Workload, WorkloadState
from mora.domain.runtimes import Runtime
from mora.errors import ClusterError
from tests.clusters.fake_api import FakeApi, FakeCluster, Refusal
from tests.clusters.kinds import REPLICATION_CONTROLLER, ROLLOUT
from tests.clusters.test_kubernetes import deployment, hpa, other, resource_metric

MIB = 2**20
GIB = 2**30


def owned(kind: str, name: str, owner: tuple[str, str] | None, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    """An object with a controller, as controllers make them."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    if owner is not None:
        reference = {"apiVersion": "v1", "kind": owner[0], "name": owner[1], "uid": "1", "controller": True}
        metadata["ownerReferences"] = [reference]
    versions = {"Pod": "v1", "ReplicaSet": "apps/v1", "Job": "batch/v1", "CronJob": "batch/v1"}
    return {"apiVersion": versions[kind], "kind": kind, "metadata": metadata, "spec": {}, **more}


def pod(name: str, owner: tuple[str, str] | None, *containers: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    spec = {"containers": list(containers) or [{"name": "server", "image": "shop:1"}]}
    return owned("Pod", name, owner, metadata=metadata, spec=spec)


def replica_set(name: str, owner: str, revision: int, kind: str = "Deployment") -> dict[str, Any]:
    return owned(
        "ReplicaSet",
        name,
        (kind, owner),
        metadata={"annotations": {"deployment.kubernetes.io/revision": str(revision)}},
    )


def only_container(name: str, **container: Any) -> dict[str, Any]:
    """A Deployment with one container."""
    manifest = deployment(name)
    manifest["spec"]["template"]["spec"] = {"containers": [{"name": "server", "image": "shop:1", **container}]}
    return manifest


PROXY = {"name": "istio-proxy", "image": "proxy:1", "resources": {"requests": {"cpu": "100m"}}}
SERVER = {"name": "server", "image": "shop:1"}


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def inventory(api: FakeApi, tmp_path: Path) -> KubernetesInventory:
    return KubernetesInventory(api.kubeconfig(tmp_path / "config"), backoff=timedelta(milliseconds=1))


def the(states: list[WorkloadState], name: str) -> WorkloadState:
    (found,) = (state for state in states if state.workload.name == name)
    return found


def codes(state: WorkloadState) -> list[str]:
    return [reason.code for reason in state.reasons]


def test_every_kind_is_listed_and_a_cron_jobs_jobs_are_its_own(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.resources.append(ROLLOUT)
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "batch", "image": "shop:1"}]}}
    fake.add(deployment("frontend"))
    fake.add(other("StatefulSet", "db"))
    fake.add(other("DaemonSet", "agent"))
    fake.add({**deployment("canary"), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"})
    fake.add(owned("CronJob", "nightly", None, spec={"jobTemplate": {"spec": {"template": template}}}))
    fake.add(owned("Job", "nightly-1", ("CronJob", "nightly"), spec={"template": template}))
    fake.add(owned("Job", "import", None, spec={"template": template}))
    states = inventory.states("shop")
    assert [(one.workload.name, one.workload.kind, one.allocation.replicas) for one in states] == [
        ("agent", "DaemonSet", 3),
        ("canary", "Rollout", 2),
        ("db", "StatefulSet", 2),
        ("frontend", "Deployment", 2),
        ("import", "Job", None),
        ("nightly", "CronJob", None),
    ]
    assert [container.name for container in the(states, "nightly").allocation.containers] == ["batch"]
    assert inventory.remarks == ()


def test_containers_carry_their_roles_and_one_is_the_main(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    manifest = deployment("frontend", annotations={"kubectl.kubernetes.io/default-container": "server"})
    manifest["spec"]["template"]["spec"]["containers"].append({"name": "envoy", "image": "envoy:1"})
    fake.add(manifest)
    (state,) = inventory.states("shop")
    assert [(one.name, one.role, one.is_main, one.is_injected) for one in state.allocation.containers] == [
        ("cache", Role.APP, False, False),
        ("server", Role.APP, True, False),
        ("envoy", Role.SIDECAR, False, False),
        ("migrate", Role.INIT, False, False),
        ("logs", Role.NATIVE_SIDECAR, False, False),
    ]
    assert state.allocation.containers[1].resources == Resources(250, 1000, 128 * MIB, 256 * MIB)
    assert state.annotations == {"kubectl.kubernetes.io/default-container": "server"}


def test_the_overhead_of_a_runtime_class_is_what_the_pods_have(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(deployment("frontend"))
    fake.add(replica_set("frontend-1", "frontend", 1))
    inside = pod("frontend-1-x", ("ReplicaSet", "frontend-1"))
    inside["spec"]["overhead"] = {"cpu": "250m", "memory": "120Mi"}
    fake.add(inside)
    (state,) = inventory.states("shop")
    assert state.allocation.overhead == Resources(250, None, 120 * MIB, None)


def test_pods_find_their_workload_by_owners_and_never_by_name(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("frontend"))
    fake.add(only_container("frontend-canary"))
    fake.add(replica_set("frontend-aaa", "frontend", 1))
    fake.add(replica_set("frontend-canary-bbb", "frontend-canary", 1))
    fake.add(pod("frontend-aaa-1", ("ReplicaSet", "frontend-aaa"), SERVER, PROXY))
    fake.add(pod("frontend-canary-bbb-1", ("ReplicaSet", "frontend-canary-bbb")))
    fake.add(pod("frontend-lonely", None, SERVER, {"name": "nobody", "image": "x"}))
    states = inventory.states("shop")
    seen = {one.workload.name: [container.name for container in one.allocation.containers] for one in states}
    assert seen == {
        "frontend": ["server", "istio-proxy"],
        "frontend-canary": ["server"],
        "frontend-lonely": ["server", "nobody"],
    }
    assert the(states, "frontend-lonely").workload.kind == "Pod"
    injected = the(states, "frontend").allocation.containers[1]
    assert (injected.role, injected.is_injected, injected.resources) == (
        Role.SIDECAR,
        True,
        Resources(cpu_request_millicores=100),
    )
    assert "injected-sidecars" in codes(the(states, "frontend"))


def test_pods_of_any_other_owner_are_workloads_of_its_kind(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    asking = {**SERVER, "resources": {"requests": {"cpu": "1500m"}}}
    for number in (0, 1):
        own = {"annotations": {"mora.dev/cpu-cap": "2", "other": "x"}}
        fake.add(pod(f"kafka-{number}", ("StrimziPodSet", "kafka"), asking, **own))
    fake.add(pod("legacy-7-x", ("ReplicationController", "legacy-7"), SERVER))
    fake.add(pod("ray-head", ("RayCluster", "ray"), {"name": "head", "image": "ray:1"}))
    fake.add(pod("ray-1", ("RayCluster", "ray"), {"name": "worker", "image": "ray:1"}))
    fake.add(pod("etcd-node-1", ("Node", "node-1"), SERVER))
    fake.add(pod("wf-x7k2p-1", ("Workflow", "wf-x7k2p"), SERVER))
    fake.add({**pod("done", None, SERVER), "status": {"phase": "Succeeded"}})
    states = inventory.states("shop")
    assert [(one.workload.kind, one.workload.name, one.allocation.replicas) for one in states] == [
        ("Pod", "etcd", 1),
        ("StrimziPodSet", "kafka", 2),
        ("ReplicationController", "legacy-7", 1),
        ("RayCluster", "ray", None),
        ("Workflow", "wf", None),
    ]
    (server,) = the(states, "kafka").allocation.containers
    assert (server.is_main, server.is_injected, server.resources) == (True, False, Resources(1500))
    assert the(states, "kafka").annotations == {"mora.dev/cpu-cap": "2"}
    assert codes(the(states, "ray")) == ["pods-differ"]
    assert [one.name for one in the(states, "ray").allocation.containers] == ["worker", "head"]


def test_a_deployment_config_is_known_through_its_replication_controllers(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.resources.append(REPLICATION_CONTROLLER)
    meta = {"ownerReferences": [{"kind": "DeploymentConfig", "name": "legacy", "controller": True, "uid": "1"}]}
    for number in (7, 8):
        meta_of = {"name": f"legacy-{number}", "namespace": "shop", **meta}
        fake.add({"apiVersion": "v1", "kind": "ReplicationController", "metadata": meta_of, "spec": {}})
        fake.add(pod(f"legacy-{number}-x", ("ReplicationController", f"legacy-{number}"), SERVER))
    (state,) = inventory.states("shop")
    assert (state.workload, state.allocation.replicas) == (Workload("shop", "legacy", "DeploymentConfig"), 2)


def test_labels_choose_none_of_the_workloads_that_have_no_labels(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("frontend"))
    fake.add(pod("kafka-0", ("StrimziPodSet", "kafka"), SERVER))
    assert {one.workload.kind for one in inventory.states("shop", "app=frontend")} <= {"Deployment"}


def test_where_replica_sets_cannot_be_listed_no_pod_is_taken_for_one_of_its_own(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("frontend"))
    fake.add(pod("frontend-aaa-1", ("ReplicaSet", "frontend-aaa"), SERVER, PROXY))
    fake.resources = [one for one in fake.resources if one.plural != "replicasets"]
    assert [one.workload.kind for one in inventory.states("shop")] == ["Deployment"]


def test_a_container_that_was_renamed_is_no_injected_one(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    fake.add(only_container("frontend"))
    for revision, name in ((9, "old"), (10, "new")):  # 10 is newer than 9, though not by its letters
        fake.add(replica_set(f"frontend-{name}", "frontend", revision))
    fake.add(pod("frontend-old-1", ("ReplicaSet", "frontend-old"), {"name": "web", "image": "shop:0"}))
    fake.add(pod("frontend-new-1", ("ReplicaSet", "frontend-new")))
    (state,) = inventory.states("shop")
    assert [container.name for container in state.allocation.containers] == ["server"]


def test_sidecars_of_a_cron_jobs_pods_are_seen_through_its_job(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [SERVER]}}
    fake.add(owned("CronJob", "nightly", None, spec={"jobTemplate": {"spec": {"template": template}}}))
    fake.add(owned("Job", "nightly-1", ("CronJob", "nightly"), spec={"template": template}))
    fake.add(pod("nightly-1-x", ("Job", "nightly-1"), SERVER, PROXY))
    (state,) = inventory.states("shop")
    assert [container.name for container in state.allocation.containers] == ["server", "istio-proxy"]


def test_every_autoscaler_of_a_workload_is_listed_kedas_as_well(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    for name in ("frontend", "cart", "queue"):
        fake.add(only_container(name))
    fake.add(
        hpa(
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
            ]
        )
    )
    external = {
        "type": "External",
        "external": {"metric": {"name": "lag"}, "target": {"type": "AverageValue", "averageValue": "5"}},
    }
    fake.add(hpa([external], name="keda-hpa-queue", target="queue"))
    states = inventory.states("shop")
    scaled = the(states, "frontend")
    assert scaled.autoscalers == (
        Autoscaler("frontend", Target.CPU, True, 60, 2, 8, container="server"),
        Autoscaler("frontend", Target.MEMORY, False, 200 * MIB, 2, 8),
    )
    assert scaled.allocation.autoscaler == scaled.autoscalers[0]
    assert the(states, "queue").autoscalers == (Autoscaler("keda-hpa-queue", Target.REPLICAS, False, 0, 2, 8),)
    assert "keda" in codes(the(states, "queue"))
    assert the(states, "cart").autoscalers == ()


def limit_range(*items: dict[str, Any], name: str = "bounds") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"limits": list(items)},
    }


def test_limit_ranges_bound_a_container_and_fill_in_what_it_does_not_set(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("bare"))
    fake.add(only_container("half", resources={"limits": {"cpu": "400m"}}))
    fake.add(
        limit_range(
            {
                "type": "Container",
                "min": {"cpu": "50m", "memory": "64Mi"},
                "max": {"cpu": "2", "memory": "1Gi"},
                "default": {"cpu": "500m", "memory": "256Mi"},
                "defaultRequest": {"cpu": "200m"},
            },
            {"type": "Pod", "max": {"cpu": "1m"}},
        )
    )
    fake.add(limit_range({"type": "Container", "max": {"memory": "512Mi"}}, name="stricter"))
    states = inventory.states("shop")
    bare, half = the(states, "bare"), the(states, "half")
    assert bare.limit_range == AmountRange(
        Resources(50, 50, 64 * MIB, 64 * MIB),
        Resources(2000, 2000, 512 * MIB, 512 * MIB),
        given=Resources(cpu_limit_millicores=500, memory_limit_bytes=256 * MIB),
    )
    assert bare.allocation.containers[0].resources == Resources(200, 500, 256 * MIB, 256 * MIB)
    assert half.allocation.containers[0].resources == Resources(400, 400, 256 * MIB, 256 * MIB)
    assert codes(bare).count("limit-range-default") == 4
    assert "request-from-limit" in codes(half)


def test_quotas_tell_what_is_left_and_scoped_ones_are_named(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    fake.add(only_container("frontend"))
    hard = {"requests.cpu": "10", "limits.memory": "8Gi", "pods": "20"}
    meta = {"name": "team", "namespace": "shop"}
    used = {"requests.cpu": "2500m", "limits.memory": "1Gi", "pods": "4"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}}
    fake.add({**quota, "status": {"hard": hard, "used": used}})
    fake.add({**quota, "metadata": {**meta, "name": "batch"}, "spec": {"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}})
    (state,) = inventory.states("shop")
    assert state.quotas == (
        Quota("team", Resources(10_000, None, None, 8 * GIB), Resources(2500, None, None, 1 * GIB)),
    )
    assert "quota-scoped" in codes(state)


def test_annotations_of_the_namespace_apply_where_the_workload_has_none(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    annotations = {"mora.dev/cpu-buffer": "1.1", "mora.dev/memory-floor": "64Mi", "team": "a"}
    fake.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": annotations}})
    manifest = only_container("frontend")
    manifest["metadata"] |= {"annotations": {"mora.dev/cpu-buffer": "1.5", "other": "x"}, "labels": {"tier": "web"}}
    fake.add(manifest)
    (state,) = inventory.states("shop")
    assert state.annotations == {"mora.dev/cpu-buffer": "1.5", "mora.dev/memory-floor": "64Mi"}
    assert state.labels == {"tier": "web"}


def test_annotations_of_what_deployed_a_workload_are_kept(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    manifest = only_container("frontend")
    deployed = {
        "meta.helm.sh/release-name": "shop",
        "meta.helm.sh/release-namespace": "shop",
        "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/frontend",
    }
    manifest["metadata"] |= {"annotations": {**deployed, "meta.helm.sh/other": "x"}}
    fake.add(manifest)
    (state,) = inventory.states("shop")
    assert state.annotations == deployed


@pytest.mark.parametrize(
    ("container", "is_java"),
    [
        ({"image": "eclipse-temurin:21-jre"}, True),
        ({"image": "registry.example/team/orders:1-openjdk17"}, True),
        ({"image": "java.example:5000/team/api:2"}, False),
        ({"image": "shop/javascript-api:2"}, False),
        ({"image": "shop/cart@sha256:0a1b"}, False),
        ({"env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g"}]}, True),
        ({"env": [{"name": "JVM_HEAP", "value": "1g"}]}, True),
        ({"env": [{"name": "NODE_OPTIONS", "value": "x"}]}, False),
        ({"command": ["/opt/jdk/bin/java", "-jar", "app.jar"]}, True),
        ({"command": ["sh", "-c"], "args": ["exec java -Xmx512m -cp . Main"]}, True),
        ({"args": ["--java-home=no"]}, False),
    ],
)
def test_a_java_virtual_machine_is_known_by_image_environment_or_command(
    fake: FakeCluster, inventory: KubernetesInventory, container: dict[str, Any], is_java: bool
) -> None:
    fake.add(only_container("api", **container))
    (state,) = inventory.states("shop")
    assert state.jvm == (frozenset({"server"}) if is_java else frozenset())


def test_a_selector_chooses_workloads_and_none_means_every_namespace(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    for namespace, tier in (("shop", "web"), ("shop", "db"), ("bank", "web")):
        manifest = only_container(f"{tier}-app")
        manifest["metadata"] |= {"namespace": namespace, "labels": {"tier": tier}}
        fake.add(manifest)
    assert [one.workload for one in inventory.states(None, selector="tier=web")] == [
        Workload("bank", "web-app"),
        Workload("shop", "web-app"),
    ]
    assert len(inventory.states("shop")) == 2


def test_a_thousand_workloads_are_listed_in_pages_whose_number_does_not_grow_with_the_workloads(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    for number in range(1001):
        fake.add(only_container(f"app-{number:04d}"))
    fake.expires = 1  # the server forgets the list after its first page, and is asked for the whole
    states = inventory.states(None)
    assert [one.workload.name for one in states] == [f"app-{number:04d}" for number in range(1001)]
    assert len(fake.sent) <= 16
    assert {sent.query.get("limit") for sent in fake.sent if "deployments" in sent.path} == {"500", None}


def test_a_rollout_that_refers_to_a_template_says_where_it_is(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.resources.append(ROLLOUT)
    fake.add(only_container("web"))
    rollout = {**deployment("web-rollout"), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    rollout["spec"] = {"replicas": 3, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}
    fake.add(rollout)
    state = the(inventory.states("shop"), "web-rollout")
    assert [container.name for container in state.allocation.containers] == ["server"]
    assert state.template_in == Workload("shop", "web")
    assert "template-elsewhere" in codes(state)


def test_a_forbidden_list_is_reported_and_the_rest_is_read(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    fake.add(only_container("frontend"))
    fake.forbidden = {
        ("list", "rollouts"),
        ("list", "horizontalpodautoscalers"),
        ("list", "pods"),
        ("get", "namespaces"),
    }
    fake.resources.append(ROLLOUT)
    (state,) = inventory.states("shop")
    assert codes(state) == ["pods-unknown", "autoscalers-unknown"]
    assert '{apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: ["list"]}' in str(
        state.reasons
    )
    assert [remark.code for remark in inventory.remarks] == ["not-listed", "not-listed"]
    assert "Rollouts could not be read" in inventory.remarks[0].text


def test_a_forbidden_list_of_deployments_ends_with_the_rule_that_allows_it(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.forbidden = {("list", "deployments")}
    with pytest.raises(ClusterError) as told:
        inventory.states(None)
    assert 'cannot list resource "deployments" in API group "apps" at the cluster scope' in told.value.message
    assert "A ClusterRole with this rule allows it" in str(told.value.hint)
    assert "-n" in str(told.value.hint)


def test_an_empty_namespace_has_no_workload_states(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    assert inventory.states("nowhere") == []


def test_the_cluster_and_the_inventory_see_the_same_containers(fake: FakeCluster, api: FakeApi, tmp_path: Path) -> None:
    from mora.clusters.kubernetes import KubernetesCluster

    fake.add(deployment("frontend"))
    kubeconfig = api.kubeconfig(tmp_path / "config")
    (state,) = KubernetesInventory(kubeconfig).states("shop")
    seen = KubernetesCluster(kubeconfig=kubeconfig).allocation(state.workload)
    lasting = tuple(one for one in state.allocation.containers if one.role is not Role.INIT)
    assert seen == replace(state.allocation, containers=lasting)


@pytest.mark.parametrize("name", ["web --kubeconfig=/tmp/evil", "web\nkind: Pod", "-n", "$(id)", "\u202e"])
def test_names_that_no_api_server_allows_are_left_out_and_reported(
    name: str, inventory: KubernetesInventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = deployment("frontend")
    manifest["spec"]["template"]["spec"] = {"containers": [SERVER, {**SERVER, "name": name}]}
    answers = {
        "deployments": [manifest, {**deployment("frontend"), "metadata": {"name": name, "namespace": "shop"}}],
        "horizontalpodautoscalers": [
            hpa([resource_metric("cpu", type="Utilization", averageUtilization=70)], name="good"),
            hpa([resource_metric("cpu", type="Utilization", averageUtilization=50)], name=name),
        ],
    }
    monkeypatch.setattr(
        inventory._api, "pages", lambda path, query=None, **_: iter(answers.get(path.rpartition("/")[2], []))
    )
    monkeypatch.setattr(inventory._api, "get", lambda path: {"metadata": {"name": "shop"}})
    (state,) = inventory.states("shop")
    assert [container.name for container in state.allocation.containers] == ["server"]
    assert [scaler.name for scaler in state.autoscalers] == ["good"]
    assert [reason.text for reason in state.reasons if reason.code == "odd-name"] == [
        f"containers are left out, since Kubernetes allows no such name: {name!a}"
    ]
    assert [reason.text for reason in inventory.remarks if reason.code == "odd-name"] == [
        f"{name!a} is no valid name, left out of the deployments",
        f"{name!a} is no valid name, left out of the horizontalpodautoscalers",
    ]


def test_bounds_of_the_pod_stand_beside_each_workload(fake: FakeCluster, inventory: KubernetesInventory) -> None:
    manifest = only_container("frontend")
    manifest["spec"]["template"]["spec"]["resources"] = {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}}
    fake.add(manifest)
    fake.add(only_container("cart"))
    fake.add(limit_range({"type": "Pod", "min": {"cpu": "500m"}, "maxLimitRequestRatio": {"cpu": "4"}}))
    states = inventory.states("shop")
    assert the(states, "frontend").pod_resources == Resources(2000, None, None, 1024 * MIB)
    assert the(states, "cart").pod_resources is None
    assert the(states, "cart").pod_range == AmountRange(Resources(500, 500), cpu_ratio=4.0)


def broken(name: str, change: Callable[[dict[str, Any]], None], **more: Any) -> dict[str, Any]:
    """A Deployment that another API, or a proxy, has changed."""
    manifest = only_container(name, **more)
    change(manifest)
    return manifest


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda one: one.pop("spec"), "spec is missing"),
        (lambda one: one.update(spec=[]), "spec is a list, not an object"),
        (lambda one: one["spec"].update(replicas="many"), "spec.replicas is text, not a whole number"),
        (lambda one: one["spec"].update(replicas=2.5), "spec.replicas is a number, not a whole number"),
        (lambda one: one["spec"].update(template={"spec": {}}), "spec.template.spec.containers is missing"),
        (
            lambda one: one["spec"]["template"]["spec"]["containers"].append(container_of(one)),
            "spec.template.spec has two containers named 'server'",
        ),
        (lambda one: container_of(one).pop("name"), "spec.template.spec.containers[0].name is missing"),
        (
            lambda one: container_of(one).update(resources={"limits": {"cpu": "1e50"}}),
            "spec.template.spec.containers[0].resources.limits['cpu'] is '1e50', more than any machine has",
        ),
        (
            lambda one: container_of(one).update(resources={"requests": {"memory": "5Kx"}}),
            "spec.template.spec.containers[0].resources.requests['memory'] is '5Kx', not a Kubernetes quantity",
        ),
        (lambda one: one["metadata"].update(annotations=["x"]), "metadata.annotations is a list, not an object"),
        (lambda one: one["metadata"].update(labels={"app": 1}), "metadata.labels['app'] is a number, not text"),
    ],
)
def test_a_workload_that_cannot_be_read_is_a_row_with_the_reason_and_hides_no_other(
    change: Callable[[dict[str, Any]], None], problem: str, fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("good", resources={"requests": {"cpu": "100m"}}))
    odd = broken("odd", change)
    fake.objects["deployments", "shop", "odd"] = odd
    odd["metadata"].setdefault("namespace", "shop")
    states = inventory.states("shop")
    assert [state.workload.name for state in states] == ["good", "odd"]
    assert the(states, "good").problem is None
    assert the(states, "good").allocation.containers[0].resources.cpu_request_millicores == 100
    told = the(states, "odd").problem
    assert told is not None
    assert (told.code, told.text) == ("unreadable", f"the Deployment cannot be read: {problem}")
    assert the(states, "odd").allocation == Allocation()


@pytest.mark.parametrize(
    "item",
    [
        5,
        None,
        "text",
        [],
        {},
        {"metadata": 5},
        {"metadata": {"name": "x"}},
        {"metadata": {"name": "x", "namespace": "../../secrets"}, "spec": {}},
        {"spec": {}},
    ],
)
def test_an_item_without_a_readable_name_is_left_out_with_a_remark(
    item: object, fake: FakeCluster, inventory: KubernetesInventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add(only_container("good"))
    get = inventory._api.get

    def with_odd(path: str, *rest: Any, **more: Any) -> dict[str, Any]:
        answer = get(path, *rest, **more)
        return {**answer, "items": [item, *answer["items"]]} if path.endswith("/deployments") else answer

    monkeypatch.setattr(inventory._api, "get", with_odd)
    assert [state.workload.name for state in inventory.states("shop")] == ["good"]
    (remark,) = inventory.remarks
    assert remark.code == "unreadable"
    assert re.match(r"A Deployment( x)? is left out, since it cannot be read: ", remark.text)


def test_an_hpa_that_cannot_be_read_leaves_unknown_whether_its_target_is_scaled(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("frontend"))
    fake.add(only_container("cart"))
    odd = hpa([resource_metric("cpu", type="Utilization", averageUtilization=70)], name="scaler")
    odd["spec"]["maxReplicas"] = "ten"
    fake.objects["horizontalpodautoscalers", "shop", "scaler"] = odd
    states = inventory.states("shop")
    text = (
        "It is not known whether an HPA scales it: HPA scaler cannot be read: spec.maxReplicas is text, not a whole "
        "number"
    )
    assert [one.text for one in the(states, "frontend").reasons if one.code == "autoscalers-unknown"] == [text]
    assert "autoscalers-unknown" not in codes(the(states, "cart"))
    del odd["spec"]["scaleTargetRef"]["name"]
    assert all("autoscalers-unknown" in codes(state) for state in inventory.states("shop"))


@pytest.mark.parametrize(
    ("kind", "plural", "code", "spec"),
    [
        (
            "LimitRange",
            "limitranges",
            "limit-range-unknown",
            {"limits": [{"type": "Container", "max": {"cpu": "5Kx"}}]},
        ),
        ("ResourceQuota", "resourcequotas", "quota-unknown", {"hard": {"requests.cpu": []}}),
        ("Pod", "pods", "pods-unknown", {"containers": [{}]}),
    ],
)
def test_an_odd_bound_or_pod_is_unknown_in_its_namespace_alone(
    kind: str, plural: str, code: str, spec: dict[str, Any], fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.add(only_container("frontend"))
    elsewhere = only_container("frontend")
    elsewhere["metadata"]["namespace"] = "bank"
    fake.add(elsewhere)
    fake.objects[plural, "shop", "odd"] = {"metadata": {"name": "odd", "namespace": "shop"}, "spec": spec}
    states = {state.workload.namespace: codes(state) for state in inventory.states()}
    assert code in states["shop"]
    assert code not in states["bank"]


def test_a_rollout_with_an_empty_template_beside_its_reference_is_read(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    fake.resources.append(ROLLOUT)
    fake.add(only_container("web"))
    rollout = {**only_container("canary"), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    rollout["spec"] = {
        "template": {"metadata": {"creationTimestamp": None}, "spec": {"containers": None}},
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    }
    rollout["status"] = {"observedGeneration": "4"}
    fake.objects["rollouts", "shop", "canary"] = rollout
    canary = the(inventory.states("shop"), "canary")
    assert canary.problem is None
    assert [container.name for container in canary.allocation.containers] == ["server"]
    assert "template-elsewhere" in codes(canary)


def container_of(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]["containers"][0]
    return found


def test_what_a_runtime_may_take_is_read_from_its_flags_and_variables_that_have_a_value(
    fake: FakeCluster, inventory: KubernetesInventory
) -> None:
    from_field = {"name": "GOMEMLIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}
    fake.add(only_container("api", env=[from_field, {"name": "NODE_OPTIONS", "value": "--max-old-space-size=1024"}]))
    fake.add(only_container("go", env=[from_field]))
    fake.add(only_container("cache", image="redis:7", args=["--maxmemory", "2gb"]))
    told = {state.workload.name: state.allocation.containers[0].runtime for state in inventory.states("shop")}
    assert told == {
        "api": Runtime("Node.js", 2**30, "--max-old-space-size=1024 in NODE_OPTIONS"),
        "go": None,  # it follows the limit
        "cache": Runtime("Redis", 2 * 2**30, "--maxmemory 2gb in its arguments"),
    }


def test_a_list_that_the_server_fails_in_is_unknown_and_the_others_are_read(
    fake: FakeCluster, inventory: KubernetesInventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion webhook of Argo's Rollouts that is down is a 500 for that list alone."""
    fake.add(only_container("frontend"))
    answer = fake.answer

    def failing(method: str, path: str, *rest: Any, **more: Any) -> Any:
        if path.endswith(("/rollouts", "/horizontalpodautoscalers")):
            raise Refusal(500, "conversion webhook failed")
        return answer(method, path, *rest, **more)

    monkeypatch.setattr(fake, "answer", failing)
    (state,) = inventory.states("shop")
    assert "autoscalers-unknown" in codes(state)
    (remark,) = [reason.text for reason in inventory.remarks if reason.code == "not-listed"]
    assert remark.startswith("Rollouts could not be read: The API server")
    assert "conversion webhook failed" in remark
