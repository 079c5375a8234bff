"""What one CPU request for many pods costs: MOrA's, the same rule on the hottest pod of each moment, and KRR's.

    python experiments/benchmarks/replicas.py [--traces ../shared/traces]

One request serves every pod of a workload. KRR takes the highest p95 of a pod. MOrA took the pod that was hottest at
each moment, which is no pod; it now runs its rule on the pods that need most, each continued by those whose place it
took, and takes the largest answer (mora/sources/prometheus/generations.py). All three are asked once a day, from the 14
days before, and scored on all pods of the day that follows:

- *cost*: (reserved + 20 x use above the request) / used, over all pods; `cost - 1` is the waste.
- *above*: the share of the pods' samples above the request. *exceeded*: of pod-days, those with over a tenth above.

The fleets: pods that burst in turns (GC, cron, a heavy request), pods that follow the day together, one hot pod of ten,
new pods every day; and of recorded traces, groups of sibling VMs (bounds.py) taken as the pods of a service, each group
as it is, and with every VM scaled to the mean of its group, as behind a load balancer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.benchmarks.bounds import sibling_groups
from mora.backtest.traces import read_trace_file
from mora.bounds.cpu import cpu_bounds_many
from mora.coverage import CPU_OVER_SHARE
from mora.domain import Window
from mora.sources.prometheus.generations import PodSeries, needing_most, places

Floats = NDArray[np.float64]
STEP, DAY = timedelta(minutes=5), 288
HISTORY, FIRST_DAY = 14 * DAY, 3
LEAST_PODS, UNMET_PRICE, KRR_MINIMUM = 3, 20.0, 0.010
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Fleet:
    """Pods of one workload: shape (pods, samples), NaN while a pod does not run."""

    name: str
    cores: Floats


def drawn(
    name: str, pods: int, *, days: int = 21, hot: float = 1.0, renewed: bool = False, bursts: float = 0.0
) -> Fleet:
    """Pods at 0.1 cores, by day and night; the first one `hot` times that; a share of minutes at a whole core."""
    rng = np.random.default_rng(pods)
    count = days * DAY
    wave = 1 + 0.4 * np.sin(2 * np.pi * np.arange(count) / DAY)
    cores = 0.1 * wave * np.exp(0.15 * rng.standard_normal((pods, count)))
    cores[rng.random(cores.shape) < bursts] = 1.0
    cores[0] *= hot
    if not renewed:
        return Fleet(f"{name}, {pods} pod{'s' if pods > 1 else ''}", cores)
    each = np.full((pods * days, count), np.nan)
    for day in range(days):
        here = slice(day * DAY, (day + 1) * DAY)
        for number, row in enumerate(rng.permutation(pods)):
            each[day * pods + row, here] = cores[number, here]
    return Fleet(f"{name}, {pods} pods, new ones every day", each)


def synthetic() -> Iterator[Fleet]:
    """Fleets that are known to the last sample."""
    for pods in (1, 5, 20, 60):
        yield drawn("bursts in turns (2 % of the minutes)", pods, bursts=0.02)
    for pods in (5, 60):
        yield drawn("together by day and night", pods)
    yield drawn("one of them ten times as hot", 10, hot=10.0)
    yield drawn("one of them ten times as hot", 10, hot=10.0, renewed=True)
    yield drawn("bursts in turns (2 % of the minutes)", 20, bursts=0.02, renewed=True)


def siblings(traces: Path) -> Iterator[Fleet]:
    """Groups of VMs that go up and down together."""
    series = read_trace_file(traces / "vms.parquet", time_column="timestamp")
    group = sibling_groups(series)
    for number in np.unique(group):
        members = [one for one, of in zip(series, group, strict=True) if of == number]
        if len(members) < LEAST_PODS:
            continue
        start = min(one.start for one in members)
        count = max((one.start - start) // 300 + one.sample_count for one in members)
        cores = np.full((len(members), count), np.nan)
        for row, one in zip(cores, members, strict=True):
            use = one.use("cpu")
            if use is not None:
                begin = (one.start - start) // 300
                row[begin : begin + len(use)] = use
        yield Fleet(f"siblings {number}, {len(members)} VMs", cores)


def balanced(fleet: Fleet) -> Fleet:
    """The same with every pod at the mean of all."""
    means = np.nanmean(fleet.cores, axis=1, keepdims=True)
    return Fleet(f"{fleet.name}, balanced", fleet.cores * means.mean() / np.maximum(means, 1e-9))


# --- the rules: what was used before -> the request of the day -------------------------------------------------------


def krr(past: Floats) -> float:
    """The highest p95 of a pod, at least 10m."""
    return max(KRR_MINIMUM, *(float(np.nanquantile(pod, 0.95)) for pod in past if not np.isnan(pod).all()))


def _largest(series: Sequence[Floats]) -> float:
    use = np.array(series)
    at = np.array([use.shape[1]])
    found = cpu_bounds_many(use, step_seconds=300, decisions=at, horizon_seconds=86_400)
    return float(np.nanmax(found.requests))


def by_moment(past: Floats) -> float:
    """MOrA's rule on the hottest pod of each moment."""
    return _largest([np.fmax.reduce(past)])


