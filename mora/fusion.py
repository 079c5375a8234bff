"""Several forecasts into one: how much each weighs, how far the bound reaches, with what confidence.

Everything here is arithmetic on validation results, without units of its own: scaling a history scales point forecast
and bound and changes neither weights nor confidence.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mora.domain import Reason, Target
from mora.errors import BadInput, NotEnoughData

# The blend that MOrA starts from; validation errors may change it.
DEFAULT_WEIGHTS: Mapping[str, float] = {"prophet": 0.4, "lstm": 0.6}
# What may take its place where it forecasts clearly better.
DEFAULT_CANDIDATES = ("xgboost",)
NAIVE = "naive"
# Bounds aim at 90 % of windows, like Prophet's intervals.
BOUND_LEVEL = 0.9
# The prior counts in the confidence as if it were this many windows.
PRIOR_WINDOWS = 8
# Of forecasts that share a weight by their errors, what would get less gets nothing: it changes no number.
_LEAST_SHARE = 0.01
# On fewer windows no forecaster is called worse than another.
MIN_WINDOWS_TO_JUDGE = 3
# A smaller difference is none, however regular.
LEAST_DIFFERENCE = 0.02


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each forecaster counts for one target; they sum to 1.

    model: what they are: the blend, the mixture of everything, or one forecaster.
    """

    shares: Mapping[str, float]
    reasons: tuple[Reason, ...] = ()
    model: str = "blend"

    def blend(self, values: Mapping[str, float]) -> float:
        """The weighted sum; every forecaster that counts must have a value."""
        return sum(share * values[name] for name, share in self.shares.items() if share > 0)


def blend_of(forecasters: Sequence[str], prophet_weight: float = DEFAULT_WEIGHTS["prophet"]) -> dict[str, float]:
    """The weights that named forecasters start from: NAME=WEIGHT each, or names alone.

    Without weights each has its equal share; what Prophet and the LSTM have together is divided by `prophet_weight`.

    >>> blend_of(["prophet", "lstm"]), blend_of(["lstm"])
    ({'prophet': 0.4, 'lstm': 0.6}, {'lstm': 1.0})
    >>> blend_of(["prophet", "lstm", "mine"])["mine"], blend_of(["lstm=0.5", "mine=0.5"])
    (0.333333333333, {'lstm': 0.5, 'mine': 0.5})
    """
    given = {name.strip(): weight.strip() for name, _, weight in (text.partition("=") for text in forecasters)}
    if len(given) < len(forecasters) or NAIVE in given or "" in given:
        raise BadInput(
            f"{', '.join(forecasters)} is not a list of forecasters.",
            hint=f"Name each once, like prophet,lstm; {NAIVE} is always there, as the yardstick.",
        )
    if any(given.values()):
        try:
            weights = {name: float(weight) for name, weight in given.items()}
        except ValueError as failure:
            raise BadInput(
                f"{', '.join(forecasters)} is not a list of forecasters.",
                hint="Give a weight to each of them or to none, like prophet=0.3,lstm=0.3,mine=0.4.",
            ) from failure
        total = sum(weights.values())
        if not math.isclose(total, 1.0, abs_tol=1e-9) or min(weights.values()) < 0:
            raise BadInput(f"Weights must be at least 0 and sum to 1; these sum to {total:g}.")
        return weights
    usual = {"prophet": prophet_weight, "lstm": 1.0 - prophet_weight}
    named = [name for name in given if name in usual]
    # With a weight of 0 on one of them, the other has what they have together.
    together = sum(usual[name] for name in named) or 1.0
    share = 1.0 / len(given)
    return {name: round(usual[name] / together * share * len(named) if name in usual else share, 12) for name in given}


