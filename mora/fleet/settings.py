"""The settings of a run over many workloads, and what they come to for one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from mora.domain import Reason, WorkloadState
from mora.domain.runtimes import Runtime
from mora.errors import BadInput
from mora.fleet.incidents import CERTAIN, Incident, annotated_incidents
from mora.fleet.overrides import Overrides, annotated, is_override, key_of, words_for
from mora.fleet.spans import Span
from mora.policies import PolicySettings
from mora.quantities import format_cpu, format_memory

# Less shows nothing of a day's course; KRR asks for as many samples (points_required).
LEAST_SPAN = timedelta(days=1)
LEAST_SAMPLES = 100
# A job's next run is below the largest of three with a chance of 3 in 4.
LEAST_RUNS = 3
_MOST_SHOWN = 10
# The reason's code of a workload that is not sized, since an annotation of its, or of its namespace, is unusable.
BAD_ANNOTATION = "bad-annotation"


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How a run sizes. horizon: how far ahead a number must be right. excluded: time ranges left out of every history.

    incidents: those that are left out of the histories of the workloads they concern, both numbers shown. certain: so
    are those whose cause is certain (fleet/certain.py).
    include_sidecars: size injected and native sidecars as well. allow_jvm_cut: cut memory of Java virtual machines.
    cut_while_abnormal: cut although the service is abnormal. holds_cuts: a cut that is deferred stays at what the
    template has; without it the caller, which knows what is in force, defers what the reason names. namespaces,
    workloads ("namespace/name"): overrides from mora.toml. keeps_past: keep of each history what a chart shows.
    marks_abnormal: find every abnormal time of each history, not only one that goes on.
    """

    policy: PolicySettings = field(default_factory=PolicySettings)
    horizon: timedelta = timedelta(hours=24)
    excluded: tuple[Span, ...] = ()
    incidents: tuple[Incident, ...] = ()
    certain: bool = False
    include_sidecars: bool = False
    allow_jvm_cut: bool = False
    cut_while_abnormal: bool = False
    holds_cuts: bool = True
    keeps_past: bool = False
    marks_abnormal: bool = False
    namespaces: Mapping[str, Overrides] = field(default_factory=lambda: MappingProxyType({}))
    workloads: Mapping[str, Overrides] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Sizing:
    """The settings of one workload, after all overrides.

    policy: with the workload's floors, caps and buffers. cpu_factor, memory_factor: buffers on what history alone
    yields, whose bounds take none by default (mora/bounds were scored without). cpu_quantile: a share of the samples
    that the CPU request covers at least. incidents: of the run and of its own, those that concern it. certain: leave
    out those whose cause is certain, too. runtimes: container ("" for the main one) -> what runs in it, with a maximum
    of memory; None for nothing. reasons: what is overridden, and where.
    """

    policy: PolicySettings
    cpu_factor: float = 1.0
    memory_factor: float = 1.0
    cpu_quantile: float | None = None
    excluded_containers: frozenset[str] = frozenset()
    include_sidecars: bool = False
    allow_jvm_cut: bool = False
    cut_while_abnormal: bool = False
    skip: bool = False
    incidents: tuple[Incident, ...] = ()
    certain: bool = False
    runtimes: Mapping[str, Runtime | None] = field(default_factory=lambda: MappingProxyType({}))
    reasons: tuple[Reason, ...] = ()


_POLICY_FIELDS = frozenset(item.name for item in fields(PolicySettings))


