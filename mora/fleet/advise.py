"""A workload as it stands and what its containers used -> a recommendation for every container.

Every container is told of: those that are sized, with numbers and what they rest on; those that are left alone (init
containers, sidecars, what is excluded), with the reason. Replicas stay as they are where no load was driven: history
knows of no response times, so nobody can promise that fewer would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mora.domain import (
    JOB_KINDS,
    Advice,
    Allocation,
    Container,
    ContainerAdvice,
    Demand,
    Evidence,
    Quota,
    Reason,
    Recommendation,
    Role,
    Target,
    Window,
    WorkloadHistory,
    WorkloadState,
    choose_main_container,
)
from mora.fleet.batch import Bounds, bounds_of
from mora.fleet.evidence import evidence_of
from mora.fleet.need import Need, need_of, with_model
from mora.fleet.retarget import unmeasured, with_retargets
from mora.fleet.settings import FleetSettings, Sizing, sizing_of
from mora.policies import Autoscaling, PolicySettings, Surroundings, size, size_autoscaling, size_replicas
from mora.quantities import format_duration, format_moment

# What has not been seen for a day is gone or stands at no replicas; what it needs now nobody saw.
_GONE_AFTER = timedelta(days=1)


def advise(
    state: WorkloadState,
    history: WorkloadHistory,
    settings: FleetSettings,
    *,
    bounds: Bounds | None = None,
    model: Demand | None = None,
    remarks: Sequence[Reason] = (),
) -> Recommendation:
    """What one workload's containers should request and be limited to, and why. Pure.

    history: what they used, with the excluded spans already unknown (evidence.without); one without containers where
    nothing answered. bounds: batch.bounds_of() of it, where many were asked for at once. model: what a trained model of
    the service says of its main container. remarks: what else is to be said of it.
    Raises BadInput where an override cannot be meant.
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
        needs[main.name] = with_model(model, needs[main.name])
    # The main container first; the others stay in the order of the spec.
    advised = [
        replace(_container(one, needs.get(one.name), state, history, settings, sizing), is_main=one.name == main.name)
        for one in sorted(current.containers, key=lambda one: one.name != main.name)
    ]
    need = needs.get(main.name)
    demand = Demand(state.workload, None, history.window.end, None, None, None) if need is None else need.demand
    policy = _policy(state, sizing)
    # What runs and ends is not scaled by an HPA.
    is_job = state.workload.kind in JOB_KINDS
    scaling = Autoscaling() if is_job else size_autoscaling(demand, current, advised[0].cpu_request, policy)
    told = (*remarks, *state.reasons, *sizing.reasons, *guessed, *_remarks(state, history, settings))
    advice = Recommendation(
        workload=state.workload,
        current=current,
        load=demand.load,
        as_of=max((one.evidence.end for one in advised if one.evidence is not None), default=history.window.end),
        containers=tuple(advised),
        replicas=size_replicas(demand, current, policy, unknown=_replicas_left(state)),
        hpa_average_value_millicores=scaling.average_value_millicores,
        hpa_min_replicas=scaling.min_replicas,
        hpa_max_replicas=scaling.max_replicas,
        reasons=tuple(dict.fromkeys((*told, *demand.reasons, *scaling.reasons))),
        basis="model" if is_modelled else "history",
        autoscalers=state.autoscalers,
    )
    return with_retargets(advice) if sizing.policy.touch_autoscaled else advice


def _replicas_left(state: WorkloadState) -> Reason:
    if state.workload.kind in JOB_KINDS:
        return Reason("replicas-by-job", "as many pods as its runs ask for")
    now = state.allocation.replicas
    text = (
        f"left at {'what it is' if now is None else now}: history holds no response times, so no count can be "
        "promised; load experiments can (mora collect)"
    )
    return Reason("replicas-left", text)


# --- one container ---------------------------------------------------------------------------------------------------


def _needs(
    state: WorkloadState, history: WorkloadHistory, bounds: Bounds, settings: FleetSettings, sizing: Sizing
) -> dict[str, Need]:
    """Container -> what it needs, of those that are sized and known to the history."""
    return {
        one.name: need_of(
            state.workload,
            history.containers[one.name],
            history.window,
            said=bounds.get(one.name, {}),
            horizon=settings.horizon,
            sizing=sizing,
        )
        for one in state.allocation.containers
        if one.name in history.containers and left_alone(one, sizing) is None
    }


