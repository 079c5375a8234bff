"""Several forecasters as one: a stack whose weights are learned out of fold.

It fits its members on the first part of what it may learn from, asks them about the
rest, with a gap of one horizon between, and takes the weights, none below 0 and all together 1, with which their
forecasts err least there; then every member learns from all of it. A member that cannot be fitted is left out, with a
reason; where there are too few horizons to weigh any, all count alike, with a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mora import registry
from mora.documents import Misfit, anything, check, fields, items, mapping, number, pair, text
from mora.domain import Reason, Target
from mora.domain.learning import DAY_SECONDS, AtRow, Experiments, Level, Past, Place, Saved
from mora.errors import NotEnoughData, ToolMissing
from mora.features import TARGET_COLUMNS
from mora.folds import folds_of
from mora.forecasters.horizon import HOUR_SECONDS, lay, truth_at
from mora.fusion import NAIVE, convex_weights
from mora.seams import FittedForecaster, Forecaster, Reporter

MEMBERS = (NAIVE, "yesterday", "xgboost", "autoets", "autotheta")
_FOLDS, _MOST_WINDOWS = 2, 40
_LEAST_WINDOWS = 6
# Few windows cannot tell forecasters apart that say nearly the same.
_RIDGE = 0.02
_DOCUMENT = fields(
    {
        "weights": mapping(mapping(number(0, 1))),
        "members": mapping(mapping(anything)),
        "reasons": items(pair(text, text)),
    }
)


@dataclass(frozen=True, slots=True)
class FittedCombined:
    """Fitted members, and the weight of each for each target."""

    members: Mapping[str, FittedForecaster]
    weights: Mapping[Target, Mapping[str, float]]
    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """The weighted means of what the members say; of a place where some are silent, of those that are not."""
        said = {name: member.levels(places) for name, member in self.members.items()}
        found: list[Mapping[Target, Level]] = []
        for place in range(len(places)):
            of_place = {}
            for target, weights in self.weights.items():
                known = [(share, said[n][place][target]) for n, share in weights.items() if target in said[n][place]]
                total = sum(share for share, _ in known)
                if total > 0:
                    mean, high = (sum(share * level[i] for share, level in known) / total for i in (0, 1))
                    of_place[target] = (mean, max(mean, high))
            found.append(of_place)
        return found

    def save(self) -> Saved:
        """What each member saves, under its name."""
        members: dict[str, Any] = {}
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for name, member in self.members.items():
            saved = member.save()
            members[name] = dict(saved.document)
            arrays |= {f"{name}/{key}": values for key, values in saved.arrays.items()}
        weights = {target.value: dict(shares) for target, shares in self.weights.items()}
        reasons = [[reason.code, reason.text] for reason in self.reasons]
        return Saved({"weights": weights, "members": members, "reasons": reasons}, arrays)


def _restored(saved: Saved) -> FittedCombined:
    plain = saved.document
    check(plain, _DOCUMENT)
    members = {}
    for name, document in plain["members"].items():
        if name not in registry.REGISTRY["forecasters"] or name == StackedForecaster.name:
            raise Misfit(f"members.{name} is no forecaster of MOrA")
        arrays = {key.partition("/")[2]: own for key, own in saved.arrays.items() if key.partition("/")[0] == name}
        members[name] = registry.load("forecasters", name)().restore(Saved(document, arrays))
    weights = {Target(target): shares for target, shares in plain["weights"].items()}
    if any(name not in members for shares in weights.values() for name in shares):
        raise Misfit("weights are of forecasters that are not among the members")
    return FittedCombined(members, weights, tuple(Reason(code, words) for code, words in plain["reasons"]))


def _fit_members(
    names: Sequence[str], data: Experiments | Past, seed: int, reporter: Reporter
) -> tuple[dict[str, FittedForecaster], list[Reason]]:
    found: dict[str, FittedForecaster] = {}
    reasons: list[Reason] = []
    for name in names:
        forecaster: Forecaster = registry.load("forecasters", name)()
        own = _by_the_hour(data) if isinstance(data, Past) and forecaster.is_refitted else data
        try:
            found[name] = forecaster.fit(own, seed=seed, reporter=reporter)
        except (NotEnoughData, ToolMissing) as failure:
            reasons.append(Reason("member-left-out", f"without {name}: {failure.message}"))
    return found, reasons


def _by_the_hour(data: Past) -> Past:
    """On the grid of a day, where what is cheap to fit (a curve) learns for every horizon, as in training."""
    known = data.grid.before(data.fit_until)
    if known.horizon_seconds >= DAY_SECONDS or len(known) * known.step_seconds < HOUR_SECONDS:
        return Past(known, data.targets, len(known), len(known))
    grid = lay(
        known.means,
        sample_seconds=known.step_seconds,
        start_seconds=known.start_seconds,
        horizon_seconds=DAY_SECONDS,
    )
    return Past(grid, data.targets, len(grid), len(grid))


class StackedForecaster:
    """Members weighed by what they forecast out of fold. Source: Breiman (1996), "Stacked regressions"."""

    name = "stacked"
    is_refitted = False

    def __init__(self, members: str = "+".join(MEMBERS)) -> None:
        self.members = tuple(dict.fromkeys(members.split("+")))

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedCombined:
        """Learn weights, then fit every member on all of the data. Raises NotEnoughData where none can be."""
        members, reasons = _fit_members(self.members, data, seed, reporter)
        if not members:
            raise NotEnoughData("; ".join(reason.text for reason in reasons))
        windows = _out_of_fold(tuple(members), data, seed, reporter) if isinstance(data, Past) else {}
        weights = {}
        for target in data.targets:
            said, truth = windows.get(target, (np.empty((0, len(members))), np.empty(0)))
            if len(truth) < _LEAST_WINDOWS:
                weights[target] = dict.fromkeys(members, 1 / len(members))
                words = f"{len(truth)} horizons are too few to weigh forecasts of {target.value}: all count alike"
                reasons.append(Reason("few-windows-to-weigh", words))
            else:
                # Weights that sum to 1 weigh errors as they weigh forecasts, and a ridge is then a share of the errors.
                wrong = (said - truth[:, None]) / truth.mean()
                shares = convex_weights(wrong, np.zeros(len(truth)), ridge=_RIDGE)
                weights[target] = dict(zip(members, shares, strict=True))
        return FittedCombined(members, weights, tuple(reasons))

    def restore(self, saved: Saved) -> FittedCombined:
        """What save() gave; Misfit where it did not give that."""
        return _restored(saved)


def _out_of_fold(
    names: Sequence[str], data: Past, seed: int, reporter: Reporter
) -> dict[Target, tuple[np.ndarray, np.ndarray]]:
    """target -> what the members forecast of horizons that none of them learned from, (n, members), and what came."""
    grid, steps = data.grid, data.grid.steps
    try:
        folds = folds_of(data.fit_until, horizon=steps, count=_FOLDS, least=max(data.fit_until // 2, 1))
    except NotEnoughData:
        return {}
    found: dict[Target, list[tuple[list[float], float]]] = {target: [] for target in data.targets}
    for fold in folds:
        known = Past(grid.before(fold.train_stop), data.targets, fold.train_stop, fold.train_stop)
        fitted, _ = _fit_members(names, known, seed, reporter)
        if len(fitted) < len(names):
            continue
        rows = fold.origins(steps, apart=max(steps // 4, 1), most=_MOST_WINDOWS // _FOLDS)
        said = {name: member.levels([AtRow(grid, row) for row in rows]) for name, member in fitted.items()}
        for place, row in enumerate(rows):
            for target in data.targets:
                truth = truth_at(grid, TARGET_COLUMNS[target], row)
                if truth is not None and all(target in said[name][place] for name in names):
                    found[target].append(([said[name][place][target][0] for name in names], truth[0]))
    return {
        target: (np.array([own for own, _ in windows]), np.array([truth for _, truth in windows]))
        for target, windows in found.items()
        if windows and sum(truth for _, truth in windows) > 0
    }
