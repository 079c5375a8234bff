"""Why a forecast is what it is: what every input of every forecaster of the blend adds to it, as SHAP values.

The blend is a weighted sum, so the values of its forecasters add up to its own, each times its share. What is explained
is the mean use of the coming horizon; the request rests on the upper bound, which mora/bounds learns from the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.backtest.history import history_of
from mora.domain import Target, Workload
from mora.domain.learning import DAY_SECONDS, AtRow, Contributions, Floats, HorizonGrid
from mora.errors import BadInput, MoraError, NotEnoughData
from mora.features import TARGET_COLUMNS
from mora.forecasters.horizon import PLAIN, plain_at, plain_labels
from mora.fusion import NAIVE
from mora.metrics import OBSERVED_SCENARIO
from mora.model import online
from mora.model.calibration import Calibration
from mora.model.learners import TITLES
from mora.quantities import format_duration
from mora.seams import ExplainsItself, FittedForecaster, Reporter, Silent
from mora.shapley import of_sum

if TYPE_CHECKING:
    import pandas as pd

    from mora.model.observed import HorizonModel
    from mora.model.service import ServiceModel

# Moments that are explained, of the last two weeks at most; a few of them are the background of what is sampled.
MOMENTS, BACKGROUND = 40, 8
_PAST_SECONDS = 14 * DAY_SECONDS
# What is added up may differ from the forecast by a rounding, and by no more.
_EXACT = 1e-6
NEAR = "kept near the last horizon"
"""What is called an input where forecasters may not reach as far as they say (calibration.near)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One forecaster of the blend. share: of 1. forecast: now, in the target's unit. is_opaque: it cannot say what its
    inputs add, so that its forecast counts as one input."""

    name: str
    share: float
    forecast: float
    is_exact: bool
    is_opaque: bool


@dataclass(frozen=True, slots=True)
class ExplainedForecast:
    """The forecasts of one target, the last of them the one that counts now.

    seconds: when each horizon begins, epoch seconds, shape (rows,). contributions: of the blend, the input that counts
    most over all rows first. members: the forecasters that it is made of. background: so many of the forecasts, evenly
    over all of them, have the base as their average.
    """

    workload: Workload
    target: Target
    horizon_seconds: float
    seconds: Floats
    contributions: Contributions
    members: tuple[Member, ...]
    background: int

    @property
    def forecast(self) -> float:
        """The mean use that is forecast for the coming horizon, in the target's unit."""
        return float(self.contributions.forecasts[-1])

    @property
    def importance(self) -> Floats:
        """By how much each input moves a forecast on average, up or down, shape (inputs,)."""
        found: Floats = np.abs(self.contributions.amounts).mean(axis=0)
        return found


