"""Checks before a run changes a cluster: context, rights, targets, autoscalers, quota.

Nothing is changed: it reads objects, and asks which rights there are (SelfSubjectAccessReview).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mora.clusters import kinds
from mora.clusters.connection import Forbidden, NotFound
from mora.clusters.kubernetes import KubernetesCluster
from mora.clusters.objects import (
    Manifest,
    named,
    read_defaults,
    read_resources,
    rollout_report,
    staying,
)
from mora.clusters.rights import Right, is_allowed
from mora.clusters.scalers import read_vertical
from mora.clusters.shapes import Shape, Unreadable
from mora.domain import Resources, Workload
from mora.errors import MoraError
from mora.quantities import parse_quantity

_PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
# A quota's names -> what one pod adds to it; "pods" is one a pod.
_QUOTA_FIELDS = {
    "requests.cpu": ("cpu_request_millicores", Decimal(1000)),
    "cpu": ("cpu_request_millicores", Decimal(1000)),
    "limits.cpu": ("cpu_limit_millicores", Decimal(1000)),
    "requests.memory": ("memory_request_bytes", Decimal(1)),
    "memory": ("memory_request_bytes", Decimal(1)),
    "limits.memory": ("memory_limit_bytes", Decimal(1)),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. is_ok False keeps a run from starting; remedy: what to do then."""

    words: str
    is_ok: bool = True
    remedy: str = ""

    def __str__(self) -> str:
        return f"{'ok' if self.is_ok else 'NO'}  {self.words}" + (f"\n    {self.remedy}" if self.remedy else "")


def examine(
    cluster: KubernetesCluster, *, targets: Sequence[Workload], measured: Sequence[Workload], most_replicas: int
) -> list[Finding]:
    """What would stop or spoil a run that scales `targets` to at most `most_replicas` and restarts all `measured`."""
    namespaces = ", ".join(sorted({workload.namespace for workload in measured}))
    context = str(cluster.context)
    findings = [Finding(f"{context[0].upper()}{context[1:]}, namespace {namespaces}")]
    missing = list(_missing_rights(cluster, targets, measured))
    findings += [_refused(*one) for one in missing] or [
        Finding("you are allowed to read, restart and scale what the run touches")
    ]
    if any(_is_reading(right) for _, right, _ in missing):
        return findings
    findings += [finding for workload in measured for finding in _current_state(cluster, workload, workload in targets)]
    for namespace in sorted({workload.namespace for workload in targets}):
        own = [workload for workload in targets if workload.namespace == namespace]
        findings += _quota(cluster, namespace, own, most_replicas)
    return findings


# --- rights ----------------------------------------------------------------------------------------------------------


def _missing_rights(
    cluster: KubernetesCluster, targets: Sequence[Workload], measured: Sequence[Workload]
) -> Iterator[tuple[str, Right, list[str]]]:
    """Namespace, right and the workloads that lack it; nothing where nothing is missing."""
    asked: dict[tuple[str, Right], set[str]] = {}
    for workload in measured:
        plural = _PLURALS[workload.kind]
        wanted = [Right("get", plural, "apps"), Right("patch", plural, "apps")]
        wanted += [Right("list", "pods"), Right("list", "horizontalpodautoscalers", "autoscaling")]
        if workload in targets and workload.kind != "DaemonSet":
            wanted.append(Right("patch", f"{plural}/scale", "apps"))
        for right in wanted:
            asked.setdefault((workload.namespace, right), set()).add(workload.name)
    for (namespace, right), names in asked.items():
        if is_allowed(cluster.api, right, namespace):
            continue
        # A Role may be for objects of certain names.
        denied = [
            name
            for name in sorted(names)
            if right.verb == "list" or not is_allowed(cluster.api, right, namespace, name)
        ]
        if denied:
            yield namespace, right, denied


def _is_reading(right: Right) -> bool:
    return right.verb in ("get", "list")


