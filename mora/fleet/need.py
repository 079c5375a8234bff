"""One container's history -> what it needs for the coming hold, in the terms that the policies take.

The number itself is mora/bounds': learnt from the samples as they came, and what `mora backtest` replays and scores
under the name `mora`. What that rule cannot see is told apart here: limit-bound use is not demand;
the first minutes of a pod, kept out of the samples, must be covered; an OOM kill says that the limit was too little;
and of a job, which leaves gaps between its runs, the peaks of the runs are all that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import JOB_KINDS, ContainerHistory, Demand, Reason, Target, TargetDemand, Window, Workload
from mora.features import six_digits
from mora.fleet.batch import Said
from mora.fleet.evidence import Floats, moment
from mora.fleet.settings import LEAST_RUNS, LEAST_SAMPLES, LEAST_SPAN, Sizing
from mora.quantities import format_duration, readable_bytes, readable_cores
from mora.saturation import LimitBound, limit_bound

_WEEK = timedelta(days=7)
_NEARLY = 0.98


@dataclass(frozen=True, slots=True)
class Need:
    """What a container needs. missing: of the targets without an honest number, why.

    demand.replicas is None: history knows of no SLO.
    """

    demand: Demand
    missing: Mapping[Target, Reason]


def need_of(
    workload: Workload,
    history: ContainerHistory,
    window: Window,
    *,
    said: Mapping[Target, Said],
    horizon: timedelta,
    sizing: Sizing,
) -> Need:
    """What a container needs, from its history alone (spans that are excluded are NaN in it already).

    said: what mora/bounds says of it (batch.bounds_of); of a job it is not looked at.
    """
    is_job = workload.kind in JOB_KINDS
    cpu, memory = (
        _of_runs(history, window, target, sizing)
        if is_job
        else _of_horizon(history, window, target, said=said.get(target), horizon=horizon, sizing=sizing)
        for target in (Target.CPU, Target.MEMORY)
    )
    demand = Demand(
        workload=workload,
        load=None,
        as_of=_last(history, window),
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
    said: Said | None,
    horizon: timedelta,
    sizing: Sizing,
) -> TargetDemand | Reason:
    use = _use(history, target)
    if said is None:
        return Reason("no-history", f"not one sample of {target.value} in the window")
    if (refused := _too_little(use, window, target)) is not None:
        return refused
    recent = use[-_count(_WEEK, window) - _quiet(use) :]
    known = recent[~np.isnan(recent)]
    bound, peak, reasons = said.amount, float(known.max()), [_bound_reason(said, target, horizon)]
    factor = sizing.cpu_factor if target is Target.CPU else sizing.memory_factor
    if factor > 1:
        text = f"with the margin that is asked for, x {factor:g} = {_readable(target, bound * factor)}"
        reasons.append(Reason("margin", text))
        bound *= factor
    if target is Target.CPU and sizing.cpu_quantile is not None:
        level = float(np.quantile(use[~np.isnan(use)], sizing.cpu_quantile, method="higher"))
        text = f"{sizing.cpu_quantile:.4g} of the samples, as asked for, are at or below {_readable(target, level)}"
        reasons.append(Reason("quantile", text))
        bound = max(bound, level)
    bounded = _limit_bound(history, window, target)
    if bounded is not None:
        # The limit that use was at, or what was seen while CPU was throttled, is the least that is needed.
        bound = max(bound, bounded.level)
        peak = bound if target is Target.CPU else peak
        reasons.append(bounded.reason)
    return TargetDemand(
        point_forecast=six_digits(float(known[-_count(horizon, window) :].mean())),
        bound=six_digits(bound),
        peak=six_digits(peak),
        confidence=said.confidence,
        windows=said.windows,
        pinned=bounded is not None,
        reasons=tuple(reasons),
        takes_buffer=False,
    )


def _bound_reason(said: Said, target: Target, horizon: timedelta) -> Reason:
    promise = "at most a tenth of the samples above" if target is Target.CPU else "no sample above"
    past = (
        f"{said.windows} such hold{'' if said.windows == 1 else 's'} of its own past"
        if said.windows
        else "less than one"
    )
    text = (
        f"bound {_readable(target, said.amount)} for the next {format_duration(horizon)} ({promise}), "
        f"learnt from {past}"
    )
    return Reason("bound", text)


def _too_little(use: Floats, window: Window, target: Target) -> Reason | None:
    known = np.flatnonzero(~np.isnan(use))
    span = (int(known[-1]) - int(known[0]) + 1) * window.step
    # The first sample of a rate is missing, and so are the first minutes of a pod: a day lacks a little.
    if span >= _NEARLY * LEAST_SPAN and len(known) >= LEAST_SAMPLES:
        return None
    text = (
        f"{target.value}: {len(known)} samples over {format_duration(span, about=True)} are too few for a number: "
        f"{format_duration(LEAST_SPAN)} and {LEAST_SAMPLES} samples are the least"
    )
    return Reason("too-little-data", text)


def _startup_cpu(history: ContainerHistory, window: Window) -> float | None:
    """The CPU peak of pods' first minutes, where it stands out: what is no higher than steady use is no start-up."""
    peak = _known(history.startup_cpu_cores)
    recent = history.cpu_cores[-_count(_WEEK, window) - _quiet(history.cpu_cores) :]
    known = recent[~np.isnan(recent)]
    return None if peak is None or (len(known) and peak <= known.max()) else peak


