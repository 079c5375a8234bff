"""The check of a whole pod, after its containers are sized: what LimitRanges, the pod itself and nodes allow in all.

A container's number can be right and its pod still be refused by the API server, or stay pending for ever. Raises that
do not fit are cut to what is left, or withheld where the rest would not cover the need; cuts that leave a pod below the
minimum of its namespace go less far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mora.domain import Advice, AmountRange, ContainerAdvice, Demand, Reason, Resources, Role
from mora.policies.change import bound_of, is_limit_bound
from mora.policies.limits import size_limit
from mora.policies.need import cpu_need, memory_need
from mora.policies.proposal import CPU, MEMORY, Kind, one_line
from mora.policies.settings import PolicySettings, Surroundings


@dataclass(frozen=True, slots=True)
class Part:
    """A container of a pod. demand: what it was sized by, None where it was not sized."""

    advice: ContainerAdvice
    demand: Demand | None = None
    around: Surroundings = field(default_factory=Surroundings)


@dataclass(frozen=True, slots=True)
class PodBounds:
    """What bounds a pod in all.

    limit_range: of the namespace, type Pod. resources: requests and limits of the pod itself. rooms: what nodes can
    give one pod, as requests. nodes: which nodes these are, as text.
    """

    limit_range: AmountRange | None = None
    resources: Resources | None = None
    rooms: tuple[Resources, ...] = ()
    nodes: str = "the largest node"


@dataclass(frozen=True, slots=True)
class _Most:
    """The most of a resource that a pod may ask for, and what says so. code: of the reason."""

    amount: int
    why: str
    is_node: bool = False


def fit(parts: Sequence[Part], bounds: PodBounds, settings: PolicySettings) -> list[ContainerAdvice]:
    """The advice on every container of a pod, so that the cluster takes the pod; in the order of `parts`.

    Memory first: among nodes of several sizes, CPU has to fit on one that has the memory.
    """
    for kind in (MEMORY, CPU):
        for most in _mosts(kind, parts, bounds):
            parts = _below(kind, parts, most, settings)
        allowed = bound_of(kind, None if bounds.limit_range is None else bounds.limit_range.maximum)
        if allowed is not None:
            parts = _limits_below(kind, parts, allowed, settings)
        least = bound_of(kind, None if bounds.limit_range is None else bounds.limit_range.minimum)
        if least is not None:
            parts = _goals_above(kind, _above(kind, parts, least, bounds, settings), least, settings)
    return [part.advice for part in parts]


def total(kind: Kind, parts: Sequence[Part], *, is_now: bool = False) -> int:
    """What a pod requests in all: of the containers that run together, or of an init container that asks for more."""
    amounts = [(part.advice.role, _amount(kind, part.advice, is_now=is_now)) for part in parts]
    together = sum(amount for role, amount in amounts if role is not Role.INIT)
    return max([together, *(amount for role, amount in amounts if role is Role.INIT)])


def _mosts(kind: Kind, parts: Sequence[Part], bounds: PodBounds) -> Iterator[_Most]:
    own = _request(kind, bounds.resources)
    if own is not None:
        yield _Most(own, f"the pod itself requests {kind.write(own)} (resources of its template's spec)")
    allowed = bound_of(kind, None if bounds.limit_range is None else bounds.limit_range.maximum)
    if allowed is not None:
        yield _Most(allowed, f"the namespace's LimitRange allows a pod {kind.write(allowed)}")
    room = _room(kind, parts, bounds.rooms)
    if room is not None:
        yield _Most(room, f"{bounds.nodes} can give a pod {kind.write(room)}", is_node=True)


def _room(kind: Kind, parts: Sequence[Part], rooms: Sequence[Resources]) -> int | None:
    known = [(one.cpu_request_millicores, one.memory_request_bytes) for one in rooms]
    if kind is MEMORY:
        return max((memory for _, memory in known if memory is not None), default=None)
    memory_then = total(MEMORY, parts)
    roomy = [cpu for cpu, memory in known if cpu is not None and (memory is None or memory >= memory_then)]
    return max(roomy or [cpu for cpu, _ in known if cpu is not None], default=None)


def _below(kind: Kind, parts: Sequence[Part], most: _Most, settings: PolicySettings) -> Sequence[Part]:
    """The same parts, their raises cut to what is left below the most; the main container's come first."""
    then, now = total(kind, parts), total(kind, parts, is_now=True)
    if then <= most.amount or (then <= now and not most.is_node):
        return parts
    raised = [part for part in parts if _is_raised(kind, part)]
    if not raised:
        return parts
    left = most.amount - sum(
        _amount(kind, part.advice, is_now=True) for part in parts if part.advice.role is not Role.INIT
    )
    # What the cuts of the other containers free is there for the raises.
    left += sum(
        _amount(kind, part.advice, is_now=True) - _amount(kind, part.advice)
        for part in parts
        if part.advice.role is not Role.INIT and not _is_raised(kind, part)
    )
    kept: list[Part] = []
    for part in parts:
        if part in raised:
            before, wanted = _amount(kind, part.advice, is_now=True), _amount(kind, part.advice)
            given = min(wanted, before + max(left, 0))
            left -= given - before
            part = _lowered(kind, part, given, most, settings, is_alone=len(parts) == 1)
        kept.append(part)
    return kept