def _refused(namespace: str, right: Right, names: Sequence[str]) -> Finding:
    of = "" if right.verb == "list" else f" {', '.join(names)}"
    from_folder = (
        f" {right.folder} contains it: kubectl kustomize {right.folder} | kubectl apply -n {namespace} -f -"
        if right.folder is not None
        else ""
    )
    return Finding(
        f"you are not allowed to {right}{of} in namespace {namespace}",
        is_ok=False,
        remedy=f"A Role with this rule allows it: {right.rule}.{from_folder}",
    )


# --- targets ---------------------------------------------------------------------------------------------------------


def _current_state(cluster: KubernetesCluster, workload: Workload, is_target: bool) -> Iterator[Finding]:
    """Whether a workload exists, is ready, and (a target) may be scaled."""
    try:
        report = rollout_report(cluster.manifest(workload), workload)
    except MoraError as error:
        yield Finding(error.message.rstrip("."), is_ok=False, remedy=error.hint or "")
        return
    if report is not None:
        yield Finding(
            f"{named(workload)} is not ready: {report}",
            is_ok=False,
            remedy=f"See: kubectl rollout status {workload.kind.lower()}/{workload.name} -n {workload.namespace}",
        )
        return
    if not is_target:
        yield Finding(f"{workload.kind} {workload.name} is ready; it is restarted and measured, not scaled")
        return
    if workload.kind == "DaemonSet":
        yield Finding(
            f"{named(workload)} runs one pod a node and cannot be scaled",
            is_ok=False,
            remedy="Leave it out of the plan's targets.",
        )
        return
    yield from _vpas(cluster, workload)
    autoscaler = cluster.autoscaler(workload)
    if autoscaler is not None:
        yield Finding(
            f"{named(workload)} is scaled by the HPA {autoscaler.name}, which would overwrite the plan's replicas",
            is_ok=False,
            remedy=f"Remove it for the run (kubectl delete hpa {autoscaler.name} -n {workload.namespace}; KEDA: "
            "annotate the ScaledObject with autoscaling.keda.sh/paused-replicas), or leave the workload out.",
        )
        return
    yield Finding(f"{workload.kind} {workload.name} is ready, and no autoscaler scales it")


def _vpas(cluster: KubernetesCluster, workload: Workload) -> Iterator[Finding]:
    """The VPAs that would change the requests of a workload's pods while it is measured."""
    path = f"/apis/autoscaling.k8s.io/v1/namespaces/{workload.namespace}/verticalpodautoscalers"
    try:
        found = list(cluster.api.pages(path, shape=kinds.VPA, odd=_refuse))
    except NotFound:
        return  # this cluster has no VPAs
    except (Forbidden, Unreadable) as error:
        yield Finding(f"whether a VPA changes it is not known: {error.message.rstrip('.')}", remedy=error.hint or "")
        return
    for vpa in found:
        target, one = (vpa.get("spec") or {}).get("targetRef") or {}, read_vertical(vpa)
        if (target.get("kind"), target.get("name")) == (workload.kind, workload.name) and one.mode != "Off":
            patch = '{"spec":{"updatePolicy":{"updateMode":"Off"}}}'
            yield Finding(
                f"the requests of {named(workload)} are set by the VPA {one.name} (mode {one.mode}), which would "
                "change its pods during the run",
                is_ok=False,
                remedy=f"Switch it off for the run (kubectl patch vpa {one.name} -n {workload.namespace} --type merge "
                f"-p '{patch}'), or leave the workload out.",
            )


# --- quota -----------------------------------------------------------------------------------------------------------


