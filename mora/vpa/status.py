"""From a Recommendation to the status of a VPA object. Pure.

One file, longer than most: the numbers, the conditions and the patch of one object are read together or not at all.

The numbers of each container and resource that the VPA's policy allows to recommend:

    target         MOrA's request.
    uncappedTarget the same before minAllowed and maxAllowed.
    lowerBound     a request below it would have been exceeded in this history: CPU's p95 (a tenth of the samples may
                   lie above the request), memory's peak. Where the history does not show the demand (limit-bound use,
                   OOM kills) it is the target itself. Left out where nothing is known.
    upperBound     max(target, highest use) x (1 + 1/days + (1 - confidence)): no history shows demand above it.
                   days: known samples x step, at least 1. So one day doubles the number, as the VPA's own bound does, a
                   week adds 14 %, and nothing is unbounded (the VPA's first hours reach terabytes). confidence: the
                   chance that the request covers the next window.

Target and bounds lie within the policy, and lowerBound <= target <= upperBound. The VPA's updater evicts a pod whose
request lies outside the bounds at once, and inside them only after half a day and for a difference of 10 %.

Conditions carry the names of the VPA's own recommender (pkg/apis/autoscaling.k8s.io/v1/types.go): always
RecommendationProvided; NoPodsMatched, ConfigUnsupported and LowConfidence while they are true. A resource without a
number keeps its previous one; a VPA without any number keeps its whole recommendation. While a workload is abnormal, no
target falls (the first one: below the template's request).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mora.domain import Advice, ContainerAdvice, Evidence, Reason, Recommendation, Role
from mora.errors import BadInput
from mora.quantities import MIB, cores_to_millicores, counted, format_cpu, format_memory, format_moment
from mora.vpa.objects import RESOURCES, ContainerPolicy, Vpa, amount_of

PROVIDED = "RecommendationProvided"
NO_PODS = "NoPodsMatched"
UNSUPPORTED = "ConfigUnsupported"
LOW_CONFIDENCE = "LowConfidence"
_OURS = (PROVIDED, NO_PODS, UNSUPPORTED, LOW_CONFIDENCE)

# Below what all but a seventh of the numbers for VMs reach (experiments/benchmarks/confidence.py), or from less than a
# week of windows of a day: a number to look at before it is applied.
_CONFIDENT = 0.8
_ENOUGH_WINDOWS = 7
# Codes of mora.policies: the measured use is less than the demand; an HPA scales on the resource.
_LIMIT_BOUND = frozenset({"raised-limit-bound", "oom-bump"})
_BY_AUTOSCALER, _DEFERRED = "autoscaler-utilisation", "deferred-abnormal"
# Two passes over the same use may differ by this: the last digit of a rounded-up number.
_NOISE = {"cpu": 1, "memory": MIB}
_BOUNDS = ("lowerBound", "target", "uncappedTarget", "upperBound")
_LONGEST_MESSAGE = 800


@dataclass(frozen=True, slots=True)
class Estimate:
    """One resource of one container, before the policy. lower: None where it is not known."""

    target: int
    lower: int | None
    upper: int


Follow = Callable[[ContainerAdvice, str, int, Estimate], Estimate]
"""(container, resource, the target that was written, the new numbers) -> the numbers to write."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a VPA object. Only RecommendationProvided is ever False; others are left out then."""

    type: str
    is_true: bool
    reason: str = ""
    message: str = ""


# --- the numbers -----------------------------------------------------------------------------------------------------


def estimate(resource: str, advice: Advice, evidence: Evidence | None) -> Estimate | None:
    """The target and its bounds; None where the advice has no number."""
    if advice.value is None:
        return None
    target = advice.value
    seen = _seen(resource, evidence)
    is_limit_bound = any(reason.code in _LIMIT_BOUND for reason in advice.reasons)
    if resource == "memory" and evidence is not None and evidence.oom_kills:
        is_limit_bound = True
    lower = target if is_limit_bound else (None if seen.level is None else min(seen.level, target))
    room = 1.0 / _days(evidence) + (1.0 - (advice.confidence or 0.0))
    upper = math.ceil(round(max(target, seen.peak or 0) * (1.0 + room), 6))
    return Estimate(target, lower, upper)


@dataclass(frozen=True, slots=True)
class _Seen:
    level: int | None
    peak: int | None


