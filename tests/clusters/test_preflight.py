"""What a run would trip over is found before it changes anything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mora.clusters.kubernetes import KubernetesCluster
from mora.clusters.preflight import Finding, examine
from mora.domain import Workload
from tests.clusters.fake_api import FakeApi, FakeCluster
from tests.clusters.kinds import VPA
from tests.clusters.test_kubernetes import deployment, hpa, other, resource_metric
from tests.clusters.test_scalers import vpa

FRONTEND, CART = Workload("shop", "frontend"), Workload("shop", "cart")


@pytest.fixture
def fake() -> FakeCluster:
    cluster = FakeCluster()
    for name in ("frontend", "cart"):
        cluster.add(deployment(name))
    return cluster


@pytest.fixture
def cluster(api: FakeApi, tmp_path: Path) -> KubernetesCluster:
    return KubernetesCluster(kubeconfig=api.kubeconfig(tmp_path / "config"), backoff=timedelta(milliseconds=1))


def bad(cluster: KubernetesCluster, *targets: Workload, most: int = 4, measured: Any = None) -> list[Finding]:
    found = examine(cluster, targets=targets, measured=measured or targets, most_replicas=most)
    return [finding for finding in found if not finding.is_ok]


def test_the_context_and_each_check_are_listed_and_nothing_is_changed(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    found = examine(cluster, targets=[FRONTEND], measured=[FRONTEND, CART], most_replicas=4)
    assert all(finding.is_ok for finding in found)
    text = "\n".join(map(str, found))
    assert text.startswith("ok  Context fake (cluster fake at http://127.0.0.1")
    assert "user ada), namespace shop" in text.splitlines()[0]
    assert "Deployment frontend is ready, and no autoscaler scales it" in text
    assert "Deployment cart is ready; it is restarted and measured, not scaled" in text
    assert "namespace shop has no quota" in text
    assert fake.changes == []


@pytest.mark.parametrize(
    ("right", "words", "rule"),
    [
        (
            ("patch", "deployments"),
            "patch deployments.apps frontend",
            '["deployments"], verbs: ["patch"]',
        ),
        (
            ("patch", "deployments/scale"),
            "patch deployments.apps/scale frontend",
            '["deployments/scale"], verbs: ["patch"]',
        ),
        (
            ("list", "horizontalpodautoscalers"),
            "list horizontalpodautoscalers.autoscaling",
            '["horizontalpodautoscalers"], verbs: ["list"]',
        ),
    ],
)
def test_a_right_that_is_missing_is_named_with_the_rule_and_the_manifest(
    fake: FakeCluster, cluster: KubernetesCluster, right: tuple[str, str], words: str, rule: str
) -> None:
    fake.forbidden = {right}
    (finding,) = bad(cluster, FRONTEND)
    assert f"you are not allowed to {words}" in finding.words
    assert rule in finding.remedy
    folder = "manifests/base" if right[0] == "list" else "manifests/collect"
    assert f"kubectl kustomize {folder} | kubectl apply -n shop -f -" in finding.remedy


def test_a_right_for_one_name_is_enough(fake: FakeCluster, api: FakeApi, tmp_path: Path) -> None:
    def rule(group: str, resources: list[str], verbs: list[str], *names: str) -> dict[str, Any]:
        found: dict[str, Any] = {"apiGroups": [group], "resources": resources, "verbs": verbs}
        return found | ({"resourceNames": list(names)} if names else {})

    meta = {"name": "lab", "namespace": "shop"}
    version = "rbac.authorization.k8s.io/v1"
    fake.add(
        {
            "apiVersion": version,
            "kind": "Role",
            "metadata": meta,
            "rules": [
                rule("apps", ["deployments"], ["get"]),
                rule("", ["pods", "resourcequotas", "limitranges"], ["list"]),
                rule("autoscaling", ["horizontalpodautoscalers"], ["list"]),
                rule("apps", ["deployments", "deployments/scale"], ["patch"], "frontend"),
            ],
        }
    )
    fake.add(
        {
            "apiVersion": version,
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lab"},
            "subjects": [{"kind": "User", "name": "eve"}],
        }
    )
    config = api.kubeconfig(tmp_path / "eve", impersonate="eve")
    as_eve = KubernetesCluster(kubeconfig=config)
    assert bad(as_eve, FRONTEND) == []
    (finding, _) = bad(as_eve, FRONTEND, CART)
    assert finding.words == "you are not allowed to patch deployments.apps cart in namespace shop"


def test_an_autoscaler_on_a_target_is_refused_and_on_the_others_is_not(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    fake.add(hpa([resource_metric("cpu", type="Utilization", averageUtilization=70)]))
    (finding,) = bad(cluster, FRONTEND)
    assert "scaled by the HPA frontend, which would overwrite the plan's replicas" in finding.words
    assert "kubectl delete hpa frontend -n shop" in finding.remedy
    assert bad(cluster, CART, measured=[FRONTEND, CART]) == []


def test_a_vpa_that_changes_the_pods_of_a_target_is_refused(fake: FakeCluster, cluster: KubernetesCluster) -> None:
    fake.resources.append(VPA)
    fake.add(vpa("frontend", "frontend"))
    (finding,) = bad(cluster, FRONTEND)
    assert "are set by the VPA frontend (mode Auto)" in finding.words
    assert "kubectl patch vpa frontend -n shop" in finding.remedy
    assert bad(cluster, CART) == []
    fake.get("VerticalPodAutoscaler", "frontend")["spec"]["updatePolicy"] = {"updateMode": "Off"}
    assert bad(cluster, FRONTEND) == []
    fake.forbidden.add(("list", "verticalpodautoscalers"))
    found = examine(cluster, targets=[FRONTEND], measured=[FRONTEND], most_replicas=2)
    assert all(one.is_ok for one in found)
    assert any("whether a VPA changes it is not known" in one.words for one in found)


def test_a_target_that_is_absent_or_not_ready_or_a_daemon_set_is_refused(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    fake.add(other("DaemonSet", "agent"))
    fake.stuck = {"cart"}
    fake.get("Deployment", "cart")["status"]["availableReplicas"] = 1
    absent, agent = Workload("shop", "nope"), Workload("shop", "agent", "DaemonSet")
    words = [finding.words for finding in bad(cluster, absent, CART, agent)]
    assert words == [
        "There is no Deployment 'nope' in namespace 'shop'",
        "Deployment 'cart' in namespace 'shop' is not ready: 1 of 2 replicas available, 2 of the newest template, "
        "2 in all",
        "DaemonSet 'agent' in namespace 'shop' runs one pod a node and cannot be scaled",
    ]


def quota(hard: dict[str, str], used: dict[str, str]) -> dict[str, Any]:
    meta = {"name": "team", "namespace": "shop"}
    status = {"hard": hard, "used": used}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}, "status": status}


@pytest.mark.parametrize(
    ("hard", "used", "words"),
    [
        # frontend: 2 pods of 250m; the plan's 4 and a surge of 25 % are 5, so 3 more.
        ({"requests.cpu": "2"}, {"requests.cpu": "1250m"}, None),
        ({"requests.cpu": "2"}, {"requests.cpu": "1251m"}, "requests.cpu: 750m more needed, 749m left"),
        ({"limits.memory": "1Gi"}, {"limits.memory": "512Mi"}, "limits.memory: 768Mi more needed, 512Mi left"),
        ({"pods": "10"}, {"pods": "8"}, "pods: 3 more needed, 2 left"),
        ({"count/secrets": "1"}, {"count/secrets": "1"}, None),
    ],
)
def test_the_quota_has_room_for_the_most_replicas_or_the_shortage_is_reported(
    fake: FakeCluster, cluster: KubernetesCluster, hard: dict[str, str], used: dict[str, str], words: str | None
) -> None:
    fake.add(quota(hard, used))
    found = bad(cluster, FRONTEND)
    if words is None:
        assert found == []
    else:
        assert words in found[0].words


def test_a_quota_that_may_not_be_read_does_not_keep_a_run_from_starting(
    fake: FakeCluster, cluster: KubernetesCluster
) -> None:
    fake.forbidden = {("list", "resourcequotas")}
    found = examine(cluster, targets=[FRONTEND], measured=[FRONTEND], most_replicas=4)
    assert all(finding.is_ok for finding in found)
    assert "quota is not checked" in found[-1].words
