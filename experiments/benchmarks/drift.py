"""How many drifts `mora drift` finds within a day, and how often it finds one where nothing was changed.

    python experiments/benchmarks/drift.py [--every 3]

Recorded use of hosted VMs (vms.parquet of $MORA_TRACES) and made-up services (mora/synthetic.py), the inputs' part of
the verdict. Each is trained on 28 days. Untouched: it is looked at every six hours of the days that follow, and trained
again after each alarm; alarms less than two days apart are one. Injected: at some days a change begins, and it is found
where one of the looks 12, 18 and 24 hours later sees it; days on which the untouched one has an alarm are left out.
    level     CPU x 1.5
    season    CPU and memory as they are six hours later; on VMs whose days are alike
    variance  CPU, each sample's distance from its hour's mean x the root of 3
    leak      memory grows by half of its mean within the day
What can be found depends on how much a service moves by itself, so the table has a line for each: the standard
deviation of the logarithm of the day's mean use over the training.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mora import synthetic
from mora.backtest.history import History, history_of_series
from mora.backtest.policy import Series
from mora.backtest.traces import read_trace_file
from mora.drift.check import check_inputs
from mora.drift.inputs import by_hour, turned

_DAY, _TRAINED = 288, 28
_KINDS = ("level", "season", "variance", "leak")
_CLASSES = ((0.0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 99.0))


@dataclass(frozen=True, slots=True)
class _Found:
    kind: str
    moves: float
    is_found: bool


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=3, help="one VM of so many")
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    asked = parser.parse_args(arguments)
    begin = time.process_time()
    _print("made-up services", [_made_up(seed) for seed in range(20)])
    if not (asked.traces / "vms.parquet").is_file():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return
    _print("VMs", read_trace_file(asked.traces / "vms.parquet")[:: asked.every])
    print(f"CPU seconds: {time.process_time() - begin:.0f}")


def _made_up(seed: int) -> Series:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = synthetic.service(start, span=timedelta(days=60), step=timedelta(seconds=300), seed=seed)
    use = (frame[name].to_numpy(dtype=np.float64) for name in ("cpu_usage", "memory_usage"))
    return Series(f"made-up-{seed}", 300, int(start.timestamp()), *use)


def _print(name: str, series: list[Series]) -> None:
    alarms, months, found, rates = 0, 0.0, [], []
    for one in series:
        history = history_of_series(one)
        own = _alarms(history)
        length = (one.sample_count / _DAY - _TRAINED) / 30
        alarms, months = alarms + own, months + length
        rates.append(own / length)
        found += _injected(one, history)
    print(f"untouched: {len(series)} {name}, {months:.1f} months, {alarms} alarms: {alarms / months:.2f} each a month;")
    print(f"           {np.mean(np.array(rates) == 0):.0%} have none")
    print("found within 24 h, by how much a day's mean moves by itself (standard deviation of its logarithm):")
    for low, high in _CLASSES:
        cells = []
        for kind in _KINDS:
            own_kind = [one.is_found for one in found if one.kind == kind and low <= one.moves < high]
            cells.append(f"{kind} {np.mean(own_kind):4.0%} of {len(own_kind):3d}" if own_kind else f"{kind} -")
        print(f"  {low:.2f} to {high:5.2f}: " + "   ".join(cells))


def _looks(history: History, end: int, trained: int) -> bool:
    series = history.series
    seen = history.before(end)
    return bool(check_inputs(seen, series.start + (trained - 1) * series.step_seconds).findings)


def _alarms(history: History) -> int:
    trained, last, found = _TRAINED * _DAY, -9 * _DAY, 0
    end = trained + _DAY
    while end <= history.series.sample_count:
        if _looks(history, end, trained):
            found += end - last >= 2 * _DAY
            trained = last = end
            end += _DAY
        else:
            end += _DAY // 4
    return found


def _injected(series: Series, history: History) -> list[_Found]:
    found = []
    # Not whole weeks apart: every weekday and several times of day.
    for at in range((_TRAINED + 1) * _DAY, series.sample_count - 2 * _DAY, 7 * _DAY + 36):
        trained = at - _DAY // 2
        ends = (at + _DAY // 2, at + 3 * _DAY // 4, at + _DAY)
        if any(_looks(history, end, trained) for end in ends):
            continue
        for kind in _KINDS:
            if kind == "season" and not _has_pattern(series, at):
                continue
            changed = history_of_series(_inject(series, at, kind))
            is_found = any(_looks(changed, end, trained) for end in ends)
            found.append(_Found(kind, _moves(series, at, "mem" if kind == "leak" else "cpu"), is_found))
    return found


def _inject(series: Series, at: int, kind: str) -> Series:
    assert series.cpu is not None  # the VMs have both
    assert series.mem is not None
    cpu, memory, day = series.cpu.copy(), series.mem.copy(), slice(at, at + _DAY)
    if kind == "level":
        cpu[day] *= 1.5
    elif kind == "season":
        later = slice(at + _DAY // 4, at + _DAY + _DAY // 4)
        cpu[day], memory[day] = series.cpu[later], series.mem[later]
    elif kind == "variance":
        rows = cpu[day].reshape(24, -1)
        middle = np.repeat(by_hour(cpu[day][None])[0], rows.shape[1])
        cpu[day] = np.maximum(middle + 3**0.5 * (cpu[day] - middle), 0.0)
    else:
        memory[day] += np.linspace(0, 0.5, _DAY) * np.nanmean(memory[at - 14 * _DAY : at])
    return replace(series, cpu=cpu, mem=memory)


def _days(series: Series, at: int, name: str) -> np.ndarray[Any, Any]:
    use = series.use(name)
    assert use is not None  # the VMs have both
    return use[at - _TRAINED * _DAY : at].reshape(_TRAINED, _DAY)


def _moves(series: Series, at: int, name: str) -> float:
    hours = by_hour(np.nan_to_num(_days(series, at, name)))
    means = hours.mean(axis=1)
    return float(np.log(means + 0.05 * means.mean() + 1e-12).std())


def _has_pattern(series: Series, at: int) -> bool:
    hours = by_hour(_days(series, at, "cpu"))
    profile = np.repeat(np.median(hours, axis=0)[None], len(hours), axis=0)
    return float(np.median(turned(hours, profile)[:, 0])) >= 0.6


if __name__ == "__main__":
    main()
