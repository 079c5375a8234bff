"""VPA manifests, and recommendations as the fleet's rule makes them, for the tests of this room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mora.domain import Advice, Allocation, Container, ContainerAdvice, Evidence, Reason, Recommendation, Role, Workload
from mora.quantities import MIB

NOW = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
_LIMIT = Advice(now=None, value=None, is_unset=True)


def evidence(**known: Any) -> Evidence:
    """Two weeks of minutes; CPU's p95 0.15 cores and peak 0.30, memory's peak 200 MiB."""
    told: dict[str, Any] = {
        "start": NOW - timedelta(days=14),
        "end": NOW,
        "step": timedelta(minutes=1),
        "samples": 14 * 1440,
        "expected": 14 * 1440,
        "pods": 3,
        "cpu_level_cores": 0.15,
        "cpu_peak_cores": 0.30,
        "mem_peak_bytes": 200.0 * MIB,
    }
    return Evidence(**{**told, **known})


def number(value: int | None, *codes: str, confidence: float | None = 1.0, now: int | None = None) -> Advice:
    """A request of `value`, with a reason of each code."""
    reasons = tuple(Reason(code, f"words of {code}") for code in codes)
    return Advice(now, value, confidence if value is not None else None, 20, reasons=reasons)


def container(
    name: str,
    cpu: Advice | int | None = 180,
    memory: Advice | int | None = 230 * MIB,
    *,
    role: Role = Role.APP,
    seen: Evidence | None = None,
) -> ContainerAdvice:
    """Advice for one container; a bare number is one with full confidence."""
    requests = [
        one if isinstance(one, Advice) else number(one, *([] if one else ["no-number"])) for one in (cpu, memory)
    ]
    return ContainerAdvice(name, requests[0], _LIMIT, requests[1], _LIMIT, role=role, evidence=seen or evidence())


def recommendation(
    *containers: ContainerAdvice,
    workload: Workload | None = None,
    replicas: int | None = 3,
    basis: str = "history",
) -> Recommendation:
    """A recommendation of these containers, the first one the main one."""
    main, *others = containers or (container("server"),)
    names = [main.container, *(other.container for other in others)]
    return Recommendation(
        workload=workload or Workload("shop", "web"),
        current=Allocation(replicas, tuple(Container(name, is_main=name == main.container) for name in names)),
        load=None,
        as_of=NOW,
        containers=(replace(main, is_main=True), *others),
        replicas=Advice(replicas, None),
        basis=basis,
    )


def manifest(
    name: str = "web",
    *,
    namespace: str = "shop",
    target: dict[str, str] | None = None,
    policies: list[dict[str, Any]] | None = None,
    status: dict[str, Any] | None = None,
    recommenders: tuple[str, ...] = ("mora",),
) -> dict[str, Any]:
    """A VPA object as an API server lists it."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name} if target is None else target
    spec: dict[str, Any] = {"targetRef": reference, "updatePolicy": {"updateMode": "Off"}}
    if recommenders:
        spec["recommenders"] = [{"name": one} for one in recommenders]
    if policies is not None:
        spec["resourcePolicy"] = {"containerPolicies": policies}
    made = {
        "apiVersion": "autoscaling.k8s.io/v1",
        "kind": "VerticalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1"},
        "spec": spec,
    }
    return made if status is None else {**made, "status": status}