def explain_forecasts(
    model: ServiceModel,
    recent: pd.DataFrame,
    *,
    horizon_seconds: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> list[ExplainedForecast]:
    """What adds up to the forecasts of each target, from the last sample on, and at forty moments before.

    recent: rows of the dataset, as ServiceModel.demand() takes them. horizon_seconds: that of the training by default.
    Raises BadInput for a model of load experiments, or of other horizons; NotEnoughData where there is no history;
    MoraError where a forecaster's contributions do not add up to its forecast.
    """
    reporter = reporter or Silent()
    name = model.workload.name
    if model.is_driven:
        raise BadInput(
            f"The model of {name!r} was trained on load experiments. SHAP values are of forecasts from a history.",
            hint=f"For the arithmetic of its numbers: mora explain {name}",
        )
    observed = recent[recent["scenario"] == OBSERVED_SCENARIO]
    if observed.empty:
        raise NotEnoughData(f"There is no observed data of {name!r}.", hint="Collect some: mora collect --history 14d")
    seconds = float(model.card["settings"]["horizon_seconds"] if horizon_seconds is None else horizon_seconds)
    learned = model.horizons.get(round(seconds))
    if learned is None:
        known = ", ".join(format_duration(one) for one in sorted(model.horizons))
        raise BadInput(
            f"The model of {name!r} has no forecast of {format_duration(seconds)}.",
            hint=f"It forecasts {known}: --horizon {format_duration(max(model.horizons))}.",
        )
    history = history_of(observed, name)
    grid = history.grid(seconds)
    if len(grid) < grid.steps:
        raise NotEnoughData(
            f"The history of {name!r} is shorter than one horizon of {format_duration(seconds)}.",
            hint="Collect a longer one (mora collect --history 14d), or ask for less: --horizon 1h.",
        )
    now = online.as_of_now(learned, model.forecasters, grid, model.card)
    found = []
    for number, target in enumerate(history.targets):
        reporter.advance("SHAP values", number, len(history.targets), target.value)
        if target in learned.calibrations:
            explained = _explain(model, learned, grid, target, now[target][0], seed)
            found.append(explained)
    reporter.advance("SHAP values", len(history.targets), len(history.targets))
    return found


def _explain(
    model: ServiceModel,
    learned: HorizonModel,
    grid: HorizonGrid,
    target: Target,
    calibration: Calibration,
    seed: int,
) -> ExplainedForecast:
    fitted = {**model.forecasters, **learned.forecasters}
    now = len(grid)
    parts = learned.parts(grid, target, model.forecasters, now)
    shares = _shares(calibration, parts)
    begin = max(now - round(_PAST_SECONDS / grid.step_seconds), 1)
    candidates = np.unique(np.linspace(begin, now, MOMENTS + 1).round().astype(int)).tolist()
    values = {name: _forecasts(grid, candidates, target, name, fitted.get(name)) for name in shares}
    # The same forecasters at every moment; at the last one all that count are there.
    kept = [place for place in range(len(candidates)) if all(not np.isnan(values[name][place]) for name in shares)]
    rows = [candidates[place] for place in kept]
    usual = np.unique(np.linspace(0, len(rows) - 1, BACKGROUND).round().astype(int))
    background = [rows[place] for place in usual]
    pieces: dict[str, Contributions] = {}
    members = []
    for name, share in shares.items():
        own = values[name][kept]
        one: Any = fitted.get(name)
        is_plain = name in PLAIN
        explains = one if isinstance(one, ExplainsItself) and not is_plain else None
        if explains is not None:
            pieces[name] = _checked(name, explains.contributions(grid, rows, background, seed=seed)[target], own)
        else:
            pieces[name] = of_sum([_label(name, grid, target)], own[:, None], own[usual, None])
        is_opaque = explains is None and not is_plain
        members.append(Member(name, share, parts[name], pieces[name].is_exact, is_opaque))
    whole = _together(pieces, shares)
    if calibration.reach is not None:
        means = {name: values[name][kept] for name in shares}
        means[NAIVE] = _forecasts(grid, rows, target, NAIVE, None)
        whole = _within_reach(whole, means, shares, calibration.reach, usual)
    return ExplainedForecast(
        model.workload,
        target,
        grid.horizon_seconds,
        grid.start_seconds + grid.step_seconds * np.array(rows, dtype=np.float64),
        whole,
        tuple(members),
        len(background),
    )


def _shares(calibration: Calibration, parts: Mapping[str, float]) -> dict[str, float]:
    """The shares of calibration.blend(): of the forecasts that there are, or of the naive one alone."""
    known = {name: share for name, share in calibration.shares.items() if share > 0 and name in parts}
    total = sum(known.values())
    return {name: share / total for name, share in known.items()} if total > 0 else {NAIVE: 1.0}


def _forecasts(
    grid: HorizonGrid, rows: Sequence[int], target: Target, name: str, fitted: FittedForecaster | None
) -> Floats:
    """The mean that one forecaster gives at each row, NaN where it gives none."""
    levels = (
        [plain_at(grid, TARGET_COLUMNS[target], row).get(name) for row in rows]
        if name in PLAIN or fitted is None
        else [found.get(target) for found in fitted.levels([AtRow(grid, row) for row in rows])]
    )
    return np.array([np.nan if level is None else level[0] for level in levels], dtype=np.float64)


def _checked(name: str, found: Contributions, forecasts: Floats) -> Contributions:
    scale = max(float(np.abs(forecasts).max()), 1e-12)
    if found.amounts.shape != (len(forecasts), len(found.names)) or not np.allclose(
        found.forecasts, forecasts, rtol=_EXACT, atol=_EXACT * scale
    ):
        raise MoraError(f"What {name} says of its inputs does not add up to its forecast.")
    return found


def _label(name: str, grid: HorizonGrid, target: Target) -> str:
    """What the one input of a plain forecast is, called as other forecasters call it; others' is their forecast."""
    return plain_labels(grid, TARGET_COLUMNS[target]).get(name, f"forecast of {TITLES.get(name, name)}")


def _together(pieces: Mapping[str, Contributions], shares: Mapping[str, float]) -> Contributions:
    """Of the blend: an input that several forecasters have is one, and what it adds is what it adds in all of them."""
    amounts: dict[str, Floats] = {}
    inputs: dict[str, Floats] = {}
    for name, piece in pieces.items():
        for column, label in enumerate(piece.names):
            added = shares[name] * piece.amounts[:, column]
            amounts[label] = amounts[label] + added if label in amounts else added
            inputs.setdefault(label, piece.inputs[:, column])
    order = sorted(amounts, key=lambda label: -float(np.abs(amounts[label]).mean()))
    return Contributions(
        tuple(order),
        sum(shares[name] * piece.base for name, piece in pieces.items()),
        np.column_stack([amounts[label] for label in order]),
        np.column_stack([inputs[label] for label in order]),
        all(piece.is_exact for piece in pieces.values()),
    )


def _within_reach(
    whole: Contributions, means: Mapping[str, Floats], shares: Mapping[str, float], reach: float, background: np.ndarray
) -> Contributions:
    """With what keeping the forecasters near the naive forecast adds, as one more input where it adds anything.

    means: forecaster -> what it says at each row, the naive one among them. background: rows of the average.
    """
    middle = means[NAIVE]
    moved = [share * (np.clip(means[n], middle - reach, middle + reach) - means[n]) for n, share in shares.items()]
    added = np.sum(moved, axis=0)
    if not added.any():
        return whole
    usual = float(added[background].mean())
    names = (*whole.names, NEAR)
    amounts, inputs = np.column_stack([whole.amounts, added - usual]), np.column_stack([whole.inputs, middle])
    order = np.argsort(-np.abs(amounts).mean(axis=0), kind="stable")
    return Contributions(
        tuple(names[place] for place in order), whole.base + usual, amounts[:, order], inputs[:, order], whole.is_exact
    )
