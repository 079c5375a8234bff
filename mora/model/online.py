"""Between two trainings: which forecasters a model believes, learnt anew from every horizon that has ended since.

The shares of the training start it, as one forecaster among the others; each horizon that ends moves weight to what
erred less (the exponentially weighted forecaster). It is replayed over those horizons each time, so that nothing is
kept and the same history gives the same shares, and it counts only where, over them, it erred less than the shares of
the training did: it cannot go on doing harm.
On 12 traces it errs 9.9 % less than no update an hour ahead and 0.8 % less a day ahead, and a recursive correction of
the bias 0.8 and 0.6 % more (experiments/benchmarks/online.py, which has the neighbours of the constants, too).
Source: Cesa-Bianchi & Lugosi (2006), "Prediction, Learning, and Games", chapter 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import Floats, HorizonGrid
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import truth_at
from mora.model.calibration import Calibration, blend, near
from mora.model.learners import TITLES, Fitted
from mora.model.renewing import forecasts_at
from mora.quantities import counted, format_duration

if TYPE_CHECKING:
    from mora.model.observed import HorizonModel

LEAST_WINDOWS = 24
"""Horizons that have ended since the training before any weight moves: a day of hours, a month of days."""
MOST_WINDOWS = 168
# The share of the forecast that stays as trained before anything has ended, how fast weight moves, and after how many
# horizons an error counts half. Measured, with their neighbours, by experiments/benchmarks/online.py.
_AS_TRAINED = 0.5
_RATE = 1.0
_HALF_LIFE_WINDOWS = 48.0
# Less of a share than this changes no number.
_LEAST_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Ended:
    """A horizon that has ended. parts: forecaster -> the mean that it had forecast. truth: the mean that came."""

    parts: Mapping[str, float]
    truth: float


@dataclass(frozen=True, slots=True)
class Reweighed:
    """Shares from now on. is_on: whether they are others than those of the training.

    before, after: mean absolute error over the ended horizons with the shares of the training, and with those learnt
    up to each of them; in the target's unit.
    """

    shares: Mapping[str, float]
    is_on: bool
    before: float
    after: float


def reweigh(shares: Mapping[str, float], ended: Sequence[Ended]) -> Reweighed:
    """Learn the shares from horizons that have ended, oldest first; none may begin before the one before it ends.

    >>> ended = [Ended({"a": 1.0, "b": 2.0}, 2.0)] * 30
    >>> found = reweigh({"a": 1.0}, ended)
    >>> found.is_on, found.before, found.shares["b"] > 0.9
    (True, 1.0, True)
    """
    names = [name for name in (ended[0].parts if ended else ()) if all(name in one.parts for one in ended)]
    if not names:
        return Reweighed(shares, False, 0.0, 0.0)
    truth = np.array([one.truth for one in ended])
    trained = np.array([blend(shares, one.parts) for one in ended])
    forecasts = np.column_stack([trained, *(np.array([one.parts[name] for one in ended]) for name in names)])
    errors = np.abs(forecasts - truth[:, None])
    weights = _weights(errors, truth)
    mixed = (forecasts * weights[:-1]).sum(axis=1)
    before, after = float(errors[:, 0].mean()), float(np.abs(mixed - truth).mean())
    if len(ended) < LEAST_WINDOWS or not after < before:
        return Reweighed(shares, False, before, after)
    total = sum(share for share in shares.values() if share > 0) or 1.0
    found = {name: float(weights[-1, 0]) * share / total for name, share in shares.items() if share > 0}
    for name, weight in zip(names, weights[-1, 1:].tolist(), strict=True):
        found[name] = found.get(name, 0.0) + weight
    kept = {name: share for name, share in found.items() if share >= _LEAST_SHARE}
    whole = sum(kept.values())
    return Reweighed({name: float(share / whole) for name, share in kept.items()}, True, before, after)


def _weights(errors: Floats, truth: Floats) -> Floats:
    """Of the blend as it was trained and of each forecaster, before each horizon and after the last one.

    Shape (horizons + 1, 1 + forecasters); those before a horizon rest on the horizons before it alone.
    """
    count = errors.shape[1] - 1
    prior = np.array([_AS_TRAINED, *[(1 - _AS_TRAINED) / count] * count])
    decay = 0.5 ** (1 / _HALF_LIFE_WINDOWS)
    loss = np.zeros((len(errors) + 1, errors.shape[1]))
    for row, error in enumerate(errors):
        loss[row + 1] = decay * loss[row] + error
    # In units of the mean use so far: a service of another size is weighed alike.
    seen = np.arange(1, len(truth) + 1)
    scale = np.concatenate([[0.0], np.cumsum(np.abs(truth)) / seen])[:, None]
    relative = np.divide(loss, scale, out=np.zeros_like(loss), where=scale > 0)
    weights: Floats = prior * np.exp(-_RATE * (relative - relative.min(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def as_of_now(
    learned: HorizonModel,
    others: Fitted,
    grid: HorizonGrid,
    card: Mapping[str, Any],
) -> dict[Target, tuple[Calibration, tuple[Reason, ...]]]:
    """The calibration of each target with the shares of now, and why they are as they are.

    others: forecasters that serve every horizon; each is asked once, for all targets. grid: the history up to now.
    card: of the model; horizons count that begin after its last sample. The reason is missing where none has ended; a
    model that was asked for by name stays.
    """
    found: dict[Target, tuple[Calibration, tuple[Reason, ...]]] = {
        target: (calibration, ()) for target, calibration in learned.calibrations.items()
    }
    free = [
        target
        for target, calibration in learned.calibrations.items()
        if TARGET_COLUMNS[target] in grid.means
        and not any(reason.code == "model-forced" for reason in calibration.reasons)
    ]
    since = datetime.fromisoformat(card["last_sample"]).timestamp()
    for target, ended in ended_since(learned, others, grid, free, since).items():
        if ended:
            calibration = learned.calibrations[target]
            now = reweigh(calibration.shares, ended)
            found[target] = replace(calibration, shares=now.shares), (_reason(target, grid, ended, now),)
    return found


def ended_since(
    learned: HorizonModel, others: Fitted, grid: HorizonGrid, targets: Sequence[Target], since_seconds: float
) -> dict[Target, list[Ended]]:
    """The horizons that began after a moment and have ended, oldest first, and what each forecaster said of them.

    Each forecaster is asked once, for all targets. At most 168, back from now without a gap between them; one that was
    not recorded is left out. A forecaster that fails, or forecasts what is no number, has said nothing.
    """
    # A step that begins with the last sample of the training has it among its own.
    first = max(int(np.floor((since_seconds - grid.start_seconds) / grid.step_seconds + 1e-6)) + 1, 1)
    rows = list(range(len(grid) - grid.steps, first - 1, -grid.steps))[:MOST_WINDOWS][::-1]
    truths = {target: [truth_at(grid, TARGET_COLUMNS[target], row) for row in rows] for target in targets}
    kept = [at for at in range(len(rows)) if any(truths[target][at] is not None for target in targets)]
    said = forecasts_at(
        grid,
        [rows[at] for at in kept],
        targets,
        learned.forecasters,
        lambda _: others,
        optional={*learned.forecasters, *others},
        reasons=[],
    )
    return {
        target: [
            Ended(
                {name: level[0] for name, level in near(levels, learned.calibrations[target].reach).items()}, truth[0]
            )
            for at, levels in zip(kept, said[target], strict=True)
            if (truth := truths[target][at]) is not None
        ]
        for target in targets
    }


def _reason(target: Target, grid: HorizonGrid, ended: Sequence[Ended], found: Reweighed) -> Reason:
    span = format_duration(grid.horizon_seconds)
    since = f"{counted(len(ended), 'horizon')} of {span} since the training"
    if found.is_on:
        change = 1 - found.after / found.before
        words = ", ".join(
            f"{share:.2f} {TITLES.get(name, name)}"
            for name, share in sorted(found.shares.items(), key=lambda one: -one[1])
        )
        text = f"{target.value}: weighed anew by {since}, with which forecasts erred {change:.1%} less: {words}"
        return Reason("weighed-anew", text)
    if len(ended) < LEAST_WINDOWS:
        needed = f"of {LEAST_WINDOWS} horizons of {span} that it takes to weigh them anew"
        why = f"{needed}, {len(ended)} ended since the training"
    else:
        worse = found.after / found.before - 1 if found.before > 0 else 0.0
        why = f"weighed anew by {since}, forecasts would have erred {worse:.1%} more"
    return Reason("weights-as-trained", f"{target.value}: the weights stay as trained; {why}")
