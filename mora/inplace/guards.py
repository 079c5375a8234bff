"""Whether a change may begin, and whether one that was made does harm. Pure.

What is known of a pod comes from the API server (restarts, OOM kills, readiness, what the node makes of the resize), of
its throttling and the SLO from Prometheus (signals.py). Harm counts from the moment that the pod was asked on, and only
where it is worse than before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mora.domain import Resources
from mora.domain.pods import ResizeState, RunningPod
from mora.inplace.book import Change, PodChange, Stage
from mora.quantities import format_duration

# What clocks are corrected by all the time.
_HAIR = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """How long each step is watched, and from when on something is harm.

    canary_for: the first pod has its new resources so long before the others get theirs. watch_for: all have them so
    long before the change counts as kept. start_up: a pod younger than this is not touched. pending_for: a resize that
    waits for room on its node is taken back after this; one that the node tries in vain as well. not_ready_for: a pod
    may be not ready so long. throttled: the share of throttled periods that is too many, where it was less than half of
    that before.
    """

    canary_for: timedelta = timedelta(minutes=2)
    watch_for: timedelta = timedelta(minutes=10)
    start_up: timedelta = timedelta(minutes=5)
    pending_for: timedelta = timedelta(minutes=5)
    not_ready_for: timedelta = timedelta(seconds=30)
    throttled: float = 0.25


def why_not_begin(
    pods: Sequence[RunningPod], replicas: int | None, now: datetime, settings: GuardSettings
) -> str | None:
    """Why the pods of a workload are not touched now; None where a change may begin. pods: at least one."""
    revisions = {pod.revision for pod in pods}
    if len(revisions) > 1:
        return "a rollout is under way: its pods are of several templates"
    if replicas is not None and len(pods) < replicas:
        return f"{len(pods)} of its {replicas} pods run"
    for pod in pods:
        if pod.has_own_resources:
            return f"pod {pod.name} has requests or limits of its own (spec.resources), which MOrA does not resize"
        if not pod.is_ready:
            return f"pod {pod.name} is not ready"
        if pod.resize is not ResizeState.DONE:
            return f"pod {pod.name} has a resize that is {pod.resize.value} already"
        if any(one.actual is None for one in pod.containers):
            return f"the node of pod {pod.name} does not say what it gives, as one that resizes in place does"
        if pod.started_at is not None and now - pod.started_at < settings.start_up:
            return f"pod {pod.name} starts up: it runs for less than {format_duration(settings.start_up)}"
    return None


def is_given(pod: RunningPod, wanted: Mapping[str, Resources]) -> bool:
    """Whether the node has given a pod what is wanted of it."""
    return pod.resize is ResizeState.DONE and all(
        one.resources == wanted[one.name] and one.actual in (None, wanted[one.name])
        for one in pod.containers
        if one.name in wanted
    )


def harm_to(
    pod: RunningPod,
    change: PodChange,
    *,
    throttled: Mapping[str, float],
    now: datetime,
    settings: GuardSettings,
) -> str | None:
    """What a change did to one of its pods; None where nothing is wrong.

    throttled: container -> share of throttled periods now; without those of which it is not known.
    """
    for one in pod.containers:
        touched = one.name in change.after
        # Compared with what the pod said then, and not with a clock: this machine's may differ from the node's.
        if touched and one.oom_killed_at is not None and one.oom_killed_at != change.killed.get(one.name):
            return f"container {one.name} of pod {pod.name} was OOM-killed"
        if one.restarts > change.restarts.get(one.name, one.restarts):
            return f"container {one.name} of pod {pod.name} restarted"
        share, before = throttled.get(one.name), change.throttled.get(one.name, 0.0)
        if touched and share is not None and share >= settings.throttled and share > 2 * before:
            words = f"is throttled in {share:.0%} of its periods, before {before:.0%}"
            return f"container {one.name} of pod {pod.name} {words}"
    since = pod.ready_since
    if since is not None:  # a node whose clock is ahead must not make it longer
        since = change.asked_at if since > now + _HAIR else max(since, change.asked_at)
    if not pod.is_ready and (since is None or has_passed(since, settings.not_ready_for, now)):
        return f"pod {pod.name} is not ready"
    return None


def why_not_given(pod: RunningPod, change: PodChange, now: datetime, settings: GuardSettings) -> str | None:
    """Why the node will not give a pod what it was asked for; None while it may yet."""
    words = f": {pod.resize_message}" if pod.resize_message else ""
    if pod.resize is ResizeState.INFEASIBLE:
        return f"the node of pod {pod.name} can never give that{words}"
    if not has_passed(change.asked_at, settings.pending_for, now):
        return None
    waited = format_duration(settings.pending_for)
    if pod.resize is ResizeState.DEFERRED:
        return f"the node of pod {pod.name} has had no room for {waited}{words}"
    return f"the node of pod {pod.name} has not given that within {waited}{words}"


def has_passed(since: datetime, span: timedelta, now: datetime) -> bool:
    """Whether a span has passed, by the wall clock; one that was set back must not keep harm from being undone."""
    return not -_HAIR <= now - since < span


def is_over(change: Change, watched: timedelta, settings: GuardSettings) -> bool:
    """Whether a stage was watched for long enough."""
    wanted = {Stage.CANARY: settings.canary_for, Stage.WATCH: settings.watch_for}
    return watched >= wanted.get(change.stage, timedelta(0))
