"""A HorizontalPodAutoscaler for each workload that scales on use per pod (averageValue), not on a share of the request.

So requests can be changed without moving the replicas. In a pod with several containers only the one that was sized
counts (ContainerResource, Kubernetes 1.27 and later), since the number is of that container alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mora.domain import Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.manifests import API_VERSION, documents, dump, nothing_to_write, one_line
from mora.quantities import format_cpu

# KEDA writes HPAs of this prefix from its ScaledObjects and would overwrite ours.
_KEDA_PREFIX = "keda-hpa-"
_SCALE_DOWN_WINDOW_SECONDS = 300


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One object a workload, for `kubectl apply -f -`; NotEnoughData where none can be made."""
    parts: list[str] = []
    missing: dict[str, str] = {}
    for recommendation in recommendations:
        why_not = _why_not(recommendation)
        if why_not:
            missing[recommendation.workload.name] = why_not
            continue
        why = [reason for reason in recommendation.reasons if reason.code == "hpa-average-value"]
        comment = f"# {recommendation.workload.name}: {one_line(why)}\n" if why else ""
        scaler = recommendation.current.autoscaler
        if scaler is not None:
            comment += f"# it takes the place of what the HPA {scaler.name} scales on now, all its metrics\n"
        parts.append(comment + dump(_object(recommendation)))
    if not parts:
        raise nothing_to_write("a HorizontalPodAutoscaler", recommendations, missing)
    skipped = "".join(f"# {name}: {why}\n" for name, why in missing.items())
    return skipped + documents(parts)


def _why_not(recommendation: Recommendation) -> str | None:
    """Why there can be no HPA, or None where there can."""
    scaler = recommendation.current.autoscaler
    if recommendation.workload.kind == "DaemonSet":
        return "a DaemonSet runs one pod on every node"
    if scaler is not None and scaler.name.startswith(_KEDA_PREFIX):
        return f"its HPA {scaler.name} belongs to a KEDA ScaledObject; change that"
    if recommendation.hpa_average_value_millicores is None or recommendation.hpa_max_replicas is None:
        return f"no use per pod to scale on, {one_line(recommendation.cpu_request.reasons)}"
    return None


def _object(recommendation: Recommendation) -> dict[str, Any]:
    workload, scaler = recommendation.workload, recommendation.current.autoscaler
    target = {"type": "AverageValue", "averageValue": format_cpu(recommendation.hpa_average_value_millicores or 0)}
    if len(recommendation.current.containers) > 1:
        source = {"name": "cpu", "container": recommendation.container, "target": target}
        metric = {"type": "ContainerResource", "containerResource": source}
    else:
        metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": scaler.name if scaler else workload.name, "namespace": workload.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": API_VERSION, "kind": workload.kind, "name": workload.name},
            "minReplicas": recommendation.hpa_min_replicas or 1,
            "maxReplicas": recommendation.hpa_max_replicas,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": _SCALE_DOWN_WINDOW_SECONDS}},
        },
    }
