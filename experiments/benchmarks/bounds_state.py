"""What it costs to carry bounds on with their samples, beside reading the history anew.

    OMP_NUM_THREADS=1 python experiments/benchmarks/bounds_state.py [--containers 10000,100000] [--at-once 64]

Made-up containers of six kinds (steady, daily, bursty, idle, growing, young), a sample every five minutes, CPU and
memory, 24 h ahead. Their first 14 days are taken once, for a few hundred of them; then states are read from their
bytes, take what is new, give their bounds and are written again, as many as are asked for, a few at a time. CPU seconds
of this process, made-up samples not counted: two cores take half of it in wall time. The last table is how far the
bounds of written states are from those of the whole history after two days of renewals; with $MORA_TRACES, on VMs too.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from mora.bounds.cpu import cpu_bounds_many
from mora.bounds.memory import memory_bounds_many
from mora.bounds.packing import packed, unpacked
from mora.bounds.state import BoundsState
from mora.bounds.ticks import Floats
from mora.domain import Target

STEP, HORIZON = 300, 86_400
DAY = 86_400 // STEP
DAYS = 14
KINDS = ("steady", "daily", "bursty", "idle", "growing", "young")
SPANS = {"15 minutes": 3, "one hour": 12, "one day": DAY}
TARGETS = (Target.CPU, Target.MEMORY)
# At most, of the issue: 100,000 containers a day's samples on two cores in 15 minutes, 10,000 renewed in a minute.
MOST_DAY_CPU_SECONDS, MOST_RENEWAL_CPU_SECONDS, MOST_GIB, MOST_ERROR = 1800.0, 120.0, 1.0, 0.005


def made(number: int, samples: int, target: Target) -> Floats:
    """The samples of one made-up container, each different."""
    rng = np.random.default_rng((number, target is Target.CPU))
    kind = KINDS[number % len(KINDS)]
    unit = rng.uniform(0.01, 2.0) * (1.0 if target is Target.CPU else 1e9)
    day = np.sin(2 * np.pi * np.arange(samples) / DAY + rng.uniform(0, 6))
    noise = rng.gamma(4.0, 0.25, samples)
    use = {
        "steady": 1 + 0.02 * noise,
        "daily": 1 + 0.6 * day + 0.1 * noise,
        "bursty": 0.2 + 0.1 * noise + np.where(rng.random(samples) < 0.02, 5 * noise, 0.0),
        "idle": np.where(rng.random(samples) < 0.01, noise, 0.0),
        "growing": 1 + np.arange(samples) / samples + 0.1 * noise,
        "young": 1 + 0.3 * day + 0.2 * noise,
    }[kind]
    use[rng.random(samples) < 0.01] = np.nan
    if kind == "young":
        use[: samples - 2 * DAY] = np.nan
    return np.maximum(unit * use, 0.0)


def state_of(values: Floats, target: Target) -> BoundsState:
    found = BoundsState(target, len(values), step_seconds=STEP, horizon_seconds=HORIZON, next_sample=0)
    found.take(values)
    return found


def whole(values: Floats, target: Target) -> Floats:
    rule = cpu_bounds_many if target is Target.CPU else memory_bounds_many
    at = np.array([values.shape[1]])
    return rule(values, step_seconds=STEP, decisions=at, horizon_seconds=HORIZON).requests[:, 0]


def renewed(parts: list[bytes], new: Floats) -> list[bytes]:
    """What one renewal does for some containers."""
    found = unpacked(parts)
    found.take(new)
    found.bounds()
    return packed(found)


def costs(containers: int, at_once: int, distinct: int) -> bool:
    """Prints what a renewal of so many containers costs; whether that is within the limits."""
    print(f"\n{containers:,} containers, {at_once} at once, CPU and memory")
    print(f"{'new samples':<14}{'CPU s':>8}{'ms a container':>16}{'kB a container':>16}")
    first = {target: np.array([made(n, DAYS * DAY, target) for n in range(distinct)]) for target in TARGETS}
    kept = {}
    began = time.process_time()
    for target in TARGETS:
        kept[target] = [
            packed(state_of(first[target][start : start + at_once], target)) for start in range(0, distinct, at_once)
        ]
    built = (time.process_time() - began) / distinct
    is_fine = True
    for name, count in SPANS.items():
        new = {
            target: [values[start : start + at_once, :count] for start in range(0, distinct, at_once)]
            for target, values in first.items()
        }
        began, done, size, turn = time.process_time(), 0, 0, 0
        while done < containers:
            for target in TARGETS:
                # Every renewal begins from the same bytes, so that each takes as much.
                written = renewed(kept[target][turn % len(kept[target])], new[target][turn % len(kept[target])])
                size += sum(len(one) for one in written)
            done, turn = done + len(written), turn + 1
        spent = time.process_time() - began
        print(f"{name:<14}{spent:>8.1f}{1e3 * spent / done:>16.2f}{size / done / 1e3:>16.1f}")
        allowed = {"one day": MOST_DAY_CPU_SECONDS / 100_000, "15 minutes": MOST_RENEWAL_CPU_SECONDS / 10_000}
        is_fine &= spent / done <= allowed.get(name, np.inf)
    print(f"beside: {DAYS} days read anew {1e3 * built:.1f} ms a container, {built * containers:,.0f} CPU s in all")
    return is_fine


def errors(label: str, values: Floats, target: Target) -> bool:
    """Prints how far written states are from the whole history; whether that is near enough."""
    far = []
    begin = values.shape[1] - 2 * DAY
    found = state_of(values[:, :begin], target)
    for at in range(begin, values.shape[1], 3):
        found = unpacked(packed(found))
        found.take(values[:, at : at + 3])
        if (at + 3 - begin) % 36 == 0:
            wanted = whole(values[:, : at + 3], target)
            known = wanted > 0
            far.append(np.abs(found.bounds().requests[known] / wanted[known] - 1))
    gap = np.concatenate(far)
    size = np.mean([len(one) for one in packed(found)]) / 1e3
    print(
        f"{label:<22}{target.value:<8}{gap.mean():>10.4%}{np.quantile(gap, 0.99):>10.4%}{gap.max():>10.4%}{size:>8.1f}"
    )
    return bool(gap.max() <= MOST_ERROR)


def vms(folder: Path, count: int, target: Target) -> Floats | None:
    """The first 14 days of some recorded VMs; None where there are no traces."""
    if not (folder / "vms.parquet").is_file():
        return None
    import pandas as pd

    column = "cpu" if target is Target.CPU else "mem"
    rows = pd.read_parquet(folder / "vms.parquet", columns=["series_id", "timestamp", column])
    found = np.full((count, DAYS * DAY), np.nan)
    for number, (_, one) in enumerate(rows[rows.series_id.isin(rows.series_id.unique()[:count])].groupby("series_id")):
        at = ((one.timestamp - one.timestamp.min()) // STEP).to_numpy()
        found[number, at[at < DAYS * DAY]] = one[column].to_numpy()[at < DAYS * DAY]
    return found


def main() -> int:
    """Prints the tables; 1 where something is over its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--containers", default="10000", help="how many are renewed, separated by commas")
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument(
        "--distinct", type=int, default=192, help="made-up containers; the others are renewed like them"
    )
    parser.add_argument("--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", "../shared/traces")))
    asked = parser.parse_args()
    is_fine = True
    for containers in asked.containers.split(","):
        is_fine &= costs(int(containers), asked.at_once, asked.distinct)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"memory at most: {peak_gib:.2f} GiB")
    print(f"\nfar from the whole history\n{'':<30}{'mean':>10}{'p99':>10}{'most':>10}{'kB':>8}")
    for target in TARGETS:
        is_fine &= errors("made-up", np.array([made(n, DAYS * DAY, target) for n in range(36)]), target)
        if (recorded := vms(asked.traces, 24, target)) is None:
            print(f"recorded VMs were left out: there are no traces in {asked.traces} (set MORA_TRACES)")
        else:
            is_fine &= errors("recorded VMs", recorded, target)
    return 0 if is_fine and peak_gib <= MOST_GIB else 1


if __name__ == "__main__":
    sys.exit(main())
