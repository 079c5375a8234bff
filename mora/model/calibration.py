"""From validation windows to weights, bounds and confidence; the same for driven and observed data.

Validation windows have two roles that never mix: those that *choose* (weights, the bound's multiplier, the epochs of
the network) and those that *score* (the confidence). What chose does not count for the confidence; over time, a window
may help to bound the next ones once it has been scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from mora.domain import Reason, Target
from mora.domain.learning import Level
from mora.fusion import MIN_WINDOWS_TO_JUDGE, NAIVE, Weights, choose_weights, confidence, conformal_multiplier
from mora.model.choice import BLEND, MIXTURE, Forecasts, choose_model, mixture_of
from mora.model.settings import PRIOR_RATE, TrainSettings
from mora.policies import PolicySettings

Role = Literal["choose", "score"]


@dataclass(frozen=True, slots=True)
class ValidationWindow:
    """Data of one target that was kept out of training: what each forecaster predicted of it, and what was used.

    parts: forecaster -> mean use, in the target's unit; a forecaster that has none of this window is missing.
    truth: mean use. needed: the smallest request that would have covered it. floor: what the recommendation may not
    fall below, known before (the response's high level, the peak so far). role: "choose" or "score".
    age: how old the window is against the newest, in windows; older ones count less for the bound.
    """

    name: str
    role: Role
    parts: Mapping[str, float]
    truth: float
    needed: float
    floor: float = 0.0
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Weights, bound and confidence of one target, learned on validation windows.

    shares: forecaster -> weight. multiplier: the bound over the point forecast, from `multiplier_windows` of them;
    where `is_prior`, these are too few for a quantile, so other services' figure takes part. kept: how many of
    `windows` were covered. model: what the shares are: the blend, the mixture of everything, or one forecaster.
    reach: how far a forecast may lie from the naive one, in the target's unit (reach_of); None: as far as it likes.
    """

    target: Target
    shares: Mapping[str, float]
    multiplier: float
    multiplier_windows: int
    is_prior: bool
    kept: int
    windows: int
    prior: float
    reasons: tuple[Reason, ...] = ()
    model: str = BLEND
    reach: float | None = None

    @property
    def confidence(self) -> float:
        """The share of windows that were covered, drawn towards the prior where they are few; 0..1."""
        return confidence(self.kept, self.windows, self.prior)

    def point_forecast(self, parts: Mapping[str, float]) -> float:
        """The weighted mean of the forecasts."""
        return blend(self.shares, parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as the card has it."""
        plain = asdict(self)
        plain["target"] = self.target.value
        plain["shares"] = dict(self.shares)
        plain["reasons"] = [[reason.code, reason.text] for reason in self.reasons]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Calibration:
        """What to_dict() gave."""
        fields = dict(plain)
        fields["target"] = Target(plain["target"])
        fields["reasons"] = tuple(Reason(code, text) for code, text in plain["reasons"])
        return cls(**fields)


def blend(shares: Mapping[str, float], parts: Mapping[str, float]) -> float:
    """The weighted mean of the forecasts that there are; the naive one where none of those that count is there."""
    known = {name: share for name, share in shares.items() if share > 0 and name in parts}
    total = sum(known.values())
    if total <= 0:
        return parts[NAIVE]
    return sum(share / total * parts[name] for name, share in known.items())


def reach_of(windows: Sequence[ValidationWindow]) -> float | None:
    """The farthest that use ever came to lie from the naive forecast in these windows; None of too few of them."""
    moved = [abs(window.truth - window.parts[NAIVE]) for window in windows if NAIVE in window.parts]
    return max(moved) if len(moved) >= MIN_WINDOWS_TO_JUDGE else None


def near(levels: Mapping[str, Level], reach: float | None) -> dict[str, Level]:
    """Forecasts (mean, p95) within reach of the naive one; p95 moves along with the mean.

    What was learnt of an old level says nothing of a new one: a service that falls to a tenth after its training is
    forecast at its old level by all that remember it. In no validation window does this enlarge an error: what came
    lay within reach.

    >>> near({"naive": (1.0, 1.5), "prophet": (9.0, 10.0), "lstm": (1.25, 2.0)}, 0.5)
    {'naive': (1.0, 1.5), 'prophet': (1.5, 2.5), 'lstm': (1.25, 2.0)}
    """
    if reach is None or NAIVE not in levels:
        return dict(levels)
    middle = levels[NAIVE][0]
    found = {}
    for name, (mean, high) in levels.items():
        kept = min(max(mean, middle - reach), middle + reach)
        found[name] = (mean, high) if kept == mean else (kept, high + kept - mean)
    return found


def request(target: Target, point_forecast: float, bound: float, floor: float, policy: PolicySettings) -> float:
    """What the default policy asks for from these figures, before caps, steps and rounding."""
    buffer = policy.cpu_buffer if target is Target.CPU else policy.memory_buffer
    return max(point_forecast * buffer, bound, floor)


def calibrate(
    target: Target,
    windows: Sequence[ValidationWindow],
    *,
    prior_multiplier: float,
    settings: TrainSettings,
    subject: str | None = None,
    failed: Sequence[str] = (),
    half_life_windows: float | None = None,
    plain: Sequence[str] = (),
) -> Calibration:
    """Weights and bound from the windows that choose, confidence from those that score.

    subject: what is forecast, for the reasons. failed: forecasters without any forecast. plain: the plain forecasts
    that weights may go to (fusion.choose_weights).
    half_life_windows: windows follow each other in time, and one this much older weighs half for the bound; then one
        that has been scored helps to bound those that begin after its end. None: no order; what scores bounds nothing.
    """
    choosing = [window for window in windows if window.role == "choose"]
    scoring = [window for window in windows if window.role == "score"]
    weights = weights_of(target, choosing, settings, subject or target.value, failed=failed, plain=plain)

    def bound(basis: Sequence[ValidationWindow], newest: float) -> tuple[float, int, bool]:
        """The multiplier from these windows for one of age `newest`, how many they are, whether they are too few."""
        aged = (
            None
            if half_life_windows is None
            else [0.5 ** ((window.age - newest) / half_life_windows) for window in basis]
        )
        point_forecasts = [blend(weights.shares, window.parts) for window in basis]
        needed = [window.needed for window in basis]
        found, used = conformal_multiplier(needed, point_forecasts, weights=aged, prior=prior_multiplier)
        return found, used, _is_infinite(used, aged)

    in_time = half_life_windows is not None
    multiplier, used, is_prior = bound([*choosing, *scoring] if in_time else choosing, 0.0)
    policy = PolicySettings()
    kept = 0
    for window in scoring:
        before = [other for other in windows if other.age >= window.age + 1.0 - 1e-9] if in_time else choosing
        own_multiplier = bound(before, window.age)[0]
        point_forecast = blend(weights.shares, window.parts)
        kept += request(
            target, point_forecast, point_forecast * own_multiplier, window.floor, policy
        ) >= window.needed * (1 - 1e-9)
    reasons = list(weights.reasons)
    if is_prior:
        reasons.append(
            Reason(
                "few-windows",
                f"{subject or target.value}: {used} validation windows are too few to calibrate an upper bound from "
                f"them alone; it is the largest that they or other services needed ({prior_multiplier:.2f} x the point "
                "forecast)",
            )
        )
    return Calibration(
        target,
        dict(weights.shares),
        multiplier,
        used,
        is_prior,
        int(kept),
        len(scoring),
        PRIOR_RATE[target],
        tuple(reasons),
        weights.model,
    )


def _is_infinite(used: int, weights: Sequence[float] | None) -> bool:
    """Whether the conformal quantile would be beyond the largest residual."""
    mass = np.ones(used) if weights is None else np.asarray(weights)
    newest = float(mass.max()) if len(mass) else 1.0
    return bool(mass.sum() < 0.9 * (mass.sum() + newest) - 1e-12)


def weights_of(
    target: Target,
    choosing: Sequence[ValidationWindow],
    settings: TrainSettings,
    subject: str,
    *,
    failed: Sequence[str] = (),
    plain: Sequence[str] = (),
) -> Weights:
    """The weights that these windows choose: those of the blend (fusion.choose_weights), or of what is clearly better
    than it where there are candidates (choice.choose_model), or of the model that is asked for.

    With `plain`, and fewer than three windows, the mean of the last horizon has all the weight.
    """
    if settings.model is not None and settings.model != MIXTURE:
        return _forced(settings.model, target, choosing, settings, subject, failed=failed, plain=plain)
    default = _default_weights(target, choosing, settings, subject, failed=failed, plain=plain)
    if settings.learn_weights or not (settings.candidates and plain):
        return default
    complete = [window for window in choosing if NAIVE in window.parts]
    names = dict.fromkeys(name for window in complete for name in window.parts if name in (*settings.trained, *plain))
    known = [name for name in names if all(name in window.parts for window in complete)]
    forecasts = Forecasts(
        np.array([blend(default.shares, window.parts) for window in complete]),
        {name: np.array([window.parts[name] for window in complete]) for name in known},
        np.array([window.truth for window in complete]),
        np.array([window.age for window in complete]),
    )
    if settings.model == MIXTURE and complete:
        text = f"{subject}: the mixture forecasts, since it is asked for"
        return Weights(mixture_of(forecasts), (Reason("model-forced", text),), MIXTURE)
    return choose_model(default, forecasts, subject)


def _forced(
    name: str,
    target: Target,
    choosing: Sequence[ValidationWindow],
    settings: TrainSettings,
    subject: str,
    *,
    failed: Sequence[str],
    plain: Sequence[str],
) -> Weights:
    """All the weight for the model that is asked for; where it has no forecast of a window, what else there is."""
    if name not in failed and all(name in window.parts for window in choosing):
        text = f"{subject}: {name} forecasts, since it is asked for"
        return Weights({name: 1.0}, (Reason("model-forced", text),), name)
    found = _default_weights(target, choosing, replace(settings, model=None), subject, failed=failed, plain=plain)
    text = (
        f"{subject}: {name} is asked for, and has no forecast of every validation window; what else there is forecasts"
    )
    return Weights(found.shares, (*found.reasons, Reason("model-missing", text)))


def _default_weights(
    target: Target,
    choosing: Sequence[ValidationWindow],
    settings: TrainSettings,
    subject: str,
    *,
    failed: Sequence[str],
    plain: Sequence[str],
) -> Weights:
    """The weights of the blend."""
    names = [name for name in dict.fromkeys((*settings.weights, NAIVE, *plain)) if name not in failed]
    # A plain forecast that some of them lack (a week's median in the first days) is left out, not the windows.
    names = [name for name in names if name not in plain or all(name in window.parts for window in choosing)]
    complete = [window for window in choosing if all(name in window.parts for name in names)]
    if plain and len(complete) < MIN_WINDOWS_TO_JUDGE:
        text = (
            f"{len(complete)} validation windows are too few to weigh forecasts of {subject}: the mean of the last "
            "horizon is used"
        )
        return Weights({NAIVE: 1.0}, (Reason("few-windows-to-weigh", text),))
    errors = {name: [abs(window.parts[name] - window.truth) for window in complete] for name in names}
    values = {name: [window.parts[name] for window in complete] for name in names}
    return choose_weights(
        target,
        errors,
        default=settings.weights,
        subject=subject,
        learned=settings.learn_weights and bool(complete),
        values=values,
        truth=[window.truth for window in complete],
        plain=plain,
    )