def _seen(resource: str, evidence: Evidence | None) -> _Seen:
    """The use that a request has to cover, and the highest use; rounded up."""
    if evidence is None:
        return _Seen(None, None)
    if resource == "cpu":
        level, peak = evidence.cpu_level_cores, evidence.cpu_peak_cores
        return _Seen(*(None if cores is None else cores_to_millicores(cores) for cores in (level, peak)))
    most = evidence.mem_peak_bytes
    whole = None if most is None else math.ceil(most)
    return _Seen(whole, whole)


def _days(evidence: Evidence | None) -> float:
    if evidence is None:
        return 1.0
    return max(1.0, evidence.samples * evidence.step / timedelta(days=1))


def within(policy: ContainerPolicy, resource: str, found: Estimate) -> dict[str, int]:
    """The four numbers of a resource, the policy applied; ordered, since one rule clamps them all."""
    numbers = {
        "target": policy.clamp(resource, found.target),
        "uncappedTarget": found.target,
        "upperBound": policy.clamp(resource, max(found.upper, found.target)),
    }
    if found.lower is not None:
        numbers["lowerBound"] = policy.clamp(resource, min(found.lower, found.target))
    return numbers


def quantity(resource: str, amount: int) -> str:
    """An amount as it stands in a VPA's status: millicores, plain bytes.

    >>> quantity("cpu", 127), quantity("cpu", 2000), quantity("memory", 262144000)
    ('127m', '2', '262144000')
    """
    return format_cpu(amount) if resource == "cpu" else str(amount)


def advice_of(container: ContainerAdvice, resource: str) -> Advice:
    """The request of a resource."""
    return container.cpu_request if resource == "cpu" else container.memory_request


def _sized(recommendation: Recommendation) -> list[ContainerAdvice]:
    """The containers that a VPA can size: those that run side by side, no init containers or native sidecars."""
    return [one for one in recommendation.containers if one.role in (Role.APP, Role.SIDECAR)]


# What was written before: container -> bound -> resource -> amount.
_Written = dict[str, dict[str, dict[str, int]]]


def _written(vpa: Vpa) -> _Written:
    listed = (vpa.status.get("recommendation") or {}).get("containerRecommendations") or []
    written: _Written = {}
    for one in listed:
        bounds = {bound: _amounts(one.get(bound) or {}) for bound in _BOUNDS}
        written[one.get("containerName", "")] = bounds
    return written


def _amounts(quantities: Mapping[str, Any]) -> dict[str, int]:
    amounts = {}
    for resource in RESOURCES:
        try:
            amounts[resource] = amount_of(resource, str(quantities[resource]))
        except (KeyError, BadInput):
            continue  # missing, or no quantity: nothing to keep
    return amounts


def recommend_containers(vpa: Vpa, recommendation: Recommendation, follow: Follow | None = None) -> _Written:
    """What status.recommendation should be; empty where no resource has a number, new or old.

    Containers that the workload no longer has are removed, unless there is no new number at all: then only what the
    policy (or an HPA) excludes is removed.
    """
    before, known = _written(vpa), {one.container: one for one in _sized(recommendation)}
    defers = any(reason.code == _DEFERRED for reason in recommendation.reasons)
    result: _Written = {}
    for name in known if _has_number(vpa, recommendation) else before:
        policy = vpa.policy(name)
        bounds: dict[str, dict[str, int]] = {bound: {} for bound in _BOUNDS}
        for resource in () if policy.is_off else RESOURCES:
            if resource in policy.controlled:
                kept = before.get(name, {})
                numbers = _numbers(known.get(name), resource, policy, kept, defers=defers, follow=follow)
                for bound, amount in numbers.items():
                    bounds[bound][resource] = amount
        # The CRD requires a target.
        if bounds["target"]:
            result[name] = {bound: amounts for bound, amounts in bounds.items() if amounts}
    return result


def _numbers(
    container: ContainerAdvice | None,
    resource: str,
    policy: ContainerPolicy,
    before: Mapping[str, Mapping[str, int]],
    *,
    defers: bool,
    follow: Follow | None,
) -> dict[str, int]:
    if container is not None:
        advice = advice_of(container, resource)
        found = estimate(resource, advice, container.evidence)
        if found is not None:
            written = before.get("uncappedTarget", {}).get(resource) or before.get("target", {}).get(resource)
            found = replace(found, target=max(found.target, (written or advice.now or 0) if defers else 0))
            if follow is not None and written:
                found = follow(container, resource, written, found)
            return within(policy, resource, found)
        if _is_taken(advice):
            return {}
    kept = {bound: amounts[resource] for bound, amounts in before.items() if resource in amounts}
    return {bound: n if bound == "uncappedTarget" else policy.clamp(resource, n) for bound, n in kept.items()}


