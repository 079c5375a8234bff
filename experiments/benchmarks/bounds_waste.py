"""What MOrA's CPU bounds waste beside KRR's rule and the VPA's at the same pace, and what parts of the rule are worth.

    python experiments/benchmarks/bounds_waste.py [--traces ../shared/traces] [--series 20] [--only vms-1h ...]

Also the first table of bounds.py. Waste is cost - 1 (cost: reserved + 20 x unmet use, over use; the geometric mean of
series) over that of the better of KRR's rule and the VPA's. In brackets the 5 % and 95 % points of 1,000 draws of
groups of siblings, with replacement, in which the better peer is chosen anew: the peer has the luck of the draw, so the
interval may lie above the figure. Then on how many series MOrA costs more than the better peer there does, and LOST
where it wastes more altogether. Least amounts are off; units are those of
backtest.py, since the VPA's first bucket is ten millicores.

Below each line the same bounds with one part changed, as a difference of that ratio: what is left without what is usual
for the time of the day and without rises (windows of up to six hours); calibration that is believed as early as an
hour's is, and forecasts of the next day's p95 beside the other rules (longer windows). A part is worth something where
its interval has no zero. Constants were chosen on these traces: expect a little less on others.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from experiments.benchmarks.backtest import CASES, Case
from mora.backtest.policy import Floats, Indices, Series, decide, load_policy
from mora.backtest.scoring import score_series, scored_samples
from mora.backtest.traces import read_trace_file
from mora.bounds.cpu import cpu_bounds_many
from mora.bounds.learning import SHORT_COPIES
from mora.bounds.levels import Past
from mora.bounds.rules import DAY_HOURS, SHORT_HORIZON_HOURS, cpu_rules

DRAWS, SEED = 1000, 0
# Hourly log use that correlates by more, of two series or through others, makes them siblings.
SIBLING_CORRELATION = 0.6
FORECASTS = (
    "usual peak",
    "usual peak of three days",
    "last peak or the usual",
    "mean of last and usual",
    "last peak and its usual rise",
    "last peak and its rise",
)
# Level and trend of Holt's method with a trend that fades, and of one that does not (the theta method's halves).
HOLT, THETA_LEVEL, THETA_TREND = (0.4, 0.1, 0.9), (0.5, 0.0, 0.0), (0.3, 0.3, 1.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    parser.add_argument("--series", type=int, help="only so many of each file, evenly")
    parser.add_argument("--only", nargs="+", metavar="CASE", help=", ".join(case.name for case in CASES))
    asked = parser.parse_args()
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    tell_waste(asked.traces, asked.series, asked.only)
    return 0


def tell_waste(traces: Path, count: int | None, only: Sequence[str] | None = None) -> None:
    """The table of every case, a line as soon as it is known."""
    print("-- CPU: waste over the better peer's [5 % and 95 % of draws of sibling groups]")
    print(
        f"   {'':<15} {'series':>6} {'groups':>6} {'krr':>7} {'vpa':>7} {'mora':>7}  waste                  dearer on"
    )
    for case in CASES:
        if only is None or case.name in only:
            _tell(case, _series(case, traces, count))
    print(flush=True)


def _series(case: Case, traces: Path, count: int | None) -> list[Series]:
    found = read_trace_file(traces / case.file, time_column=case.time_column)
    found = [replace(one, cpu=_scale(case, one.cpu) * one.cpu) for one in found if one.cpu is not None]
    found = [one for one in found if np.nansum(one.cpu) > 0]
    if case.first is not None:
        found = [_beginning(one, case.first.total_seconds()) for one in found]
    horizon = round(case.horizon.total_seconds())
    long_enough = horizon + case.warmup.total_seconds()
    found = [one for one in found if one.sample_count * one.step_seconds >= long_enough and np.nansum(one.cpu) > 0]
    return found if count is None else found[:: max(1, len(found) // count)]


def _scale(case: Case, use: Floats) -> float:
    return case.cpu_scale / max(1.0, float(np.nanmax(use))) if case.has_fractions else case.cpu_scale


def _beginning(one: Series, seconds: float) -> Series:
    return replace(one.before(int(seconds / one.step_seconds)), mem=None)


class _Replay:
    """A case with what its series and the peers' rules say; `costs` of any bounds are per series."""

    def __init__(self, case: Case, series: Sequence[Series]) -> None:
        self.horizon = round(case.horizon.total_seconds())
        warmup = round(case.warmup.total_seconds())
        decisions = decide(series, horizon_seconds=self.horizon, warmup_seconds=warmup, with_minimums=False)
        scored = [
            scored_samples(one, "cpu", at, until)
            for one, at, until in zip(series, decisions.at, decisions.until, strict=True)
        ]
        is_busy = [one.values.sum() > 0 for one in scored]
        self.series, self.scored, self.at = (
            [item for item, busy in zip(items, is_busy, strict=True) if busy]
            for items in (series, scored, decisions.at)
        )
        said = {name: load_policy(name).reservations(series, "cpu", decisions) for name in ("krr", "vpa")}
        self.peers = [
            self.costs([item for item, busy in zip(items, is_busy, strict=True) if busy]) for items in said.values()
        ]
        self.groups = sibling_groups(self.series)

    def costs(self, requests: Sequence[Floats]) -> Floats:
        """What each series cost under requests of its own."""
        return np.array([score_series(one, own).cost for one, own in zip(self.scored, requests, strict=True)])

    def bounds(self) -> Floats:
        """The costs of MOrA's bounds as they are now; series of one step at once, the shorter ones filled up."""
        requests: list[Floats] = [np.empty(0)] * len(self.series)
        for step in sorted({one.step_seconds for one in self.series}):
            some = [number for number, one in enumerate(self.series) if one.step_seconds == step]
            values = np.full((len(some), max(self.series[number].sample_count for number in some)), np.nan)
            for row, number in enumerate(some):
                own = self.series[number].use("cpu")
                values[row, : self.series[number].sample_count] = own
            longest: Indices = max((self.at[number] for number in some), key=len)
            found = cpu_bounds_many(values, step_seconds=step, decisions=longest, horizon_seconds=self.horizon)
            for row, number in enumerate(some):
                requests[number] = found.requests[row, : len(self.at[number])]
        return self.costs(requests)

    def waste(self, costs: Floats, weights: Floats | None = None) -> float:
        """Over the better peer's."""
        mine, *peers = (np.exp(np.average(np.log(one), weights=weights)) - 1 for one in (costs, *self.peers))
        return float(mine / min(peers))

    def spread(self, *of: Floats) -> Floats:
        """The 5 % and 95 % points of the waste, or of the first's less the second's, over draws of groups."""
        rng, count = np.random.default_rng(SEED), int(self.groups.max()) + 1
        found = []
        for _ in range(DRAWS):
            weights = np.bincount(rng.integers(0, count, count), minlength=count)[self.groups].astype(np.float64)
            if weights.any():
                found.append(self.waste(of[0], weights) - sum(self.waste(other, weights) for other in of[1:]))
        return np.quantile(found, [0.05, 0.95])


