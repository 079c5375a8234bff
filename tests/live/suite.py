"""What a Kubernetes API server has to make of MOrA's outputs, manifests and requests; each check has its namespace.

They run against whatever $KUBECONFIG points at (test_cluster.py), and against the strict fake (tests/clusters).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mora.clusters.conflicts import ChangedMeanwhile
from mora.clusters.connection import NotFound
from mora.clusters.inventory import KubernetesInventory
from mora.clusters.objects import read_containers, read_resources
from mora.clusters.pods import FIRST_VERSION, LOWERS_MEMORY, KubernetesPods
from mora.clusters.preflight import examine
from mora.clusters.rights import Right, is_allowed
from mora.domain import Allocation, Autoscaler, Quota, Resources, Target, Workload
from mora.domain.pods import RunningContainer, RunningPod
from mora.outputs.folder import write
from mora.quantities import GIB, MIB, parse_cpu, parse_memory
from tests.live.stage import ROOT, Stage, rendered, staged, state, wanted, with_vpas
from tests.outputs import examples

Check = Callable[[Stage, Path], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


@check
def a_patch_sets_exactly_the_numbers_and_leaves_the_rest(stage: Stage, folder: Path) -> None:
    advice, mesh, nightly = stage.deploy(examples.frontend(), examples.meshed(), examples.nightly())
    before = {one.workload: stage.get(one.workload.kind, one.workload.name) for one in (advice, mesh, nightly)}
    for one in (advice, mesh, nightly):
        file = folder / f"{one.workload.name}.yaml"
        file.write_text(rendered("patch", [one]), encoding="utf-8")
        patch = ("patch", one.workload.kind.lower(), one.workload.name, "--patch-file", str(file))
        stage.kubectl(*patch, "--dry-run=server")
        assert stage.resources(one.workload) == state(one), "a dry run changed something"
        stage.kubectl(*patch)
        assert stage.resources(one.workload) == wanted(one)
        after = stage.get(one.workload.kind, one.workload.name)
        assert _bare(after) == _bare(before[one.workload]), "more than resources and replicas was changed"


def _bare(manifest: dict[str, Any]) -> Any:
    """A workload's spec without what advice changes."""
    spec = dict(manifest["spec"])
    spec.pop("replicas", None)
    holder = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    pod = holder["template"]["spec"]
    for key in ("containers", "initContainers"):
        for container in pod.get(key) or []:
            container.pop("resources", None)
    return spec


@check
def commands_rehearse_apply_and_roll_back(stage: Stage, folder: Path) -> None:
    found = stage.deploy(examples.frontend(), examples.meshed())
    script = rendered("commands", found)
    rehearsal, rest = re.split(r"(?m)^# 2\. .*$", script)
    forward, back = re.split(r"(?m)^# 3\. .*$", rest)
    stage.shell(rehearsal)
    assert [stage.resources(one.workload) for one in found] == [state(one) for one in found]
    stage.shell(f"set -e\n{forward}")
    assert [stage.resources(one.workload) for one in found] == [wanted(one) for one in found]
    assert stage.get("deployment", "frontend")["spec"]["replicas"] == found[0].replicas.value
    stage.shell("set -e\n" + "\n".join(re.findall(r"(?m)^# (kubectl .*)$", back)))
    assert [stage.resources(one.workload) for one in found] == [state(one) for one in found]
    assert stage.get("deployment", "frontend")["spec"]["replicas"] == found[0].current.replicas


@check
def a_kustomize_overlay_is_applied_over_its_base(stage: Stage, folder: Path) -> None:
    found = stage.deploy(examples.frontend(), examples.meshed())
    base = folder / "base"
    base.mkdir()
    (base / "workloads.yaml").write_text(yaml.safe_dump_all(examples.manifest(one) for one in found), encoding="utf-8")
    (base / "kustomization.yaml").write_text("resources: [workloads.yaml]\n", encoding="utf-8")
    write("kustomize", found, folder / "overlay")
    stage.kubectl("apply", "-k", str(folder / "overlay"), "--dry-run=server")
    assert [stage.resources(one.workload) for one in found] == [state(one) for one in found]
    stage.kubectl("apply", "-k", str(folder / "overlay"))
    assert [stage.resources(one.workload) for one in found] == [wanted(one) for one in found]


@check
def an_autoscaler_is_taken_with_its_exact_target(stage: Stage, folder: Path) -> None:
    (advice,) = stage.deploy(examples.frontend())
    text = rendered("hpa", [advice])
    stage.kubectl("apply", "-f", "-", "--dry-run=server", stdin=text)
    stage.kubectl("get", "hpa", "frontend", fails=True)
    stage.kubectl("apply", "-f", "-", stdin=text)
    spec = stage.get("hpa", "frontend")["spec"]
    (metric,) = spec["metrics"]
    target = (metric.get("containerResource") or metric["resource"])["target"]
    assert parse_cpu(target["averageValue"]) == advice.hpa_average_value_millicores
    assert (spec["minReplicas"], spec["maxReplicas"]) == (advice.hpa_min_replicas, advice.hpa_max_replicas)
    assert spec["scaleTargetRef"]["name"] == "frontend"