def choose_weights(
    target: Target,
    errors: Mapping[str, Sequence[float]],
    *,
    default: Mapping[str, float] = DEFAULT_WEIGHTS,
    learned: bool = False,
    subject: str | None = None,
    values: Mapping[str, Sequence[float]] | None = None,
    truth: Sequence[float] | None = None,
    plain: Sequence[str] = (),
) -> Weights:
    """The default weights, less those of forecasters that do worse than plain ones on the windows that choose.

    errors: forecaster -> absolute error per window, the same windows for all; one that failed is missing. `naive` is
        the yardstick. A forecaster is worse than it where its errors are larger by more than one standard error of the
        paired differences (Breiman et al. 1984, the one-standard-error rule) and by 2 %, of three windows at least: one
        noisy window does not overturn the default. Its weight goes to the others, or to the naive forecast where those
        are worse too.
    learned: instead of the default, the weights of the forecasters that pass which would have had the smallest error,
        in tenths (`values` and `truth` per window are needed); with `plain`, of all forecasts by their errors.
    plain: on observed data, the plain forecasts among `errors` (`values` and `truth` are needed). Mixed in inverse
        proportion to their squared errors they are the yardstick: a mixture errs less than the best of them, so a
        forecaster has to err less than the mixture to be worth its weight; what does not loses it to them. On 35 VMs a
        day ahead, one that had to beat the best alone left 0.310 of the mean use where this leaves 0.297; waiting for a
        proof (one standard error, as without `plain`) 0.312. Learned weights are in inverse proportion to the squared
        errors of all forecasts there are.
    subject: what is forecast, for the reasons; the target's name by default.

    >>> from mora.domain import Target
    >>> worse = choose_weights(Target.CPU, {"prophet": [3, 4, 3], "lstm": [1, 1, 2], "naive": [1, 2, 2]})
    >>> dict(worse.shares), worse.reasons[0].code
    ({'lstm': 1.0}, 'worse-than-naive')
    """
    total = sum(default.values())
    if not math.isclose(total, 1.0, abs_tol=1e-9) or min(default.values()) < 0:
        raise BadInput(f"Weights must be at least 0 and sum to 1; these sum to {total:g}.")
    reasons: list[Reason] = []
    what = subject or target.value
    known = [name for name in plain if name in errors]
    mixture = inverse_square_shares({name: errors[name] for name in known}) if known else {NAIVE: 1.0}
    yardstick = _errors_of(mixture, values, truth) if known else errors.get(NAIVE)
    is_worse = is_larger if known else is_clearly_worse
    handed_on = 0.0
    state = {name: share for name, share in default.items() if share > 0}
    for name in list(state):
        share = state[name]
        if name not in errors:
            del state[name]
            handed_on += share
            reasons.append(Reason("part-failed", f"{name} has no forecast of {what}: its weight goes to the others"))
        elif yardstick is not None and is_worse(errors[name], yardstick):
            del state[name]
            handed_on += share
            ratio = float(np.mean(errors[name])) / max(float(np.mean(yardstick)), 1e-300)
            many = "more than 99 times" if ratio > 99 else f"{ratio:.2f} times"
            rival = "the plain forecasts together" if known else "the naive forecast"
            taker = "them" if known else "what does better"
            reasons.append(
                Reason(
                    "worse-than-naive",
                    f"the error of {name} is {many} that of {rival} of {what} on {len(errors[name])} "
                    f"validation windows: its weight goes to {taker}",
                )
            )
    if known and learned:
        state = inverse_square_shares({name: errors[name] for name in sorted(errors)})
        words = ", ".join(f"{share:.2f} {name}" for name, share in state.items())
        text = f"weights of {what} learned on {len(errors[known[0]])} windows: {words}"
        failed = (reason for reason in reasons if reason.code == "part-failed")
        return Weights(state, (*failed, Reason("weights-learned", text)))
    if known and handed_on > 0:
        state |= {name: handed_on * share for name, share in mixture.items()}
    if not state:
        return Weights({NAIVE: 1.0}, tuple(reasons))
    if learned and len(state) > 1:
        if values is None or truth is None:
            raise BadInput("Learning weights needs the forecasts and the truth of every window.")
        state = _learn(state, values, truth)
        words = ", ".join(f"{share:.1f} {name}" for name, share in state.items())
        reasons.append(Reason("weights-learned", f"weights of {what} learned on {len(truth)} windows: {words}"))
    share_left = sum(state.values())
    return Weights({name: share / share_left for name, share in state.items()}, tuple(reasons))


