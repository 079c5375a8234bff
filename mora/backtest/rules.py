"""The rules that others use, to the constant: KRR's, the VPA's, Crane's percentile, and what people do by hand.

Each looks at one series at a time and only backwards. Sources: FIELD.md 1.1 (KRR), 1.2 (VPA), 1.4 (Crane). Where a
rule's window has no sample at all (a long gap), it keeps to the newest window that does: nothing was measured, so
nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mora.backtest.histogram import CPU_STARTS, MEMORY_STARTS, DecayingHistogram
from mora.backtest.policy import Decisions, Floats, Indices, LoneRule, Resource, Series
from mora.quantities import MIB

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS

# KRR `simple`: CPU p95 and memory peak x1.15 of 336 h, rounded up to 1m and 1 MiB, then at least 10m and 100 MiB.
KRR_WINDOW_SECONDS = 336 * HOUR_SECONDS
KRR_CPU_SHARE, KRR_MEMORY_FACTOR = 0.95, 1.15
KRR_CPU_STEP_CORES, KRR_CPU_MIN_CORES = 0.001, 0.010
KRR_MEMORY_STEP_BYTES, KRR_MEMORY_MIN_BYTES = float(MIB), 100.0 * MIB

# VPA target: p90 of a histogram with a half-life of a day, x1.15, then at least 25m and 250 MiB.
VPA_SHARE, VPA_FACTOR, VPA_HALF_LIFE_SECONDS = 0.90, 1.15, float(DAY_SECONDS)
VPA_CPU_SAMPLE_WEIGHT, VPA_MEMORY_SAMPLE_WEIGHT = 0.1, 1.0
VPA_MEMORY_INTERVAL_SECONDS, VPA_MEMORY_INTERVALS = DAY_SECONDS, 8
VPA_CPU_MIN_CORES, VPA_MEMORY_MIN_BYTES = 0.025, 250.0 * MIB

# Crane's resource recommender: p99 of 168 h and 15 %, for both.
P99_WINDOW_SECONDS, P99_SHARE, P99_FACTOR = 168 * HOUR_SECONDS, 0.99, 1.15
PEAK_WINDOW_SECONDS, PEAK_FACTOR = 7 * DAY_SECONDS, 1.1
LAST_FACTOR = 1.2


def _krr(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    use = _use(one, resource)
    if resource == "cpu":
        # quantile_over_time interpolates between neighbours, as numpy does by default.
        need = _over_windows(use, at, KRR_WINDOW_SECONDS // one.step_seconds, _quantile_of(KRR_CPU_SHARE))
        step, minimum = KRR_CPU_STEP_CORES, KRR_CPU_MIN_CORES
    else:
        need = KRR_MEMORY_FACTOR * _over_windows(use, at, KRR_WINDOW_SECONDS // one.step_seconds, _peak)
        step, minimum = KRR_MEMORY_STEP_BYTES, KRR_MEMORY_MIN_BYTES
    return np.maximum(round_up(need, step), minimum) if decisions.with_minimums else need


def _vpa(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    use = _use(one, resource)
    need = VPA_FACTOR * (_vpa_cpu(one, use, at) if resource == "cpu" else _vpa_memory(one, use, at))
    minimum = VPA_CPU_MIN_CORES if resource == "cpu" else VPA_MEMORY_MIN_BYTES
    return np.maximum(need, minimum) if decisions.with_minimums else need


def _vpa_cpu(one: Series, use: Floats, at: Indices) -> Floats:
    histogram = DecayingHistogram(CPU_STARTS, VPA_HALF_LIFE_SECONDS)
    seconds = one.start + one.step_seconds * np.arange(len(use), dtype=np.float64)
    is_known = ~np.isnan(use)
    need = np.full(len(at), np.nan)
    begin, has_any = 0, False
    for number, end in enumerate(at):
        new = slice(begin, int(end))
        histogram.add(use[new][is_known[new]], VPA_CPU_SAMPLE_WEIGHT, seconds[new][is_known[new]])
        has_any = has_any or bool(is_known[new].any())
        begin = int(end)
        if has_any:
            need[number] = histogram.percentile(VPA_SHARE)
    return need


def _vpa_memory(one: Series, use: Floats, at: Indices) -> Floats:
    """One peak for every 24 h since the first sample, the unfinished one included, weighted by when it ends."""
    need = np.full(len(at), np.nan)
    known = np.flatnonzero(~np.isnan(use))
    if not len(known):
        return need
    per_interval = VPA_MEMORY_INTERVAL_SECONDS / one.step_seconds
    interval = np.floor((known - known[0]) / per_interval).astype(np.int64)
    for number, end in enumerate(at):
        seen = int(np.searchsorted(known, end))
        if not seen:
            continue
        newest = interval[seen - 1]
        first = int(np.searchsorted(interval, newest - VPA_MEMORY_INTERVALS + 1))
        begins = np.flatnonzero(np.diff(interval[first:seen], prepend=-1))
        peaks = np.maximum.reduceat(use[known[first:seen]], begins)
        # The weights decay from the newest interval's end on; earlier ones stand whole days before it.
        ends = (interval[first:seen][begins] - newest) * float(VPA_MEMORY_INTERVAL_SECONDS)
        histogram = DecayingHistogram(MEMORY_STARTS, VPA_HALF_LIFE_SECONDS)
        histogram.add(peaks, VPA_MEMORY_SAMPLE_WEIGHT, ends)
        need[number] = histogram.percentile(VPA_SHARE)
    return need


def _p99(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    window = P99_WINDOW_SECONDS // one.step_seconds
    return P99_FACTOR * _over_windows(_use(one, resource), at, window, _quantile_of(P99_SHARE))


def _peak_rule(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    return PEAK_FACTOR * _over_windows(_use(one, resource), at, PEAK_WINDOW_SECONDS // one.step_seconds, _peak)


def _last(one: Series, resource: Resource, at: Indices, decisions: Decisions) -> Floats:
    return LAST_FACTOR * _over_windows(_use(one, resource), at, 1, _peak)


krr = LoneRule(_krr)
vpa = LoneRule(_vpa)
p99 = LoneRule(_p99)
peak = LoneRule(_peak_rule)
last = LoneRule(_last)


def round_up(amounts: Floats, step: float) -> Floats:
    """To whole steps, never down; float noise of a billionth of a step costs none.

    >>> round_up(np.array([0.0101, 0.011]), 0.001)
    array([0.011, 0.011])
    """
    return np.asarray(np.ceil(amounts / step - 1e-9) * step)


def _use(one: Series, resource: Resource) -> Floats:
    use = one.use(resource)
    return np.full(one.sample_count, np.nan) if use is None else use


def _over_windows(use: Floats, at: Indices, window: int, figure: Callable[[Floats], float]) -> Floats:
    """`figure` of the known samples of the last `window` before each decision; NaN where there was none ever."""
    known = np.flatnonzero(~np.isnan(use))
    values = use[known]
    found = np.full(len(at), np.nan)
    for number, end in enumerate(at):
        stop = int(np.searchsorted(known, end))
        if not stop:
            continue
        begin = min(int(np.searchsorted(known, end - window)), stop)
        if begin == stop:
            begin = int(np.searchsorted(known, known[stop - 1] + 1 - window))
        found[number] = figure(values[begin:stop])
    return found


def _peak(values: Floats) -> float:
    return float(values.max())


def _quantile_of(share: float) -> Callable[[Floats], float]:
    """np.quantile's linear one, by partition: ten times as fast on a window of two weeks."""

    def quantile(values: Floats) -> float:
        rank = share * (len(values) - 1)
        low = math.floor(rank)
        high = min(low + 1, len(values) - 1)
        parted = np.partition(values, (low, high))
        return float(parted[low] + (rank - low) * (parted[high] - parted[low]))

    return quantile
