"""Boosted trees with the inputs that help, beside the same trees with every input, on recorded traces.

    python experiments/benchmarks/inputs.py [--traces ../shared/traces] [--series 6] [--days 14] [--forecaster xgboost]

Of each trace some series are drawn (seeded). Half of each trains, a quarter says when to stop, the last quarter is
scored, an hour and a day ahead; the choice of inputs sees the first half alone. Prints the ratio of the errors (chosen
inputs / every input; below 1 is better) of the mean, of the high level (pinball loss), and the CPU seconds of a fit.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd

from mora import registry
from mora.backtest.tables import Columns
from mora.backtest.traces import read_traces
from mora.domain import Target
from mora.domain.learning import AtRow, Past
from mora.errors import NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.boosted import BoostedSettings
from mora.forecasters.horizon import lay, truth_at
from mora.seams import Silent

TRACES = {"vms": "timestamp", "planetlab": "seq_timestamp", "datacenters": "timestamp", "boutique_pods": "timestamp"}


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", "../shared/traces")))
    parser.add_argument("--series", type=int, default=6, help="of each trace")
    parser.add_argument("--days", type=float, default=14.0)
    parser.add_argument("--forecaster", choices=("xgboost", "lightgbm"), default="xgboost")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not (options.traces / "vms.parquet").is_file():
        print(f"Skipped: there are no traces in {options.traces} (name the folder with --traces or MORA_TRACES).")
        return 1
    found = []
    for name, time_column in TRACES.items():
        known = read_traces([options.traces / f"{name}.parquet"], columns=Columns.of(time=time_column)).series
        picked = np.random.default_rng(options.seed).choice(len(known), min(options.series, len(known)), replace=False)
        for at in sorted(picked.tolist()):
            found += [{"trace": name, **row} for row in compared(known[at], options)]
            print(f"\r{name}: {known[at].id:<60.60}", end="", file=sys.stderr, flush=True)
    table = pd.DataFrame(found)
    table["chosen"] = table.folds > 0
    print("\n" + summary(table.groupby(["trace", "ahead", "target"])).to_string())
    print("\n" + summary(table.groupby("ahead")).to_string())
    fewer = table[table.is_used]
    print(
        f"\nWhere fewer are used: {len(fewer)} of {len(table)} forecasts, {fewer.kept.mean():.0f} inputs of "
        f"{fewer.every.mean():.0f}; errors times {ratio(fewer.mean_ratio):.3f} (mean), "
        f"{ratio(fewer.high_ratio):.3f} (high level); at worst {fewer.mean_ratio.max():.2f}, at best "
        f"{fewer.mean_ratio.min():.2f}"
    )
    return 0


def summary(groups: object) -> pd.DataFrame:
    """One line of a group of forecasts."""
    return groups.agg(  # type: ignore[attr-defined,no-any-return]
        forecasts=("kept", "size"),
        used=("is_used", "mean"),
        kept=("kept", "mean"),
        every=("every", "mean"),
        mean_ratio=("mean_ratio", ratio),
        high_ratio=("high_ratio", ratio),
        cpu_every=("cpu_every", "mean"),
        cpu_chosen=("cpu_chosen", "mean"),
    ).round(3)


def ratio(values: pd.Series) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(values).mean())) if len(values) else float("nan")


def compared(series: object, options: argparse.Namespace) -> list[dict[str, object]]:
    """Both ways of one series, for each target and horizon that it is long enough for."""
    found: list[dict[str, object]] = []
    step, count = series.step_seconds, round(options.days * 86_400 / series.step_seconds)  # type: ignore[attr-defined]
    own = {Target.CPU: series.cpu, Target.MEMORY: series.mem}  # type: ignore[attr-defined]
    columns = {TARGET_COLUMNS[target]: use[-count:] for target, use in own.items() if use is not None}
    columns = {name: use for name, use in columns.items() if np.nansum(use) > 0}
    for hours in (1, 24):
        if len(next(iter(columns.values()), ())) * step < 8 * hours * 3600:
            continue
        grid = lay(columns, sample_seconds=step, start_seconds=0.0, horizon_seconds=hours * 3600.0)
        fit_until, check_until = len(grid) // 2, len(grid) * 3 // 4
        targets = [target for target in own if TARGET_COLUMNS[target] in columns]
        rows = list(range(check_until, len(grid) - grid.steps, max(grid.steps // 3, 1)))
        levels, seconds, fitted = {}, {}, {}
        try:
            for is_chosen in (False, True):
                maker = registry.load("forecasters", options.forecaster)(BoostedSettings(select=is_chosen))
                started = time.process_time()
                fitted[is_chosen] = maker.fit(
                    Past(grid, targets, fit_until, check_until), seed=options.seed, reporter=Silent()
                )
                seconds[is_chosen] = time.process_time() - started
                levels[is_chosen] = fitted[is_chosen].levels([AtRow(grid, row) for row in rows])
        except NotEnoughData:
            continue
        for target in targets:
            errors = {way: errors_of(grid, target, rows, said) for way, said in levels.items()}
            if min(errors[False]) <= 0 or min(errors[True]) <= 0:
                continue
            told = fitted[True].selections[target]
            found.append(
                {
                    "ahead": f"{hours} h",
                    "target": target.value,
                    "is_used": told.is_used,
                    "folds": told.folds,
                    "kept": len(told.kept),
                    "every": len(told.kept) + len(told.dropped),
                    "mean_ratio": errors[True][0] / errors[False][0],
                    "high_ratio": errors[True][1] / errors[False][1],
                    "cpu_every": seconds[False],
                    "cpu_chosen": seconds[True],
                }
            )
    return found


def errors_of(grid: object, target: Target, rows: list[int], levels: object) -> tuple[float, float]:
    """Mean absolute error of the mean, and pinball loss of the high level."""
    column = TARGET_COLUMNS[target]
    wrong, lost = [], []
    for row, said in zip(rows, levels, strict=True):  # type: ignore[call-overload]
        truth = truth_at(grid, column, row)  # type: ignore[arg-type]
        if truth is not None:
            mean, high = said[target]
            steps = grid.means[column][row : row + grid.steps]  # type: ignore[attr-defined]
            over = steps[~np.isnan(steps)] - high
            wrong.append(abs(mean - truth[0]))
            lost.append(float(np.maximum(0.95 * over, -0.05 * over).mean()))
    return (float(np.mean(wrong)), float(np.mean(lost))) if wrong else (0.0, 0.0)


if __name__ == "__main__":
    sys.exit(main())
