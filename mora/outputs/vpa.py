"""A VerticalPodAutoscaler for each workload, in mode Off: it recommends and never applies.

A VPA object cannot carry numbers as its target, so both of its bounds are MOrA's number: the VPA's status then shows it
as the target, and its own estimate beside it as `uncappedTarget`. An HPA and a VPA on one resource conflict: CPU is for
`-o hpa` unless asked for, and a resource that an HPA scales on is never included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mora.domain import API_VERSIONS, ContainerAdvice, Recommendation, Role, Target, Workload
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import in_template, quantity
from mora.outputs.documents import dump
from mora.outputs.parts import Parts, checked
from mora.outputs.wording import comment, header, one_line

# Containers that a VPA sizes; it never sees init containers running.
_SIZED = (Role.APP, Role.SIDECAR)


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One object a workload, for `kubectl apply -f -`; NotEnoughData where none has a number."""
    return _parts(recommendations, settings).stream()


def files(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> dict[str, str]:
    """File name -> object, for each workload that has a number."""
    return _parts(recommendations, settings).files(".vpa.yaml")


def _parts(recommendations: Sequence[Recommendation], settings: OutputSettings) -> Parts:
    texts: dict[Workload, str] = {}
    missing: dict[Workload, str] = {}
    for recommendation in recommendations:
        if recommendation.workload.kind not in API_VERSIONS:
            missing[recommendation.workload] = f"MOrA writes no VPA for a {recommendation.workload.kind}"
            continue
        taken = _taken(recommendation)
        if taken is not None:
            missing[recommendation.workload] = taken
            continue
        amounts = _amounts(recommendation, has_cpu=settings.vpa_cpu)
        if not amounts:
            missing[recommendation.workload] = "no number: " + _why_not(recommendation, has_cpu=settings.vpa_cpu)
            continue
        lines = header(recommendation)
        if any("cpu" in of_container for of_container in amounts.values()):
            lines.append("# do not combine it with `mora recommend -o hpa`: an HPA and a VPA must not share CPU")
        elif recommendation.main.cpu_request.value is not None:
            lines.append("# memory only: CPU is for `mora recommend -o hpa`; with --vpa-cpu the VPA takes both")
        for container in recommendation.containers:
            if container.role not in _SIZED:
                lines += comment(f"container {container.container} is an init container: a VPA does not size it")
        texts[recommendation.workload] = "\n".join(lines) + "\n" + dump(_object(recommendation, amounts))
    return checked(Parts(texts, missing), "a VerticalPodAutoscaler", recommendations)


def _taken(recommendation: Recommendation) -> str | None:
    """Why there must not be another VPA; None where there is none yet, or one like this, in mode Off."""
    if any(reason.code == "vpas-unknown" for reason in recommendation.reasons):
        return "whether a VPA targets it already is not known: VPAs cannot be read"
    taken = next((reason.text for reason in recommendation.reasons if reason.code == "vpa-name-taken"), None)
    if taken is not None:
        return taken
    for vpa in recommendation.vpas:
        if vpa.mode != "Off":
            return f"the VPA {vpa.name} (mode {vpa.mode}) sets its requests: a second one would conflict with it"
        if vpa.recommender is not None:
            return f"the VPA {vpa.name} targets it already, with numbers of the recommender {vpa.recommender}"
        if vpa.name != recommendation.workload.name:
            return f"the VPA {vpa.name} targets it already: a second one would conflict with it"
    return None


def _why_not(recommendation: Recommendation, *, has_cpu: bool) -> str:
    memory, cpu = recommendation.main.memory_request, recommendation.main.cpu_request
    scaled = _scaled(recommendation)
    if Target.MEMORY in scaled and memory.value is not None:
        return f"an HPA scales on {' and '.join(sorted(scaled))}: a VPA on the same resource would conflict with it"
    if cpu.value is not None and not has_cpu:
        why = one_line(memory.reasons)
        return f"no recommendation for memory ({why}), and CPU is for `mora recommend -o hpa` unless --vpa-cpu is given"
    return one_line((*cpu.reasons, *memory.reasons))


def _scaled(recommendation: Recommendation) -> set[Target]:
    """What an HPA scales on."""
    scalers = (recommendation.current.autoscaler, *recommendation.autoscalers)
    return {scaler.resource for scaler in scalers if scaler is not None}


def _amounts(recommendation: Recommendation, *, has_cpu: bool) -> dict[str, dict[str, str]]:
    """Container -> resource -> quantity of the recommended requests, without those that an HPA scales on."""
    scaled = _scaled(recommendation)
    wanted = [target for target in (Target.CPU, Target.MEMORY) if has_cpu or target is not Target.CPU]
    free = [target for target in wanted if target not in scaled]
    amounts: dict[str, dict[str, str]] = {}
    for container in in_template(recommendation):
        if container.role in _SIZED and (of_container := _requests(container, free)):
            amounts[container.container] = of_container
    return amounts


def _requests(container: ContainerAdvice, targets: Sequence[Target]) -> dict[str, str]:
    advice = {Target.CPU: container.cpu_request, Target.MEMORY: container.memory_request}
    values = {str(target): advice[target].value for target in targets}
    return {resource: quantity(resource, value) for resource, value in values.items() if value is not None}


def _object(recommendation: Recommendation, amounts: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    workload = recommendation.workload
    policies: list[dict[str, Any]] = [
        {
            "containerName": name,
            "controlledResources": list(of_container),
            "controlledValues": "RequestsOnly",
            "minAllowed": of_container,
            "maxAllowed": of_container,
        }
        for name, of_container in amounts.items()
    ]
    return {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": {
            "targetRef": {"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name},
            "updatePolicy": {"updateMode": "Off"},
            "resourcePolicy": {"containerPolicies": [*policies, {"containerName": "*", "mode": "Off"}]},
        },
    }