def _is_raised(kind: Kind, part: Part) -> bool:
    advice = _advice(kind, part.advice)
    return part.demand is not None and advice.value is not None and advice.value > (advice.now or 0)


def _lowered(kind: Kind, part: Part, given: int, most: _Most, settings: PolicySettings, *, is_alone: bool) -> Part:
    """A raise of which only so much fits; no number where that does not cover what must be covered."""
    advice = _advice(kind, part.advice)
    if part.demand is None or advice.value is None or given >= advice.value:
        return part
    needed = (cpu_need if kind is CPU else memory_need)(part.demand, settings)
    is_hard = kind is MEMORY or is_limit_bound(kind, part.demand)
    others = "" if is_alone else ", all containers together"
    if given <= (advice.now or 0) or (is_hard and needed.must > given):
        text = f"{most.why}{others}, too little for the {kind.write(advice.value)} that it needs"
        changed = replace(advice, value=None, confidence=None, summary=one_line(f"no recommendation: {text}"))
        return _with(kind, part, replace(changed, reasons=(*advice.reasons, Reason("cap-below-need", text))), settings)
    text = f"lowered from {kind.write(advice.value)} to {kind.write(given)}: {most.why}{others}"
    changed = replace(advice, value=given, confidence=None, summary=one_line(text))
    return _with(kind, part, replace(changed, reasons=(*advice.reasons, Reason("cap", text))), settings)


def _limits_below(kind: Kind, parts: Sequence[Part], most: int, settings: PolicySettings) -> Sequence[Part]:
    """The same parts; where their limits in all would grow beyond what a pod may have, without those that grow."""
    then = sum(_limit(kind, part.advice) for part in parts if part.advice.role is not Role.INIT)
    now = sum(_limit(kind, part.advice, is_now=True) for part in parts if part.advice.role is not Role.INIT)
    if then <= most or then <= now:
        return parts
    text = f"the namespace's LimitRange allows a pod limits of {kind.write(most)} in all, and they would be more"
    why = Reason("cap-below-need", text)
    kept: list[Part] = []
    for part in parts:
        if _limit(kind, part.advice) > _limit(kind, part.advice, is_now=True):
            part = _withheld(kind, part, why, settings)
        kept.append(part)
    return kept


