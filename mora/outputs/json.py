"""Recommendations for programs: every number, its unit in the name, its reasons with their codes.

`schema_version` rises when a field changes its meaning or is removed; new fields may come at any time. Version 1 said
`holds` for `windows`, `left_out` (evidence) for `excluded`, and other reason codes (CHANGELOG.md).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from mora.domain import Advice, Allocation, ContainerAdvice, Evidence, Reason, Recommendation
from mora.outputs import DEFAULTS, OutputSettings
from mora.outputs.changes import is_injected, quantity
from mora.outputs.documents import printable_json
from mora.quantities import format_moment
from mora.savings import Savings, savings

SCHEMA_VERSION = 2


def render(recommendations: Sequence[Recommendation], settings: OutputSettings = DEFAULTS) -> str:
    """One JSON object; amounts are integers, absent ones null, and never NaN."""
    whole = {
        "schema_version": SCHEMA_VERSION,
        "recommendations": [document(recommendation) for recommendation in recommendations],
        "savings": savings_document(
            savings(recommendations, settings.prices),
            savings([one.at_goal for one in recommendations], settings.prices),
        ),
    }
    return printable_json(json.dumps(whole, indent=2, allow_nan=False, ensure_ascii=False)) + "\n"


def document(recommendation: Recommendation) -> dict[str, Any]:
    """One recommendation, as it stands in the list of `-o json`."""
    workload = recommendation.workload
    return {
        "cluster": recommendation.cluster or None,
        "namespace": workload.namespace,
        "service": workload.name,
        "kind": workload.kind,
        "container": recommendation.main.container,
        "load": asdict(recommendation.load) if recommendation.load else None,
        "as_of": format_moment(recommendation.as_of, "seconds"),
        "model_digest": recommendation.model_digest,
        "basis": recommendation.basis,
        "model_as_of": None
        if recommendation.model_as_of is None
        else format_moment(recommendation.model_as_of, "seconds"),
        **_amounts(recommendation.main),
        "replicas": _advice(recommendation.replicas, None),
        "hpa": {
            "average_value_millicores": recommendation.hpa_average_value_millicores,
            "min_replicas": recommendation.hpa_min_replicas,
            "max_replicas": recommendation.hpa_max_replicas,
        },
        "reasons": _reasons((*recommendation.reasons, *recommendation.main.reasons)),
        "evidence": _evidence(recommendation.main.evidence),
        "containers": [_container(recommendation, container) for container in recommendation.containers],
        "autoscalers": [asdict(scaler) for scaler in recommendation.autoscalers],
        "retargets": [asdict(scaler) for scaler in recommendation.retargets],
        "current": _allocation(recommendation.current),
        "target": _allocation(recommendation.target),
        "goal": _allocation(recommendation.at_goal.target),
    }


def savings_document(step: Savings, goal: Savings) -> dict[str, Any]:
    """What this step frees and, under `goal`, what all steps together free."""
    prices = asdict(step.prices) if step.prices else None
    return {**_freed(step), "prices": prices, "goal": _freed(goal)}


def _freed(freed: Savings) -> dict[str, Any]:
    known = {key: value for key, value in asdict(freed).items() if key != "prices"}
    figures = {key: round(value, 6) if isinstance(value, float) else value for key, value in known.items()}
    return {**figures, "money_per_month": freed.money_per_month}


def _container(recommendation: Recommendation, container: ContainerAdvice) -> dict[str, Any]:
    return {
        "name": container.container,
        "role": str(container.role),
        "is_main": container.is_main,
        "is_injected": is_injected(recommendation, container.container),
        **_amounts(container),
        "reasons": _reasons(container.reasons),
        "evidence": _evidence(container.evidence),
    }


def _amounts(container: ContainerAdvice) -> dict[str, Any]:
    return {
        "cpu_request_millicores": _advice(container.cpu_request, "cpu"),
        "cpu_limit_millicores": _advice(container.cpu_limit, "cpu"),
        "memory_request_bytes": _advice(container.memory_request, "memory"),
        "memory_limit_bytes": _advice(container.memory_limit, "memory"),
    }


def _evidence(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    known = {field.name: getattr(evidence, field.name) for field in fields(evidence)}
    step = known.pop("step").total_seconds()
    known["excluded"] = known.pop("left_out")
    abnormal = known.pop("abnormal")
    figures = {key: _plain(value) for key, value in known.items()}
    times = (
        None if abnormal is None else [{key: _plain(value) for key, value in asdict(one).items()} for one in abnormal]
    )
    return {**figures, "abnormal": times, "step_seconds": step, "queries": dict(evidence.queries)}


def _plain(value: Any) -> Any:
    """A figure for JSON: moments as text, floats to six digits."""
    if isinstance(value, datetime):
        return format_moment(value, "seconds")
    if isinstance(value, float):
        return round(value, 6)
    return list(value) if isinstance(value, tuple) else value


def _advice(advice: Advice, resource: str | None) -> dict[str, Any]:
    spelt = {}
    if resource is not None:
        spelt["quantity"] = None if advice.value is None else quantity(resource, advice.value)
    return {
        "now": advice.now,
        "value": advice.value,
        "goal": advice.at_goal.value,
        **spelt,
        "is_unset": advice.is_unset,
        "change_ratio": None if advice.change is None else round(advice.change, 6),
        "confidence": None if advice.confidence is None else round(advice.confidence, 6),
        "windows": advice.windows,
        "summary": advice.summary,
        "reasons": _reasons(advice.reasons),
    }


def _reasons(reasons: Sequence[Reason]) -> list[dict[str, str]]:
    return [asdict(reason) for reason in reasons]


def _allocation(allocation: Allocation) -> dict[str, Any]:
    return {
        "replicas": allocation.replicas,
        "autoscaler": asdict(allocation.autoscaler) if allocation.autoscaler else None,
        "containers": [
            {"name": c.name, "image": c.image, "is_main": c is allocation.main, **asdict(c.resources)}
            for c in allocation.containers
        ],
    }
