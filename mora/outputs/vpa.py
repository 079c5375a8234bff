"""A VerticalPodAutoscaler for each workload, in mode Off: it recommends, a person or a pipeline applies.

A VPA object cannot carry numbers as its target, so MOrA's stand as both bounds: the VPA's status then shows them as
its target, and its own opinion beside them as `uncappedTarget`. Where an HPA scales on a resource, the VPA leaves that
resource alone: both on one would chase each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mora.domain import Recommendation, Target
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.manifests import API_VERSION, documents, dump, header, nothing_to_write, one_line, quantity


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One object a workload, for `kubectl apply -f -`; NotEnoughData where none has a number."""
    parts: list[str] = []
    missing: dict[str, str] = {}
    for recommendation in recommendations:
        amounts = _amounts(recommendation)
        if not amounts:
            reasons = (*recommendation.cpu_request.reasons, *recommendation.memory_request.reasons)
            missing[recommendation.workload.name] = one_line(reasons)
            continue
        lines = header(recommendation)
        if recommendation.current.autoscaler is None and "cpu" in amounts:
            lines.append("# not together with `mora recommend -o hpa`: an HPA and a VPA must not share CPU")
        parts.append("\n".join(lines) + "\n" + dump(_object(recommendation, amounts)))
    if not parts:
        raise nothing_to_write("a VerticalPodAutoscaler", recommendations, missing)
    skipped = "".join(f"# {name}: no number, {why}\n" for name, why in missing.items())
    return skipped + documents(parts)


def _amounts(recommendation: Recommendation) -> dict[str, str]:
    """Resource -> quantity of the requests that are advised, without the one that an HPA scales on."""
    scaler = recommendation.current.autoscaler
    amounts: dict[str, str] = {}
    for resource, target, advice in (
        ("cpu", Target.CPU, recommendation.cpu_request),
        ("memory", Target.MEMORY, recommendation.memory_request),
    ):
        if advice.value is not None and (scaler is None or scaler.resource is not target):
            amounts[resource] = quantity(resource, advice.value)
    return amounts


def _object(recommendation: Recommendation, amounts: dict[str, str]) -> dict[str, Any]:
    workload = recommendation.workload
    policy = {
        "containerName": recommendation.container,
        "controlledResources": list(amounts),
        "controlledValues": "RequestsOnly",
        "minAllowed": amounts,
        "maxAllowed": amounts,
    }
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": {
            "targetRef": {"apiVersion": API_VERSION, "kind": workload.kind, "name": workload.name},
            "updatePolicy": {"updateMode": "Off"},
            "resourcePolicy": {"containerPolicies": [policy, {"containerName": "*", "mode": "Off"}]},
        },
    }
