"""One container's history -> what it needs over the coming horizon, in the terms that the policies take.

The number itself is mora/bounds': learnt from the samples as they came, and what `mora backtest` replays and scores
under the name `mora`. What that rule cannot see is added here: limit-bound use is not demand (mora/saturation.py); the
first minutes of a pod, kept out of the samples, must be covered; an OOM kill proves that the limit was too low; and of
a job, which leaves gaps between its runs, only the peaks of the runs count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import (
    JOB_KINDS,
    MOST_LEFT_OUT,
    ContainerHistory,
    Demand,
    Reason,
    Target,
    TargetDemand,
    Window,
    Workload,
    WorkloadHistory,
)
from mora.features import six_digits
from mora.fleet.batch import UpperBound, bounds_of
from mora.fleet.cache import cache_unknown, page_cache, without_cache
from mora.fleet.evidence import Floats, cpu_series, level_of, moment
from mora.fleet.settings import LEAST_RUNS, LEAST_SAMPLES, LEAST_SPAN, Sizing
from mora.quantities import counted, format_duration, readable_bytes, readable_cores
from mora.saturation import LimitBound, limit_bound

_WEEK = timedelta(days=7)
_NEARLY = 0.98
# A run that is seen in so large a share of its time runs on; shorter runs leave gaps.
_MOST_OF_IT = 0.9
_WORDS = {Target.CPU: "CPU", Target.MEMORY: "memory"}


@dataclass(frozen=True, slots=True)
class Need:
    """What a container needs. missing: of the targets without an honest number, why.

    demand.replicas is None: a history has no response times.
    """

    demand: Demand
    missing: Mapping[Target, Reason]


def need_of(
    workload: Workload,
    history: ContainerHistory,
    window: Window,
    *,
    predicted: Mapping[Target, UpperBound],
    horizon: timedelta,
    sizing: Sizing,
) -> Need:
    """What a container needs, from its history alone (excluded time ranges are NaN in it already).

    predicted: what mora/bounds predicts for it (batch.bounds_of); not used for a job.
    """

    def needed(history: ContainerHistory, target: Target, predicted: UpperBound | None) -> TargetDemand | Reason:
        if workload.kind in JOB_KINDS and not _runs_on(history, window, target):
            return _of_runs(history, window, target, sizing)
        return _of_horizon(history, window, target, predicted=predicted, horizon=horizon, sizing=sizing)

    cpu, memory = (needed(history, target, predicted.get(target)) for target in (Target.CPU, Target.MEMORY))
    less_cache = None
    if (plain := without_cache(history)) is not None:
        bounds = bounds_of([WorkloadHistory(workload, window, {plain.container: plain})], horizon)[0]
        found_less = needed(plain, Target.MEMORY, bounds[plain.container].get(Target.MEMORY))
        if isinstance(found_less, TargetDemand):
            less_cache = replace(found_less, reasons=(*found_less.reasons, page_cache(history, plain)))
    demand = Demand(
        workload=workload,
        load=None,
        as_of=_last(history, window),
        memory_less_cache=less_cache,
        cpu=cpu if isinstance(cpu, TargetDemand) else None,
        memory=memory if isinstance(memory, TargetDemand) else None,
        replicas=None,
        startup_cpu_cores=_startup_cpu(history, window),
        startup_memory_bytes=_known(history.startup_mem_bytes),
        oom_kills=history.oom_kills,
        oom_peak_bytes=_known(history.oom_limit_bytes) if history.oom_kills else None,
    )
    found = {Target.CPU: cpu, Target.MEMORY: memory}
    return Need(demand, {target: why for target, why in found.items() if isinstance(why, Reason)})


# --- what runs all the time ------------------------------------------------------------------------------------------


def _of_horizon(
    history: ContainerHistory,
    window: Window,
    target: Target,
    *,
    predicted: UpperBound | None,
    horizon: timedelta,
    sizing: Sizing,
) -> TargetDemand | Reason:
    use = _use(history, target)
    if (refused := _too_much_left_out(history, target)) is not None:
        return refused
    if predicted is None:
        return Reason("no-history", f"no {_WORDS[target]} samples in the time range")
    if (refused := _too_little(use, window, target)) is not None:
        return refused
    bound, peak = predicted.amount, float(_recent(use, _WEEK, window).max())
    series = [use] if target is Target.MEMORY else cpu_series(history)
    reasons = [_bound_reason(predicted, target, horizon, history.pods), *_left_out(history, target)]
    label = f"{format_duration(horizon)} upper bound"
    factor = sizing.cpu_factor if target is Target.CPU else sizing.memory_factor
    if factor > 1:
        text = f"with the buffer that is asked for: {_readable(target, bound)} x {factor:g} = "
        text += _readable(target, bound * factor)
        reasons.append(Reason("margin", text))
        bound *= factor
    if target is Target.CPU and sizing.cpu_quantile is not None:
        level = max(level_of(one, sizing.cpu_quantile, method="higher") for one in series)
        text = f"quantile {sizing.cpu_quantile:.4g} of the samples, as asked for: {_readable(target, level)}"
        reasons.append(Reason("quantile", text))
        label = f"quantile {sizing.cpu_quantile:.4g} of the samples" if level > bound else label
        bound = max(bound, level)
    bounded = _limit_bound(history, window, target)
    if bounded is not None:
        # The limit that use was at, or what was seen while CPU was throttled, is the least that is needed.
        bound = max(bound, bounded.level)
        peak = bound if target is Target.CPU else peak
        reasons += [bounded.reason, *cache_unknown(history, bounded, target)]
    return TargetDemand(
        point_forecast=six_digits(
            max(float(_recent(one, _WEEK, window)[-_count(horizon, window) :].mean()) for one in series)
        ),
        bound=six_digits(bound),
        peak=six_digits(peak),
        confidence=predicted.confidence,
        windows=predicted.windows,
        is_limit_bound=bounded is not None,
        reasons=tuple(reasons),
        takes_buffer=False,
        bound_label=label,
        peak_label=f"peak of the last {format_duration(min(_WEEK, window.end - window.start))}",
    )


def _bound_reason(predicted: UpperBound, target: Target, horizon: timedelta, pods: int) -> Reason:
    covered = "at most 10% of samples above it" if target is Target.CPU else "no sample above it"
    span, windows = format_duration(horizon), predicted.windows
    past = f"{windows} window{'' if windows == 1 else 's'} of {span}" if windows else f"less than {span}"
    amount = _readable(target, predicted.amount)
    if predicted.is_of_one_pod:
        whose = f"the past of the pod that needs most, of {pods} (with those whose place it took)"
    else:
        whose = "its past"
    return Reason("bound", f"upper bound {amount} for the next {span} ({covered}), learnt from {past} of {whose}")


def _too_little(use: Floats, window: Window, target: Target) -> Reason | None:
    known = np.flatnonzero(~np.isnan(use))
    if not len(known):
        return Reason("no-history", f"no {_WORDS[target]} samples in the time range")
    span = (int(known[-1]) - int(known[0]) + 1) * window.step
    # The first sample of a rate is missing, and so are the first minutes of a pod: a day lacks a little.
    if span >= _NEARLY * LEAST_SPAN and len(known) >= LEAST_SAMPLES:
        return None
    text = (
        f"only {format_duration(span, about=True)} of {_WORDS[target]} history ({counted(len(known), 'sample')}), "
        f"{format_duration(LEAST_SPAN)} and {LEAST_SAMPLES} samples are needed"
    )
    return Reason("too-little-data", text)


def _left_out(history: ContainerHistory, target: Target) -> list[Reason]:
    """What was left out of the samples, since it cannot be, and how they were read where not as usual."""
    found = history.left_out.get(target)
    if found is None:
        return []
    word = _WORDS[target]
    reasons = [Reason("samples-read", found.remark)] if found.remark else []
    if found.count:
        reasons.append(Reason("samples-left-out", found.words(word)))
    return reasons


def _too_much_left_out(history: ContainerHistory, target: Target) -> Reason | None:
    """Why there is no number where too many samples cannot be."""
    found = history.left_out.get(target)
    if found is None or found.share <= MOST_LEFT_OUT:
        return None
    text = (
        f"{found.count:,} of {found.samples:,} {_WORDS[target]} samples {found.why}: too many ({found.share:.0%}) to "
        "believe the rest. Look at who scrapes and writes this metric (two collectors of one series?)"
    )
    return Reason("samples-unbelievable", text)


def _startup_cpu(history: ContainerHistory, window: Window) -> float | None:
    """The CPU peak of pods' first minutes, where it is higher than steady use; None where it is not."""
    peak = _known(history.startup_cpu_cores)
    known = _recent(history.cpu_cores, _WEEK, window)
    return None if peak is None or (len(known) and peak <= known.max()) else peak


