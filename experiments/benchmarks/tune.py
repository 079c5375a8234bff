"""What a search of settings (mora train --tune) is worth on recorded traces: errors before and after, on unseen folds.

    python experiments/benchmarks/tune.py [--traces ../shared/traces] [--series 4] [--seconds 60]

Of vms.parquet some series are drawn, and of each its last 14 days. Every forecaster is searched for its share of the
seconds on the first half of the folds (mora/tuning). Errors are over the naive forecast's, on the newest folds: with
the default settings, and with those that `mora train` would take from then on (the default where nothing is better).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from mora.backtest.history import history_of_series
from mora.backtest.traces import read_trace_file
from mora.tuning.search import search

DAYS = 14


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", "../shared/traces")))
    parser.add_argument("--series", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--forecasters", default="prophet,xgboost")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    path = options.traces / "vms.parquet"
    if not path.is_file():
        print(f"There is no {path} (name the folder with --traces or MORA_TRACES).")
        return 0
    least = DAYS * 86_400
    series = [
        one
        for one in read_trace_file(path)
        if one.cpu is not None and float(np.nanmean(one.cpu)) > 0 and one.sample_count * one.step_seconds >= least
    ]
    drawn = np.random.default_rng(options.seed).choice(len(series), size=options.series, replace=False)
    taken: dict[str, list[tuple[float, float]]] = {}
    for number in sorted(drawn.tolist()):
        whole = history_of_series(series[number])
        history = whole.after(whole.series.sample_count - int(least / whole.series.step_seconds))
        with tempfile.TemporaryDirectory() as folder:
            found = search(
                history,
                options.forecasters.split(","),
                horizons=(3600.0, 86_400.0),
                file=Path(folder) / "study.db",
                budget_seconds=options.seconds,
            )
        for one in found:
            print(f"{history.series.id}: {one.text}", flush=True)
            before, after = one.unseen or (1.0, 1.0)
            taken.setdefault(one.forecaster, []).append((before, after if one.options is not None else before))
    print()
    for name, pairs in taken.items():
        ratios = [after / before for before, after in pairs]
        better = sum(ratio < 1 for ratio in ratios)
        mean = float(np.exp(np.mean(np.log(ratios))))
        print(f"{name}: new settings for {better} of {len(pairs)} series; error after / before {mean:.3f} (geometric)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
