"""What a service's trained model forecasts of each running hour, for the detector `forecast-residual`.

The forecast of an hour rests on the samples before it alone, and on so many of them: a watcher that keeps as many
forecasts the same. The model is kept as it was trained; restoring it needs neither TensorFlow nor Prophet. The detector
finds this class by its name in the registry, since detectors know nothing of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.backtest.history import History
from mora.backtest.policy import Series
from mora.domain import Target
from mora.domain.learning import Floats, HorizonGrid, Saved
from mora.errors import MoraError, NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import HOUR_SECONDS, fill_from_past, steps_in
from mora.fusion import DEFAULT_WEIGHTS
from mora.metrics import SCALE_FREE_COLUMNS
from mora.model import learners
from mora.model.calibration import Calibration, blend, near
from mora.model.layout import short
from mora.model.learners import TITLES, Fitted
from mora.model.renewing import forecasts_at
from mora.model.settings import TrainSettings
from mora.quantities import format_duration, format_moment
from mora.seams import Silent

if TYPE_CHECKING:
    from mora.model.service import ServiceModel

# A forecast looks back so far at most: a week, and the day that follows the one before it.
_MOST_BACK_HOURS = 8 * 24
# Tried from the shortest on: what a level, a day, and a week need.
_BACK_HOURS = (6, 25)
_LEAST_BACK_HOURS = 2
# Hours that are tried to see how far back a forecast looks, and what difference of it (of their spread) is none.
_TRIED, _SAME = 24, 1e-3
# No grid is laid that has more than so many places for each sample.
_MOST_GAPS = 20


@dataclass(frozen=True, slots=True)
class HourForecast:
    """The forecasters of an hour, and their shares.

    metrics: metric -> what the model takes it for. own, others: fitted for an hour, and for every horizon. whose: in
    words. until: epoch seconds of the last sample that it was trained on. steps: of an hour; back_hours: how many hours
    before an hour its forecast rests on; 0 both before settled(). reach: how far from the last hour's mean each target
    may be forecast (calibration.near).
    """

    metrics: Mapping[str, Target]
    own: Fitted
    others: Fitted
    shares: Mapping[Target, Mapping[str, float]]
    whose: str
    until: float
    steps: int = 0
    back_hours: int = 0
    reach: Mapping[Target, float | None] = field(default_factory=dict)

    @property
    def back_seconds(self) -> float:
        """How long before a sample everything lies that its forecast rests on."""
        return (self.back_hours + 1) * HOUR_SECONDS

    @classmethod
    def of(cls, model: ServiceModel) -> HourForecast:
        """That of a trained model; NotEnoughData where it forecasts no hour."""
        name = model.workload.name
        if model.is_driven:
            raise NotEnoughData(f"The model of {name!r} was learned from load experiments, which forecast no time.")
        hour = model.horizons.get(round(HOUR_SECONDS))
        if hour is None:
            raise NotEnoughData(f"The model of {name!r} has no forecast of an hour: its history was too short.")
        until = datetime.fromisoformat(model.card["last_sample"]).timestamp()
        whose = f"the model {short(model.digest)} of {name}"
        return cls._made(hour.forecasters, model.forecasters, hour.calibrations, whose, until)

    @classmethod
    def learnt(
        cls, seconds: Floats, columns: Mapping[str, Floats], *, names: Sequence[str], step: float
    ) -> HourForecast:
        """As `mora train` learns it from these samples. Raises NotEnoughData.

        seconds: rising, shape (n,). columns: metric -> samples, the same shape. names: forecasters; those of the blend
        keep their ratio, each other is a candidate beside it. A single metric that is neither CPU nor memory is taken
        for CPU.
        """
        from mora.model.observed import learn

        blended = {name: DEFAULT_WEIGHTS[name] for name in names if name in DEFAULT_WEIGHTS} or {names[0]: 1.0}
        total = sum(blended.values())
        settings = TrainSettings(
            weights={name: weight / total for name, weight in blended.items()},
            candidates=tuple(name for name in names if name not in blended),
        )
        metrics = _metrics_of(columns)
        if not metrics:
            raise NotEnoughData("There is neither CPU nor memory to forecast.")
        history = _history(seconds, _renamed(columns, metrics), step)
        learned = learn(history, settings, Silent(), spans=(HOUR_SECONDS,))
        hour = learned.horizons[round(HOUR_SECONDS)]
        made = cls._made(
            hour.forecasters,
            learned.forecasters,
            hour.calibrations,
            "a model of these samples' beginning",
            float(seconds[-1]),
        )
        return replace(made, metrics=metrics)

    @classmethod
    def _made(
        cls, own: Fitted, others: Fitted, calibrations: Mapping[Target, Calibration], whose: str, until: float
    ) -> HourForecast:
        shares = {
            target: {name: share for name, share in calibrations[target].shares.items() if share > 0}
            for target in (Target.CPU, Target.MEMORY)
            if target in calibrations
        }
        used = {name for found in shares.values() for name in found}
        return cls(
            {TARGET_COLUMNS[target]: target for target in shares},
            {name: one for name, one in own.items() if name in used},
            {name: one for name, one in others.items() if name in used and name not in own},
            shares,
            whose,
            until,
            reach={target: calibrations[target].reach for target in shares},
        )

    def settled(
        self, seconds: Floats, columns: Mapping[str, Floats], *, step: float, first: float
    ) -> tuple[HourForecast, tuple[str, ...]]:
        """The same for samples every `step` seconds, looking no further back than it has to; and what to tell of it.

        Its forecasts begin at `first` (epoch seconds) at the latest. Raises NotEnoughData where nothing is forecast.
        """
        if step > HOUR_SECONDS:
            raise NotEnoughData(f"Samples every {format_duration(step)} are too coarse for a forecast of an hour.")
        most = min(int((first - seconds[0]) // HOUR_SECONDS) - 1, _MOST_BACK_HOURS)
        if most < _LEAST_BACK_HOURS:
            raise NotEnoughData("The samples are too few hours for a forecast of one.")
        metrics = {metric: target for metric, target in self.metrics.items() if metric in columns}
        found = replace(self, metrics=metrics, steps=steps_in(HOUR_SECONDS, step), back_hours=most)
        begin = int(seconds[0] // HOUR_SECONDS) + most + 1
        tried = np.unique(np.linspace(begin, int(seconds[-1] // HOUR_SECONDS), _TRIED).astype(np.int64))
        parts = [found._parts(int(hour), seconds, columns) for hour in tried]
        usual = found._means(parts)
        if not np.isfinite(usual).any():
            raise NotEnoughData(f"{self.whose[0].upper()}{self.whose[1:]} forecasts nothing of these samples.")
        spread = max(float(np.nanstd(usual)), 1e-12 * float(np.nanmax(np.abs(usual))))
        for hours in (hours for hours in _BACK_HOURS if hours < most):
            shorter = replace(found, back_hours=hours)
            means = shorter._means([shorter._parts(int(hour), seconds, columns) for hour in tried])
            if np.allclose(means, usual, rtol=0.0, atol=_SAME * spread, equal_nan=True):
                found = shorter
                break
        return found, tuple(
            f"{TITLES.get(name, name)} forecasts nothing of {metric} from {format_duration(most * HOUR_SECONDS)} of "
            "samples: its share goes to the others."
            for metric, target in metrics.items()
            for name in self.shares[target]
            if all(name not in one.get(target, {}) for one in parts)
        )

    def at(self, seconds: Floats, columns: Mapping[str, Floats]) -> dict[str, Floats]:
        """metric -> the mean that is forecast of the hour of each row, from what lies before that hour; NaN for none.

        seconds: rising, shape (n,). columns: metric -> samples, the same shape. An hour has none where the samples do
        not reach back far enough.
        """
        found = {metric: np.full(len(seconds), np.nan) for metric in self.metrics}
        hours = np.floor(seconds / HOUR_SECONDS).astype(np.int64)
        for hour in np.unique(hours).tolist():
            if seconds[0] > (hour - self.back_hours) * HOUR_SECONDS:
                continue
            means = self._means([self._parts(hour, seconds, columns)])[0]
            for metric, mean in zip(self.metrics, means, strict=True):
                found[metric][hours == hour] = mean
        return found

    def only(self, metrics: Sequence[str]) -> HourForecast:
        """The forecasts of these metrics alone."""
        return replace(self, metrics={name: target for name, target in self.metrics.items() if name in metrics})

    def in_words(self, metric: str) -> str:
        """What is forecast of a metric, by whom."""
        shares = self.shares[self.metrics[metric]]
        parts = ", ".join(f"{TITLES.get(name, name)} {share:.0%}" for name, share in shares.items())
        until = format_moment(datetime.fromtimestamp(self.until, UTC), "seconds")
        return f"the hour as {self.whose} forecasts it ({parts}; trained on samples up to {until})"

    def save(self) -> Saved:
        """Plain documents and arrays."""
        own, others = learners.save_all(self.own, round(HOUR_SECONDS)), learners.save_all(self.others)
        document = {
            "metrics": {metric: target.value for metric, target in self.metrics.items()},
            "own": list(self.own),
            "others": list(self.others),
            "documents": {**own[0], **others[0]},
            "shares": {target.value: dict(shares) for target, shares in self.shares.items()},
            "packages": learners.packages_of((*self.own, *self.others)),
            "whose": self.whose,
            "until": self.until,
            "steps": self.steps,
            "back_hours": self.back_hours,
            "reach": {target.value: reach for target, reach in self.reach.items()},
        }
        files = {**own[1], **others[1]}
        return Saved(
            document, {f"{file}:{name}": one for file, arrays in files.items() for name, one in arrays.items()}
        )

    @classmethod
    def restore(cls, saved: Saved) -> HourForecast:
        """What save() gave. Raises one of sealed.UNREADABLE for what it did not give."""
        plain = saved.document
        files: dict[str, dict[str, Any]] = {}
        for key, array in saved.arrays.items():
            file, _, name = key.partition(":")
            files.setdefault(file, {})[name] = array
        hour, packages = round(HOUR_SECONDS), plain["packages"]
        steps, back_hours, until = int(plain["steps"]), int(plain["back_hours"]), float(plain["until"])
        shares = {
            Target(target): {str(name): float(share) for name, share in found.items()}
            for target, found in plain["shares"].items()
        }
        metrics = {str(metric): Target(target) for metric, target in plain["metrics"].items()}
        if not (
            1 <= steps <= HOUR_SECONDS and 1 <= back_hours <= _MOST_BACK_HOURS and set(metrics.values()) <= set(shares)
        ):
            raise ValueError("the forecast of an hour does not fit together")
        return cls(
            metrics,
            learners.restore_all(plain["own"], plain["documents"], files, hour, packages=packages),
            learners.restore_all(plain["others"], plain["documents"], files, packages=packages),
            shares,
            str(plain["whose"]),
            until,
            steps,
            back_hours,
            {Target(name): None if reach is None else float(reach) for name, reach in plain["reach"].items()},
        )

    def _parts(self, hour: int, seconds: Floats, columns: Mapping[str, Floats]) -> Mapping[Target, Mapping[str, float]]:
        """target -> forecaster -> mean of an hour (counted from 1970)."""
        grid = self._grid(hour, seconds, columns)
        targets = [target for target in self.metrics.values() if TARGET_COLUMNS[target] in grid.means]
        if not targets:
            return {}
        found = forecasts_at(grid, [len(grid)], targets, self.own, lambda _: self.others)
        return {
            target: {name: level[0] for name, level in near(levels[0], self.reach.get(target)).items()}
            for target, levels in found.items()
        }

    def _grid(self, hour: int, seconds: Floats, columns: Mapping[str, Floats]) -> HorizonGrid:
        """The hours before one, and nothing else: what comes later is not even there to be looked at."""
        start, end = (hour - self.back_hours) * HOUR_SECONDS, hour * HOUR_SECONDS
        rows = slice(*np.searchsorted(seconds, [start, end]).tolist())
        count = self.back_hours * self.steps
        slots = np.minimum(((seconds[rows] - start) * self.steps / HOUR_SECONDS).astype(np.int64), count - 1)
        means = {}
        for name, samples in _renamed(columns, self.metrics).items():
            values = samples[rows]
            known = np.isfinite(values)
            if known.any():
                sums = np.bincount(slots[known], values[known], minlength=count)
                counts = np.bincount(slots[known], minlength=count)
                means[name] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        filled = {name: fill_from_past(values) for name, values in means.items()}
        if not means:
            means = {"": np.full(count, np.nan)}
        return HorizonGrid(HOUR_SECONDS, self.steps, start, means, filled)

    def _means(self, parts: Sequence[Mapping[Target, Mapping[str, float]]]) -> Floats:
        """The forecasts by the shares, shape (hours, metrics); NaN where there is none."""
        found = np.full((len(parts), len(self.metrics)), np.nan)
        for row, own in enumerate(parts):
            for number, target in enumerate(self.metrics.values()):
                if own.get(target):
                    found[row, number] = blend(self.shares[target], own[target])
        found[~np.isfinite(found)] = np.nan
        return found


def forecast_of(service: str, namespace: str, models_dir: Path | str) -> tuple[HourForecast | None, tuple[str, ...]]:
    """The forecast of a service's champion; or none, and why."""
    from mora.model.catalogue import load_model

    try:
        return HourForecast.of(load_model(service, models_dir=models_dir, namespace=namespace)), ()
    except MoraError as failure:
        why = " ".join(part for part in (failure.message, failure.hint) if part)
    return None, (
        why,
        "So every metric is compared with the same time yesterday, the last 15 minutes, or both, not with a forecast "
        "of its own model.",
    )


