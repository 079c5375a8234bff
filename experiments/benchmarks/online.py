"""What learning between two trainings is worth: forecasts of the mean use after a training, with and without it.

    python experiments/benchmarks/online.py [--traces ../shared/traces] [--series 12] [--only vms] [--quick]

Of every trace some series are drawn. `mora train` learns from up to 14 days of each (half of a shorter one); the model
then stays as it is for up to 28 days, and is asked at every hour (of the next hour) and every six hours (of the next
day), as `mora recommend` asks it. Compared are, on the same moments:

- *as trained*: no update.
- *weighed anew*: mora/model/online.py as it is, with its gate; and other rates, half-lives and shares that stay.
- *bias*: a recursive correction of the forecast's level (the decayed mean of its log residuals, drawn towards none by
  so many horizons' worth), for all hours alike or by time of day; and the same behind the gate.

An error is |forecast - mean use| over all moments of a series, over its mean use. Printed: its mean over series, the
geometric mean of its ratio to *as trained*, the worst such ratio, and the shares of series that it made better and
worse by more than 0.1 %. `--quick` trains XGBoost in the place of the LSTM.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from mora.backtest.history import History, history_of_series
from mora.backtest.traces import read_trace_file
from mora.columns import columns
from mora.domain.learning import DAY_SECONDS, Floats
from mora.errors import MoraError
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import HOUR_SECONDS, truth_at
from mora.model import TrainSettings, online
from mora.model.calibration import blend
from mora.model.observed import learn
from mora.model.renewing import forecasts_at
from mora.seams import Silent

TRACES = (("vms", {}), ("planetlab", {"time_column": "seq_timestamp"}), ("datacenters", {}))
TRAINED_DAYS, AFTER_DAYS = 14.0, 28.0
APART_SECONDS = {HOUR_SECONDS: HOUR_SECONDS, DAY_SECONDS: DAY_SECONDS / 4}
LEAST_MOMENTS = 12
AS_TRAINED = "as trained"


@dataclass(frozen=True)
class Case:
    """One target of one series: at each moment what every forecaster said, and what came."""

    trace: str
    steps: int
    horizon_seconds: float
    rows: list[int]
    parts: list[dict[str, float]]
    truth: Floats
    shares: dict[str, float]

    @property
    def trained(self) -> Floats:
        return np.array([blend(self.shares, one) for one in self.parts])

    def ended(self, place: int) -> list[int]:
        """The places of the horizons that had ended at a moment, back from it without gaps, oldest first."""
        at = {row: number for number, row in enumerate(self.rows)}
        rows = range(self.rows[place] - self.steps, self.rows[0] - 1, -self.steps)
        return [at[row] for row in rows if row in at][: online.MOST_WINDOWS][::-1]


Rule = Callable[[Case], Floats]


def reweighed(rate: float | None = None, half_life: float | None = None, stays: float | None = None) -> Rule:
    """online.reweigh() at each moment, with other constants where they are given."""

    def rule(case: Case) -> Floats:
        kept = (online._RATE, online._HALF_LIFE_WINDOWS, online._AS_TRAINED)
        online._RATE = kept[0] if rate is None else rate
        online._HALF_LIFE_WINDOWS = kept[1] if half_life is None else half_life
        online._AS_TRAINED = kept[2] if stays is None else stays
        try:
            found = case.trained.copy()
            every = [online.Ended(parts, float(came)) for parts, came in zip(case.parts, case.truth, strict=True)]
            for place in range(len(case.rows)):
                known = case.ended(place)
                if len(known) >= online.LEAST_WINDOWS:
                    shares = online.reweigh(case.shares, [every[one] for one in known]).shares
                    found[place] = blend(shares, case.parts[place])
            return found
        finally:
            online._RATE, online._HALF_LIFE_WINDOWS, online._AS_TRAINED = kept

    return rule


def corrected(half_life: float, prior: float, *, by_time: bool = False, gated: bool = False) -> Rule:
    """The forecast times the exponential of the decayed mean of its log residuals."""

    def rule(case: Case) -> Floats:
        trained, idle = case.trained, 0.02 * float(case.truth.mean()) + 1e-12
        residuals = np.log((case.truth + idle) / (trained + idle))
        per_day = round(DAY_SECONDS / case.horizon_seconds * case.steps)
        found, out = trained.copy(), trained.copy()
        for place in range(len(case.rows)):
            known = case.ended(place)
            if not known:
                continue
            weight = 0.5 ** (np.arange(len(known))[::-1] / half_life)
            if by_time:
                apart = np.abs(np.array(case.rows)[known] - case.rows[place]) % per_day
                apart = np.minimum(apart, per_day - apart) / case.steps
                weight = weight * np.exp(-0.5 * apart**2)
            bias = float((weight * residuals[known]).sum() / (weight.sum() + prior))
            found[place] = max((trained[place] + idle) * np.exp(np.clip(bias, -0.7, 0.7)) - idle, 0.0)
            errors = [np.abs(one[known] - case.truth[known]).mean() for one in (found, trained)]
            is_on = len(known) >= online.LEAST_WINDOWS and errors[0] < errors[1]
            out[place] = found[place] if is_on or not gated else trained[place]
        return out

    return rule


RULES: dict[str, Rule] = {
    AS_TRAINED: lambda case: case.trained,
    "weighed anew (MOrA)": reweighed(),
    "weighed anew, rate 0.3": reweighed(rate=0.3),
    "weighed anew, rate 3": reweighed(rate=3.0),
    "weighed anew, half-life 24": reweighed(half_life=24.0),
    "weighed anew, half-life 168": reweighed(half_life=168.0),
    "weighed anew, 0.9 stays": reweighed(stays=0.9),
    "bias, half-life 7, prior 3": corrected(7, 3),
    "bias, half-life 72, prior 8": corrected(72, 8),
    "bias by time of day": corrected(24 * 14, 3, by_time=True),
    "bias, half-life 72, gated": corrected(72, 8, gated=True),
}


def cases_of(trace: str, history: History, settings: TrainSettings) -> list[Case]:
    """Train, and ask at every moment after it."""
    step = history.series.step_seconds
    days = history.series.sample_count * step / DAY_SECONDS
    trained = min(TRAINED_DAYS, days / 2)
    cut, end = (int(part * DAY_SECONDS / step) for part in (trained, min(trained + AFTER_DAYS, days)))
    model = learn(history.before(cut), settings, Silent())
    found = []
    for seconds, learned in model.horizons.items():
        grid = history.before(end).grid(seconds)
        first = int(trained * DAY_SECONDS / grid.step_seconds)
        apart = max(round(APART_SECONDS[seconds] / grid.step_seconds), 1)
        for target, calibration in learned.calibrations.items():
            rows = [
                row
                for row in range(first, len(grid) - grid.steps + 1, apart)
                if truth_at(grid, TARGET_COLUMNS[target], row) is not None
            ]
            said = forecasts_at(grid, rows, (target,), learned.forecasters, lambda _: model.forecasters)[target]
            truths = [truth_at(grid, TARGET_COLUMNS[target], row) for row in rows]
            truth = np.array([level[0] for level in truths if level is not None])
            parts = [{name: level[0] for name, level in one.items()} for one in said]
            if len(rows) >= LEAST_MOMENTS and truth.mean() > 0:
                found.append(Case(trace, grid.steps, seconds, rows, parts, truth, dict(calibration.shares)))
    return found


def table(cases: list[Case]) -> list[str]:
    """Every rule on these cases."""
    rows = []
    base = np.array([np.abs(case.trained - case.truth).mean() / case.truth.mean() for case in cases])
    for name, rule in RULES.items():
        own = np.array([np.abs(rule(case) - case.truth).mean() / case.truth.mean() for case in cases])
        ratio = own / np.maximum(base, 1e-12)
        rows.append(
            (
                name,
                f"{own.mean():.4f}",
                f"{np.exp(np.log(ratio).mean()):.4f}",
                f"{ratio.max():.3f}",
                f"{(ratio < 0.999).mean():.0%}",
                f"{(ratio > 1.001).mean():.0%}",
            )
        )
    return columns([("RULE", "ERROR", "RATIO", "WORST", "BETTER", "WORSE"), *rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", "../shared/traces")))
    parser.add_argument("--series", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--only", choices=[name for name, _ in TRACES])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    settings = TrainSettings(weights={"prophet": 0.4, "xgboost": 0.6}) if options.quick else TrainSettings()
    cases: list[Case] = []
    for name, how in TRACES:
        path = options.traces / f"{name}.parquet"
        if options.only not in (None, name):
            continue
        if not path.is_file():
            print(f"Skipped {name}: there is no {path} (name the folder with --traces or MORA_TRACES).")
            continue
        series = read_trace_file(path, **how)
        long = [one for one in series if one.sample_count * one.step_seconds >= 6 * DAY_SECONDS]
        share = options.series if name == "vms" else max(options.series // 4, 2)
        drawn = np.random.default_rng(options.seed).choice(len(long), size=min(share, len(long)), replace=False)
        for number in sorted(drawn.tolist()):
            try:
                cases += cases_of(name, history_of_series(long[number]), settings)
            except MoraError as failure:
                print(f"Skipped {long[number].id}: {failure.message}")
    for seconds in (HOUR_SECONDS, DAY_SECONDS):
        own = [case for case in cases if case.horizon_seconds == seconds]
        if own:
            print(f"\n{seconds / HOUR_SECONDS:g} h ahead, {len(own)} targets of series")
            print("\n".join(table(own)), flush=True)
    return 0 if cases else 1


if __name__ == "__main__":
    sys.exit(main())