def _tell(case: Case, series: Sequence[Series]) -> None:
    replay = _Replay(case, series)
    mine = replay.bounds()
    low, high = replay.spread(mine)
    krr, vpa, mora = (float(np.exp(np.log(one).mean())) for one in (*replay.peers, mine))
    waste = replay.waste(mine)
    better = replay.peers[0] if krr < vpa else replay.peers[1]
    print(
        f"   {case.name:<15} {len(mine):>6} {replay.groups.max() + 1:>6} {krr:>7.3f} {vpa:>7.3f} {mora:>7.3f}  "
        f"{waste:.3f} [{low:.3f} {high:.3f}]   {(mine > better).mean():>5.0%}{'   LOST' if waste > 1 else ''}",
        flush=True,
    )
    for words, changed in _parts(replay.horizon / 3600):
        with changed:
            other = replay.bounds()
        low, high = replay.spread(other, mine)
        print(f"      {words:<60} {replay.waste(other) - waste:+.4f} [{low:+.4f} {high:+.4f}]", flush=True)


def _parts(horizon_hours: float) -> Iterator[tuple[str, AbstractContextManager[object]]]:
    """Words, and the bounds with that part changed."""
    if horizon_hours <= SHORT_HORIZON_HOURS:
        yield "without the usual peaks and rises", _ruled(lambda _, rules: [rules.pop(name) for name in FORECASTS])
    else:
        yield "calibration believed as early as an hour's", patch("mora.bounds.cpu.LONG_COPIES", SHORT_COPIES)
        yield "with Holt's and the theta method's next p95", _ruled(_add_trends)


