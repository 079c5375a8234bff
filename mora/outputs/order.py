"""In which order people should look at workloads: what lacks resources first, then what frees most."""

from __future__ import annotations

from collections.abc import Sequence

from mora.domain import Advice, ContainerAdvice, Recommendation
from mora.errors import BadInput
from mora.outputs.changes import container_numbers, has_change, numbers
from mora.savings import HOURS_PER_MONTH, Prices, savings

ORDERS = ("need", "saving", "change", "confidence", "name")
"""need: what lacks memory or CPU, what has to grow, then the largest saving; what stays as it is comes last."""

_KILLED = frozenset({"oom-bump"})
_AT_LIMIT = frozenset({"limit-bound", "raised-limit-bound", "kept-limit-bound"})


def ordered(
    recommendations: Sequence[Recommendation], order: str = "need", prices: Prices | None = None
) -> list[Recommendation]:
    """The recommendations in one of ORDERS; equal ones by name. BadInput where there is no such order."""
    check_order(order)
    by_name = sorted(recommendations, key=lambda one: (one.cluster, one.workload))
    if order == "name":
        return by_name
    if order == "change":
        return sorted(by_name, key=lambda one: -_largest_change(one))
    if order == "confidence":
        return sorted(by_name, key=_lowest_confidence)
    if order == "saving":
        return sorted(by_name, key=lambda one: -_freed(one, prices))
    return sorted(by_name, key=lambda one: place_by_need(one, prices))


def place_by_need(recommendation: Recommendation, prices: Prices | None) -> tuple[int, float]:
    """What sorts recommendations by need: what lacks most first, then what frees most."""
    return _by_need(_urgency(recommendation), _freed(recommendation, prices))


def check_order(order: str) -> None:
    """Raise BadInput where there is no such order."""
    if order not in ORDERS:
        raise BadInput(f"There is no order {order!r}.", hint=f"--sort is one of {', '.join(ORDERS)}.")


def is_starved(container: ContainerAdvice) -> bool:
    """Whether a container lacks memory or CPU now: it was killed for memory, or its use is at a limit."""
    return bool(_codes(container.memory_request, container.cpu_request) & (_KILLED | _AT_LIMIT))


def was_killed(container: ContainerAdvice) -> bool:
    """Whether a container was OOM-killed at a limit that is too low."""
    return bool(_codes(container.memory_request) & _KILLED)


def grows(advice: Advice) -> bool:
    """Whether more is recommended than is set now."""
    return advice.value is not None and advice.now is not None and advice.value > advice.now


def _by_need(urgency: int, freed: float) -> tuple[int, float]:
    """What lacks most first, then what frees most."""
    return urgency, freed if urgency < _CUTS else -freed


# From this urgency on nothing has to grow.
_CUTS = 4


def _urgency(recommendation: Recommendation) -> int:
    containers = recommendation.containers
    if any(map(was_killed, containers)):
        return 0
    if any(map(is_starved, containers)):
        return 1
    if any(grows(one.memory_request) for one in containers):
        return 2
    if any(grows(one.cpu_request) for one in containers) or grows(recommendation.replicas):
        return 3
    if has_change(recommendation):
        return _CUTS
    return _CUTS + 1 if any(advice.value is not None for _, advice in numbers(recommendation)) else _CUTS + 2


def _freed(recommendation: Recommendation, prices: Prices | None) -> float:
    """What the workload frees per hour once all steps are taken, in money."""
    money = savings([recommendation.at_goal], prices or Prices()).money_per_month
    return (money or 0.0) / HOURS_PER_MONTH


def _largest_change(recommendation: Recommendation) -> float:
    found = (advice.change for one in recommendation.containers for _, advice in container_numbers(one))
    return max((abs(change) for change in found if change is not None), default=-1.0)


def _lowest_confidence(recommendation: Recommendation) -> float:
    """The lowest confidence of what is recommended; unknown is below all, and without a number it comes last."""
    requests = (advice for one in recommendation.containers for advice in (one.cpu_request, one.memory_request))
    known = [advice.confidence for advice in requests if advice.value is not None]
    return min((-1.0 if one is None else one for one in known), default=2.0)


def _codes(*advice: Advice) -> set[str]:
    return {reason.code for one in advice for reason in one.reasons}
