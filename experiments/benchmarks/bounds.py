"""MOrA's bounds under the lens: what they waste, whether a stated confidence holds, the memory margin on unseen VMs.

    python experiments/benchmarks/bounds.py [--traces ../shared/traces] [--series 20]

- *Waste*: what CPU reservations cost beside KRR's rule and the VPA's at the same pace, with intervals, losses, and what
  parts of the rule are worth (bounds_waste.py, which also runs alone). Memory beside theirs is `backtest.py`'s to tell.
- *Confidence*: every recommendation of a replay, binned by its stated confidence, beside the share that was covered
  (CPU: at most a tenth of the window's samples above; memory: none), for every bin with at least 200. The constants
  were chosen on vms.parquet and every second machine of PlanetLab; the other machines, which are printed, took no part,
  nor did the pods.
- *Speed*: the last request of fortnights of five-minute samples, series by series and many at once.
- *Memory margin*: its three leading numbers fitted anew on four fifths of the groups of sibling VMs and used on the
  rest. Siblings are VMs whose hourly log use, of CPU or of memory, correlates by more than .6: of twins, one would tell
  what is to come of the other. Printed beside the numbers that are shipped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks.bounds_waste import tell_waste
from mora.backtest.policy import Decisions, Floats, Indices, Resource, Series, decide, load_policy
from mora.backtest.scoring import score, score_series, scored_samples
from mora.backtest.traces import read_trace_file
from mora.bounds.cpu import cpu_bounds, cpu_bounds_many
from mora.bounds.memory import Figures, Margin, memory_bounds, memory_bounds_many, past_figures
from mora.coverage import CPU_OVER_SHARE, MEMORY_OVER_SHARE

DAY, HOUR = 86_400, 3_600
PLANETLAB = "planetlab.parquet"
BINS = np.array([0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0 + 1e-9])
LEAST_IN_BIN, MOST_OFF = 200, 0.05
MOST_MILLISECONDS = 8
# file, horizon, warm-up, resources, column of time
CASES: tuple[tuple[str, int, int, tuple[Resource, ...], str], ...] = (
    ("vms.parquet", DAY, 8 * DAY, ("cpu", "mem"), "timestamp"),
    ("vms.parquet", HOUR, 8 * DAY, ("cpu", "mem"), "timestamp"),
    (PLANETLAB, DAY, 3 * DAY, ("cpu",), "seq_timestamp"),
    (PLANETLAB, HOUR, 3 * DAY, ("cpu",), "seq_timestamp"),
    ("boutique_pods.parquet", HOUR, 6 * HOUR, ("cpu", "mem"), "timestamp"),
)
SIBLING_CORRELATION = 0.6
FOLDS, SEED = 5, 0
# What an exceeded window is charged in the fit, in mean reservations: at 9 its share comes out below KRR's.
OVER_PRICE = 9.0
# A step from covered to over that a minimiser can follow, in logarithms of the request.
SOFTNESS = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    parser.add_argument("--series", type=int, help="only so many of each file, evenly; the memory margin is left out")
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    tell_waste(asked.traces, asked.series)
    files: dict[str, list[Series]] = {}
    for file, horizon, warmup, resources, time_column in CASES:
        if file not in files:
            every = read_trace_file(asked.traces / file, time_column=time_column)
            every = every[1::2] if file == PLANETLAB else every
            files[file] = every if asked.series is None else every[:: max(1, len(every) // asked.series)]
        for resource in resources:
            tell_confidence(file, files[file], resource, horizon, warmup)
    tell_speed()
    if asked.series is None:
        tell_margin(files["vms.parquet"])
    return 0


def tell_speed() -> None:
    """Processor time a series for CPU and memory, the least of three, in milliseconds."""
    length = 14 * DAY // 300
    rng = np.random.default_rng(SEED)
    day = np.sin(2 * np.pi * np.arange(length) * 300 / DAY)
    use = np.clip(0.4 + 0.2 * day + rng.gamma(1.2, 0.1, (128, length)), 0.0, None)
    at = np.array([length])
    print(f"-- speed: 14 d at 5 min, CPU + memory, processor ms a series ({MOST_MILLISECONDS} at most, many at once)")
    for horizon in (DAY, HOUR):
        took = {}
        for words, some, size in (("one by one", use[:8], 1), ("many at once", use, len(use))):
            times = []
            for _ in range(3):
                started = time.process_time()
                for first in range(0, len(some), size):
                    for bounds_of in (cpu_bounds_many, memory_bounds_many):
                        bounds_of(some[first : first + size], step_seconds=300, decisions=at, horizon_seconds=horizon)
                times.append((time.process_time() - started) / len(some) * 1e3)
            took[words] = min(times)
        print(
            f"   {horizon // HOUR:>2} h horizon: " + ", ".join(f"{words} {ms:.1f}" for words, ms in took.items()),
            flush=True,
        )
    print()


def tell_confidence(file: str, series: Sequence[Series], resource: Resource, horizon: int, warmup: int) -> None:
    """One line a bin: how many, stated, covered."""
    stated, covered = coverage(series, resource, decide(series, horizon_seconds=horizon, warmup_seconds=warmup))
    print(
        f"-- confidence: {file}, {resource}, {horizon // HOUR} h: {len(stated)} recommendations, "
        f"stated {stated.mean():.3f}, covered {covered.mean():.3f}"
    )
    number = np.digitize(stated, BINS)
    worst = 0.0
    for index in range(1, len(BINS)):
        inside = number == index
        if inside.sum() < LEAST_IN_BIN:
            continue
        off = float(covered[inside].mean() - stated[inside].mean())
        worst = max(worst, abs(off))
        print(
            f"   {BINS[index - 1]:.2f} to {BINS[index]:.2f}: {inside.sum():>7}  stated {stated[inside].mean():.3f}  "
            f"covered {covered[inside].mean():.3f}  {off:+.3f}"
        )
    print(f"   worst bin off by {worst:.3f} (at most {MOST_OFF})\n", flush=True)


def coverage(series: Sequence[Series], resource: Resource, decisions: Decisions) -> tuple[Floats, Floats]:
    """Stated confidence, and 1 for a covered window or 0, of every recommendation whose window has a sample."""
    stated, covered = [], []
    bounds_of = cpu_bounds if resource == "cpu" else memory_bounds
    over_share = CPU_OVER_SHARE if resource == "cpu" else MEMORY_OVER_SHARE
    for one, at, until in zip(series, decisions.at, decisions.until, strict=True):
        use = one.use(resource)
        if use is None or not len(at):
            continue
        found = bounds_of(use, step_seconds=one.step_seconds, decisions=at, horizon_seconds=decisions.horizon_seconds)
        for begin, end, request, chance in zip(at, until, found.requests, found.confidence, strict=True):
            samples = use[begin:end][~np.isnan(use[begin:end])]
            if len(samples) and not np.isnan(request):
                stated.append(chance)
                covered.append(float((samples > request).sum() <= over_share * len(samples) + 1e-9))
    return np.array(stated), np.array(covered)


def tell_margin(series: Sequence[Series]) -> None:
    """Reservations over KRR's and windows exceeded: as shipped, and fitted on other groups."""
    decisions = decide(series, horizon_seconds=DAY, warmup_seconds=8 * DAY, with_minimums=False)
    rows = [_Holds.of(one, at, until) for one, at, until in zip(series, decisions.at, decisions.until, strict=True)]
    groups = sibling_groups(series)
    fold = np.random.default_rng(SEED).permutation(groups.max() + 1) % FOLDS
    said: list[Floats] = [np.empty(0)] * len(series)
    print(f"-- memory margin: {len(series)} VMs in {groups.max() + 1} groups of siblings")
    for left_out in range(FOLDS):
        is_out = fold[groups] == left_out
        margin = fit_margin([row for row, out in zip(rows, is_out, strict=True) if not out])
        print(
            f"   fold {left_out + 1}: swinging {margin.swinging:.3f}, per rarity {margin.per_rarity:.3f}, "
            f"second week {margin.second_week:.3f}"
        )
        for index in np.flatnonzero(is_out):
            said[index] = rows[index].figures.peak * margin.over(rows[index].figures)
    shipped = [row.figures.peak * Margin().over(row.figures) for row in rows]
    krr = load_policy("krr").reservations(series, "mem", decisions)
    samples = [
        scored_samples(one, "mem", at, until)
        for one, at, until in zip(series, decisions.at, decisions.until, strict=True)
    ]
    base = score([score_series(one, reserved) for one, reserved in zip(samples, krr, strict=True)])
    assert base is not None
    print(f"   krr             windows exceeded {base.windows_exceeded:.4f}")
    for name, reservations in (("as shipped", shipped), ("on other groups", said)):
        total = score([score_series(one, reserved) for one, reserved in zip(samples, reservations, strict=True)])
        assert total is not None
        share = total.reserved_per_used / base.reserved_per_used
        print(f"   {name:<15} windows exceeded {total.windows_exceeded:.4f}, reserved {share:.3f} of krr's")


