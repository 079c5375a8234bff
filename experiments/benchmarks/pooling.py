"""What a node must hold, beside the sum of what each of its pods may need: `mora recommend --pool node` on traces.

    python experiments/benchmarks/pooling.py [--traces ../shared/traces] [--hours 2000]

Series of a file are dealt to nodes at random, 20 or as many as make two or more nodes. Three numbers for each node
and horizon: *each* the sum of MOrA's bounds of its series, *pool* MOrA's bound of their sum, *oracle* the highest use
of the horizon itself, which no rule can know. All three are scored on what the node used then:

- *reserved*: over used. *cost*: (reserved + 20 x use above it) / used, less 1, is the waste; with the ratio to `each`
  and 5 to 95 % of it, drawing nodes and days anew.
- *above*: samples with more use than reserved. *exceeded*: horizons with over a tenth of such.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora.backtest.policy import Series
from mora.backtest.traces import read_trace_file
from mora.bounds.cpu import cpu_bounds_many
from mora.coverage import CPU_OVER_SHARE

Floats = NDArray[np.float64]
DAY, HOUR = 86_400, 3_600
UNMET_PRICE = 20.0
DRAWS, SEED = 500, 0
# file, column of time, horizon, warm-up, series a node
CASES = (
    ("vms.parquet", "timestamp", DAY, 8 * DAY, (20, 33)),
    ("vms.parquet", "timestamp", HOUR, 8 * DAY, (20, 33)),
    ("planetlab.parquet", "seq_timestamp", DAY, 3 * DAY, (20, 40)),
    ("planetlab.parquet", "seq_timestamp", HOUR, 3 * DAY, (20, 40)),
    ("boutique_pods.parquet", "timestamp", HOUR, 6 * HOUR, (10,)),
)
NAMES = ("each", "pool", "oracle")


def matrix_of(series: Sequence[Series], *, by_clock: bool) -> Floats:
    """Cores, shape (series, samples), NaN where not known. by_clock: at their own time, else each from its first."""
    step = series[0].step_seconds
    first = min(one.start for one in series) if by_clock else 0
    begins = [(one.start - first) // step if by_clock else 0 for one in series]
    found = np.full((len(series), max(b + one.sample_count for b, one in zip(begins, series, strict=True))), np.nan)
    for row, begin, one in zip(found, begins, series, strict=True):
        use = one.use("cpu")
        if use is not None:
            row[begin : begin + len(use)] = use
    return found


def bounds_of(use: Floats, at: NDArray[np.int64], step: int, horizon: int) -> Floats:
    """MOrA's bounds, shape (series, decisions), 64 series at a time."""
    parts = [
        cpu_bounds_many(use[first : first + 64], step_seconds=step, decisions=at, horizon_seconds=horizon).requests
        for first in range(0, len(use), 64)
    ]
    return np.concatenate(parts)


def tell(file: str, use: Floats, step: int, horizon: int, warmup: int, sizes: Sequence[int]) -> None:
    length = horizon // step
    at = np.arange(warmup // step, use.shape[1] - length + 1, length)
    each = bounds_of(use, at, step, horizon)
    # A series that has ended, or is silent for all of a horizon, has no pod there that requests anything.
    runs = np.array([[not np.isnan(row[begin : begin + length]).all() for begin in at] for row in use])
    each = np.where(runs, each, 0.0)
    for size in sizes:
        order = np.random.default_rng(SEED).permutation(len(use))
        groups = [order[first : first + size] for first in range(0, len(use) - size + 1, size)]
        total = np.array([np.nansum(use[group], axis=0) for group in groups])
        total[np.array([np.isnan(use[group]).all(axis=0) for group in groups])] = np.nan
        pool = bounds_of(total, at, step, horizon)
        rows = []
        for number, group in enumerate(groups):
            for place, begin in enumerate(at):
                samples = total[number, begin : begin + length]
                samples = samples[~np.isnan(samples)]
                if not len(samples) or np.isnan(pool[number, place]):
                    continue
                amounts = np.array([np.nansum(each[group, place]), pool[number, place], samples.max()])
                over = samples[None] - amounts[:, None]
                figures = [amounts * len(samples), np.maximum(over, 0).sum(axis=1), (over > 0).sum(axis=1)]
                rows.append(
                    [
                        *figures,
                        (over > 0).mean(axis=1) > CPU_OVER_SHARE,
                        np.full(3, samples.sum()),
                        np.full(3, len(samples)),
                    ]
                )
        table = np.array(rows, dtype=np.float64)
        print(f"-- {file}, {horizon // HOUR} h, {size} a node, {len(groups)} nodes, {len(table)} horizons")
        sums = table.sum(axis=0)
        waste = wastes(sums)
        drawn = np.random.default_rng(SEED).integers(0, len(table), (DRAWS, len(table)))
        ratios = np.array([_ratio(wastes(table[draw].sum(axis=0))) for draw in drawn])
        low, high = np.quantile(ratios, [0.05, 0.95])
        for column, name in enumerate(NAMES):
            reserved, _, above, exceeded, used, samples = sums[:, column]
            print(
                f"   {name:<7} waste {waste[column]:6.3f}  reserved {reserved / used:6.3f} x used  "
                f"above {above / samples:6.2%}  exceeded {exceeded / len(table):6.2%}"
            )
        print(f"   pool's waste: {_ratio(waste):.3f} of each ({low:.3f} to {high:.3f})\n", flush=True)


def wastes(sums: Floats) -> Floats:
    """Of each of the three. sums: shape (figures, 3)."""
    found: Floats = (sums[0] + UNMET_PRICE * sums[1]) / sums[4] - 1
    return found


def _ratio(waste: Floats) -> float:
    return float(waste[1] / waste[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    given = Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    parser.add_argument("--traces", type=Path, default=given)
    parser.add_argument("--hours", type=int, default=2000, help="of each file, at most")
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    for file, column, horizon, warmup, sizes in CASES:
        series = read_trace_file(asked.traces / file, time_column=column)
        step = series[0].step_seconds
        use = matrix_of(series, by_clock=column == "timestamp")[:, : asked.hours * HOUR // step]
        tell(file, use, step, horizon, warmup, sizes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
