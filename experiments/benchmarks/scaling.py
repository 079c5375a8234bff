"""What replicas from history save: pod-hours and minutes over beside an HPA at 70 %, on recorded requests.

    python experiments/benchmarks/scaling.py [--traces ../shared/traces] [--quick]

The requests a minute of a web server (two months) and four hours of requests a second. A pod carries what brings the
highest minute to 10, 20 or 40 pods. Both autoscalers see the last whole minute, have Kubernetes' tolerance of 10 % and
a minimum of 1; what a pod costs begins when it is asked for, and it serves after its start-up. A minute is over where
more was asked for than the pods that served could carry.

- *a week from the two before it*: every week `mora recommend --replicas history` chooses anew, from the two weeks
  before, and runs on the week that follows; outages of over half an hour are not known, and count for neither.
- *an hour from its first half*: the second half is run. Without a schedule, since an hour has no days.
- the interval: 5 to 95 % of the ratio of pod-hours, by drawing days (quarters of an hour) anew.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora.replicas import PLAIN, Choice, Run, Setting, choose, simulate
from mora.replicas.schedule import at_samples, levels

Floats = NDArray[np.float64]
MINUTE, SECONDS = timedelta(minutes=1), timedelta(seconds=15)
WEEK = 7 * 24 * 60
PEAKS, START_UPS = (10, 20, 40), (1, 3, 5)
TARGET = 0.85
OUTAGE_MINUTES = 30
DRAWS, SEED = 500, 0


@dataclass
class Tally:
    """Pods and minutes over of both, sample by sample."""

    plain: list[Floats]
    chosen: list[Floats]
    plain_over: int = 0
    chosen_over: int = 0

    def add(self, plain: Run, chosen: Run, demand: Floats, part: slice) -> None:
        """What both ran in a part of a demand."""
        known = ~np.isnan(demand[part])
        self.plain.append(plain.pods[part][known])
        self.chosen.append(chosen.pods[part][known])
        self.plain_over += plain.over(demand, part)
        self.chosen_over += chosen.over(demand, part)

    def line(self, block: int) -> str:
        """Ratio of pod-hours with its interval, and minutes over. block: samples that are drawn together."""
        plain, chosen = np.concatenate(self.plain), np.concatenate(self.chosen)
        blocks = len(plain) // block
        sums = [one[: blocks * block].reshape(blocks, block).sum(axis=1) for one in (plain, chosen)]
        drawn = np.random.default_rng(SEED).integers(0, blocks, (DRAWS, blocks))
        low, high = np.quantile(sums[1][drawn].sum(axis=1) / sums[0][drawn].sum(axis=1), [0.05, 0.95])
        ratio = chosen.sum() / plain.sum()
        is_met = "" if ratio <= TARGET and self.chosen_over <= self.plain_over else "  (target missed)"
        return (
            f"pod-hours {ratio:.3f} ({low:.3f} to {high:.3f})  over {self.chosen_over:>5} of the HPA's "
            f"{self.plain_over:>5} = {self.chosen_over / max(self.plain_over, 1):.2f}{is_met}"
        )


def read_minutes(traces: Path) -> tuple[Floats, datetime]:
    """Requests of each minute; absent minutes are 0, outages NaN."""
    import pandas as pd

    rows = pd.read_parquet(traces / "requests_per_minute.parquet")
    start = int(rows.timestamp.min())
    found = np.zeros((int(rows.timestamp.max()) - start) // 60 + 1)
    found[((rows.timestamp - start) // 60).to_numpy()] = rows.rpm.to_numpy()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], found == 0, [False]]).astype(int)))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        if after - first > OUTAGE_MINUTES:
            found[first:after] = np.nan
    return found, datetime.fromtimestamp(start, UTC)


def read_seconds(traces: Path) -> dict[str, Floats]:
    """Requests a second of each series, as means over 15 s."""
    import pandas as pd

    rows = pd.read_parquet(traces / "requests_per_second.parquet")
    return {str(name): one.rps.to_numpy().reshape(-1, 15).mean(axis=1) for name, one in rows.groupby("series_id")}


def run_choice(choice: Choice, demand: Floats, start: datetime, setting: Setting, known: int) -> tuple[Run, Run]:
    """The plain HPA and the choice on a demand, of which the first `known` samples made the schedule."""
    floor = None
    if choice.quantile is not None:
        level = levels(demand[:known], start, setting.step, choice.quantile)
        floor = at_samples(level, len(demand), start, setting.step, setting.start_up)
    plain, chosen = simulate(demand, [PLAIN, choice.scaler], setting, [None, floor])
    return plain, chosen


def words(choice: Choice) -> str:
    """A choice in a few words."""
    one = choice.scaler
    if one.is_plain:
        return f"plain {one.target:.2f} for {one.stabilisation // MINUTE} min" + (
            " (rejected)" if choice.rejected else ""
        )
    floor = "" if choice.quantile is None else f", floors q{choice.quantile:g}"
    return f"{one.over // MINUTE} min +{one.spreads:g} sd at {one.target:.2f}{floor}"


def weeks(demand: Floats, start: datetime, setting: Setting, *, limit: int | None) -> tuple[Tally, list[str]]:
    """Every week from the two before it."""
    tally, told = Tally([], []), []
    for first in range(2 * WEEK, len(demand) - WEEK // 7, WEEK)[:limit]:
        begin, end = first - 2 * WEEK, min(first + WEEK, len(demand))
        known = demand[begin:first]
        if np.isnan(known).mean() > 0.4:
            continue
        at = start + begin * MINUTE
        choice = choose(known, at, setting)
        whole = demand[begin:end]
        plain, chosen = run_choice(choice, whole, at, setting, len(known))
        tally.add(plain, chosen, whole, slice(len(known), None))
        told.append(words(choice))
    return tally, told


def tell_minutes(traces: Path, *, is_quick: bool) -> None:
    requests, start = read_minutes(traces)
    print("-- requests a minute: a week from the two before it", flush=True)
    for start_up in START_UPS[:1] if is_quick else START_UPS:
        for peak in PEAKS[:1] if is_quick else PEAKS:
            per_pod = float(np.nanmax(requests)) / peak
            setting = Setting(MINUTE, timedelta(minutes=start_up))
            demand = requests / per_pod
            tally, told = weeks(demand, start, setting, limit=2 if is_quick else None)
            print(f"   start-up {start_up} min, {peak:>2} pods at the peak: {tally.line(1440)}", flush=True)
            if not is_quick:
                print(f"      chosen: {'; '.join(told)}", flush=True)


def tell_seconds(traces: Path) -> None:
    print("\n-- requests a second: half an hour from the one before it, start-up 1 min")
    for name, rates in read_seconds(traces).items():
        for peak in PEAKS[:2]:
            demand = rates / (rates.max() / peak)
            setting = Setting(SECONDS, MINUTE)
            half = len(demand) // 2
            at = datetime(2026, 1, 1, tzinfo=UTC)
            choice = choose(demand[:half], at, setting)
            tally = Tally([], [])
            tally.add(*run_choice(choice, demand, at, setting, half), demand, slice(half, None))
            print(f"   {name:<10} {peak:>2} pods at the peak: {tally.line(60)}  {words(choice)}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    given = Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    parser.add_argument("--traces", type=Path, default=given)
    parser.add_argument("--quick", action="store_true", help="two weeks of one case")
    asked = parser.parse_args(argv)
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    tell_minutes(asked.traces, is_quick=asked.quick)
    tell_seconds(asked.traces)
    return 0


if __name__ == "__main__":
    sys.exit(main())