@contextmanager
def _ruled(change: Callable[[Past, dict[str, Floats]], object]) -> Iterator[None]:
    def changed(past: Past) -> dict[str, Floats]:
        rules = cpu_rules(past)
        change(past, rules)
        return rules

    with patch("mora.bounds.cpu.cpu_rules", changed):
        yield


def _add_trends(past: Past, rules: dict[str, Floats]) -> None:
    day, per_day = rules["day p95"], past.ticks.of_hours(DAY_HOURS)
    rules["holt"] = _smoothed(day, per_day, *HOLT)
    rules["theta"] = 0.5 * (_smoothed(day, per_day, *THETA_LEVEL) + _smoothed(day, per_day, *THETA_TREND))


def _smoothed(level: Floats, per_day: int, share: float, trend_share: float, fading: float) -> Floats:
    """Holt's forecast a day ahead, from one day to the next for every hour by itself; never below .3 of the level."""
    smooth, slope, found = level.copy(), np.zeros_like(level), level.copy()
    for tick in range(per_day, len(level)):
        expected = smooth[tick - per_day] + fading * slope[tick - per_day]
        off = np.where(np.isnan(expected), 0.0, level[tick] - expected)
        smooth[tick] = np.where(np.isnan(expected), level[tick], expected + share * off)
        slope[tick] = fading * slope[tick - per_day] + share * trend_share * off
        found[tick] = np.maximum(smooth[tick] + fading * slope[tick], 0.3 * level[tick])
    return found


def sibling_groups(series: Sequence[Series]) -> Indices:
    """A number per series, the same for those of one step whose hourly log CPU use goes together."""
    group = np.arange(len(series))
    for step in {one.step_seconds for one in series}:
        some = [number for number, one in enumerate(series) if one.step_seconds == step]
        per_hour = max(1, 3600 // step)
        hours = max(series[number].sample_count for number in some) // per_hour
        levels = np.full((len(some), hours), np.nan)
        for row, number in enumerate(some):
            use = series[number].use("cpu")
            assert use is not None
            whole = use[: len(use) // per_hour * per_hour].reshape(-1, per_hour)
            known = ~np.isnan(whole)
            total = np.where(known, whole, 0.0).sum(axis=1)
            levels[row, : len(whole)] = np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)
        levels = np.log(levels + 0.01 * np.nanmean(levels, axis=1, keepdims=True))
        levels -= np.nanmean(levels, axis=1, keepdims=True)
        known = (~np.isnan(levels)).astype(np.float64)
        levels = np.nan_to_num(levels)
        spread = np.sqrt((levels**2 @ known.T) * (known @ (levels**2).T))
        links = levels @ levels.T > SIBLING_CORRELATION * spread
        for row, number in enumerate(some):
            for other in np.flatnonzero(links[row]):
                group[group == group[some[other]]] = group[number]
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


if __name__ == "__main__":
    sys.exit(main())