def _quota(
    cluster: KubernetesCluster, namespace: str, targets: Sequence[Workload], most_replicas: int
) -> Iterator[Finding]:
    """Whether the namespace's quotas have room for the plan's most replicas, with a restart's extra pods."""
    try:
        quotas = list(_bounds(cluster, namespace, "resourcequotas", kinds.QUOTA))
        limits = list(_bounds(cluster, namespace, "limitranges", kinds.LIMIT_RANGE))
    except (Forbidden, Unreadable) as error:
        yield Finding(f"the quota is not checked: {error.message.rstrip('.')}", remedy=error.hint or "")
        return
    if not quotas:
        yield Finding(f"namespace {namespace} has no quota")
        return
    manifests = []
    for workload in targets:
        try:
            manifests.append(cluster.manifest(workload))
        except MoraError:
            return  # reported already
    needed = _needed(manifests, limits, most_replicas)
    for quota in quotas:
        yield from _headroom(quota, needed, most_replicas)


def _bounds(cluster: KubernetesCluster, namespace: str, plural: str, shape: Shape) -> Iterator[Manifest]:
    return cluster.api.pages(f"/api/v1/namespaces/{namespace}/{plural}", shape=shape, odd=_refuse)


def _refuse(error: Unreadable) -> None:
    raise error


def _needed(manifests: Sequence[Manifest], limits: Sequence[Manifest], most_replicas: int) -> dict[str, Decimal]:
    """Quota name -> the most that the run adds, in cores, bytes and pods."""
    defaults = read_defaults(limits)
    total: dict[str, Decimal] = dict.fromkeys([*_QUOTA_FIELDS, "pods"], Decimal(0))
    for manifest in manifests:
        spec = manifest["spec"]
        now = int(spec.get("replicas", 1))
        extra = max(most_replicas + _surge(manifest, most_replicas) - now, 0)
        total["pods"] += extra
        pod = [_with_defaults(read_resources(one), defaults) for one in staying(spec["template"]["spec"])]
        for name, (field, scale) in _QUOTA_FIELDS.items():
            total[name] += extra * sum(Decimal(getattr(one, field) or 0) for one in pod) / scale
    return total


def _with_defaults(own: Resources, defaults: Resources) -> Resources:
    def filled(name: str, limit: str | None = None) -> int | None:
        values = (getattr(own, name), getattr(own, limit) if limit else None, getattr(defaults, name))
        found: int | None = next((value for value in values if value is not None), None)
        return found

    return Resources(
        filled("cpu_request_millicores", "cpu_limit_millicores"),
        filled("cpu_limit_millicores"),
        filled("memory_request_bytes", "memory_limit_bytes"),
        filled("memory_limit_bytes"),
    )


def _surge(manifest: Mapping[str, Any], replicas: int) -> int:
    """Pods beyond the replicas while a Deployment is restarted: maxSurge, 25 % rounded up by default."""
    if manifest["kind"] != "Deployment":
        return 0
    strategy = manifest["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    surge = (strategy.get("rollingUpdate") or {}).get("maxSurge", "25%")
    return math.ceil(replicas * int(str(surge)[:-1]) / 100) if str(surge).endswith("%") else int(surge)


def _headroom(quota: Manifest, needed: Mapping[str, Decimal], most_replicas: int) -> Iterator[Finding]:
    status = quota.get("status") or {}
    hard, used = status.get("hard") or quota["spec"].get("hard") or {}, status.get("used") or {}
    name, short = quota["metadata"]["name"], []
    for what, amount in needed.items():
        if what not in hard:
            continue
        left = parse_quantity(str(hard[what])) - parse_quantity(str(used.get(what, "0")))
        if amount > left:
            short.append(f"{what}: {_written(what, amount)} more needed, {_written(what, max(left, Decimal(0)))} left")
    if short:
        yield Finding(
            f"quota {name} has no room for {most_replicas} replicas of every target: {'; '.join(short)}",
            is_ok=False,
            remedy="Raise it for the run, or use a plan with fewer replicas.",
        )
    else:
        yield Finding(f"quota {name} has room for {most_replicas} replicas of every target")


def _written(what: str, amount: Decimal) -> str:
    if what == "pods":
        return f"{amount:.0f}"
    return f"{amount / 2**20:.0f}Mi" if "memory" in what else f"{amount * 1000:.0f}m"