class _Holds:
    """A VM's memory by windows: figures before each, log of its peak over the 7-day peak, its samples and use."""

    def __init__(self, figures: Figures, needed: Floats, samples: Floats, used: float) -> None:
        self.figures, self.needed, self.samples, self.used = figures, needed, samples, used

    @classmethod
    def of(cls, one: Series, at: Indices, until: Indices) -> _Holds:
        use = one.mem
        assert use is not None
        figures = past_figures(use, step_seconds=one.step_seconds, decisions=at)
        peaks, samples = np.full(len(at), -np.inf), np.zeros(len(at))
        for number, (begin, end) in enumerate(zip(at, until, strict=True)):
            known = use[begin:end][~np.isnan(use[begin:end])]
            samples[number] = len(known)
            peaks[number] = known.max(initial=0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = np.where(peaks > 0, np.log(peaks) - np.log(figures.peak), -np.inf)
        return cls(figures, needed, samples, float(np.nansum(use[at[0] : until[-1]])))


def fit_margin(rows: Sequence[_Holds]) -> Margin:
    """The margin with the least mean log reservation plus OVER_PRICE times the (softened) share of windows exceeded."""

    def loss(numbers: Floats) -> float:
        margin = Margin(swinging=numbers[0], per_rarity=numbers[1], second_week=numbers[2])
        total = 0.0
        for row in rows:
            factor = margin.over(row.figures)
            is_scored = (row.samples > 0) & (row.figures.peak > 0)
            gap = np.clip((np.log(factor) - row.needed)[is_scored] / SOFTNESS, -50.0, 50.0)
            reserved = float((row.figures.peak * factor * row.samples)[is_scored].sum())
            total += np.log(reserved / row.used) + OVER_PRICE * float((1 / (1 + np.exp(gap))).mean())
        return total / len(rows)

    start = Margin()
    found = minimize(loss, [start.swinging, start.per_rarity, start.second_week], method="Nelder-Mead")
    swinging, per_rarity, second_week = found.x
    return replace(start, swinging=swinging, per_rarity=per_rarity, second_week=second_week)


def sibling_groups(series: Sequence[Series]) -> Indices:
    """A number per series, the same for those linked by correlation, directly or through others."""
    links = np.zeros((len(series), len(series)), dtype=bool)
    first = min(one.start for one in series) // HOUR
    hours = max(one.start // HOUR - first + one.sample_count * one.step_seconds // HOUR for one in series)
    for resource in ("cpu", "mem"):
        levels = np.full((len(series), hours), np.nan)
        for row, one in enumerate(series):
            use = one.use(resource)
            if use is None:
                continue
            per_hour = HOUR // one.step_seconds
            whole = use[: len(use) // per_hour * per_hour].reshape(-1, per_hour)
            known = ~np.isnan(whole)
            total = np.where(known, whole, 0.0).sum(axis=1)
            begin = one.start // HOUR - first
            mean = np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)
            levels[row, begin : begin + len(mean)] = mean
        floor = 0.01 * np.nanmean(levels, axis=1, keepdims=True)
        levels = np.log(levels + floor)
        levels -= np.nanmean(levels, axis=1, keepdims=True)
        known = (~np.isnan(levels)).astype(np.float64)
        levels = np.nan_to_num(levels)
        spread = np.sqrt((levels**2 @ known.T) * (known @ (levels**2).T))
        links |= levels @ levels.T > SIBLING_CORRELATION * spread
    group = np.arange(len(series))
    for row in range(len(series)):
        for other in np.flatnonzero(links[row]):
            group[group == group[other]] = group[row]
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


if __name__ == "__main__":
    sys.exit(main())