def _is_taken(advice: Advice) -> bool:
    """Whether an HPA scales on the resource: its previous number must not go on to move the replicas."""
    return advice.value is None and any(reason.code == _BY_AUTOSCALER for reason in advice.reasons)


def _has_number(vpa: Vpa, recommendation: Recommendation) -> bool:
    return any(advice.value is not None for _, _, advice in _asked(vpa, recommendation))


def _asked(vpa: Vpa, recommendation: Recommendation) -> Iterator[tuple[str, str, Advice]]:
    """(container, resource, advice) of everything that the VPA's policy allows to recommend."""
    for container in _sized(recommendation):
        policy = vpa.policy(container.container)
        for resource in RESOURCES:
            if not policy.is_off and resource in policy.controlled:
                yield container.container, resource, advice_of(container, resource)


# --- the conditions --------------------------------------------------------------------------------------------------


def conditions_of(vpa: Vpa, recommendation: Recommendation | None, refusal: str | None = None) -> list[Condition]:
    """The conditions of a VPA now.

    recommendation: None where no pods of its target are known. refusal: why MOrA has no answer at all.
    """
    if vpa.problem is not None:
        return [
            Condition(UNSUPPORTED, True, UNSUPPORTED, vpa.problem),
            Condition(PROVIDED, False, UNSUPPORTED, vpa.problem),
        ]
    if refusal is not None:
        return [Condition(PROVIDED, False, "NoAnswer", refusal)]
    if recommendation is None:
        text = f"No pods match this VPA object: no pods of {_target_words(vpa)} are known"
        return [Condition(NO_PODS, True, NO_PODS, text), Condition(PROVIDED, False, NO_PODS, text)]
    conditions = [_provided(vpa, recommendation)]
    if recommendation.current.replicas == 0:
        text = f"No pods match this VPA object: {_target_words(vpa)} has 0 replicas"
        conditions.append(Condition(NO_PODS, True, NO_PODS, text))
    if doubts := list(_doubts(vpa, recommendation)):
        conditions.append(Condition(LOW_CONFIDENCE, True, LOW_CONFIDENCE, "; ".join(doubts)))
    return conditions


def _target_words(vpa: Vpa) -> str:
    return "the target" if vpa.workload is None else f"{vpa.workload.kind} {vpa.workload.name}"


def _provided(vpa: Vpa, recommendation: Recommendation) -> Condition:
    asked = list(_asked(vpa, recommendation))
    if not asked:
        return Condition(PROVIDED, False, "NothingToRecommend", "resourcePolicy excludes every container and resource")
    if not _has_number(vpa, recommendation):
        texts = [f"{resource} of {name}: {_why(advice.reasons)}" for name, resource, advice in asked]
        return Condition(PROVIDED, False, "NoNumber", "; ".join([*_texts(recommendation.reasons), *texts]))
    basis = "its history" if recommendation.basis == "history" else "the trained model"
    parts = [
        f"{resource} of {name}: {_confidence(advice)}" for name, resource, advice in asked if advice.value is not None
    ]
    capped = list(_capped(vpa, recommendation))
    return Condition(PROVIDED, True, "Recommended", f"MOrA, from {basis}: " + "; ".join([*parts, *capped]))


def _confidence(advice: Advice) -> str:
    if advice.confidence is None:
        return "without a confidence: there is no backtest of it"
    return f"confidence {100 * advice.confidence:.0f} % ({counted(advice.windows, 'window')})"


def _capped(vpa: Vpa, recommendation: Recommendation) -> Iterator[str]:
    for name, resource, advice in _asked(vpa, recommendation):
        if advice.value is None:
            continue
        allowed = vpa.policy(name).clamp(resource, advice.value)
        if allowed != advice.value:
            bound = "minAllowed raises" if allowed > advice.value else "maxAllowed lowers"
            yield f"{bound} {resource} of {name} from {_shown(resource, advice.value)} to {_shown(resource, allowed)}"


