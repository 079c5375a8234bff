"""How many drifts `mora drift` finds within a day, and how often it finds one where nothing was changed.

    python experiments/benchmarks/drift.py [--every 3] [--made-up 20] [--model naive]

Recorded use of hosted VMs (vms.parquet of $MORA_TRACES) and made-up services (mora/synthetic.py). Without a model, the
inputs' part of the verdict; with --model, the whole of it: inputs, errors of a model of that forecaster (naive,
prophet, lstm, ...; "default" is what `mora train` blends) and coverage. Each is trained on 28 days.
Untouched: it is looked at every six hours of the days that follow, and trained again after each alarm; alarms less than
two days apart are one. Injected: at some days a change begins, and it is found where one of the looks 12, 18 and 24
hours later sees it; days on which the untouched one has an alarm are left out.
    level     CPU x 1.5
    season    CPU and memory as they are six hours later; on VMs whose days are alike
    variance  CPU, each sample's distance from its hour's mean x the root of 3
    leak      memory grows by half of its mean within the day
What can be found depends on how much a service moves by itself, so the table has a line for each: the standard
deviation of the logarithm of the day's mean use over the training.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np

from mora import synthetic
from mora.backtest.history import History, history_of_series
from mora.backtest.policy import Series
from mora.backtest.traces import read_trace_file
from mora.drift.check import judge
from mora.drift.coverage import MIN_WINDOWS, MOST_DAYS, Coverage, coverage_of, over
from mora.drift.inputs import by_hour, turned
from mora.drift.residuals import Errors, errors_of
from mora.model import ServiceModel, TrainSettings
from mora.model.observed import learn
from mora.seams import Silent

_DAY, _TRAINED = 288, 28
_KINDS = ("level", "season", "variance", "leak")
_CLASSES = ((0.0, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, 99.0))


@dataclass(frozen=True, slots=True)
class _Found:
    kind: str
    moves: float
    by: frozenset[str]

    @property
    def is_found(self) -> bool:
        return bool(self.by)


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="judge errors and coverage, too, of models of this forecaster")
    parser.add_argument("--made-up", type=int, default=20, help="how many services are made up")
    parser.add_argument("--every", type=int, default=3, help="one VM of so many")
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument(
        "--traces", type=Path, default=Path(os.environ.get("MORA_TRACES", root / ".." / "shared" / "traces"))
    )
    asked = parser.parse_args(arguments)
    begin = time.process_time()
    _print("made-up services", [_made_up(seed) for seed in range(asked.made_up)], asked.model)
    if not (asked.traces / "vms.parquet").is_file():
        print(f"Skipped: there are no traces in {asked.traces} (set MORA_TRACES).")
        return
    _print("VMs", read_trace_file(asked.traces / "vms.parquet")[:: asked.every], asked.model)
    print(f"CPU seconds: {time.process_time() - begin:.0f}")


def _made_up(seed: int) -> Series:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    frame = synthetic.service(start, span=timedelta(days=60), step=timedelta(seconds=300), seed=seed)
    use = (frame[name].to_numpy(dtype=np.float64) for name in ("cpu_usage", "memory_usage"))
    return Series(f"made-up-{seed}", 300, int(start.timestamp()), *use)


class _Looks:
    """Verdicts on a history as they would be at some of its moments, with one model until it is trained again."""

    def __init__(self, history: History, trained: int, model: str | None) -> None:
        series = history.series
        self._history, self._model = history, model
        self.until = series.start + (trained - 1) * series.step_seconds
        self._errors: list[Errors] = []
        self._coverages: list[Coverage] = []
        if model is not None:
            weights = TrainSettings().weights if model == "default" else {model: 1.0}
            learned = learn(history.before(trained), TrainSettings(weights=weights), Silent())
            self._learned = cast(ServiceModel, learned)
            self._ask(history)

    def _ask(self, history: History) -> None:
        self._history, self._errors, self._coverages = history, [], []
        if self._model is None:
            return
        for target in history.targets:
            errors = errors_of(self._learned, history, target, self.until)
            self._errors += [] if errors is None else [errors]
            for seconds in sorted(self._learned.horizons):
                covered = coverage_of(history, target, seconds, self.until, most_days=1000)
                self._coverages += [] if covered is None else [covered]

    def of(self, history: History) -> _Looks:
        """The same model on a history that went on differently."""
        found = copy.copy(self)
        found._ask(history)
        return found

    def at(self, end: int) -> tuple[str, ...]:
        """What kinds of findings there are when sample `end` has not come yet."""
        seen, moment = self._history.before(end), self._history.series.start + end * self._history.series.step_seconds
        errors = []
        for one in self._errors:
            keep = one.seconds + one.horizon_seconds <= moment + 1e-6
            if int(keep.sum()) > one.before:
                cut = (one.seconds[keep], one.forecast[keep], one.truth[keep])
                errors.append(replace(one, seconds=cut[0], forecast=cut[1], truth=cut[2]))
        coverages = []
        for other in self._coverages:
            begun = other.seconds + other.horizon_seconds <= moment + 1e-6
            keep = begun & (other.seconds >= moment - MOST_DAYS * 86_400)
            if int(keep.sum()) >= MIN_WINDOWS:
                parts = (other.seconds[keep], other.covered[keep], other.stated[keep])
                coverages.append(over(other.target, other.horizon_seconds, *parts))
        return tuple(finding.kind for finding in judge(seen, self.until, errors, coverages).findings)


def _print(name: str, series: list[Series], model: str | None) -> None:
    alarms: Counter[str] = Counter()
    months, found, rates = 0.0, [], []
    for one in series:
        history = history_of_series(one)
        own = _alarms(history, model)
        length = (one.sample_count / _DAY - _TRAINED) / 30
        months += length
        alarms.update(own)
        rates.append(own["all"] / length)
        found += _injected(one, history, model)
    count = alarms.pop("all", 0)
    print(f"untouched: {len(series)} {name}, {months:.1f} months, {count} alarms: {count / months:.2f} each a month;")
    print(f"           {np.mean(np.array(rates) == 0):.0%} have none; with findings of {dict(alarms)}")
    print("found within 24 h, by how much a day's mean moves by itself (standard deviation of its logarithm):")
    for low, high in _CLASSES:
        cells = []
        for kind in _KINDS:
            own_kind = [one for one in found if one.kind == kind and low <= one.moves < high]
            share = np.mean([one.is_found for one in own_kind]) if own_kind else 0.0
            errors = sum("errors" in one.by for one in own_kind)
            by = f" (errors {errors})" if model is not None else ""
            cells.append(f"{kind} {share:4.0%} of {len(own_kind):3d}{by}" if own_kind else f"{kind} -")
        print(f"  {low:.2f} to {high:5.2f}: " + "   ".join(cells), flush=True)


def _alarms(history: History, model: str | None) -> Counter[str]:
    """How many there are, under "all", and how many of them have findings of each kind."""
    trained, last, found = _TRAINED * _DAY, -9 * _DAY, Counter[str]()
    looks = _Looks(history, trained, model)
    end = trained + _DAY
    while end <= history.series.sample_count:
        if kinds := looks.at(end):
            if end - last >= 2 * _DAY:
                found.update(["all", *set(kinds)])
            trained = last = end
            looks = _Looks(history, trained, model)
            end += _DAY
        else:
            end += _DAY // 4
    return found


def _injected(series: Series, history: History, model: str | None) -> list[_Found]:
    found = []
    # Not whole weeks apart: every weekday and several times of day.
    apart = (7 if model is None else 14) * _DAY + 36
    for at in range((_TRAINED + 1) * _DAY, series.sample_count - 2 * _DAY, apart):
        trained = at - _DAY // 2
        ends = (at + _DAY // 2, at + 3 * _DAY // 4, at + _DAY)
        calm = _Looks(history.before(ends[-1]), trained, model)
        if any(calm.at(end) for end in ends):
            continue
        for kind in _KINDS:
            if kind == "season" and not _has_pattern(series, at):
                continue
            changed = calm.of(history_of_series(_inject(series, at, kind)).before(ends[-1]))
            by = {one for end in ends for one in changed.at(end)}
            found.append(_Found(kind, _moves(series, at, "mem" if kind == "leak" else "cpu"), frozenset(by)))
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