@check
def a_vpa_is_taken_with_its_exact_bounds(stage: Stage, folder: Path) -> None:
    (advice,) = stage.deploy(examples.frontend())
    text = rendered("vpa", [advice])
    with with_vpas(stage):
        stage.kubectl("apply", "-f", "-", "--dry-run=server", stdin=text)
        stage.kubectl("apply", "-f", "-", stdin=text)
        spec = stage.get("verticalpodautoscaler", "frontend")["spec"]
        server = next(one for one in spec["resourcePolicy"]["containerPolicies"] if one["containerName"] == "server")
        assert spec["updatePolicy"]["updateMode"] == "Off"
        assert parse_memory(server["minAllowed"]["memory"]) == advice.main.memory_request.value
        wrong = text.replace("minAllowed", "minimumAllowed")
        assert "minimumAllowed" in stage.kubectl("apply", "-f", "-", stdin=wrong, fails=True).stderr


@check
def a_pod_is_resized_in_place(stage: Stage, folder: Path) -> None:
    (advice,) = stage.deploy(examples.frontend())
    script = rendered("resize", [advice])
    kubectl, server = stage.versions()
    if kubectl < (1, 32) or server < LOWERS_MEMORY:
        pytest.skip(f"lowering memory in place needs kubectl 1.32 and Kubernetes 1.35, here are {kubectl} and {server}")
    patch = re.findall(r"(?m)^resize \S+ Deployment frontend '(.*)'$", script)[0]
    template = examples.manifest(advice)["spec"]["template"]["spec"]
    # No node has this label, so the pod is never bound; without a controller manager there is no service account.
    spec = {**template, "nodeSelector": {"mora.dev/nowhere": "true"}, "automountServiceAccountToken": False}
    if "default" not in stage.kubectl("get", "serviceaccounts", "-o", "name").stdout:
        stage.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named("default", stage)})
    stage.apply({"apiVersion": "v1", "kind": "Pod", "metadata": _named("alone", stage), "spec": spec})
    resize = ("patch", "pod", "alone", "--subresource", "resize", "--type", "strategic", "-p", patch)
    stage.kubectl(*resize, "--dry-run=server")
    stage.kubectl(*resize)
    pod = stage.get("pod", "alone")
    now = {one["name"]: read_resources(one) for one in pod["spec"]["containers"]}
    target = wanted(advice)["server"]
    assert now["server"].cpu_request_millicores == target.cpu_request_millicores
    assert now["server"].memory_limit_bytes == target.memory_limit_bytes


@check
def a_pod_is_resized_by_the_client_of_mora_apply(stage: Stage, folder: Path) -> None:
    server = stage.versions()[1]
    if server < FIRST_VERSION:
        pytest.skip(f"the resize subresource needs Kubernetes 1.33, here is {server}")
    (advice,) = stage.deploy(examples.frontend())
    template = examples.manifest(advice)["spec"]["template"]["spec"]
    spec = {**template, "nodeSelector": {"mora.dev/nowhere": "true"}, "automountServiceAccountToken": False}
    if "default" not in stage.kubectl("get", "serviceaccounts", "-o", "name").stdout:
        stage.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named("default", stage)})
    stage.apply({"apiVersion": "v1", "kind": "Pod", "metadata": _named("alone", stage), "spec": spec})
    found = stage.get("pod", "alone")
    containers = tuple(RunningContainer(one) for one in read_containers(found["spec"], None))
    meta = found["metadata"]
    pod = RunningPod(advice.workload, "alone", meta["uid"], meta["resourceVersion"], containers)
    before = pod.resources["server"]
    more = replace(
        before,
        cpu_request_millicores=(before.cpu_request_millicores or 0) + 1,
        memory_limit_bytes=(before.memory_limit_bytes or 0) + MIB,
    )
    pods = KubernetesPods(stage.namespace, kubeconfig=stage.kubeconfig)
    assert pods.version() == server
    pods.resize(pod, {"server": more}, dry_run=True)
    assert _server(stage) == before, "a dry run changed something"
    pods.resize(pod, {"server": more})
    assert _server(stage) == more
    with pytest.raises(ChangedMeanwhile):
        pods.resize(pod, {"server": before})
    assert _server(stage) == more


def _server(stage: Stage) -> Resources:
    found = stage.get("pod", "alone")["spec"]["containers"]
    return read_resources(next(one for one in found if one["name"] == "server"))