def _above(
    kind: Kind, parts: Sequence[Part], least: int, bounds: PodBounds, settings: PolicySettings
) -> Sequence[Part]:
    """The same parts, the first that was sized with so much more that the pod asks for at least that much.

    Without a number where that is more than something else allows: no pod of it can start.
    """
    short = least - total(kind, parts)
    number = next((n for n, part in enumerate(parts) if _advice(kind, part.advice).value is not None), None)
    if short <= 0 or number is None:
        return parts
    part, advice = parts[number], _advice(kind, parts[number].advice)
    value = kind.round_up((advice.value or 0) + short)
    if advice.now and value < advice.now and round(1.0 - value / advice.now, 9) < settings.min_change:
        value = advice.now  # what is left of the cut is not worth a rollout
    allowed = bound_of(kind, None if part.around.limit_range is None else part.around.limit_range.maximum)
    against = [most.why for most in _mosts(kind, parts, bounds) if least > most.amount]
    if allowed is not None and value > allowed:
        against.append(f"the namespace's LimitRange allows a container {kind.write(allowed)}")
    if against:
        text = f"the namespace's LimitRange asks a pod for at least {kind.write(least)} in all, but {against[0]}"
        return [_withheld(kind, one, Reason("bounds-contradict", text), settings) for one in parts]
    text = (
        f"raised to {kind.write(value)}: the namespace's LimitRange asks a pod for at least {kind.write(least)} in all"
    )
    changed = replace(advice, value=value, reasons=(*advice.reasons, Reason("limit-range", text)))
    fitted = _with(kind, part, replace(changed, summary=one_line(text)), settings)
    return [*parts[:number], fitted, *parts[number + 1 :]]


def _goals_above(kind: Kind, parts: Sequence[Part], least: int, settings: PolicySettings) -> Sequence[Part]:
    """The same parts; the cuts that are still to come leave the pod what its namespace asks for at least, too."""
    kept = list(parts)
    for number, part in enumerate(parts):
        advice = _advice(kind, part.advice)
        if advice.goal is None or advice.value is None:
            continue
        short = least - total(kind, [replace(one, advice=one.advice.at_goal) for one in kept])
        if advice.value == advice.now:
            kept[number] = _with(kind, part, replace(advice, goal=None), settings)  # deferred: nothing is to come
        elif short > 0:
            goal = min(kind.round_up(advice.goal + short), advice.value)
            kept[number] = _with(kind, part, replace(advice, goal=goal if goal < advice.value else None), settings)
    return kept


def _withheld(kind: Kind, part: Part, why: Reason, settings: PolicySettings) -> Part:
    """The part without a number, where it has one."""
    advice = _advice(kind, part.advice)
    if advice.value is None:
        return part
    none = replace(advice, value=None, goal=None, confidence=None, summary=one_line(f"no recommendation: {why.text}"))
    return _with(kind, part, replace(none, reasons=(*advice.reasons, why)), settings)


def _with(kind: Kind, part: Part, request: Advice, settings: PolicySettings) -> Part:
    """The part with another request, and the limit that belongs to it."""
    advice, demand, around = part.advice, part.demand, part.around
    if demand is None:
        return part
    if kind is CPU:
        limit = size_limit(CPU, request, advice.cpu_limit.now, demand, settings, around)
        return replace(part, advice=replace(advice, cpu_request=request, cpu_limit=limit))
    limit = size_limit(MEMORY, request, advice.memory_limit.now, demand, settings, around)
    return replace(part, advice=replace(advice, memory_request=request, memory_limit=limit))


def _advice(kind: Kind, advice: ContainerAdvice) -> Advice:
    return advice.cpu_request if kind is CPU else advice.memory_request


def _amount(kind: Kind, advice: ContainerAdvice, *, is_now: bool = False) -> int:
    """The request as it is now, or as it would be; 0 where none is set."""
    one = _advice(kind, advice)
    return (one.now if is_now or one.value is None else one.value) or 0


def _limit(kind: Kind, advice: ContainerAdvice, *, is_now: bool = False) -> int:
    one = advice.cpu_limit if kind is CPU else advice.memory_limit
    if is_now or (one.value is None and not one.is_unset):
        return one.now or 0
    return one.value or 0


def _request(kind: Kind, resources: Resources | None) -> int | None:
    if resources is None:
        return None
    return resources.cpu_request_millicores if kind is CPU else resources.memory_request_bytes
