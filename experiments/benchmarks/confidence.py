"""How well does a stated confidence tell covered windows from exceeded ones, and what are its weights?

    python experiments/benchmarks/confidence.py [--traces ../shared/traces] [--series 20]

One line a set of traces, of every window after the first day (of pods the first hour):

- *skill*: Brier skill over the share that was covered, the best that one number for all could do. 0 is no use to choose
  by.
- *lowest, highest*: the share exceeded in the tenth of windows with the lowest stated confidence, and the highest.
- *worst bin*: by how much the bin of at least 200 windows that is furthest off is off (bounds.py prints every bin).
- *other kind*: the skill with weights fitted on the other kind of traces alone.

The weights (mora/bounds/confidence.py) are fitted on vms.parquet and on every second machine of planetlab.parquet,
which count alike; the other machines, the pods and the data centres take no part. Fitted anew, they are printed beside
those that are shipped, with the weights' standard error over ten groups of series.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.benchmarks.bounds import BINS, LEAST_IN_BIN
from mora.backtest.policy import Floats, Resource, Series
from mora.backtest.traces import read_trace_file
from mora.bounds.carry import Carry
from mora.bounds.confidence import Model, corrected, covered_windows, cpu_model, memory_model
from mora.bounds.cpu import cpu_by_tick
from mora.bounds.features import FEATURES, features, needed_levels
from mora.bounds.memory import memory_by_tick
from mora.bounds.ticks import Indices, Ticks, cut

DAY, HOUR = 86_400, 3_600
VMS, PLANETLAB, OTHER_MACHINES = "vms", "planetlab", "planetlab, other machines"
# name -> file, column of time, its first series, every how many, whether the weights are fitted on it
SETS: dict[str, tuple[str, str, int, int]] = {
    VMS: ("vms.parquet", "timestamp", 0, 1),
    PLANETLAB: ("planetlab.parquet", "seq_timestamp", 0, 2),
    OTHER_MACHINES: ("planetlab.parquet", "seq_timestamp", 1, 2),
    "boutique pods": ("boutique_pods.parquet", "timestamp", 0, 1),
    "data centres": ("datacenters.parquet", "timestamp", 0, 1),
}
FITTED_ON = (VMS, PLANETLAB)
# Kept small by a ridge: share of the summed weight of the windows.
RIDGE, STEPS, GROUPS = 1e-4, 20, 10
# What each model makes use of: with more, the weights carry over worse to the other kind, or say nothing (memory).
USED: dict[tuple[Resource, int], tuple[str, ...]] = {
    ("cpu", DAY): tuple(name for name in FEATURES if name != "above in three hours"),
    ("cpu", HOUR): FEATURES,
    ("mem", DAY): ("always", "young"),
    ("mem", HOUR): ("always", "young", "days before covered"),
}
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Windows:
    """Some series' windows on one grid: per tick and series its features and whether it was covered.

    numbers: which series each column is. rows: the ticks with which windows begin that follow one another.
    """

    ticks: Ticks
    kept: Floats
    found: Floats
    rows: Indices
    numbers: Indices


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    parser.add_argument("--series", type=int, help="only so many of each file, evenly")
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    series: dict[str, list[Series]] = {}
    for name, (file, time_column, first, every) in SETS.items():
        read = read_trace_file(asked.traces / file, time_column=time_column)[first::every]
        series[name] = read if asked.series is None else read[:: max(1, len(read) // asked.series)]
    for resource, horizon in USED:
        tell(series, resource, horizon)
    return 0


def tell(series: dict[str, list[Series]], resource: Resource, horizon: int) -> None:
    """The table of one resource and horizon."""
    model = (cpu_model if resource == "cpu" else memory_model)(horizon / HOUR)
    sets = {name: found for name, some in series.items() if (found := windows(some, resource, horizon, model))}
    own = {name: flat(found) for name, found in sets.items()}
    fitted_on = [name for name in FITTED_ON if name in own]
    used = np.array([name in USED[resource, horizon] for name in FEATURES])
    print(f"-- {resource}, {horizon // HOUR} h")
    fitted = fit([own[name] for name in fitted_on], used)
    groups = [fit([of_group(own[name], group) for name in fitted_on], used) for group in range(GROUPS)]
    errors = np.std(groups, axis=0) * np.sqrt(GROUPS - 1)
    for name, shipped, new, error in zip(FEATURES, model.weights, fitted, errors, strict=True):
        print(f"   {name:<22} shipped {shipped:+.2f}  fitted {new:+.2f}  +- {error:.2f}")
    print("   set                        windows  stated  covered  worst bin   skill  lowest  highest  other kind")
    for name, found in sets.items():
        stated, kept = scored(found, np.array(model.weights))
        skill, lowest, highest, worst = measures(stated, kept)
        others = [own[other] for other in fitted_on if other.split(",")[0] != name.split(",")[0]]
        elsewhere = "        -"
        if others:
            elsewhere = f"{measures(*scored(found, fit(others, used)))[0]:>+9.3f}"
        print(
            f"   {name:<25} {len(kept):>8}  {stated.mean():>6.3f}  {kept.mean():>7.3f}  {worst:>9.3f}  {skill:>+6.3f}  "
            f"{lowest:>6.3f}  {highest:>7.3f}  {elsewhere}",
            flush=True,
        )
    print()


def windows(series: Sequence[Series], resource: Resource, horizon: int, model: Model) -> list[Windows]:
    """Features and outcomes of all series that have the resource, those on one grid together."""
    grids: dict[tuple[int, int], list[tuple[int, Floats]]] = {}
    for number, one in enumerate(series):
        use = one.use(resource)
        if use is not None and not np.isnan(use).all():
            grids.setdefault((one.step_seconds, len(use)), []).append((number, use))
    found = []
    for (step, count), members in grids.items():
        decisions = -(-horizon * np.arange(1, count * step // horizon + 1, dtype=np.int64) // step)
        for first in range(0, len(members) if len(decisions) > 1 else 0, AT_ONCE):
            some = members[first : first + AT_ONCE]
            values = np.array([use for _, use in some])
            ticks = cut(values, step_seconds=step, decisions=decisions, horizon_seconds=horizon)
            if resource == "cpu":
                bounds = cpu_by_tick(ticks, Carry()).requests
            else:
                bounds = memory_by_tick(ticks, Carry(), ticks.decisions).requests
            needed = needed_levels(ticks, model.over_share, Carry())
            kept = covered_windows(bounds, needed, ticks, Carry())
            told = features(bounds, needed, ticks, Carry())
            found.append(Windows(ticks, kept, told, ticks.decisions, np.array([number for number, _ in some])))
    return found


def flat(found: Sequence[Windows]) -> tuple[Floats, Floats, Indices]:
    """Features, outcomes and series of all windows that follow one another."""
    told, kept, numbers = [], [], []
    for one in found:
        outcome = outcomes(one)
        is_known = ~np.isnan(outcome)
        told.append(one.found[one.rows][is_known])
        kept.append(outcome[is_known])
        numbers.append(np.broadcast_to(one.numbers, outcome.shape)[is_known])
    return np.concatenate(told), np.concatenate(kept), np.concatenate(numbers)


def outcomes(one: Windows) -> Floats:
    """Whether the windows that follow one another were covered, by where they begin; NaN where one has not ended."""
    ends = one.rows + one.ticks.horizon - 1
    found = np.full((len(one.rows), one.kept.shape[1]), np.nan)
    has_ended = ends < len(one.kept)
    found[has_ended] = one.kept[ends[has_ended]]
    return found


def scored(found: Sequence[Windows], weights: Floats) -> tuple[Floats, Floats]:
    """What is stated with these weights, and the outcomes."""
    stated, kept = [], []
    for one in found:
        chances = corrected(one.found @ weights, one.kept, one.ticks, Carry())[one.rows]
        outcome = outcomes(one)
        is_known = ~np.isnan(outcome)
        stated.append(chances[is_known])
        kept.append(outcome[is_known])
    return np.concatenate(stated), np.concatenate(kept)


def measures(stated: Floats, kept: Floats) -> tuple[float, float, float, float]:
    """Brier skill, the share exceeded in the lowest and the highest tenth, and by how much the worst bin is off."""
    order, tenth = np.argsort(stated, kind="stable"), max(len(kept) // 10, 1)
    number = np.digitize(stated, BINS)
    off = [
        abs(float(kept[number == index].mean() - stated[number == index].mean()))
        for index in range(1, len(BINS))
        if (number == index).sum() >= LEAST_IN_BIN
    ]
    skill = 1 - float(((stated - kept) ** 2).mean()) / float(kept.var()) if 0 < kept.mean() < 1 else float("nan")
    lowest, highest = (1 - float(kept[some].mean()) for some in (order[:tenth], order[-tenth:]))
    return skill, lowest, highest, max(off, default=0.0)


def of_group(windows: tuple[Floats, Floats, Indices], group: int) -> tuple[Floats, Floats, Indices]:
    """All but one tenth of the series."""
    told, kept, numbers = windows
    is_in = numbers % GROUPS != group
    return told[is_in], kept[is_in], numbers[is_in]


def fit(sets: Sequence[tuple[Floats, Floats, Indices]], used: Floats) -> Floats:
    """Weights of a logistic regression by Newton's method; every set counts alike, however large."""
    told = np.concatenate([one for one, _, _ in sets])
    kept = np.concatenate([one for _, one, _ in sets])
    share = np.concatenate([np.full(len(one), 1 / len(one) / len(sets)) for _, one, _ in sets])
    told = told[:, used]
    ridge = RIDGE * np.eye(told.shape[1])
    ridge[0, 0] = 0.0
    weights = np.zeros(told.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-(told @ weights)))
        slope = told.T @ (share * (chance - kept)) + ridge @ weights
        curve = (told.T * (share * chance * (1 - chance))) @ told + ridge
        weights -= np.linalg.solve(curve, slope)
    found = np.zeros(len(used))
    found[used] = weights
    return found


if __name__ == "__main__":
    sys.exit(main())