def _runs_on(history: ContainerHistory, window: Window, target: Target) -> bool:
    """Whether too few runs are known, but one of them has run on for as long as what runs all the time needs."""
    use = _use(history, target)
    known = np.flatnonzero(~np.isnan(use))
    if _run_count(history) >= LEAST_RUNS or _too_little(use, window, target) is not None:
        return False
    return bool(len(known) >= _MOST_OF_IT * (known[-1] - known[0] + 1))


# --- jobs ------------------------------------------------------------------------------------------------------------


def _of_runs(history: ContainerHistory, window: Window, target: Target, sizing: Sizing) -> TargetDemand | Reason:
    """The largest of all runs; with k of them, the next stays below it with a chance of k in k + 1.

    Memory takes the policy's buffer on that peak, since a run that outgrows it is killed; CPU takes none.
    """
    if (refused := _too_much_left_out(history, target)) is not None:
        return refused
    use = _use(history, target)
    known = use[~np.isnan(use)]
    startup = _known(history.startup_cpu_cores if target is Target.CPU else history.startup_mem_bytes)
    seen = [*(float(known.max()) for _ in range(1) if len(known)), *([] if startup is None else [startup])]
    runs = _run_count(history)
    if not seen:
        return Reason("no-history", f"no {_WORDS[target]} samples in the time range")
    if runs < LEAST_RUNS:
        failed = f" that did not fail ({history.failed_pods} failed)" if history.failed_pods else ""
        text = f"only {runs} run{'' if runs == 1 else 's'} in the time range{failed}, {LEAST_RUNS} are needed"
        return Reason("too-little-data", text)
    peak = max(seen)
    factor = sizing.cpu_factor if target is Target.CPU else 1.0
    text = f"the largest of {runs} runs, {_readable(target, peak)}"
    if factor > 1:
        text += f", with the buffer that is asked for, x {factor:g} = {_readable(target, peak * factor)}"
    bounded = _limit_bound(history, window, target)
    bound = max(peak * factor, bounded.level if bounded is not None else 0.0)
    reasons = [Reason("runs", text), *_left_out(history, target)]
    if bounded is not None:
        reasons += [bounded.reason, *cache_unknown(history, bounded, target)]
    return TargetDemand(
        point_forecast=six_digits(peak),
        bound=six_digits(bound),
        peak=six_digits(peak),
        confidence=runs / (runs + 1),
        windows=runs,
        is_limit_bound=bounded is not None,
        reasons=tuple(reasons),
        takes_buffer=target is Target.MEMORY,
        bound_label=f"largest of {runs} runs",
        point_label=f"largest of {runs} runs",
    )


