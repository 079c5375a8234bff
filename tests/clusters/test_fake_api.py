"""The fake API server is as strict as a real one: FIELD.md 4's recorded semantics, asked by the real kubectl."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from tests.clusters import patching
from tests.clusters.conftest import Kubectl
from tests.clusters.fake_api import FakeCluster, Refusal
from tests.clusters.kinds import ROLLOUT
from tests.clusters.test_kubernetes import deployment, hpa, resource_metric

SERVER = (
    '{"spec":{"template":{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"127m","memory":"237Mi"},'
    '"limits":{"cpu":null,"memory":"237Mi"}}}]}}}}'
)


@pytest.fixture
def shop(tls_cluster: FakeCluster) -> FakeCluster:
    tls_cluster.add(deployment("frontend"))
    return tls_cluster


def patch(kubectl: Kubectl, body: str, *arguments: str) -> Any:
    done = kubectl("patch", "deployment", "frontend", "-n", "shop", "-p", body, "-o", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def server_of(manifest: Any) -> Any:
    return next(one for one in manifest["spec"]["template"]["spec"]["containers"] if one["name"] == "server")


def test_a_strategic_merge_goes_by_container_name_and_null_drops_the_limit(shop: FakeCluster, kubectl: Kubectl) -> None:
    before = deepcopy(shop.get("Deployment", "frontend"))
    after = patch(kubectl, SERVER)
    assert server_of(after)["resources"] == {
        "requests": {"cpu": "127m", "memory": "237Mi", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "237Mi"},
    }
    # Image, env, the other containers and the init containers are as they were: only the resources differ.
    server_of(after)["resources"] = server_of(before)["resources"]
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 2


def test_the_server_patches_as_kubectl_does_by_itself(shop: FakeCluster, kubectl: Kubectl) -> None:
    manifest = deepcopy(shop.get("Deployment", "frontend"))
    local = kubectl("patch", "--local", "-f", "-", "-p", SERVER, "-o", "json", stdin=json.dumps(manifest))
    assert json.loads(local.stdout)["spec"] == patching.strategic_merge(manifest, json.loads(SERVER))["spec"]


def test_a_json_merge_wipes_the_other_containers(shop: FakeCluster, kubectl: Kubectl) -> None:
    body = '{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"shop:2"}]}}}}'
    after = patch(kubectl, body, "--type", "merge")
    assert after["spec"]["template"]["spec"]["containers"] == [{"name": "server", "image": "shop:2"}]


def test_a_json_patch_goes_by_index(shop: FakeCluster, kubectl: Kubectl) -> None:
    path = "/spec/template/spec/containers/1/resources/limits/cpu"
    after = patch(kubectl, json.dumps([{"op": "remove", "path": path}]), "--type", "json")
    assert server_of(after)["resources"]["limits"] == {"memory": "256Mi"}


def test_a_server_side_dry_run_answers_and_stores_nothing(shop: FakeCluster, kubectl: Kubectl) -> None:
    before = deepcopy(shop.objects)
    after = patch(kubectl, SERVER, "--dry-run=server")
    assert server_of(after)["resources"]["requests"]["cpu"] == "127m"
    assert shop.objects == before


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"spec":{"template":{"spec":{"containers":[{"name":"other"}]}}}}', "image: Required value"),
        ('{"spec":{"template":{"spec":{"containers":[{"image":"x"}]}}}}', "does not contain declared merge key: name"),
        (SERVER.replace("127m", "3 cores"), "quantities must match the regular expression"),
        (SERVER.replace('"cpu":null', '"cpu":"100m"'), "must be less than or equal to cpu limit of 100m"),
        ('{"spec":{"selector":{"matchLabels":{"app":"x"}}}}', "does not match template"),
        ('{"metadata":{"resourceVersion":"1"},"spec":{"replicas":3}}', "the object has been modified"),
        ('{"spec":{"replicas":"three"}}', "invalid"),
    ],
)
def test_the_fake_refuses_what_a_server_refuses(shop: FakeCluster, kubectl: Kubectl, body: str, words: str) -> None:
    before = deepcopy(shop.objects)
    done = kubectl("patch", "deployment", "frontend", "-n", "shop", "-p", body)
    assert done.returncode == 1
    assert words in done.stderr
    assert shop.objects == before


def test_an_unknown_field_is_refused_where_strict_and_dropped_where_not(shop: FakeCluster, kubectl: Kubectl) -> None:
    manifest = deployment("cart")
    manifest["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    strict = kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    assert 'unknown field "spec.template.spec.containers[0].resource"' in strict.stderr
    lax = kubectl("apply", "-f", "-", "--validate=ignore", stdin=json.dumps(manifest))
    assert lax.returncode == 0, lax.stderr
    assert "resource" not in shop.get("Deployment", "cart")["spec"]["template"]["spec"]["containers"][0]


def test_apply_creates_then_leaves_alone_then_patches(shop: FakeCluster, kubectl: Kubectl) -> None:
    manifest = deployment("cart")
    said = [kubectl("apply", "-f", "-", stdin=json.dumps(manifest)).stdout for _ in range(2)]
    server_of(manifest)["resources"]["limits"].pop("cpu")
    said.append(kubectl("apply", "-f", "-", stdin=json.dumps(manifest)).stdout)
    assert [line.split()[-1] for line in said] == ["created", "unchanged", "configured"]
    assert server_of(shop.get("Deployment", "cart"))["resources"]["limits"] == {"memory": "256Mi"}


def test_a_custom_resource_takes_no_strategic_merge(shop: FakeCluster, kubectl: Kubectl) -> None:
    shop.resources.append(ROLLOUT)
    rollout = {**deployment("web"), "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
    assert kubectl("create", "-f", "-", stdin=json.dumps(rollout)).returncode == 0
    strategic = kubectl("patch", "rollout", "web", "-n", "shop", "--type", "strategic", "-p", SERVER)
    assert strategic.returncode == 1
    assert (
        kubectl("patch", "rollout", "web", "-n", "shop", "--type", "merge", "-p", '{"spec":{"replicas":4}}').returncode
        == 0
    )
    assert shop.get("Rollout", "web")["spec"]["replicas"] == 4
    with pytest.raises(Refusal) as refused:
        shop.answer(
            "PATCH",
            "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web",
            {},
            patching.STRATEGIC,
            json.loads(SERVER),
        )
    assert refused.value.status == 415


def test_a_jobs_template_is_immutable(shop: FakeCluster, kubectl: Kubectl) -> None:
    spec = {"restartPolicy": "Never", "containers": [{"name": "job", "image": "shop:1"}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "load", "namespace": "shop"}}
    assert kubectl("create", "-f", "-", stdin=json.dumps({**job, "spec": {"template": {"spec": spec}}})).returncode == 0
    body = '{"spec":{"template":{"spec":{"containers":[{"name":"job","image":"shop:2"}]}}}}'
    assert "field is immutable" in kubectl("patch", "job", "load", "-n", "shop", "-p", body).stderr


def test_a_pod_is_resized_in_place_and_keeps_its_qos_class(shop: FakeCluster, kubectl: Kubectl) -> None:
    container = {
        "name": "server",
        "image": "shop:1",
        "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"}}
    assert kubectl("create", "-f", "-", stdin=json.dumps({**pod, "spec": {"containers": [container]}})).returncode == 0
    body = '{"spec":{"containers":[{"name":"server","resources":{"requests":{"cpu":"0.8"},"limits":{"cpu":"800m"}}}]}}'
    plain = kubectl("patch", "pod", "web-1", "-n", "shop", "-p", body)
    assert "pod updates may not change" in plain.stderr
    done = kubectl("patch", "pod", "web-1", "-n", "shop", "--subresource", "resize", "-p", body)
    if "invalid subresource value" in done.stderr:
        pytest.skip("this kubectl knows no resize; 1.32 and later do")
    assert done.returncode == 0, done.stderr
    resources = shop.get("Pod", "web-1")["spec"]["containers"][0]["resources"]
    assert resources == {"requests": {"cpu": "800m"}, "limits": {"cpu": "800m"}}
    gone = '{"spec":{"containers":[{"name":"server","resources":null}]}}'
    other = kubectl("patch", "pod", "web-1", "-n", "shop", "--subresource", "resize", "-p", gone)
    assert "Pod QOS Class may not change" in other.stderr


def test_an_autoscaler_that_contradicts_itself_is_refused(shop: FakeCluster, kubectl: Kubectl) -> None:
    good = hpa([resource_metric("cpu", type="AverageValue", averageValue="0.35")])
    assert kubectl("apply", "-f", "-", stdin=json.dumps(good)).returncode == 0
    stored = shop.get("HorizontalPodAutoscaler", "frontend")["spec"]["metrics"][0]["resource"]["target"]
    assert stored["averageValue"] == "350m"
    good["spec"]["maxReplicas"] = 1
    assert (
        "must be greater than or equal to `minReplicas`" in kubectl("apply", "-f", "-", stdin=json.dumps(good)).stderr
    )


def test_rights_are_those_of_roles_and_their_bindings(shop: FakeCluster, kubectl: Kubectl) -> None:
    meta = {"name": "reader", "namespace": "shop"}
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": [rule]}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "mora"}],
    }
    for manifest in (role, binding):
        assert kubectl("apply", "-f", "-", stdin=json.dumps(manifest)).returncode == 0
    me = ("--as", "system:serviceaccount:shop:mora", "-n", "shop")
    assert kubectl("get", "deployments", *me).returncode == 0
    denied = kubectl("scale", "deployment/frontend", "--replicas", "5", *me)
    assert 'cannot patch resource "deployments/scale" in API group "apps"' in denied.stderr
    assert shop.get("Deployment", "frontend")["spec"]["replicas"] == 2