def _shown(resource: str, amount: int) -> str:
    return format_cpu(amount) if resource == "cpu" else format_memory(amount)


def _doubts(vpa: Vpa, recommendation: Recommendation) -> Iterator[str]:
    """What an operator should look at before the numbers are applied."""
    roles = {one.container: one.role for one in recommendation.containers}
    for name, resource, advice in _asked(vpa, recommendation):
        if advice.value is None:
            # Injected sidecars are not sized on purpose, and neither is what an HPA scales on.
            if roles[name] is Role.APP and not _is_taken(advice):
                yield f"{resource} of {name} has no number: {_why(advice.reasons)}"
        elif advice.confidence is None or advice.confidence < _CONFIDENT or advice.windows < _ENOUGH_WINDOWS:
            yield f"{resource} of {name}: {_confidence(advice)}"


def _why(reasons: Sequence[Reason]) -> str:
    return ", ".join(_texts(reasons)) or "there is too little data"


def _texts(reasons: Sequence[Reason]) -> list[str]:
    return list(dict.fromkeys(reason.text for reason in reasons))


# --- the patch -------------------------------------------------------------------------------------------------------


def status_patch(
    vpa: Vpa,
    recommendation: Recommendation | None,
    *,
    now: datetime,
    refusal: str | None = None,
    follow: Follow | None = None,
) -> dict[str, Any] | None:
    """The merge patch of the status; None where nothing changes by more than rounding.

    Lists are written whole, as a merge patch replaces them. now: the time of a transition. follow: what becomes of a
    number where one was written before; by default it takes its place.
    """
    status: dict[str, Any] = {}
    conditions = _merged(vpa, conditions_of(vpa, recommendation, refusal), now)
    if conditions != _plain(vpa.status.get("conditions") or []):
        status["conditions"] = conditions
    if recommendation is not None and vpa.problem is None and refusal is None:
        numbers = recommend_containers(vpa, recommendation, follow)
        if _moved(_written(vpa), numbers, vpa):
            status["recommendation"] = {"containerRecommendations": _listed(numbers)}
    return status or None


def _listed(numbers: _Written) -> list[dict[str, Any]]:
    return [
        {
            "containerName": container,
            **{
                bound: {resource: quantity(resource, amount) for resource, amount in amounts.items()}
                for bound, amounts in bounds.items()
            },
        }
        for container, bounds in numbers.items()
    ]


def _moved(before: _Written, after: _Written, vpa: Vpa) -> bool:
    """Whether a number changed by more than rounding, was added or removed, or is outside the policy now."""
    if set(before) != set(after):
        return True
    for container, bounds in after.items():
        policy = vpa.policy(container)
        for bound in _BOUNDS:
            old, new = before[container].get(bound, {}), bounds.get(bound, {})
            if set(old) != set(new):
                return True
            for resource, amount in old.items():
                is_outside = bound != "uncappedTarget" and policy.clamp(resource, amount) != amount
                if is_outside or abs(amount - new[resource]) > _noise(bound, resource, amount):
                    return True
    return False


def _noise(bound: str, resource: str, amount: int) -> float:
    """The bounds are estimates that multiply the target's rounding: a difference of 1 % means nothing."""
    is_bound = bound in ("lowerBound", "upperBound")
    return max(_NOISE[resource], 0.01 * amount if is_bound else 0.0)


def _merged(vpa: Vpa, conditions: Sequence[Condition], now: datetime) -> list[dict[str, str]]:
    """The conditions, sorted by type. Those of others stay; a transition time changes only with its status."""
    old = {one["type"]: one for one in _plain(vpa.status.get("conditions") or [])}
    merged = {type_: one for type_, one in old.items() if type_ not in _OURS}
    for condition in conditions:
        state = "True" if condition.is_true else "False"
        before = old.get(condition.type, {})
        since = before.get("lastTransitionTime") if before.get("status") == state else None
        merged[condition.type] = {
            "type": condition.type,
            "status": state,
            "lastTransitionTime": since or format_moment(now, "seconds"),
            "reason": condition.reason,
            "message": _one_line(condition.message),
        }
    return [merged[type_] for type_ in sorted(merged)]


def _plain(conditions: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [dict(one) for one in conditions if one.get("type")]


def _one_line(text: str) -> str:
    """One line of a length that `kubectl describe` can still show."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1].rstrip() + "…"
