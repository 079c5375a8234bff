"""What is unusual about a workload as a whole, its history or its pods: reasons beside its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from mora.domain import (
    API_VERSIONS,
    JOB_KINDS,
    Evidence,
    Reason,
    Recommendation,
    Target,
    Window,
    WorkloadHistory,
    WorkloadState,
    quality_of,
    where_set,
)
from mora.fleet.evidence import gaps
from mora.fleet.pods import uneven
from mora.fleet.retarget import unmeasured
from mora.fleet.settings import FleetSettings
from mora.fleet.surroundings import crash_loop_of, with_own_cores
from mora.quantities import format_duration, format_moment

# What has not been seen for a day is gone or has no replicas; there is no data on what it needs now.
_GONE_AFTER = timedelta(days=1)


def remarks_of(
    state: WorkloadState, history: WorkloadHistory, settings: FleetSettings, evidence: Sequence[Evidence | None]
) -> Iterable[Reason]:
    """What is odd about the workload as a whole. evidence: of each of its containers."""
    current = state.allocation
    yield from filter(None, (unmeasured(scaler, current.containers) for scaler in state.autoscalers))
    yield from _kind_remarks(state)
    known = {container.name for container in current.containers}
    gone = sorted(set(history.containers) - known)
    if gone:
        text = f"the history has samples of {', '.join(gone)}, which the workload no longer has; not sized"
        yield Reason("container-gone", text)
    yield from (one for name in sorted(known & set(history.containers)) for one in uneven(history.containers[name]))
    if (loop := crash_loop_of(history)) is not None:
        text = (
            f"container {loop.container} of pod {loop.pod} crashed and restarted {loop.restarts} times in "
            f"{format_duration(loop.span)}, none an OOM kill: nothing is cut, and no number has a confidence. Look at "
            f"its log: kubectl logs --previous -n {state.workload.namespace} -c {loop.container} {loop.pod}"
        )
        yield Reason("crash-loop", text)
    if not any(reason.code == "owners-unknown" for reason in state.reasons):  # nothing was asked for
        yield from (Reason("source", warning) for warning in history.warnings)
    window = history.window
    known_windows = [one for one in evidence if one is not None]
    if not known_windows:
        return
    start, end = min(one.start for one in known_windows), max(one.end for one in known_windows)
    is_job = state.workload.kind in JOB_KINDS
    if not is_job:
        here = [one for name, one in sorted(history.containers.items()) if name in known]
        yield from gaps(here, window, settings.excluded)
    if history.late or (start - window.start > max(window.step, timedelta(hours=1)) and not is_job):
        yield Reason("window-short", history.late or _short_window(window, start, end))
    if window.end - end > _GONE_AFTER and not is_job:
        text = f"last seen {format_moment(end)}: there is no data on what it needs since then"
        yield Reason("last-seen", text)


def _kind_remarks(state: WorkloadState) -> Iterable[Reason]:
    own = sorted(with_own_cores(state))
    if own:
        text = (
            f"its pods are Guaranteed, with whole cores of {', '.join(own)}: a static CPU manager gives it cores of "
            "its own, so they stay whole and limits equal requests"
        )
        yield Reason("whole-cores", text)
    if state.workload.kind == "Job":
        text = "the pod template of a Job cannot be changed: set the numbers where the Job is created"
        yield Reason("job-immutable", text)
    elif state.workload.kind not in API_VERSIONS:
        kind = state.workload.kind
        yield Reason("no-manifest", f"MOrA writes no patch for a {kind}: set its numbers in {where_set(kind)}")
    if state.known_by == "prometheus":
        text = (
            "read from Prometheus alone: annotations, LimitRanges, VPAs and images are known only as far as "
            "kube-state-metrics exports them"
        )
        yield Reason("known-by-prometheus", text)
    on_both = {scaler.resource for scaler in state.autoscalers if scaler.is_utilisation}
    if Target.CPU in on_both and Target.MEMORY in on_both:
        yield Reason(
            "autoscaler-several", "its HPA scales on CPU and on memory: the metric that asks for more pods wins"
        )


def _short_window(window: Window, start: datetime, end: datetime) -> str:
    # A sample covers the step before it: a single one is a step of history.
    asked, there = window.end - window.start, end - start + window.step
    return (
        f"history from {format_moment(start)} on, {format_duration(there, about=True)} of the {format_duration(asked)} "
        "asked for: it is younger, or Prometheus keeps no more (retention)"
    )


def quality_change(advice: Recommendation) -> tuple[Reason, ...]:
    """That the pods' QoS class changes with the numbers: it decides which pods a full node evicts first."""
    before, after = quality_of(advice.current.containers), quality_of(advice.target.containers)
    if before != "Guaranteed" or before == after:
        return ()
    text = (
        f"the QoS class of its pods changes from {before} to {after}, since the CPU limit goes: a node without memory "
        'evicts them earlier (policy.cpu_limit = "request" keeps it)'
    )
    return (Reason("qos-class", text),)