def _run_count(history: ContainerHistory) -> int:
    return history.pods if history.runs is None else history.runs


# --- limits ----------------------------------------------------------------------------------------------------------


def _limit_bound(history: ContainerHistory, window: Window, target: Target) -> LimitBound | None:
    """Whether the container's use is limit-bound (mora/saturation.py): of several pods, whether one's is."""
    is_cpu = target is Target.CPU
    pods = history.by_pod if is_cpu else ()
    series = [(one.cpu_cores, one.throttled) for one in pods] or [(_use(history, target), history.throttled)]
    found = [
        limit_bound(
            target,
            use,
            step=window.step,
            limit=history.cpu_limit_cores if is_cpu else history.mem_limit_bytes,
            throttled=throttled,
            oom_kills=history.oom_kills,
            oom_limit_bytes=_known(history.oom_limit_bytes),
        )
        for use, throttled in series
    ]
    return max((one for one in found if one is not None), key=lambda one: one.level, default=None)


# --- with a trained model --------------------------------------------------------------------------------------------


def with_model(model: Demand, need: Need, *, pods: int = 1) -> Need:
    """A trained model's demand, never below what the cluster's history shows.

    The load and the replicas are the model's; limit-bound use, start-up peaks and OOM kills of the cluster count, too.
    pods: of how many pods the history has the CPU of each. A model of history alone was trained on the pod that is
    hottest at each moment, which is no single pod: then the history's CPU counts.
    """
    history = need.demand
    if model.load is None and pods > 1 and model.cpu is not None and history.cpu is not None:
        text = (
            f"the model was trained on the hottest of {pods} pods at each moment, and predicts "
            f"{_readable(Target.CPU, model.cpu.bound)} of CPU; what a single pod needs is known from the history"
        )
        reasons = (*history.cpu.reasons, Reason("model-of-hottest", text))
        model = replace(model, cpu=None)
        need = replace(need, demand=replace(history, cpu=replace(history.cpu, reasons=reasons)))
        history = need.demand
    both = replace(
        model,
        workload=history.workload,
        cpu=_larger(model.cpu, history.cpu, Target.CPU),
        memory=_larger(model.memory, history.memory, Target.MEMORY),
        startup_cpu_cores=_most(model.startup_cpu_cores, history.startup_cpu_cores),
        startup_memory_bytes=_most(model.startup_memory_bytes, history.startup_memory_bytes),
        oom_kills=max(model.oom_kills, history.oom_kills),
        oom_peak_bytes=_most(model.oom_peak_bytes, history.oom_peak_bytes),
        # What a load beyond the history's needs, the history's cache does not tell.
        memory_less_cache=history.memory_less_cache if model.load is None else None,
    )
    known = {Target.CPU: both.cpu, Target.MEMORY: both.memory}
    return Need(both, {target: why for target, why in need.missing.items() if known[target] is None})


