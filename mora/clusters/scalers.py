"""HPAs and VPAs as MOrA's values. Pure: an object as the API server writes it in, what it does to a workload out."""

from __future__ import annotations

from dataclasses import replace

from mora.clusters.objects import Manifest
from mora.domain import Autoscaler, Target, VerticalScaler
from mora.quantities import parse_cpu, parse_memory

# A target that is neither CPU nor memory (requests per second, a queue's length) has no amount here.
_NO_TARGET = 0


def read_autoscalers(hpa: Manifest) -> tuple[Autoscaler, ...]:
    """One for each resource that an HPA scales on, CPU first; last one with REPLICAS for all that is neither."""
    spec = hpa["spec"]
    base = Autoscaler(
        hpa["metadata"]["name"],
        Target.REPLICAS,
        is_utilisation=False,
        target=_NO_TARGET,
        min_replicas=int(spec.get("minReplicas", 1)),
        max_replicas=int(spec["maxReplicas"]),
    )
    read = [_resource_metric(base, metric) for metric in spec.get("metrics") or []]
    found = [one for one in read if one is not None]
    has_others = len(found) < len(read) or not found
    order = (Target.CPU, Target.MEMORY)
    return (*sorted(found, key=lambda one: order.index(one.resource)), *([base] if has_others else []))


def _resource_metric(base: Autoscaler, metric: Manifest) -> Autoscaler | None:
    """CPU or memory of the pods, or of one container; None for custom, object and external metrics."""
    on = metric.get("resource") or metric.get("containerResource")
    if on is None or on["name"] not in (Target.CPU.value, Target.MEMORY.value):
        return None
    resource, target = Target(on["name"]), on["target"]
    is_utilisation = target["type"] == "Utilization"
    parse = parse_cpu if resource is Target.CPU else parse_memory
    amount = target["averageUtilization"] if is_utilisation else parse(str(target["averageValue"]))
    return replace(
        base, resource=resource, is_utilisation=is_utilisation, target=int(amount), container=on.get("container")
    )


def read_vertical(vpa: Manifest) -> VerticalScaler:
    """A VPA as what it does to its pods; Auto where it names no mode, as in the VPA itself."""
    spec = vpa.get("spec") or {}
    recommenders = [one["name"] for one in spec.get("recommenders") or [] if one.get("name")]
    policies = (spec.get("resourcePolicy") or {}).get("containerPolicies") or []
    return VerticalScaler(
        vpa["metadata"]["name"],
        (spec.get("updatePolicy") or {}).get("updateMode") or "Auto",
        recommenders[0] if recommenders else None,
        tuple((one.get("containerName") or "*", _controlled(one)) for one in policies),
    )


def _controlled(policy: Manifest) -> frozenset[Target]:
    if policy.get("mode") == "Off":
        return frozenset()
    named_resources = policy.get("controlledResources")
    both = (Target.CPU, Target.MEMORY)
    return frozenset(one for one in both if named_resources is None or one.value in named_resources)
