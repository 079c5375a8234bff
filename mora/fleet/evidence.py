"""What a container's numbers rest on: the time range, its samples, its peaks, and when and where they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mora.domain import ContainerHistory, Evidence, PodUse, Reason, Target, Window, WorkloadHistory
from mora.fleet.spans import Span, left_out, words_of
from mora.quantities import format_duration, format_moment

Floats = NDArray[np.float64]
_LEVEL = 0.95
# Where more of the samples are missing, a reason says so.
_MANY_MISSING = 0.10


def without(history: WorkloadHistory, spans: Sequence[Span]) -> WorkloadHistory:
    """The same history without the samples of some time ranges. Single figures (start-up peaks, kills) stay."""
    taken = left_out(history.window, spans)
    if not taken.any():
        return history
    return replace(history, containers={name: _masked(one, taken) for name, one in history.containers.items()})


def _masked(one: ContainerHistory, taken: NDArray[np.bool_]) -> ContainerHistory:
    cpu, memory = (np.where(taken, np.nan, values) for values in (one.cpu_cores, one.mem_bytes))
    # The source named the pod of the whole range's peak; whose the remaining peak is, is not known.
    stays = {Target.CPU: _peak(cpu) == _peak(one.cpu_cores), Target.MEMORY: _peak(memory) == _peak(one.mem_bytes)}
    return replace(
        one,
        cpu_cores=cpu,
        mem_bytes=memory,
        throttled=None if one.throttled is None else np.where(taken, np.nan, one.throttled),
        by_pod=tuple(
            PodUse(
                np.where(taken, np.nan, pod.cpu_cores),
                None if pod.throttled is None else np.where(taken, np.nan, pod.throttled),
            )
            for pod in one.by_pod
        ),
        peak_pods={target: pod for target, pod in one.peak_pods.items() if stays.get(target, False)},
        mem_less_cache_bytes=None
        if one.mem_less_cache_bytes is None
        else np.where(taken, np.nan, one.mem_less_cache_bytes),
    )


def evidence_of(
    history: ContainerHistory, window: Window, *, spans: Sequence[Span], queries: Mapping[str, str]
) -> Evidence | None:
    """What is known of one container, excluded time ranges left out already; None without a single sample."""
    known = np.flatnonzero(~(np.isnan(history.cpu_cores) & np.isnan(history.mem_bytes)))
    if not len(known):
        return None
    first, last = int(known[0]), int(known[-1])
    cpu, memory = _peak(history.cpu_cores), _peak(history.mem_bytes)
    levels = [level_of(one) for one in cpu_series(history) if not np.isnan(one).all()]
    throttled = None if history.throttled is None else history.throttled[~np.isnan(history.throttled)]
    return Evidence(
        start=moment(window, first),
        end=moment(window, last),
        step=window.step,
        samples=len(known),
        expected=last - first + 1 - int(left_out(window, spans)[first : last + 1].sum()),
        pods=history.pods,
        cpu_level_cores=max(levels, default=None),
        cpu_peak_cores=None if cpu is None else float(history.cpu_cores[cpu]),
        cpu_peak_at=None if cpu is None else moment(window, cpu),
        cpu_peak_pod=history.peak_pods.get(Target.CPU),
        mem_peak_bytes=None if memory is None else float(history.mem_bytes[memory]),
        mem_peak_at=None if memory is None else moment(window, memory),
        mem_peak_pod=history.peak_pods.get(Target.MEMORY),
        throttled_ratio=float(throttled.mean()) if throttled is not None and len(throttled) else None,
        cpu_samples=int(np.count_nonzero(~np.isnan(history.cpu_cores))),
        mem_samples=int(np.count_nonzero(~np.isnan(history.mem_bytes))),
        oom_kills=history.oom_kills,
        restarts=history.restarts,
        left_out=words_of(window, spans),
        queries=queries,
    )


def gaps(histories: Sequence[ContainerHistory], window: Window, spans: Sequence[Span]) -> Iterator[Reason]:
    """That samples are missing between the first and the last one of some containers: how many, and where most of them.

    Of CPU and memory apart, since one may be known where the other is not; together where they are missing alike.
    """
    missing: dict[str, list[str]] = {}
    for target in (Target.CPU, Target.MEMORY):
        found = [_gap(one, target, window, spans) for one in histories]
        share, longest = max(found, key=lambda pair: pair[0], default=(0.0, ""))
        if share > _MANY_MISSING:
            missing.setdefault(f"missing in {share:.0%} of the time range ({longest})", []).append(
                "CPU" if target is Target.CPU else "memory"
            )
    for where, of in missing.items():
        text = f"{' and '.join(of)} samples are {where}: what was used then is not known"
        yield Reason("samples-missing", text)


def _gap(one: ContainerHistory, target: Target, window: Window, spans: Sequence[Span]) -> tuple[float, str]:
    """The share of a resource's samples that is missing, and its longest gap; what is excluded counts as neither."""
    known = np.flatnonzero(~(np.isnan(one.cpu_cores) & np.isnan(one.mem_bytes)))
    if not len(known):
        return 0.0, ""
    here = slice(int(known[0]), int(known[-1]) + 1)
    use = (one.cpu_cores if target is Target.CPU else one.mem_bytes)[here]
    missing = np.isnan(use) & ~left_out(window, spans)[here]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        return 0.0, ""
    longest = int(np.argmax(ends - begins))
    start, end = (moment(window, here.start + int(row)) for row in (begins[longest], ends[longest]))
    length = format_duration(end - start, about=True)
    return float(missing.mean()), f"the longest gap {length}, from {format_moment(start)} to {format_moment(end)}"


def cpu_series(history: ContainerHistory) -> list[Floats]:
    """The CPU series that a request is sized on: of several pods those that need most, each alone."""
    return [one.cpu_cores for one in history.by_pod] or [history.cpu_cores]


def level_of(use: Floats, share: float = _LEVEL, *, method: Literal["linear", "higher"] = "linear") -> float:
    """A quantile of the samples that are known, of which there is at least one."""
    return float(np.quantile(use[~np.isnan(use)], share, method=method))


def moment(window: Window, sample: int) -> datetime:
    """When a sample of a window was taken."""
    return window.start + sample * window.step


def _peak(values: Floats) -> int | None:
    return None if bool(np.isnan(values).all()) else int(np.nanargmax(values))
