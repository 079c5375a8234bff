"""Recommendations that the output tests print, made by the policy itself, and the manifests they are for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mora.domain import (
    AbnormalTime,
    Advice,
    Allocation,
    Autoscaler,
    Container,
    ContainerAdvice,
    Demand,
    Evidence,
    Load,
    Reason,
    Recommendation,
    Resources,
    Role,
    Target,
    TargetDemand,
    Workload,
)
from mora.outputs.changes import list_name, plain_resources
from mora.outputs.patches import template_path
from mora.policies import recommend
from mora.quantities import MIB

AS_OF = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
LOAD = Load("checkout", 40)
PROXY = Container(
    "istio-proxy", Resources(cpu_request_millicores=100, memory_request_bytes=128 * MIB), "example/proxy:1"
)


def _needs(point_forecast: float, bound: float, peak: float, confidence: float, **fields: Any) -> TargetDemand:
    return TargetDemand(point_forecast, bound, peak, confidence, windows=18, **fields)


def _server(resources: Resources, name: str = "server") -> Container:
    return Container(name, resources, "example/shop:1.4", is_main=True)


def frontend() -> Recommendation:
    """Too much CPU, too little memory, one replica too many; a sidecar beside it."""
    chosen = Reason(
        "replicas-keep-slo", "40 users of checkout on 2 replicas: p95 214 ms, 0.12% errors; SLO: p95 300 ms, 1.00%"
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
    """An HPA scales it on the utilisation of its CPU request: CPU and replicas stay unchanged."""
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


def _number(now: int | None, value: int | None, text: str, **fields: Any) -> Advice:
    confidence = None if value is None or fields.get("is_unset") else 0.9
    return Advice(now, value, confidence, windows=0 if value is None else 30, reasons=(Reason("p95", text),), **fields)


def other(name: str, role: Role, now: Resources, then: Resources, **fields: Any) -> ContainerAdvice:
    """Advice on a container beside the main one, with made-up reasons; None in `then` is "not set"."""
    is_unset = then.cpu_limit_millicores is None
    return ContainerAdvice(
        name,
        _number(now.cpu_request_millicores, then.cpu_request_millicores, "p95 of 14 days x 1.15"),
        _number(now.cpu_limit_millicores, then.cpu_limit_millicores, "no CPU limit", is_unset=is_unset),
        _number(now.memory_request_bytes, then.memory_request_bytes, "peak of 14 days x 1.15"),
        _number(now.memory_limit_bytes, then.memory_limit_bytes, "equal to the request"),
        role=role,
        **fields,
    )


def with_main(recommendation: Recommendation, **fields: Any) -> Recommendation:
    """The same recommendation with other advice on its main container."""
    main = replace(recommendation.main, **fields)
    return replace(recommendation, containers=(main, *recommendation.others))


def with_others(recommendation: Recommendation, *others: ContainerAdvice) -> Recommendation:
    """The same recommendation with these containers beside the main one."""
    return replace(recommendation, containers=(recommendation.main, *others))


EVIDENCE = Evidence(
    start=AS_OF - timedelta(days=9),
    end=AS_OF,
    step=timedelta(seconds=30),
    samples=25_500,
    expected=40_321,
    pods=7,
    cpu_level_cores=0.081,
    cpu_peak_cores=0.21,
    cpu_peak_at=AS_OF - timedelta(days=2, hours=3),
    cpu_peak_pod="web-7c9f-x2lq4",
    mem_peak_bytes=187.5 * MIB,
    mem_peak_at=AS_OF - timedelta(hours=30),
    mem_peak_pod="web-7c9f-b81kd",
    throttled_ratio=0.031,
    oom_kills=1,
    restarts=2,
    left_out=("2026-11-14 00:00 to 06:00 UTC: --exclude",),
    abnormal=(
        AbnormalTime(AS_OF - timedelta(days=4, hours=2), AS_OF - timedelta(days=4), "CPU"),
        AbnormalTime(AS_OF - timedelta(days=1), AS_OF - timedelta(days=1), "memory"),
    ),
    queries={"cpu": 'max by (container) (rate(container_cpu_usage_seconds_total{namespace="shop"}[2m]))'},
)


def _sized(workload: Workload, allocation: Allocation, cpu: float, memory_mib: float) -> Recommendation:
    demand = Demand(
        workload=workload,
        load=None,
        as_of=AS_OF,
        cpu=_needs(cpu / 1.2, cpu, cpu, 0.92),
        memory=_needs(memory_mib * MIB / 1.15, memory_mib * MIB, memory_mib * MIB, 0.96),
        replicas=None,
        reasons=(Reason("no-load", "no load experiments, so replicas stay unchanged"),),
    )
    return replace(recommend(demand, allocation), basis="history")


def meshed() -> Recommendation:
    """A pod of five: the app, a cache, a native sidecar, an init container, and a proxy that was injected."""
    now = {
        "web": Resources(400, 800, 512 * MIB, 512 * MIB),
        "cache": Resources(100, 200, 128 * MIB, 256 * MIB),
        "logs": Resources(50, None, 64 * MIB, None),
        "migrate": Resources(),
        "istio-proxy": Resources(100, 2000, 128 * MIB, 1024 * MIB),
    }
    then = {
        "cache": Resources(60, None, 160 * MIB, 160 * MIB),
        "logs": Resources(20, None, 48 * MIB, 48 * MIB),
        "migrate": Resources(200, None, 96 * MIB, 96 * MIB),
        "istio-proxy": Resources(40, None, 90 * MIB, 90 * MIB),
    }
    roles = {"logs": Role.NATIVE_SIDECAR, "migrate": Role.INIT, "istio-proxy": Role.SIDECAR}
    containers = tuple(
        Container(
            name,
            resources,
            f"example/{name}:2",
            is_main=name == "web",
            role=roles.get(name, Role.APP),
            is_injected=name == "istio-proxy",
        )
        for name, resources in now.items()
    )
    sized = _sized(Workload("shop", "web"), Allocation(4, containers), 0.24, 400)
    others = tuple(other(name, roles.get(name, Role.APP), now[name], then[name]) for name in then)
    return with_others(with_main(sized, evidence=EVIDENCE), *others)


def nightly() -> Recommendation:
    """A CronJob, whose template is deeper."""
    now = Resources(1000, None, 1024 * MIB, 1024 * MIB)
    return _sized(Workload("shop", "nightly", "CronJob"), Allocation(None, (_server(now, "report"),)), 0.6, 900)


def migration() -> Recommendation:
    """A Job, whose template cannot be changed."""
    now = Resources(1000, None, 1024 * MIB, 1024 * MIB)
    return _sized(Workload("shop", "migration", "Job"), Allocation(None, (_server(now, "run"),)), 0.6, 900)


def canary() -> Recommendation:
    """An Argo Rollout: a custom resource, of which no list is merged; one of its containers has no resources at all."""
    now = Resources(500, 1000, None, None)
    bare = Container("agent", Resources(), "example/agent:1")
    sized = _sized(Workload("shop", "canary", "Rollout"), Allocation(3, (bare, _server(now))), 0.3, 200)
    return with_others(sized, other("agent", Role.APP, Resources(), Resources(20, None, 32 * MIB, 32 * MIB)))


def retargeted() -> Recommendation:
    """An HPA on utilisation whose target changes together with the request."""
    scaler = Autoscaler("web", Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=8)
    on_memory = replace(scaler, resource=Target.MEMORY, target=80)
    now = Resources(400, None, 512 * MIB, 512 * MIB)
    sized = _sized(Workload("shop", "search"), Allocation(3, (_server(now),)), 0.25, 420)
    return replace(
        sized,
        current=replace(sized.current, autoscaler=scaler),
        autoscalers=(scaler, on_memory),
        retargets=(replace(scaler, target=112), replace(on_memory, target=97)),
    )


def fleet() -> list[Recommendation]:
    """Every kind, every role of a container, several namespaces."""
    return [*everything(), meshed(), nightly(), migration(), canary(), retargeted()]


def everything() -> list[Recommendation]:
    return [frontend(), cart(), payment(), unknown()]


def manifest(recommendation: Recommendation) -> dict[str, Any]:
    """The workload as a cluster has it before the change: images, env, sidecars and what is set now."""
    workload, current = recommendation.workload, recommendation.current
    labels = {"app": workload.name}
    lists: dict[str, list[dict[str, Any]]] = {"containers": []}
    for container in current.containers:
        if not container.is_injected:
            lists.setdefault(list_name(container.role), []).append(_item(container))
    template: dict[str, Any] = {"metadata": {"labels": labels}, "spec": dict(sorted(lists.items()))}
    if workload.kind in ("Job", "CronJob"):
        template["spec"]["restartPolicy"] = "OnFailure"
    spec: dict[str, Any] = {} if current.replicas is None else {"replicas": current.replicas}
    if workload.kind not in ("Job", "CronJob"):
        spec["selector"] = {"matchLabels": labels}
    if workload.kind == "StatefulSet":
        spec["serviceName"] = workload.name
    inner: dict[str, Any] = {"template": template}
    for key in reversed(template_path(workload.kind)[1:-1]):
        inner = {key: inner}
    if workload.kind == "CronJob":
        spec["schedule"] = "0 3 * * *"
    return {
        "apiVersion": workload.api_version,
        "kind": workload.kind,
        "metadata": {"name": workload.name, "namespace": workload.namespace},
        "spec": {**spec, **inner},
    }


def _item(container: Container) -> dict[str, Any]:
    resources = plain_resources(container.resources)
    always = {"restartPolicy": "Always"} if container.role is Role.NATIVE_SIDECAR else {}
    return {
        "name": container.name,
        "image": container.image,
        "env": [{"name": "PORT", "value": "8080"}],
        **always,
        **({"resources": resources} if resources else {}),
    }
