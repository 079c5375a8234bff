"""Which model forecasts a target of a service: the default blend, unless another one is clearly better.

Every candidate has forecast the same validation windows as the blend. Windows that overlap are one witness: errors are
averaged over each block of one horizon, and blocks are compared. A candidate replaces
the blend where its errors are smaller by more than one standard error of the paired differences (Breiman et al. 1984,
the one-standard-error rule) and by 2 %; of several the one with the smallest error does. One of the candidates is the
mixture of all of them, weighed by their errors: each block is forecast with the weights that the others give.

Everything here is arithmetic on errors: scaling a history changes no choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mora.domain import Reason
from mora.domain.learning import Floats
from mora.fusion import MIN_WINDOWS_TO_JUDGE, Weights, inverse_square_shares, is_clearly_worse

BLEND = "blend"
"""The default: Prophet and the LSTM, less what errs more than the plain forecasts."""
MIXTURE = "mixture"
"""All forecasts together, in inverse proportion to their squared errors."""


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts of the same validation windows. Everything has shape (windows,).

    default: the blend's. others: candidate -> its own. truth: what came. ages: how old each window is, in horizons.
    """

    default: Floats
    others: Mapping[str, Floats]
    truth: Floats
    ages: Floats

    def errors(self, forecasts: Floats) -> list[float]:
        """Mean absolute error of each block of one horizon, oldest first."""
        block = np.floor(self.ages + 1e-9)
        wrong = np.abs(forecasts - self.truth)
        return [float(wrong[block == age].mean()) for age in np.unique(block)[::-1]]


def choose_model(default: Weights, forecasts: Forecasts, subject: str) -> Weights:
    """The weights of what forecasts from now on: the default's, or those of a candidate that is clearly better.

    subject: what is forecast, for the reasons. The answer's reasons tell what was compared, and what came of it.
    """
    others = {**forecasts.others, **_mixture(forecasts)}
    own = forecasts.errors(forecasts.default)
    if not others:
        return default
    if len(own) < MIN_WINDOWS_TO_JUDGE:
        text = f"{subject}: the blend stays; {len(own)} horizons of validation windows are too few to compare models on"
        return Weights(default.shares, (*default.reasons, Reason("model-kept", text)))
    errors = {name: forecasts.errors(values) for name, values in others.items()}
    mean = {name: float(np.mean(values)) for name, values in errors.items()}
    better = [name for name, values in errors.items() if is_clearly_worse(own, values)]
    best = min(better or mean, key=lambda name: mean[name])
    windows = f"{len(forecasts.truth)} validation windows"
    if not better:
        text = (
            f"{subject}: the blend stays; of {len(others)} other models {best} comes nearest: its error is "
            f"{_ratio(mean[best], own)} on {windows}, not less by more than one standard error"
        )
        return Weights(default.shares, (*default.reasons, Reason("model-kept", text)))
    text = (
        f"{subject}: {best} takes the place of the blend; its error is {_ratio(mean[best], own)} on {windows}, less by "
        "more than one standard error"
    )
    shares = mixture_of(forecasts) if best == MIXTURE else {best: 1.0}
    return Weights(shares, (Reason("model-chosen", text),), best)


def mixture_of(forecasts: Forecasts) -> dict[str, float]:
    """The shares of the mixture, by the errors on all windows."""
    return inverse_square_shares({name: forecasts.errors(values) for name, values in forecasts.others.items()})


def _mixture(forecasts: Forecasts) -> dict[str, Floats]:
    """The mixture's forecasts, each block with the shares that the errors on the others give; none of one block."""
    if len(forecasts.others) < 2:
        return {}
    errors = {name: forecasts.errors(values) for name, values in forecasts.others.items()}
    block = np.floor(forecasts.ages + 1e-9)
    found = np.zeros(len(forecasts.truth))
    ages = np.unique(block)[::-1].tolist()
    if len(ages) < 2:
        return {}
    for left_out, age in enumerate(ages):
        kept = {name: [*values[:left_out], *values[left_out + 1 :]] for name, values in errors.items()}
        here = block == age
        for name, share in inverse_square_shares(kept).items():
            found[here] += share * forecasts.others[name][here]
    return {MIXTURE: found}


def _ratio(error: float, own: Sequence[float]) -> str:
    base = float(np.mean(own))
    if base <= 0:
        return "the blend's" if error <= 0 else "more than the blend's"
    return "more than 99 times the blend's" if error > 99 * base else f"{error / base:.2f} times the blend's"
