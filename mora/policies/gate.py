"""The last gate: a request that no believable use explains is refused with a reason, whatever made it.

A single absurd sample, a model asked far beyond what it learnt or a policy of another package must never become a
number that someone applies. A wrong refusal costs a look; a wrong number of cores costs the trust in every other.
"""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Advice, ContainerAdvice, Demand, Reason
from mora.policies.change import bound_of
from mora.policies.limits import size_limit
from mora.policies.proposal import CPU, MEMORY, Kind, one_line
from mora.policies.settings import PolicySettings, Surroundings
from mora.quantities import GIB

MOST_OF_USE = 10.0
"""A raise to more than this many times the highest use is refused."""
MOST_OF_NOW = 20.0
"""A raise by more than this factor at once is refused."""
HARMLESS_MILLICORES, HARMLESS_BYTES = 1000, GIB
"""Up to a core and a GiB a raise is never refused: a service that asks for 10m and uses 300m needs its 300m."""


def gated_request(kind: Kind, advice: Advice, demand: Demand, settings: PolicySettings, around: Surroundings) -> Advice:
    """The advice on a request, without its number where that cannot be meant.

    What the settings or the namespace ask for at least, and the bump after an OOM kill, are always meant.
    """
    why = _why_refused(kind, advice, demand, settings, around)
    if why is None:
        return advice
    unexplained = replace(advice, value=None, confidence=None, summary=one_line(f"no recommendation: {why.text}"))
    return replace(unexplained, reasons=(*advice.reasons, why))


def gated(advice: ContainerAdvice, demand: Demand, settings: PolicySettings, around: Surroundings) -> ContainerAdvice:
    """The advice of any policy on a container: a refused request takes its limit with it."""
    cpu, memory = (
        gated_request(kind, one, demand, settings, around)
        for kind, one in ((CPU, advice.cpu_request), (MEMORY, advice.memory_request))
    )
    cpu_limit, memory_limit = advice.cpu_limit, advice.memory_limit
    if cpu is not advice.cpu_request:
        cpu_limit = size_limit(CPU, cpu, cpu_limit.now, demand, settings, around)
    if memory is not advice.memory_request:
        memory_limit = size_limit(MEMORY, memory, memory_limit.now, demand, settings, around)
    return replace(advice, cpu_request=cpu, memory_request=memory, cpu_limit=cpu_limit, memory_limit=memory_limit)


def _why_refused(
    kind: Kind, advice: Advice, demand: Demand, settings: PolicySettings, around: Surroundings
) -> Reason | None:
    amount, now = advice.value, advice.now
    if amount is None:
        return None
    node = around.largest_node
    largest = None if node is None else node.cpu_request_millicores if kind is CPU else node.memory_request_bytes
    if largest is not None and amount > largest:
        text = f"{kind.write(amount)} is more than the largest node has ({kind.write(largest)}), so no node can run it"
        return Reason("above-node", text)
    lowest = bound_of(kind, None if around.limit_range is None else around.limit_range.minimum)
    floor = settings.cpu_floor_millicores if kind is CPU else settings.memory_floor_bytes
    harmless = HARMLESS_MILLICORES if kind is CPU else HARMLESS_BYTES
    told = around.runtime.container_bytes if kind is MEMORY and around.runtime is not None else None
    if amount <= max(now or 0, floor, lowest or 0, harmless, kind.round_up(told or 0)):
        return None
    used = _highest_use(kind, demand)
    bump = settings.oom_bump_bytes if kind is MEMORY and demand.oom_kills else 0
    if amount > max(MOST_OF_USE * used, used + bump):
        text = (
            f"{kind.write(amount)} is more than {MOST_OF_USE:g} times the highest use, {kind.write(used)}: refused. "
            "Look at the samples (mora explain)"
        )
        return Reason("above-use", text)
    if now and amount > MOST_OF_NOW * now and not settings.allow_any_step:
        text = (
            f"{kind.write(amount)} is more than {MOST_OF_NOW:g} times the {kind.write(now)} of now: refused. Look at "
            "the samples (mora explain); if they are right, allow it with --allow-any-step"
        )
        return Reason("above-now", text)
    return None


def _highest_use(kind: Kind, demand: Demand) -> float:
    """The highest use that was measured, in millicores or bytes."""
    target = demand.cpu if kind is CPU else demand.memory
    startup = demand.startup_cpu_cores if kind is CPU else demand.startup_memory_bytes
    killed = demand.oom_peak_bytes if kind is MEMORY else None
    known = [startup, killed, *(() if target is None else (target.peak, target.point_forecast))]
    return max((kind.amount(use) for use in known if use is not None), default=0.0)