# --- jobs ------------------------------------------------------------------------------------------------------------


def _of_runs(history: ContainerHistory, window: Window, target: Target, sizing: Sizing) -> TargetDemand | Reason:
    """The largest of all runs; with k of them, the next stays below it with a chance of k in k + 1.

    Memory takes the policy's buffer on that peak, since a run that outgrows it is killed; CPU takes none.
    """
    use = _use(history, target)
    known = use[~np.isnan(use)]
    startup = _known(history.startup_cpu_cores if target is Target.CPU else history.startup_mem_bytes)
    seen = [*(float(known.max()) for _ in range(1) if len(known)), *([] if startup is None else [startup])]
    runs = history.pods
    if not seen:
        return Reason("no-history", f"not one sample of {target.value} in the window")
    if runs < LEAST_RUNS:
        text = f"{runs} run{'' if runs == 1 else 's'} in the window; {LEAST_RUNS} are the least for a number"
        return Reason("too-little-data", text)
    peak = max(seen)
    factor = sizing.cpu_factor if target is Target.CPU else 1.0
    text = f"the largest of {runs} runs, {_readable(target, peak)}"
    if factor > 1:
        text += f", with the margin that is asked for, x {factor:g}"
    bounded = _limit_bound(history, window, target)
    bound = max(peak * factor, bounded.level if bounded is not None else 0.0)
    reasons = [Reason("runs", text)]
    if bounded is not None:
        reasons.append(bounded.reason)
    return TargetDemand(
        point_forecast=six_digits(peak),
        bound=six_digits(bound),
        peak=six_digits(peak),
        confidence=runs / (runs + 1),
        windows=runs,
        pinned=bounded is not None,
        reasons=tuple(reasons),
        takes_buffer=target is Target.MEMORY,
    )


# --- limits ----------------------------------------------------------------------------------------------------------


def _limit_bound(history: ContainerHistory, window: Window, target: Target) -> LimitBound | None:
    """Whether the container's use is limit-bound (mora/saturation.py)."""
    is_cpu = target is Target.CPU
    return limit_bound(
        target,
        _use(history, target),
        step=window.step,
        limit=history.cpu_limit_cores if is_cpu else history.mem_limit_bytes,
        throttled=history.throttled,
        oom_kills=history.oom_kills,
        oom_limit_bytes=_known(history.oom_limit_bytes),
    )


# --- with a trained model --------------------------------------------------------------------------------------------


def with_model(model: Demand, need: Need) -> Need:
    """A trained model's demand, never below what the cluster's history shows.

    The load and the replicas are the model's; use at a limit, start-up peaks and OOM kills of the cluster count, too.
    """
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
    )
    known = {Target.CPU: both.cpu, Target.MEMORY: both.memory}
    return Need(both, {target: why for target, why in need.missing.items() if known[target] is None})


def _larger(model: TargetDemand | None, history: TargetDemand | None, target: Target) -> TargetDemand | None:
    if model is None or history is None:
        # Where the model is silent (a load beyond what was driven), what was seen stands.
        return model or history
    added = []
    if history.bound > model.bound:
        text = (
            f"the cluster's history asks for more than the model: {_readable(target, history.bound)} instead of "
            f"{_readable(target, model.bound)}"
        )
        added = [Reason("history-above-model", text), *history.reasons]
    elif history.pinned:
        added = [reason for reason in history.reasons if reason.code == "limit-bound"]
    return replace(
        model,
        bound=max(model.bound, history.bound),
        peak=max(model.peak, history.peak),
        confidence=min(model.confidence, history.confidence) if history.bound > model.bound else model.confidence,
        pinned=model.pinned or history.pinned,
        reasons=(*model.reasons, *added),
    )


# --- small things ----------------------------------------------------------------------------------------------------


def _use(history: ContainerHistory, target: Target) -> Floats:
    return history.cpu_cores if target is Target.CPU else history.mem_bytes


def _quiet(use: Floats) -> int:
    """How many samples at the end are not known: what has gone is judged by its last week."""
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