def _named(name: str, stage: Stage, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": stage.namespace, **more}


@check
def what_no_longer_fits_is_refused_and_nothing_changes(stage: Stage, folder: Path) -> None:
    (advice,) = stage.deploy(examples.frontend())
    gone = rendered("patch", [advice]).replace("name: server", "name: renamed")
    said = stage.kubectl("patch", "deployment", "frontend", "-p", gone, fails=True).stderr
    assert "image: Required value" in said
    above = rendered("patch", [advice]).replace("cpu: null", "cpu: 1m")
    assert "must be less than or equal to cpu limit" in stage.kubectl(
        "patch", "deployment", "frontend", "-p", above, fails=True
    ).stderr.replace("request ", "")
    absent = Workload(stage.namespace, "vanished")
    with pytest.raises(NotFound, match="There is no Deployment 'vanished'"):
        stage.cluster().apply(absent, Allocation(replicas=2))
    assert stage.resources(advice.workload) == state(advice)


@check
def the_read_only_account_lists_and_cannot_patch_and_collects_account_scales(stage: Stage, folder: Path) -> None:
    stage.deploy(examples.frontend())
    me = ("--as", f"system:serviceaccount:{stage.namespace}:mora")
    scale = ("scale", "deployment/frontend", "--replicas", "1")
    stage.kubectl("get", "deployments", *me, fails=True)
    _apply_folder(stage, "base")
    for kind in ("deployments", "statefulsets", "pods", "horizontalpodautoscalers", "limitranges", "resourcequotas"):
        stage.eventually("get", kind, *me)
    denied = stage.kubectl("patch", "deployment", "frontend", "-p", '{"spec":{"replicas":1}}', *me, fails=True).stderr
    assert 'cannot patch resource "deployments"' in denied
    assert 'cannot patch resource "deployments/scale"' in stage.kubectl(*scale, *me, fails=True).stderr
    stage.kubectl("get", "secrets", *me, fails=True)
    _apply_folder(stage, "collect")
    stage.eventually(*scale, *me)
    stage.kubectl("delete", "deployment", "frontend", *me, fails=True)
    assert stage.get("deployment", "frontend")["spec"]["replicas"] == 1


def _apply_folder(stage: Stage, name: str) -> None:
    built = stage.kubectl("kustomize", str(ROOT / "manifests" / name), namespaced=False).stdout
    stage.kubectl("apply", "-f", "-", stdin=built)


@check
def the_inventory_reads_back_what_was_created(stage: Stage, folder: Path) -> None:
    found = stage.deploy(examples.meshed(), examples.nightly())
    hpa: dict[str, Any] = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _named("scaled", stage),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": found[0].workload.name},
            "minReplicas": 2,
            "maxReplicas": 9,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "200Mi"}},
                },
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 65}},
                },
            ],
        },
    }
    hard = {"requests.cpu": "100", "limits.memory": "200Gi"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _named("team", stage), "spec": {"hard": hard}}
    limits = [{"type": "Container", "max": {"cpu": "16", "memory": "64Gi"}}]
    bounds = {"apiVersion": "v1", "kind": "LimitRange", "metadata": _named("bounds", stage), "spec": {"limits": limits}}
    stage.apply(hpa, quota, bounds)
    states = {one.workload: one for one in KubernetesInventory(stage.kubeconfig).states(stage.namespace)}
    assert sorted(states) == sorted(one.workload for one in found)
    for one in found:
        there = states[one.workload].allocation
        assert [container.name for container in there.containers if not container.is_injected] == list(state(one))
        roles = {container.name: container.role for container in one.current.containers}
        assert all(
            container.role is roles[container.name] for container in there.containers if not container.is_injected
        )
    scaled = states[found[0].workload]
    assert scaled.autoscalers == (
        Autoscaler("scaled", Target.CPU, True, 65, 2, 9),
        Autoscaler("scaled", Target.MEMORY, False, 200 * MIB, 2, 9),
    )
    assert scaled.allocation.replicas == found[0].current.replicas
    assert scaled.limit_range is not None
    assert scaled.limit_range.maximum == Resources(16_000, 16_000, 64 * GIB, 64 * GIB)
    (read,) = scaled.quotas
    assert (read.name, read.hard) == (
        "team",
        Quota("team", Resources(100_000, None, None, 200 * GIB), Resources()).hard,
    )


@check
def the_cluster_scales_resizes_and_examines(stage: Stage, folder: Path) -> None:
    (advice,) = stage.deploy(examples.frontend())
    cluster = stage.cluster()
    assert cluster.services(stage.namespace) == ["frontend"]
    cluster.apply(advice.workload, advice.target)
    assert stage.resources(advice.workload) == wanted(advice)
    assert stage.get("deployment", "frontend")["spec"]["replicas"] == advice.replicas.value
    cluster.apply(advice.workload, advice.current)
    assert stage.resources(advice.workload) == state(advice)
    assert is_allowed(cluster.api, Right("patch", "deployments/scale", "apps"), stage.namespace)
    findings = examine(cluster, targets=[advice.workload], measured=[advice.workload], most_replicas=3)
    assert findings[0].is_ok
    assert stage.namespace in findings[0].words
    assert not any("you are not allowed" in finding.words for finding in findings)


def run(name: str, kubeconfig: str, folder: Path) -> None:
    """One check in a namespace of its own, which ends with it."""
    with staged(kubeconfig, folder) as stage:
        CHECKS[name](stage, folder)