def sizing_of(state: WorkloadState, settings: FleetSettings) -> Sizing:
    """The settings of one workload: [workloads] > annotation > [namespaces] > the settings of the run.

    Raises BadInput naming the workload and what is wrong with it.
    """
    workload = state.workload
    wanted = settings.workloads.get(f"{workload.namespace}/{workload.name}", Overrides())
    wanted = wanted.over(annotated(state)).over(settings.namespaces.get(workload.namespace, Overrides()))
    given = wanted.given
    try:
        policy = replace(settings.policy, **{name: value for name, value in given.items() if name in _POLICY_FIELDS})
    except BadInput as error:
        places = ", ".join(dict.fromkeys(wanted.origins.values()))
        raise BadInput(f"{words_for(workload)}: {error.message}", hint=f"It is set by {places}.") from error
    own: tuple[Incident, ...] = ()
    if "incidents" in given:
        place = wanted.origins["incidents"]
        try:
            named = [text for text in given["incidents"] if text != CERTAIN]
            own = annotated_incidents(named, place.rpartition(": ")[2])
        except BadInput as error:
            raise BadInput(f"{place}: {error.message}", hint=error.hint) from error
    return Sizing(
        policy=policy,
        cpu_factor=given.get("cpu_buffer", 1.0),
        memory_factor=given.get("memory_buffer", 1.0),
        cpu_quantile=given.get("cpu_quantile"),
        excluded_containers=given.get("exclude_containers", frozenset()),
        include_sidecars=given.get("include_sidecars", settings.include_sidecars),
        allow_jvm_cut=given.get("allow_jvm_cut", settings.allow_jvm_cut),
        cut_while_abnormal=given.get("cut_while_abnormal", settings.cut_while_abnormal),
        skip=given.get("skip", False),
        certain=settings.certain or CERTAIN in given.get("incidents", ()),
        incidents=(*(one for one in settings.incidents if one.concerns(workload)), *own),
        runtimes=given.get("runtime", {}),
        reasons=tuple(_override(name, value, wanted.origins[name]) for name, value in given.items()),
    )


def check_overrides(states: Sequence[WorkloadState], settings: FleetSettings) -> list[WorkloadState]:
    """The states; one whose annotations cannot be used gets no numbers, with the reason: somebody else may own it.

    Raises one BadInput that names everything wrong, before anything is queried, where an override of mora.toml cannot
    be meant, or no workload is left.
    """
    wrong: list[BadInput] = []
    checked: list[WorkloadState] = []
    is_mine = False
    for state in states:
        error = _unusable(state, settings)
        if error is None:
            checked.append(state)
            continue
        wrong.append(error)
        plain = _without_overrides(state)
        is_mine = is_mine or _unusable(plain, settings) is not None
        why = Reason(BAD_ANNOTATION, f"{error.message} {error.hint or ''}".rstrip())
        checked.append(replace(plain, problem=state.problem or why, reasons=(why, *state.reasons)))
    if wrong and (is_mine or len(wrong) == len(states)):
        hint = wrong[0].hint if len(wrong) == 1 else "Correct them, or choose other workloads (-l, or by name)."
        # One annotation of a Namespace is wrong for each of its workloads.
        more = f" And {len(wrong) - _MOST_SHOWN} more." if len(wrong) > _MOST_SHOWN else ""
        raise BadInput(" ".join(error.message for error in wrong[:_MOST_SHOWN]) + more, hint=hint)
    return checked


def _unusable(state: WorkloadState, settings: FleetSettings) -> BadInput | None:
    try:
        sizing_of(state, settings)
    except BadInput as error:
        return error
    return None


def _without_overrides(state: WorkloadState) -> WorkloadState:
    kept = {name: text for name, text in state.annotations.items() if not is_override(name)}
    return replace(state, annotations=kept)


def _override(name: str, value: Any, origin: str) -> Reason:
    if name.endswith("_millicores"):
        shown = format_cpu(value)
    elif name.endswith("_bytes"):
        shown = format_memory(value)
    elif isinstance(value, (frozenset, tuple)):
        shown = ", ".join(sorted(value))
    elif isinstance(value, Mapping):
        shown = ", ".join(_written(container, runtime) for container, runtime in sorted(value.items()))
    elif isinstance(value, bool):
        shown = str(value).lower()
    else:
        shown = f"{value:g}"
    return Reason("override", f"{key_of(name)} = {shown} ({origin.rpartition(': ')[2]})")


def _written(container: str, runtime: Runtime | None) -> str:
    most = "" if runtime is None or runtime.most_bytes is None else f" of at most {format_memory(runtime.most_bytes)}"
    return f"{f'{container}: ' if container else ''}{'none' if runtime is None else runtime.name}{most}"