def left_alone(container: Container, sizing: Sizing) -> Reason | None:
    """Why a container gets no numbers whatever it used; None where it is sized."""
    name = container.name
    if sizing.skip:
        return Reason("skipped", "the workload is left out, as it is asked for (mora.dev/skip)")
    if name in sizing.excluded_containers:
        return Reason("excluded", f"{name} is left out, as it is asked for (exclude-containers)")
    if container.role is Role.INIT:
        text = (
            f"{name} is an init container: it runs and ends before the others, and its request counts only where it is "
            "above theirs; left alone"
        )
        return Reason("init-left", text)
    if container.role is Role.NATIVE_SIDECAR and not sizing.include_sidecars:
        return Reason("native-sidecar-left", f"{name} is a native sidecar; left alone without --include-sidecars")
    if container.role is Role.SIDECAR and not sizing.include_sidecars:
        how = "an injected sidecar" if container.is_injected else "a sidecar of a mesh or a platform"
        return Reason("sidecar-left", f"{name} is {how}; left alone without --include-sidecars")
    return None


def _container(
    container: Container,
    need: Need | None,
    state: WorkloadState,
    history: WorkloadHistory,
    settings: FleetSettings,
    sizing: Sizing,
) -> ContainerAdvice:
    evidence = _evidence(container, history, settings)
    if need is None:
        why = left_alone(container, sizing) or _unseen(container, state, history)
        return replace(_untouched(container, why), evidence=evidence)
    advice = size(need.demand, container, _policy(state, sizing), _around(container, state, sizing))
    # Why a number is missing is known more exactly than that there is too little data.
    if (why_no_cpu := need.missing.get(Target.CPU)) is not None:
        advice = replace(advice, cpu_request=replace(advice.cpu_request, reasons=(why_no_cpu,)))
    if (why_no_memory := need.missing.get(Target.MEMORY)) is not None:
        advice = replace(advice, memory_request=replace(advice.memory_request, reasons=(why_no_memory,)))
    quota = _needs_cpu_limits(state.quotas)
    if quota is not None and sizing.policy.cpu_limit == "unset" and advice.cpu_limit.value is not None:
        text = f"no limit would do, but the ResourceQuota {quota.name} asks for one on every container"
        why_kept = Reason("quota-needs-limit", text)
        advice = replace(advice, cpu_limit=replace(advice.cpu_limit, reasons=(*advice.cpu_limit.reasons, why_kept)))
    return replace(advice, evidence=evidence, reasons=_injected(container))


def _policy(state: WorkloadState, sizing: Sizing) -> PolicySettings:
    """The policy of the workload, within what its namespace's quotas ask for."""
    if sizing.policy.cpu_limit == "unset" and _needs_cpu_limits(state.quotas) is not None:
        return replace(sizing.policy, cpu_limit="keep")
    return sizing.policy


def _around(container: Container, state: WorkloadState, sizing: Sizing) -> Surroundings:
    return Surroundings(
        autoscalers=state.autoscalers,
        shares_pod=sum(one.role is not Role.INIT for one in state.allocation.containers) > 1,
        limit_range=state.limit_range,
        no_memory_cut=_held_for_jvm(container, state, sizing),
    )


def _untouched(container: Container, why: Reason) -> ContainerAdvice:
    """No number for any of the four, and why."""
    now = container.resources

    def left(amount: int | None, *, is_limit: bool = False) -> Advice:
        return Advice(amount, None, is_unset=is_limit and amount is None, reasons=(why,))

    return ContainerAdvice(
        container=container.name,
        cpu_request=left(now.cpu_request_millicores),
        cpu_limit=left(now.cpu_limit_millicores, is_limit=True),
        memory_request=left(now.memory_request_bytes),
        memory_limit=left(now.memory_limit_bytes, is_limit=True),
        role=container.role,
        reasons=_injected(container),
    )


def _injected(container: Container) -> tuple[Reason, ...]:
    if not container.is_injected:
        return ()
    text = (
        f"{container.name} stands in no template, it is put into the pods: its numbers are set where it is injected "
        "(the mesh's configuration, or its annotations on the pod template)"
    )
    return (Reason("injected", text),)


def _unseen(container: Container, state: WorkloadState, history: WorkloadHistory) -> Reason:
    """Why a container that could be sized has no history."""
    if not history.containers:
        text = "no sample of any of its containers in the window: it has gone, never ran, or is not scraped"
    else:
        seen = ", ".join(sorted(history.containers))
        text = f"no sample of {container.name} in the window; there are some of {seen}"
    if state.allocation.replicas == 0:
        text += "; it stands at 0 replicas"
    return Reason("no-history", text)


