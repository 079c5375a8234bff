"""A HorizontalPodAutoscaler for each workload that scales on use per pod (averageValue), not on a share of the request.

So requests can change without moving the replicas. In a pod with several containers only the main one counts
(ContainerResource, Kubernetes 1.27 and later), since the number is for that container.

Where a recommendation retargets an HPA (`--retarget-hpa`), it is printed with its new targets, still on utilisation.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from mora.domain import API_VERSIONS, KEDA_PREFIX, Autoscaler, Recommendation, Target, Workload
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import quantity
from mora.outputs.documents import dump
from mora.outputs.parts import Parts, checked
from mora.outputs.wording import cautions, comment, one_line, remark
from mora.quantities import format_cpu

SCALE_DOWN_WINDOW_SECONDS = 300
# Kinds whose replicas are a number to set.
_SCALABLE = ("Deployment", "StatefulSet", "Rollout")


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One object a workload, for `kubectl apply -f -`; NotEnoughData where none can be made."""
    return _parts(recommendations).stream()


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> object, for each workload that can have one."""
    return _parts(recommendations).files(".hpa.yaml")


def _parts(recommendations: Sequence[Recommendation]) -> Parts:
    texts: dict[Workload, str] = {}
    missing: dict[Workload, str] = {}
    for recommendation in recommendations:
        why_not = _why_not(recommendation)
        if why_not:
            missing[recommendation.workload] = why_not
        elif recommendation.retargets:
            texts[recommendation.workload] = _retargeted(recommendation)
        else:
            texts[recommendation.workload] = _on_average_value(recommendation)
    return checked(Parts(texts, missing), "a HorizontalPodAutoscaler", recommendations)


def _on_average_value(recommendation: Recommendation) -> str:
    why = [reason for reason in recommendation.reasons if reason.code == "hpa-average-value"]
    lines = [remark(f"{recommendation.workload.name}: {one_line(why)}")] if why else []
    lines += [line for reason in cautions(recommendation) for line in comment(f"caution: {reason.text}")]
    scaler = recommendation.current.autoscaler
    if scaler is not None:
        lines.append(remark(f"it replaces all metrics of the HPA {scaler.name}"))
    lines += way_back(recommendation)
    return "".join(f"{line}\n" for line in lines) + dump(_object(recommendation))


def way_back(recommendation: Recommendation) -> list[str]:
    """Comment lines: how to undo it."""
    workload, scaler = recommendation.workload, recommendation.current.autoscaler
    place = f"-n {workload.namespace}"
    if scaler is not None:
        kept = f"{scaler.name}.before.yaml"
        return [
            remark(f"before: kubectl get hpa {shlex.quote(scaler.name)} {place} -o yaml > {shlex.quote(kept)}"),
            remark(f"to roll back: kubectl replace --force -f {shlex.quote(kept)}"),
        ]
    lines = [remark(f"to roll back: kubectl delete hpa {workload.name} {place}")]
    if recommendation.current.replicas is not None:
        kind = "rollouts.argoproj.io" if workload.kind == "Rollout" else workload.kind.lower()
        scale = f"kubectl scale {kind} {workload.name} {place} --replicas={recommendation.current.replicas}"
        lines.append(remark(f"and then: {scale}"))
    return lines


def _retargeted(recommendation: Recommendation) -> str:
    """The HPA with its new targets, to apply together with the requests."""
    name = recommendation.retargets[0].name
    after = {_metric(scaler): scaler for scaler in recommendation.retargets}
    scalers = [after.get(_metric(s), s) for s in recommendation.autoscalers if s.name == name]
    scalers = scalers or list(recommendation.retargets)
    before = {_metric(s): s.target for s in recommendation.autoscalers}
    words = ", ".join(
        f"{s.resource}{f' of container {s.container}' if s.container else ''}"
        f"{f' from {before[_metric(s)]}%' if _metric(s) in before else ''} to {s.target}%"
        for s in recommendation.retargets
    )
    lines = comment(
        f"{recommendation.workload.name}: {words} of the request; apply it together with the requests, so that it "
        "scales at the same use per pod as before. Other metrics of this HPA than CPU and memory are not known here: "
        "add them, or use -o commands, which changes only the targets"
    )
    metrics = [_metric_of(s) for s in scalers]
    low, high = scalers[0].min_replicas, scalers[0].max_replicas
    return "\n".join(lines) + "\n" + dump(_hpa(recommendation.workload, name, low, high, metrics))


def _metric(scaler: Autoscaler) -> tuple[str, Target, str | None]:
    return scaler.name, scaler.resource, scaler.container


def _metric_of(scaler: Autoscaler) -> dict[str, Any]:
    """The metric that an HPA scales on, in autoscaling/v2."""
    resource = str(scaler.resource)
    if scaler.is_utilisation:
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": scaler.target}
    else:
        target = {"type": "AverageValue", "averageValue": quantity(resource, scaler.target)}
    if scaler.container is None:
        return {"type": "Resource", "resource": {"name": resource, "target": target}}
    source = {"name": resource, "container": scaler.container, "target": target}
    return {"type": "ContainerResource", "containerResource": source}


def why_not_scaled(kind: str, what: str) -> str | None:
    """Why pods of a kind are not added and taken away by an autoscaler; None where they are. what: an HPA."""
    if kind == "DaemonSet":
        return "a DaemonSet runs one pod on every node"
    if kind not in API_VERSIONS:
        return f"MOrA writes no {what} for a {kind}"
    if kind not in _SCALABLE:
        return f"a {kind} runs as many pods as its work needs"
    return None


def _why_not(recommendation: Recommendation) -> str | None:
    """Why there can be no HPA, or None where there can."""
    scaler = recommendation.current.autoscaler
    not_scaled = why_not_scaled(recommendation.workload.kind, "HPA")
    if not_scaled is not None:
        return not_scaled
    if scaler is not None and scaler.name.startswith(KEDA_PREFIX):
        return f"its HPA {scaler.name} belongs to a KEDA ScaledObject: change the ScaledObject"
    scalers = (*recommendation.autoscalers, *([] if scaler is None else [scaler]))
    other = next((one for one in scalers if one.resource is Target.REPLICAS), None)
    if other is not None:
        return (
            f"its HPA {other.name} scales on another metric than CPU and memory (a queue, requests per second): it "
            "would be replaced. Add averageValue to that HPA yourself"
        )
    if any(reason.code == "autoscalers-unknown" for reason in recommendation.reasons):
        return "whether an HPA scales it already is not known: HPAs cannot be read"
    taken = next((reason.text for reason in recommendation.reasons if reason.code == "hpa-name-taken"), None)
    if taken is not None and scaler is None:
        return taken
    if recommendation.retargets:
        return None
    if recommendation.hpa_average_value_millicores is None or recommendation.hpa_max_replicas is None:
        return f"no use per pod to scale on: {one_line(recommendation.main.cpu_request.reasons)}"
    return None


def _object(recommendation: Recommendation) -> dict[str, Any]:
    workload, scaler = recommendation.workload, recommendation.current.autoscaler
    target = {"type": "AverageValue", "averageValue": format_cpu(recommendation.hpa_average_value_millicores or 0)}
    by_history = None if recommendation.scaling is None else recommendation.scaling.by_hpa
    # From history, the whole pod's CPU was looked at; else the number is for the main container.
    if by_history is None and len(recommendation.current.containers) > 1:
        source = {"name": "cpu", "container": recommendation.main.container, "target": target}
        metric: dict[str, Any] = {"type": "ContainerResource", "containerResource": source}
    else:
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    name = scaler.name if scaler else workload.name
    low, high = recommendation.hpa_min_replicas or 1, recommendation.hpa_max_replicas or 1
    hpa = _hpa(workload, name, low, high, [metric])
    seconds = SCALE_DOWN_WINDOW_SECONDS if by_history is None else round(by_history.stabilisation.total_seconds())
    hpa["spec"]["behavior"] = {"scaleDown": {"stabilizationWindowSeconds": seconds}}
    return hpa


def _hpa(workload: Workload, name: str, low: int, high: int, metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": workload.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": list(metrics),
        },
    }
