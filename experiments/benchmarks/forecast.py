"""The forecast of the mean use over the next horizon beside plain ones, on recorded traces, at random moments.

    python experiments/benchmarks/forecast.py [--traces ../shared/traces] [--series 24] [--jobs 2] [--only vms]

Of every trace some series are drawn, and of every series a moment at which `mora train` would have run: what it learns
there (mora/model/observed.py, the code of the command) is asked at eight random moments of the seven days that follow,
as `mora recommend` asks it. Nothing of any other series is used, and nothing after the moment that is asked of. Scored:

- *mean of the window*: |forecast - mean use of the window|, averaged over a series' moments, over the mean use of the
  whole series; then the mean (and median) over series. A window of which less than half was recorded is not scored.
- *steps of the window*: the same of every step of its grid (an hour for a day, five minutes for an hour), which is
  nearer to the yardstick of ../shared/traces/README.md. The LSTM says a level and no path, so its steps are all alike.

`fused` is the default (40/60; a part that errs more on validation windows than the plain forecasts together gives its
weight to those); `learnt` is --learn-weights. `Prophet alone` is fitted anew at every moment; `of the training` is up
to a week old, and `moved` is that one at the level of the last window, as the fusion takes it. Last the bounds for CPU
around either: what is reserved + 20 x what is unmet, over the use, geometric mean over series.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from mora.backtest.history import History, history_of_series
from mora.backtest.policy import Series
from mora.backtest.traces import read_trace_file
from mora.bounds.cpu import cpu_bounds
from mora.bounds.learning import UNMET_PRICE
from mora.domain import Target
from mora.domain.learning import DAY_SECONDS, Floats, HorizonGrid, Past
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.curve import curve_path
from mora.forecasters.horizon import HOUR_SECONDS, LAST, PLAIN, SLOTS, path_at
from mora.forecasters.prophet import ProphetForecaster
from mora.fusion import NAIVE
from mora.model import TrainSettings
from mora.model.calibration import blend
from mora.model.observed import HorizonModel, learn
from mora.seams import Silent

HORIZONS = (HOUR_SECONDS, DAY_SECONDS)
MOMENTS = 8
WEEK = 7 * DAY_SECONDS
# What the fused forecast must beat, and in the order of the table.
YARDSTICKS = ("last value", "yesterday", "7-day slot median", "Prophet alone", "LSTM alone")
SHOWN = ("fused", "learnt", *YARDSTICKS, "Prophet of the training", "Prophet moved", "last window")
BOUNDS = ("mora", "fused conformal", "mora, at least the mean", "the cheaper in training")


@dataclass(frozen=True)
class Trace:
    name: str
    file: str
    options: Mapping[str, Any] = field(default_factory=dict)


TRACES = (
    Trace("vms", "vms.parquet"),
    Trace("planetlab", "planetlab.parquet", {"time_column": "seq_timestamp"}),
    Trace("datacenters", "datacenters.parquet"),
)


@dataclass
class Tally:
    """One series, one target, one window: forecaster -> absolute errors, of the mean and of the steps."""

    scale: float
    means: dict[str, list[float]] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=dict)
    paid: dict[str, float] = field(default_factory=dict)
    used: float = 0.0

    def note(self, name: str, path: Floats, truth: Floats, mean: float) -> None:
        self.means.setdefault(name, []).append(abs(float(path.mean()) - mean))
        self.steps.setdefault(name, []).append(float(np.nanmean(np.abs(path - truth))))


def main() -> int:
    options = _options()
    rows = []
    started = time.monotonic()
    for trace in TRACES:
        if options.only not in (None, trace.name):
            continue
        path = options.traces / trace.file
        if not path.is_file():
            print(f"Skipped {trace.name}: there is no {path} (name the folder with --traces or MORA_TRACES).")
            continue
        series = [one for one in read_trace_file(path, **trace.options) if _is_long_enough(one)]
        share = options.series if trace.name == "vms" else max(options.series // 3, 3)
        rng = np.random.default_rng(options.seed)
        drawn = sorted(rng.choice(len(series), size=min(share, len(series)), replace=False).tolist())
        tallies = _measure_all([series[number] for number in drawn], options.seed, options.jobs)
        for target in (Target.CPU, Target.MEMORY):
            for horizon in HORIZONS:
                found = [tally[target, horizon] for tally in tallies if (target, horizon) in tally]
                if found:
                    rows.append((trace.name, target, horizon))
                    _print(f"{trace.name}, {target.value}, {horizon / HOUR_SECONDS:g} h ahead", found)
        print(f"({time.monotonic() - started:.0f} s so far)\n", flush=True)
    return 0 if rows else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", "../shared/traces")))
    parser.add_argument("--series", type=int, default=24)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[trace.name for trace in TRACES])
    return parser.parse_args()


def _is_long_enough(series: Series) -> bool:
    busy = series.cpu is not None and bool(np.nanmean(series.cpu) > 0)
    return busy and series.sample_count * series.step_seconds >= 6 * DAY_SECONDS


def _measure_all(series: list[Series], seed: int, jobs: int) -> list[dict[tuple[Target, float], Tally]]:
    from joblib import Parallel, delayed

    done: list[dict[tuple[Target, float], Tally]] = []
    work: Iterable[Any] = Parallel(n_jobs=jobs, return_as="generator")(delayed(measure)(one, seed) for one in series)
    for found in work:
        done.append(found)
        print(f"\r{len(done)} of {len(series)} series", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return done


def measure(series: Series, seed: int) -> dict[tuple[Target, float], Tally]:
    """One series: trained at a random moment, asked at random moments of the week that follows."""
    rng = np.random.default_rng([seed, *series.id.encode()])
    whole = history_of_series(series)
    count, day = series.sample_count, round(DAY_SECONDS / series.step_seconds)
    least = 20 * day if count > 30 * day else count // 2
    trained = int(rng.integers(least, count - 2 * day))
    past = whole.before(trained)
    try:
        model = learn(past, TrainSettings(), Silent())
    except NotEnoughData as failure:
        print(f"{series.id}: {failure}", file=sys.stderr)
        return {}
    found: dict[tuple[Target, float], Tally] = {}
    for horizon in HORIZONS:
        length = round(horizon / series.step_seconds)
        last = min(trained + 7 * day, count) - length
        for origin in sorted(rng.integers(trained, last + 1, MOMENTS).tolist()):
            before = whole.before(origin)
            days = before.grid(DAY_SECONDS)
            data = Past(days, before.targets, len(days), len(days))
            fresh = ProphetForecaster().fit(data, seed=0, reporter=Silent())
            if round(horizon) not in model.horizons:
                continue
            learnt = model.horizons[round(horizon)]
            for target in before.targets:
                if target not in learnt.calibrations:
                    continue
                truth = whole.columns[TARGET_COLUMNS[target]][origin : origin + length]
                if np.isnan(truth).mean() > 0.5:
                    continue
                scale = float(np.nanmean(whole.columns[TARGET_COLUMNS[target]]))
                tally = found.setdefault((target, horizon), Tally(scale))
                paths = _paths(before.grid(horizon), target, learnt, model.forecasters, fresh)
                laid = _stepped(truth, before.grid(horizon).steps)
                for name, path in paths.items():
                    tally.note(name, path, laid, float(np.nanmean(truth)))
                if target is Target.CPU:
                    _pay(tally, before, learnt, float(paths["fused"].mean()), truth[~np.isnan(truth)])
    return found


def _paths(grid: HorizonGrid, target: Target, learnt: HorizonModel, fitted: Any, fresh: Any) -> dict[str, Floats]:
    """forecaster -> its forecast of every step of the window that begins now."""
    column, row = TARGET_COLUMNS[target], len(grid)
    parts = learnt.parts(grid, target, fitted, row)
    prophet = fitted["prophet"]
    paths = {name: path for name in PLAIN if (path := path_at(grid, column, row, name)) is not None}
    paths["prophet"] = curve_path(prophet.curves[target], grid, column, row)
    if "lstm" in parts:
        paths["lstm"] = np.full(grid.steps, parts["lstm"])
    for name, path in paths.items():
        assert abs(float(path.mean()) - parts[name]) <= 1e-6 * max(parts[name], 1e-9), name
    said = {
        "fused": _blended(learnt.calibrations[target].shares, paths),
        "learnt": _blended(learnt.learned_shares[target], paths),
        "last value": paths[LAST],
        "yesterday": paths.get("yesterday", grid.filled[column][-grid.steps_of_day :][: grid.steps]),
        "Prophet alone": curve_path(fresh.curves[target], grid, column, row, moved=False),
        "Prophet of the training": curve_path(prophet.curves[target], grid, column, row, moved=False),
        "Prophet moved": paths["prophet"],
        "last window": paths[NAIVE],
    }
    if SLOTS in paths:
        said["7-day slot median"] = paths[SLOTS]
    if "lstm" in paths:
        said["LSTM alone"] = paths["lstm"]
    return said


def _blended(shares: Mapping[str, float], paths: Mapping[str, Floats]) -> Floats:
    steps = len(next(iter(paths.values())))
    return np.array([blend(shares, {name: float(path[step]) for name, path in paths.items()}) for step in range(steps)])


def _stepped(truth: Floats, steps: int) -> Floats:
    """The window's samples as means of its steps, NaN where a step has none."""
    pieces = np.array_split(truth, steps)
    return np.array([float(np.nanmean(piece)) if not np.isnan(piece).all() else np.nan for piece in pieces])