def _held_for_jvm(container: Container, state: WorkloadState, sizing: Sizing) -> Reason | None:
    if sizing.allow_jvm_cut or container.name not in state.jvm:
        return None
    text = (
        f"{container.name} runs a Java virtual machine, whose heap is sized from the memory it is given and does not "
        "shrink with use; its memory is not cut without --allow-jvm-cut"
    )
    return Reason("held-jvm", text)


def _needs_cpu_limits(quotas: Iterable[Quota]) -> Quota | None:
    """A quota on limits.cpu lets no pod in that has a container without one."""
    return next((quota for quota in quotas if quota.hard.cpu_limit_millicores is not None), None)


def _evidence(container: Container, history: WorkloadHistory, settings: FleetSettings) -> Evidence | None:
    if container.name not in history.containers:
        return None
    one = history.containers[container.name]
    return evidence_of(one, history.window, spans=settings.excluded, queries=history.queries)


# --- the workload ----------------------------------------------------------------------------------------------------


def _with_containers(state: WorkloadState, history: WorkloadHistory) -> tuple[Allocation, tuple[Reason, ...]]:
    """The allocation with at least one container: from the history, else named like the workload; and that it is so."""
    current = state.allocation
    if current.autoscaler is None and state.autoscalers:
        current = replace(current, autoscaler=state.autoscalers[0])
    if current.containers:
        return current, ()
    names = sorted(history.containers)
    if not names:
        text = f"nobody knows its containers: {state.workload.name!r} is a guess"
        guessed = (Container(state.workload.name, is_main=True),)
        return replace(current, containers=guessed), (Reason("container-guessed", text),)
    main, how = choose_main_container(names, state.workload.name, order="by name")
    text = f"its template is not known; containers are those that were scraped, the main one {main} ({how})"
    containers = tuple(Container(name, is_main=name == main) for name in names)
    return replace(current, containers=containers), (Reason("containers-from-history", text),)


def _remarks(state: WorkloadState, history: WorkloadHistory, settings: FleetSettings) -> Iterable[Reason]:
    """What is odd about the workload as a whole."""
    current = state.allocation
    yield from filter(None, (unmeasured(scaler, current.containers) for scaler in state.autoscalers))
    yield from _kind_remarks(state)
    known = {container.name for container in current.containers}
    gone = sorted(set(history.containers) - known)
    if gone:
        text = f"the history also holds {', '.join(gone)}, which the workload does not have any more; not sized"
        yield Reason("container-gone", text)
    yield from (Reason("source", warning) for warning in history.warnings)
    window = history.window
    found = [_evidence(one, history, settings) for one in current.containers]
    known_windows = [one for one in found if one is not None]
    if not known_windows:
        return
    start, end = min(one.start for one in known_windows), max(one.end for one in known_windows)
    is_job = state.workload.kind in JOB_KINDS
    if start - window.start > max(window.step, timedelta(hours=1)) and not is_job:
        yield Reason("window-short", _short_window(window, start, end))
    if window.end - end > _GONE_AFTER and not is_job:
        text = f"last seen {format_moment(end)}: what it needs since then nobody saw"
        yield Reason("last-seen", text)


def _kind_remarks(state: WorkloadState) -> Iterable[Reason]:
    if state.workload.kind == "Job":
        text = "a Job's pod template cannot be changed: the numbers are for where it is made"
        yield Reason("job-immutable", text)
    if state.known_by == "prometheus":
        text = "known from Prometheus alone: annotations, LimitRange and image are as far as kube-state-metrics tells"
        yield Reason("known-by-prometheus", text)
    on_both = {scaler.resource for scaler in state.autoscalers if scaler.is_utilisation}
    if Target.CPU in on_both and Target.MEMORY in on_both:
        yield Reason("autoscaler-several", "its HPA scales on CPU and on memory: the one that asks for more pods rules")


def _short_window(window: Window, start: datetime, end: datetime) -> str:
    # A sample tells of the step before it: a single one is a step of history.
    asked, there = window.end - window.start, end - start + window.step
    return (
        f"history from {format_moment(start)} on, {format_duration(there, about=True)} of the {format_duration(asked)} "
        "asked for: it is younger, or Prometheus keeps no more (retention)"
    )
