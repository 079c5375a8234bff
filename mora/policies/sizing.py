"""The pieces put together: the numbers of a container, and the recommendation for a workload."""

from __future__ import annotations

from dataclasses import replace

from mora.domain import Advice, Allocation, Container, ContainerAdvice, Demand, Recommendation
from mora.errors import BadInput
from mora.policies.cache import less_cache
from mora.policies.change import allowed, for_runtime, is_limit_bound, whole_cores, within
from mora.policies.gate import gated_request
from mora.policies.limits import size_limit
from mora.policies.need import cpu_need, memory_need
from mora.policies.proposal import CPU, MEMORY, Kind, compose
from mora.policies.replicas import hands_off, left_to_vpa, retarget, size_autoscaling, size_replicas
from mora.policies.settings import PolicySettings, Surroundings

_DEFAULTS, _ALONE = PolicySettings(), Surroundings()


def recommend(
    demand: Demand,
    current: Allocation,
    settings: PolicySettings = _DEFAULTS,
    around: Surroundings | None = None,
) -> Recommendation:
    """What should be set: requests, limits and replicas, each with its reasons. Pure and deterministic.

    demand: what the service needs at a load. current: what is set now; its main container is the one that is sized.
    around: by default the workload's own autoscaler, what runs in its main container, and nothing else.
    """
    main = current.main
    if main is None:
        raise BadInput(f"{demand.workload.name} has no container to size.")
    if around is None:
        scalers = () if current.autoscaler is None else (current.autoscaler,)
        around = Surroundings(scalers, runtime=main.runtime)
    advice = replace(size(demand, main, settings, around), is_main=True)
    scaling = size_autoscaling(demand, current, advice.cpu_request, settings)
    return Recommendation(
        workload=demand.workload,
        current=current,
        load=demand.load,
        as_of=demand.as_of,
        containers=(advice,),
        replicas=size_replicas(demand, current, settings),
        hpa_average_value_millicores=scaling.average_value_millicores,
        hpa_min_replicas=scaling.min_replicas,
        hpa_max_replicas=scaling.max_replicas,
        reasons=(*demand.reasons, *scaling.reasons),
    )


def size(
    demand: Demand, container: Container, settings: PolicySettings, around: Surroundings = _ALONE
) -> ContainerAdvice:
    """The four numbers of one container. demand: of that container; its replicas are not looked at."""
    now = container.resources
    demand, around = less_cache(demand, now.memory_request_bytes, settings, around)
    cpu_request = _size_request(CPU, demand, container.name, now.cpu_request_millicores, settings, around)
    memory_request = _size_request(MEMORY, demand, container.name, now.memory_request_bytes, settings, around)
    cpu_request = gated_request(CPU, cpu_request, demand, settings, around)
    memory_request = gated_request(MEMORY, memory_request, demand, settings, around)
    return ContainerAdvice(
        container=container.name,
        cpu_request=cpu_request,
        cpu_limit=size_limit(CPU, cpu_request, now.cpu_limit_millicores, demand, settings, around),
        memory_request=memory_request,
        memory_limit=size_limit(MEMORY, memory_request, now.memory_limit_bytes, demand, settings, around),
        role=container.role,
        written=container.written,
        sections=container.sections,
    )


def _size_request(
    kind: Kind, demand: Demand, container: str, now: int | None, settings: PolicySettings, around: Surroundings
) -> Advice:
    target = demand.cpu if kind is CPU else demand.memory
    needed = cpu_need if kind is CPU else memory_need
    need, tested = needed(demand, settings), needed(demand, _as_tested(settings))
    if target is None or need.amount is None:
        return Advice(now=now, value=None, reasons=need.reasons, summary=need.summary)
    bounded = is_limit_bound(kind, demand)
    proposal = compose(
        for_runtime(kind, now, around.runtime),
        within(kind, now, is_limit_bound=bounded, settings=settings),
        allowed(kind, now, around),
        whole_cores(kind, around),
    )(need)
    vpa = around.ruling(kind.target, container)
    if vpa is not None:
        return left_to_vpa(kind, vpa, now, proposal.amount)
    autoscaler = around.scaling_on(kind.target, container)
    if autoscaler is not None:
        wanted, is_shared = proposal.amount, around.shares_pod and autoscaler.container is None
        if not settings.touch_autoscaled:
            return hands_off(kind, autoscaler, now, wanted, is_shared=is_shared)
        if wanted is not None and now and not is_shared:
            proposal = proposal.remarked("autoscaler-retarget", retarget(kind, autoscaler, now, wanted))
    if proposal.amount is None:
        return Advice(now=now, value=None, reasons=proposal.reasons, summary=proposal.summary)
    # A number that a cap keeps below the need has not been tested: it gets no confidence. Nor does one that answers
    # limit-bound use: what the need was there, no validation window shows.
    amount = proposal.amount
    is_tested = amount >= kind.round_up(tested.amount or 0.0)
    if bounded:
        text = "no confidence: real demand above the limit is not known until the limit is raised"
        proposal = proposal.remarked("no-confidence", text)
    elif around.no_cut is not None:
        proposal = proposal.remarked("no-confidence", f"no confidence: {around.no_cut.text}")
    elif not is_tested and (amount >= need.amount or amount == now):
        usual = kind.write(tested.amount or 0.0)
        with_buffer = "the usual buffer, " if amount >= need.amount else ""
        text = f"no confidence: validation windows were scored with {with_buffer}{usual}"
        proposal = proposal.remarked("no-confidence", text)
    return Advice(
        now=now,
        value=int(amount),
        confidence=target.confidence if is_tested and not bounded and around.no_cut is None else None,
        windows=target.windows,
        reasons=(*target.reasons, *proposal.reasons),
        summary=proposal.summary,
        goal=None if proposal.goal is None else int(proposal.goal),
    )


def _as_tested(settings: PolicySettings) -> PolicySettings:
    """The settings with buffers no smaller than those that validation windows were scored with."""
    usual = PolicySettings()
    return replace(
        settings,
        cpu_buffer=max(settings.cpu_buffer, usual.cpu_buffer),
        memory_buffer=max(settings.memory_buffer, usual.memory_buffer),
    )
