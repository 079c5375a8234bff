"""A workload's current state and what its containers used -> a recommendation for every container.

Every container is in it: those that are sized, with numbers and what they rest on; those that are skipped (init
containers, sidecars, what is excluded), with the reason. Replicas stay unchanged where no load was driven: history
has no response times, so it cannot show that fewer would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mora import registry
from mora.domain import (
    JOB_KINDS,
    Advice,
    Allocation,
    Container,
    ContainerAdvice,
    Demand,
    Evidence,
    Reason,
    Recommendation,
    Role,
    Target,
    WorkloadHistory,
    WorkloadState,
    choose_main_container,
)
from mora.fleet.batch import Bounds, bounds_of
from mora.fleet.evidence import evidence_of
from mora.fleet.health import conditions_of, less_sure, marked, why_deferred
from mora.fleet.initial import need_of_killed, with_init_remarks
from mora.fleet.need import Need, need_of, with_model
from mora.fleet.past import past_of
from mora.fleet.remarks import quality_change, remarks_of
from mora.fleet.retarget import with_retargets
from mora.fleet.settings import FleetSettings, Sizing, sizing_of
from mora.fleet.surroundings import (
    around_of,
    pod_bounds,
    policy_of,
    runtime_above_limit,
    why_cpu_limits,
)
from mora.health.histories import Condition
from mora.policies import (
    Autoscaling,
    Part,
    PolicySettings,
    Surroundings,
    fit,
    gated,
    one_line,
    size,
    size_autoscaling,
    size_replicas,
)
from mora.seams import Policy


def advise(
    state: WorkloadState,
    history: WorkloadHistory,
    settings: FleetSettings,
    *,
    bounds: Bounds | None = None,
    model: Demand | None = None,
    remarks: Sequence[Reason] = (),
    whole: WorkloadHistory | None = None,
) -> Recommendation:
    """What one workload's containers should request and be limited to, and why. Pure.

    history: what they used, with the excluded time ranges already unknown (evidence.without); one without containers
    where nothing answered. bounds: batch.bounds_of() of it, where many were asked for at once. model: what a trained
    model of the service predicts for its main container. remarks: further reasons for the workload as a whole.
    whole: the history with the incidents that are left out of it, where any are: its health is judged by that.
    Raises BadInput where an override has an impossible value.
    """
    sizing = sizing_of(state, settings)
    current, guessed = _with_containers(state, history)
    scalers = state.autoscalers or (() if current.autoscaler is None else (current.autoscaler,))
    state = replace(state, allocation=current, autoscalers=scalers)
    needs = _needs(state, history, bounds or bounds_of([history], settings.horizon)[0], settings, sizing)
    main = current.main
    assert main is not None  # noqa: S101  # _with_containers() always yields one
    is_modelled = model is not None and main.name in needs
    if model is not None and is_modelled:
        seen = history.containers.get(main.name)
        needs[main.name] = with_model(model, needs[main.name], pods=1 if seen is None or not seen.by_pod else seen.pods)
    conditions = conditions_of(state, whole or history, needs, settings, sizing)
    deferred = why_deferred(conditions, sizing)
    if deferred is not None:
        needs = {name: less_sure(need) for name, need in needs.items()}
    # The main container first; the others stay in the order of the spec.
    parts = [
        _container(one, needs.get(one.name), state, history, settings, sizing, conditions.get(one.name), deferred)
        for one in sorted(current.containers, key=lambda one: one.name != main.name)
    ]
    advised = [
        replace(one, is_main=one.container == main.name)
        for one in fit(parts, pod_bounds(state, history), policy_of(state, sizing))
    ]
    need = needs.get(main.name)
    demand = Demand(state.workload, None, history.window.end, None, None, None) if need is None else need.demand
    policy = policy_of(state, sizing)
    # What runs and ends is not scaled by an HPA.
    is_job = state.workload.kind in JOB_KINDS
    scaling = Autoscaling() if is_job else size_autoscaling(demand, current, advised[0].cpu_request, policy)
    known = (
        *remarks,
        *state.reasons,
        *sizing.reasons,
        *guessed,
        *(() if deferred is None else (deferred,)),
        *remarks_of(state, history, settings, [_evidence(one, history, settings) for one in current.containers]),
    )
    advice = Recommendation(
        workload=state.workload,
        current=current,
        load=demand.load,
        as_of=max((one.evidence.end for one in advised if one.evidence is not None), default=history.window.end),
        containers=tuple(advised),
        replicas=size_replicas(demand, current, policy, unknown=_replicas_left(state), deferred=deferred),
        hpa_average_value_millicores=scaling.average_value_millicores,
        hpa_min_replicas=scaling.min_replicas,
        hpa_max_replicas=scaling.max_replicas,
        reasons=tuple(dict.fromkeys((*known, *demand.reasons, *scaling.reasons))),
        basis="both" if is_modelled else "history",
        autoscalers=state.autoscalers,
        vpas=state.vpas,
        template_in=state.template_in,
    )
    advice = with_init_remarks(advice)
    advice = replace(advice, reasons=(*advice.reasons, *quality_change(advice)))
    return with_retargets(advice) if sizing.policy.touch_autoscaled else advice


def _replicas_left(state: WorkloadState) -> Reason:
    if state.workload.kind in JOB_KINDS:
        return Reason("replicas-by-job", "as many pods as its runs ask for")
    text = "history has no response times to choose replicas by; see mora collect"
    return Reason("replicas-unchanged", text)


# --- one container ---------------------------------------------------------------------------------------------------


def _needs(
    state: WorkloadState, history: WorkloadHistory, bounds: Bounds, settings: FleetSettings, sizing: Sizing
) -> dict[str, Need]:
    """Container -> what it needs, of those that are sized and known to the history; init containers after a kill."""
    if state.problem is not None:
        return {}
    killed = {
        one.name: need
        for one in state.allocation.containers
        if (skipped := why_skipped(one, sizing)) is not None
        and skipped.code == "init-skipped"
        and (need := need_of_killed(state.workload, one, history, skipped)) is not None
    }
    return killed | {
        one.name: need_of(
            state.workload,
            history.containers[one.name],
            history.window,
            predicted=bounds.get(one.name, {}),
            horizon=settings.horizon,
            sizing=sizing,
        )
        for one in state.allocation.containers
        if one.name in history.containers and why_skipped(one, sizing) is None
    }


def why_skipped(container: Container, sizing: Sizing) -> Reason | None:
    """Why a container gets no numbers whatever it used; None where it is sized."""
    name = container.name
    if sizing.skip:
        return Reason("skipped", "the workload is skipped: mora.dev/skip asks for it")
    if name in sizing.excluded_containers:
        return Reason("excluded", f"{name} is skipped: exclude-containers names it")
    if container.role is Role.INIT:
        text = (
            f"{name} is skipped: an init container ends before the others start, and its request counts only where it "
            "is above theirs"
        )
        return Reason("init-skipped", text)
    if container.role is Role.NATIVE_SIDECAR and not sizing.include_sidecars:
        return Reason(
            "native-sidecar-skipped", f"{name} is skipped: a native sidecar (size it with --include-sidecars)"
        )
    if container.role is Role.SIDECAR and not sizing.include_sidecars:
        how = "an injected sidecar" if container.is_injected else "a sidecar of a mesh or a platform"
        return Reason("sidecar-skipped", f"{name} is skipped: {how} (size it with --include-sidecars)")
    return None


def _container(
    container: Container,
    need: Need | None,
    state: WorkloadState,
    history: WorkloadHistory,
    settings: FleetSettings,
    sizing: Sizing,
    condition: Condition | None,
    deferred: Reason | None,
) -> Part:
    evidence = marked(_evidence(container, history, settings), condition)
    past = None
    if settings.keeps_past and container.name in history.containers:
        past = past_of(history.containers[container.name], history.window, None if need is None else need.demand)
    if need is None:
        skipped = why_skipped(container, sizing) if state.problem is None else None
        why = state.problem or skipped or _unseen(container, state, history)
        unsized = _unsized(container, why, skipped)
        return Part(replace(unsized, evidence=evidence, past=past))
    around = replace(
        around_of(container, state, history, sizing),
        # What nodes can give is known more exactly than what they have: the whole pod is checked against it (fit).
        largest_node=None if history.rooms else history.largest_node,
        abnormal=deferred if settings.holds_cuts else None,
    )
    advice = _sized(need.demand, container, state, sizing, around)
    # Why a number is missing is known more exactly than that there is too little data.
    lacks = {target: Reason("metric-missing", text.rstrip(".")) for target, text in history.lacks.items()}
    missing = {target: lacks.get(target, why) for target, why in need.missing.items()}
    if (why_no_cpu := missing.get(Target.CPU)) is not None:
        advice = replace(advice, cpu_request=_without_number(advice.cpu_request, why_no_cpu))
    if (why_no_memory := missing.get(Target.MEMORY)) is not None:
        advice = replace(advice, memory_request=_without_number(advice.memory_request, why_no_memory))
    why_kept = why_cpu_limits(state)
    if why_kept is not None and sizing.policy.cpu_limit == "unset" and advice.cpu_limit.value is not None:
        advice = replace(advice, cpu_limit=replace(advice.cpu_limit, reasons=(*advice.cpu_limit.reasons, why_kept)))
    told = (*_injected(container), *runtime_above_limit(container, around.runtime))
    return Part(replace(advice, evidence=evidence, reasons=told, past=past), need.demand, around)


def _sized(
    demand: Demand, container: Container, state: WorkloadState, sizing: Sizing, around: Surroundings
) -> ContainerAdvice:
    """The container by the policy of the settings.

    The default one knows the pod, LimitRange and JVM around a container; one of another package is given the container
    alone.
    """
    settings = policy_of(state, sizing)
    if settings.name == PolicySettings().name:
        return size(demand, container, settings, around)
    policy: Policy = registry.load("policies", settings.name)
    alone = Allocation(state.allocation.replicas, (replace(container, is_main=True),))
    advice = gated(policy(demand, alone, settings).main, demand, settings, around)
    return replace(advice, is_main=container.is_main, written=container.written, sections=container.sections)


def _without_number(advice: Advice, why: Reason) -> Advice:
    return replace(advice, reasons=(why,), summary=one_line(f"no recommendation: {why.text}"))


def _unsized(container: Container, why: Reason, skipped: Reason | None) -> ContainerAdvice:
    """No number for any of the four, and why."""
    now = container.resources
    summary = one_line(why.text if skipped is not None else f"no recommendation: {why.text}")

    def left(amount: int | None, *, is_limit: bool = False) -> Advice:
        return Advice(amount, None, is_unset=is_limit and amount is None, reasons=(why,), summary=summary)

    return ContainerAdvice(
        container=container.name,
        cpu_request=left(now.cpu_request_millicores),
        cpu_limit=left(now.cpu_limit_millicores, is_limit=True),
        memory_request=left(now.memory_request_bytes),
        memory_limit=left(now.memory_limit_bytes, is_limit=True),
        role=container.role,
        reasons=_injected(container),
        written=container.written,
        sections=container.sections,
    )


def _injected(container: Container) -> tuple[Reason, ...]:
    if container.may_be_injected:
        text = (
            f"{container.name} is in the pods; only the Kubernetes API knows whether the pod template has it or it is "
            "injected at admission, so no patch names it (set $KUBECONFIG)"
        )
        return (Reason("may-be-injected", text),)
    if not container.is_injected:
        return ()
    text = (
        f"{container.name} is injected at admission, no pod template has it: set its numbers where it is injected (the "
        "mesh's configuration, or its annotations on the pod template)"
    )
    return (Reason("injected", text),)


def _unseen(container: Container, state: WorkloadState, history: WorkloadHistory) -> Reason:
    """Why a container that could be sized has no history."""
    unknown = next((reason for reason in state.reasons if reason.code == "owners-unknown"), None)
    if unknown is not None:
        return Reason("no-history", unknown.text)
    if history.refusal:
        text = (
            f"its history cannot be read: {history.refusal.rstrip('.')}. Raise that limit, or read less (--history 7d)"
        )
        return Reason("source-limit", text)
    if not history.containers and {Target.CPU, Target.MEMORY} <= set(history.lacks):
        return Reason("metric-missing", " ".join(history.lacks.values()).rstrip("."))
    if not history.containers:
        text = "no samples of any of its containers in the time range: it is gone, never ran, or is not scraped"
    else:
        seen = ", ".join(sorted(history.containers))
        text = f"no samples of {container.name} in the time range; there are samples of {seen}"
    if state.allocation.replicas == 0:
        text += "; it is scaled to 0 replicas"
    return Reason("no-history", text)


def _evidence(container: Container, history: WorkloadHistory, settings: FleetSettings) -> Evidence | None:
    if container.name not in history.containers:
        return None
    one = history.containers[container.name]
    return evidence_of(one, history.window, spans=settings.excluded, queries=history.queries)


# --- the workload ----------------------------------------------------------------------------------------------------


def _with_containers(state: WorkloadState, history: WorkloadHistory) -> tuple[Allocation, tuple[Reason, ...]]:
    """The allocation with at least one container: from the history, else named like the workload; and why."""
    current = state.allocation
    if current.autoscaler is None and state.autoscalers:
        current = replace(current, autoscaler=state.autoscalers[0])
    if current.containers:
        return current, ()
    names = sorted(history.containers)
    if not names:
        text = f"the names of its containers are not known: {state.workload.name!r} is a guess"
        guessed = (Container(state.workload.name, is_main=True),)
        return replace(current, containers=guessed, is_described=False), (Reason("container-guessed", text),)
    main, how = choose_main_container(names, state.workload.name, order="by name")
    text = f"its pod template is not known: its containers are those that were scraped, the main one is {main} ({how})"
    containers = tuple(Container(name, is_main=name == main) for name in names)
    return replace(current, containers=containers, is_described=False), (Reason("containers-from-history", text),)
