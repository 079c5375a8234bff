"""A VerticalPodAutoscaler for each workload, in mode Off: it recommends, a person or a pipeline applies.

A VPA object cannot carry numbers as its target, so MOrA's stand as both bounds: the VPA's status then shows them as
its target, and its own opinion beside them as `uncappedTarget`. An HPA and a VPA on one resource would chase each
other: CPU is left to `-o hpa` unless asked for, and what an HPA scales on already is left alone in any case.
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
        amounts = _amounts(recommendation, has_cpu=settings.vpa_cpu)
        if not amounts:
            missing[recommendation.workload.name] = _why_not(recommendation, has_cpu=settings.vpa_cpu)
            continue
        lines = header(recommendation)
        if "cpu" in amounts:
            lines.append("# not together with `mora recommend -o hpa`: an HPA and a VPA must not share CPU")
        elif recommendation.cpu_request.value is not None:
            lines.append("# memory alone: CPU is for `mora recommend -o hpa`; with --vpa-cpu the VPA takes both")
        parts.append("\n".join(lines) + "\n" + dump(_object(recommendation, amounts)))
    if not parts:
        raise nothing_to_write("a VerticalPodAutoscaler", recommendations, missing)
    skipped = "".join(f"# {name}: no number, {why}\n" for name, why in missing.items())
    return skipped + documents(parts)


def _why_not(recommendation: Recommendation, *, has_cpu: bool) -> str:
    if recommendation.cpu_request.value is not None and not has_cpu:
        why = one_line(recommendation.memory_request.reasons)
        return f"memory has none ({why}), and CPU is for `mora recommend -o hpa` unless --vpa-cpu is given"
    return one_line((*recommendation.cpu_request.reasons, *recommendation.memory_request.reasons))


def _amounts(recommendation: Recommendation, *, has_cpu: bool) -> dict[str, str]:
    """Resource -> quantity of the requests that are advised, without the one that an HPA scales on."""
    scaler = recommendation.current.autoscaler
    amounts: dict[str, str] = {}
    for resource, target, advice in (
        ("cpu", Target.CPU, recommendation.cpu_request),
        ("memory", Target.MEMORY, recommendation.memory_request),
    ):
        is_free = scaler is None or scaler.resource is not target
        if advice.value is not None and is_free and (has_cpu or target is not Target.CPU):
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