def _metrics_of(columns: Mapping[str, Floats]) -> dict[str, Target]:
    known = {TARGET_COLUMNS[target]: target for target in (Target.CPU, Target.MEMORY)}
    found = {name: known[name] for name in columns if name in known}
    return found or ({next(iter(columns)): Target.CPU} if len(columns) == 1 else {})


def _renamed(columns: Mapping[str, Floats], metrics: Mapping[str, Target]) -> dict[str, Floats]:
    """Those that a forecaster may look at, named as it knows them."""
    named = {metric: TARGET_COLUMNS[target] for metric, target in metrics.items()}
    return {
        named.get(name, name): values
        for name, values in columns.items()
        if name in named or (name in SCALE_FREE_COLUMNS and name not in named.values())
    }


def _history(seconds: Floats, columns: Mapping[str, Floats], step: float) -> History:
    """The samples on a constant grid."""
    slots = np.rint((seconds - seconds[0]) / step).astype(np.int64)
    count = int(slots[-1]) + 1
    if count > _MOST_GAPS * len(seconds):
        raise NotEnoughData("The samples are mostly gaps, which no forecast of an hour is learned from.")
    laid = {}
    for name in SCALE_FREE_COLUMNS:
        laid[name] = np.full(count, np.nan)
        if name in columns:
            np.fmax.at(laid[name], slots, columns[name])
    cpu, memory = (laid[TARGET_COLUMNS[target]] for target in (Target.CPU, Target.MEMORY))
    return History(Series("these samples", max(round(step), 1), round(float(seconds[0])), cpu, memory), laid)