def by_pod(past: Floats) -> float:
    """MOrA's rule on the pods that need most."""
    window = Window(BEGIN, BEGIN + (past.shape[1] - 1) * STEP, STEP)
    pods = []
    for number, values in enumerate(past):
        known = np.flatnonzero(~np.isnan(values))
        if len(known):
            first, last = int(known[0]), int(known[-1]) + 1
            pods.append(PodSeries(f"pod-{number:05}", first, values[first:last].astype(np.float32)))
    found = places(pods, STEP)
    if len(found) == 1:
        return by_moment(past)
    return _largest([one.cpu_cores for one in needing_most(found, window)])


RULES: dict[str, Callable[[Floats], float]] = {"mora": by_pod, "by moment": by_moment, "KRR": krr}


# --- scores -----------------------------------------------------------------------------------------------------------


@dataclass
class Score:
    """Sums over pods and days."""

    reserved: float = 0.0
    unmet: float = 0.0
    used: float = 0.0
    above: int = 0
    samples: int = 0
    exceeded: int = 0
    pod_days: int = 0

    def add(self, request: float, day: Floats) -> None:
        """The pods of one day under a request."""
        for pod in day:
            used = pod[~np.isnan(pod)]
            if not len(used):
                continue
            over = used > request
            self.reserved += request * len(used)
            self.unmet += float((used - request)[over].sum())
            self.used += float(used.sum())
            self.above += int(over.sum())
            self.samples += len(used)
            self.exceeded += bool(over.mean() > CPU_OVER_SHARE)
            self.pod_days += 1

    @property
    def cost(self) -> float:
        return (self.reserved + UNMET_PRICE * self.unmet) / self.used

    def line(self) -> str:
        """The figures of a rule."""
        above, exceeded = self.above / self.samples, self.exceeded / self.pod_days
        reserved = self.reserved / self.used
        return f"cost {self.cost:6.3f}  reserved {reserved:6.3f} x used  above {above:6.2%}  exceeded {exceeded:6.2%}"


def scored(fleets: Sequence[Fleet]) -> dict[str, Score]:
    """Every rule on some fleets."""
    found = {name: Score() for name in RULES}
    for fleet in fleets:
        for begin in range(FIRST_DAY * DAY, fleet.cores.shape[1] - DAY + 1, DAY):
            past, day = fleet.cores[:, max(0, begin - HISTORY) : begin], fleet.cores[:, begin : begin + DAY]
            if np.isnan(past).all() or np.isnan(day).all():
                continue
            for name, rule in RULES.items():
                found[name].add(rule(past), day)
    return found


def tell(name: str, fleets: Sequence[Fleet]) -> None:
    """The rules' figures on some fleets, and MOrA's waste over theirs."""
    found = scored(fleets)
    waste = {rule: score.cost - 1 for rule, score in found.items()}
    print(f"-- {name}")
    for rule, score in found.items():
        print(f"   {rule:<10} {score.line()}")
    print(
        f"   mora's waste: {waste['mora'] / waste['by moment']:.3f} of that by moment, "
        f"{waste['mora'] / waste['KRR']:.3f} of KRR's\n",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    given = Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    parser.add_argument("--traces", type=Path, default=given)
    asked = parser.parse_args()
    for fleet in synthetic():
        tell(fleet.name, [fleet])
    if not asked.traces.is_dir():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return 0
    groups = list(siblings(asked.traces))
    pods = sum(len(one.cores) for one in groups)
    tell(f"{len(groups)} groups of sibling VMs, {pods} in all", groups)
    tell("the same, balanced", [balanced(one) for one in groups])
    return 0


if __name__ == "__main__":
    sys.exit(main())