def _pay(tally: Tally, before: History, learnt: HorizonModel, point_forecast: float, truth: Floats) -> None:
    """What each way to a CPU bound costs over one window."""
    use = before.columns[TARGET_COLUMNS[Target.CPU]]
    step, now = float(before.series.step_seconds), np.array([len(use)])
    said = cpu_bounds(use, step_seconds=step, decisions=now, horizon_seconds=learnt.horizon_seconds)
    mora, conformal = float(said.requests[0]), learnt.calibrations[Target.CPU].multiplier * point_forecast
    costs = learnt.bound_costs
    requests = dict(zip(BOUNDS, (mora, conformal, max(mora, point_forecast), mora), strict=True))
    if costs and costs["fused"] < costs["mora"]:
        requests[BOUNDS[3]] = conformal
    for name, request in requests.items():
        paid = len(truth) * request + UNMET_PRICE * float(np.maximum(truth - request, 0.0).sum())
        tally.paid[name] = tally.paid.get(name, 0.0) + paid
    tally.used += float(truth.sum())


def _print(title: str, found: list[Tally]) -> None:
    """The table of one trace, target and horizon: mean and median over series, and fused over each."""
    print(f"{title}: {len(found)} series, {sum(len(t.means['fused']) for t in found)} windows")
    print(f"  {'':<26}{'mean of the horizon':>18}{'median':>9}{'fused/this':>12}{'steps of it':>13}")
    beaten = []
    for name in SHOWN:
        # Over the series of which a forecaster speaks at every moment; fused over the same ones.
        of = [tally for tally in found if len(tally.means.get(name, ())) == len(tally.means["fused"])]
        if not of:
            continue
        errors, steps = (_over_series(of, name, which) for which in ("means", "steps"))
        fused = _over_series(of, "fused", "means")
        ratio = float(fused.mean() / errors.mean())
        note = "" if len(of) == len(found) else f"  ({len(of)} series)"
        print(f"  {name:<26}{errors.mean():>18.3f}{np.median(errors):>9.3f}{ratio:>12.3f}{steps.mean():>13.3f}{note}")
        if name in YARDSTICKS:
            beaten.append(ratio < 1)
    print(f"  better than {sum(beaten)} of {len(beaten)} yardsticks")
    paid = [tally for tally in found if tally.used > 0]
    if paid:
        for name in BOUNDS:
            cost = float(np.exp(np.mean([np.log(tally.paid[name] / tally.used) for tally in paid])))
            print(f"  bound: {name:<26} cost {cost:.3f}")
    print(flush=True)


def _over_series(found: list[Tally], name: str, which: str) -> Floats:
    return np.array([np.mean(getattr(tally, which)[name]) / tally.scale for tally in found])


if __name__ == "__main__":
    sys.exit(main())