def inverse_square_shares(errors: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Shares in inverse proportion to the square of each mean error (Bates & Granger 1969, "The combination of
    forecasts", with no regard to how they err together: that takes more windows than a service has).

    >>> inverse_square_shares({"a": [1.0, 1.0], "b": [2.0, 2.0]})
    {'a': 0.8, 'b': 0.2}
    """
    mean = {name: float(np.mean(own)) for name, own in errors.items()}
    # One that never erred takes nearly all, and where none did they share alike.
    best = max(min(mean.values()), 1e-6 * max(mean.values())) or 1.0
    worth = {name: (best / max(error, best)) ** 2 for name, error in mean.items()}
    total = sum(worth.values())
    kept = {name: value for name, value in worth.items() if value >= _LEAST_SHARE * total}
    return {name: value / sum(kept.values()) for name, value in kept.items()}


def _errors_of(
    shares: Mapping[str, float], values: Mapping[str, Sequence[float]] | None, truth: Sequence[float] | None
) -> list[float]:
    """Absolute errors of a mixture, per window."""
    if values is None or truth is None:
        raise BadInput("Weighing plain forecasts needs each forecast, and the truth, of every window.")
    mixed = sum(share * np.asarray(list(values[name]), dtype=np.float64) for name, share in shares.items())
    return [float(error) for error in np.abs(mixed - np.asarray(list(truth), dtype=np.float64))]


def is_larger(errors: Sequence[float], yardstick: Sequence[float]) -> bool:
    """Whether errors are larger on average, of three windows at least."""
    return len(errors) >= MIN_WINDOWS_TO_JUDGE and float(np.mean(errors)) > float(np.mean(yardstick))


def is_clearly_worse(errors: Sequence[float], yardstick: Sequence[float]) -> bool:
    """Whether paired errors are larger by more than one standard error of their differences, and by 2 % of them.

    >>> is_clearly_worse([2, 2, 3], [1, 1, 1]), is_clearly_worse([2, 0, 2], [1, 1, 1]), is_clearly_worse([9], [1])
    (True, False, False)
    """
    differences = np.asarray(errors, dtype=np.float64) - np.asarray(yardstick, dtype=np.float64)
    if len(differences) < MIN_WINDOWS_TO_JUDGE:
        return False
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(differences.mean()) > max(error, LEAST_DIFFERENCE * float(np.mean(yardstick)))


def _learn(
    state: Mapping[str, float], values: Mapping[str, Sequence[float]], truth: Sequence[float]
) -> dict[str, float]:
    """The best tenths for two forecasters or more; with ties, the nearest to what was."""
    rows = {name: np.asarray(list(values[name]), dtype=np.float64) for name in state}
    wanted = np.asarray(list(truth), dtype=np.float64)
    *free, last = state
    total = sum(state.values())

    def shares(tenths: Sequence[int]) -> dict[str, float]:
        found = {name: tenth / 10 for name, tenth in zip(free, tenths, strict=True)}
        return {**found, last: 1 - sum(found.values())}

    def error(tenths: Sequence[int]) -> float:
        mixed = sum(share * rows[name] for name, share in shares(tenths).items())
        return float(np.abs(mixed - wanted).mean())

    def moved(tenths: Sequence[int]) -> float:
        return sum(abs(tenth / 10 - state[name] / total) for name, tenth in zip(free, tenths, strict=True))

    candidates = [tenths for tenths in itertools.product(range(11), repeat=len(free)) if sum(tenths) <= 10]
    return shares(min(sorted(candidates, key=moved), key=error))


def convex_weights(forecasts: NDArray[np.float64], truth: NDArray[np.float64], *, ridge: float = 0.0) -> list[float]:
    """The weights, none below 0 and all together 1, with which forecasts have the smallest squared error.

    forecasts: shape (n, forecasters). truth: shape (n,). ridge: how strongly they are drawn to equal ones, a share of
    the forecasts' own mean square; few windows cannot tell forecasters apart that say nearly the same. Exact: of every
    choice of forecasters that count, the best (for ten of them 1,023 small systems).
    Source: Breiman (1996), "Stacked regressions": without the limits, weights of forecasts so alike are noise.

    >>> weights = convex_weights(np.array([[1.0, 3.0], [2.0, 4.0], [0.0, 2.0]]), np.array([1.5, 2.5, 0.5]))
    >>> [round(weight, 6) for weight in weights]
    [0.75, 0.25]
    """
    count = forecasts.shape[1]
    gram, product = forecasts.T @ forecasts / len(truth), forecasts.T @ truth / len(truth)
    pull = max(ridge, 1e-9) * float(np.trace(gram)) / count or 1e-300
    gram, product = gram + pull * np.eye(count), product + pull / count
    best, found = math.inf, [1.0 / count] * count
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            own = gram[np.ix_(chosen, chosen)]
            system = np.block([[own, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
            share = np.linalg.lstsq(system, np.append(product[list(chosen)], 1.0), rcond=None)[0][:size]
            if share.min() < -1e-12:
                continue
            error = float(share @ own @ share - 2 * share @ product[list(chosen)])
            if error < best:
                share = np.maximum(share, 0.0) / np.maximum(share, 0.0).sum()
                best, found = error, [0.0] * count
                for place, value in zip(chosen, share.tolist(), strict=True):
                    found[place] = round(value, 12)
    return found


def conformal_multiplier(
    needed: Sequence[float],
    point_forecasts: Sequence[float],
    *,
    level: float = BOUND_LEVEL,
    weights: Sequence[float] | None = None,
    prior: float | None = None,
) -> tuple[float, int]:
    """How many times the point forecast a bound must be to cover `level` of windows; and from how many windows.

    Split conformal prediction on relative residuals: the ceil((n + 1) * level)-th smallest of needed use over point
    forecast (Papadopoulos et al. 2002, "Inductive confidence machines for regression"; Lei et al. 2018,
    "Distribution-free predictive inference for regression"). With `weights` (newer windows heavier) the weighted
    quantile with the new window's own weight at infinity (Barber et al. 2023, "Conformal prediction beyond
    exchangeability"). Fewer windows than that quantile needs (9 at 0.9) leave infinity: then the largest seen, at least
    `prior`, is used.
    Being relative, it is the same for cores and millicores. Never below 1.

    >>> conformal_multiplier([1.1, 1.2, 0.5], [1.0, 1.0, 1.0], level=0.5)
    (1.1, 3)
    >>> conformal_multiplier([1.1, 1.2], [1.0, 1.0], level=0.9, prior=1.4)
    (1.4, 2)
    """
    need, point_forecast = np.asarray(needed, dtype=np.float64), np.asarray(point_forecasts, dtype=np.float64)
    usable = point_forecast > 0
    ratios = need[usable] / point_forecast[usable]
    mass = np.ones(len(ratios)) if weights is None else np.asarray(weights, dtype=np.float64)[usable]
    order = np.argsort(ratios, kind="stable")
    # The new window weighs as much as the newest one.
    total = float(mass.sum()) + (float(mass.max()) if len(mass) else 1.0)
    reached = np.flatnonzero(np.cumsum(mass[order]) >= level * total - 1e-12)
    if len(reached):
        return max(float(ratios[order][reached[0]]), 1.0), len(ratios)
    if prior is None:
        raise NotEnoughData(f"{len(ratios)} windows are too few for a bound at {level:.0%}, and there is no prior.")
    return max(prior, 1.0, *ratios.tolist()), len(ratios)


def confidence(kept: int, windows: int, prior: float) -> float:
    """The share of windows that were covered, with the prior as if it were eight more windows; 0..1.

    >>> confidence(0, 0, 0.9), confidence(8, 8, 0.9), confidence(80, 80, 0.9)
    (0.9, 0.95, 0.990909...)
    """
    if not 0 <= kept <= windows or not 0 <= prior <= 1:
        raise BadInput(f"Confidence needs 0 <= kept <= windows and a prior in 0..1, not {kept}, {windows}, {prior}.")
    return (kept + PRIOR_WINDOWS * prior) / (windows + PRIOR_WINDOWS)
