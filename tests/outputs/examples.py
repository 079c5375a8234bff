"""Recommendations that the output tests print, made by the policy itself, and the manifests they are for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mora.domain import (
    Allocation,
    Autoscaler,
    Container,
    Demand,
    Load,
    Reason,
    Recommendation,
    Resources,
    Target,
    TargetDemand,
    Workload,
)
from mora.outputs.manifests import plain_resources
from mora.policies import recommend
from mora.quantities import MIB

AS_OF = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
LOAD = Load("checkout", 40)
PROXY = Container(
    "istio-proxy", Resources(cpu_request_millicores=100, memory_request_bytes=128 * MIB), "example/proxy:1"
)


def _needs(centre: float, bound: float, peak: float, confidence: float, **fields: Any) -> TargetDemand:
    return TargetDemand(centre, bound, peak, confidence, holds=18, **fields)


def _server(resources: Resources, name: str = "server") -> Container:
    return Container(name, resources, "example/shop:1.4", is_main=True)


def frontend() -> Recommendation:
    """Too much CPU, too little memory, one replica too many; a sidecar beside it."""
    chosen = Reason(
        "replicas-keep-slo", "40 users of checkout on 2: p95 214 ms, 0.12% errors; asked: p95 300 ms, 1.00%"
    )
    demand = Demand(
        workload=Workload("shop", "frontend"),
        load=LOAD,
        as_of=AS_OF,
        cpu=_needs(0.2113, 0.2404, 0.28, 0.941),
        memory=_needs(120 * MIB, 128.2 * MIB, 128 * MIB, 0.972),
        replicas=_needs(2, 2, 2, 0.913, reasons=(chosen,)),
        startup_cpu_cores=0.09,
        startup_memory_bytes=61.5 * MIB,
        oom_kills=2,
        oom_peak_bytes=128.0 * MIB,
    )
    now = Resources(500, 1000, 64 * MIB, 128 * MIB)
    return recommend(demand, Allocation(3, (_server(now), PROXY)))


def cart() -> Recommendation:
    """An HPA scales it on the utilisation of its CPU request: CPU and replicas are left alone."""
    demand = Demand(
        workload=Workload("shop", "cartservice"),
        load=LOAD,
        as_of=AS_OF,
        cpu=_needs(0.061, 0.07, 0.08, 0.9),
        memory=_needs(200 * MIB, 210 * MIB, 225 * MIB, 0.95),
        replicas=_needs(2, 2, 2, 0.9),
    )
    scaler = Autoscaler("cartservice", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=6)
    now = Resources(200, 300, 512 * MIB, 512 * MIB)
    return recommend(demand, Allocation(2, (_server(now),), scaler))


def payment() -> Recommendation:
    """Nothing is set and nothing is known about its memory; a StatefulSet of another namespace."""
    demand = Demand(
        workload=Workload("bank", "paymentservice", "StatefulSet"),
        load=None,
        as_of=AS_OF,
        cpu=_needs(0.004, 0.005, 0.006, 0.88),
        memory=None,
        replicas=None,
        reasons=(Reason("too-few-samples", "memory: 12 samples, 60 are needed"),),
    )
    return recommend(demand, Allocation(None, (_server(Resources(), "payment"),)))


def unknown() -> Recommendation:
    """Too little data for any number."""
    demand = Demand(
        workload=Workload("shop", "adservice"),
        load=None,
        as_of=AS_OF,
        cpu=None,
        memory=None,
        replicas=None,
        reasons=(Reason("too-few-samples", "12 samples, 60 are needed"),),
    )
    return recommend(demand, Allocation(1, (_server(Resources(100, None, 64 * MIB, None)),)))


def everything() -> list[Recommendation]:
    return [frontend(), cart(), payment(), unknown()]


def manifest(recommendation: Recommendation) -> dict[str, Any]:
    """The workload as a cluster would hold it before the advice: images, env, sidecars and what is set now."""
    workload, current = recommendation.workload, recommendation.current
    containers = [
        {
            "name": container.name,
            "image": container.image,
            "env": [{"name": "PORT", "value": "8080"}],
            **({"resources": plain_resources(container.resources)} if plain_resources(container.resources) else {}),
        }
        for container in current.containers
    ]
    spec: dict[str, Any] = {} if current.replicas is None else {"replicas": current.replicas}
    spec |= {
        "selector": {"matchLabels": {"app": workload.name}},
        "template": {"metadata": {"labels": {"app": workload.name}}, "spec": {"containers": containers}},
    }
    if workload.kind == "StatefulSet":
        spec["serviceName"] = workload.name
    return {
        "apiVersion": "apps/v1",
        "kind": workload.kind,
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": spec,
    }