def _larger(model: TargetDemand | None, history: TargetDemand | None, target: Target) -> TargetDemand | None:
    if model is None or history is None:
        # Where the model has no number (a load beyond what was driven), the history's counts.
        return model or history
    added = []
    if history.bound > model.bound:
        text = (
            f"the cluster's history needs more than the model predicts: {_readable(target, history.bound)} instead of "
            f"{_readable(target, model.bound)}"
        )
        added = [Reason("history-above-model", text), *history.reasons]
    elif history.is_limit_bound:
        added = [reason for reason in history.reasons if reason.code == "limit-bound"]
    return replace(
        model,
        bound=max(model.bound, history.bound),
        peak=max(model.peak, history.peak),
        peak_label=history.peak_label if history.peak > model.peak else model.peak_label,
        confidence=min(model.confidence, history.confidence) if history.bound > model.bound else model.confidence,
        is_limit_bound=model.is_limit_bound or history.is_limit_bound,
        reasons=(*model.reasons, *added),
    )


# --- small things ----------------------------------------------------------------------------------------------------


def _use(history: ContainerHistory, target: Target) -> Floats:
    return history.cpu_cores if target is Target.CPU else history.mem_bytes


def _recent(use: Floats, span: timedelta, window: Window) -> Floats:
    """The known samples of the last `span` in which something is known."""
    recent = use[-_count(span, window) - _quiet(use) :]
    return recent[~np.isnan(recent)]


def _quiet(use: Floats) -> int:
    """How many samples at the end are missing: a container that is gone is judged by its last week."""
    known: NDArray[np.intp] = np.flatnonzero(~np.isnan(use))
    return len(use) - 1 - int(known[-1]) if len(known) else len(use)


def _count(span: timedelta, window: Window) -> int:
    return max(1, round(span / window.step))


def _last(history: ContainerHistory, window: Window) -> datetime:
    quiet = min(_quiet(history.cpu_cores), _quiet(history.mem_bytes))
    return moment(window, max(window.sample_count - 1 - quiet, 0))


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else value


def _most(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _readable(target: Target, use: float) -> str:
    return readable_cores(use) if target is Target.CPU else readable_bytes(use)
