"""From held-out results to weights, bounds and confidence; the same for driven and observed data.

Held-out results have two roles that never mix: those that *choose* (weights, the bound's multiplier, the epochs of the
network) and those that *score* (the confidence). What chose does not count for how sure anyone may be; over time, a
hold may help to bound the next ones once it has been scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mora.domain import Reason, Target
from mora.fusion import MIN_WINDOWS_TO_JUDGE, NAIVE, Weights, choose_weights, confidence, conformal_multiplier
from mora.model.settings import PRIOR_RATE, TrainSettings
from mora.policies import PolicySettings

Role = Literal["choose", "score"]


@dataclass(frozen=True, slots=True)
class ValidationWindow:
    """One held-out stretch of one target: what each part said before it, and what it then took.

    parts: forecaster -> level, in the target's unit; a part that cannot speak of this hold is missing.
    truth: mean use. needed: the smallest request that would have kept the promise. floor: what the recommendation may
    not fall below, known before (the response's high level, the peak so far). role: "choose" or "score".
    age: how old the hold is against the newest, in holds; older ones count less for the bound.
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
    """What the held-out stretches taught about one target.

    shares: forecaster -> weight. multiplier: the bound over the centre, from `multiplier_holds` stretches; where
    `is_prior`, too few of them for a quantile, so other services' figure takes part. kept of holds: the promise.
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

    @property
    def confidence(self) -> float:
        return confidence(self.kept, self.windows, self.prior)

    def point_forecast(self, parts: Mapping[str, float]) -> float:
        return blend(self.shares, parts)

    def to_dict(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["target"] = self.target.value
        plain["shares"] = dict(self.shares)
        plain["reasons"] = [[reason.code, reason.text] for reason in self.reasons]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Calibration:
        fields = dict(plain)
        fields["target"] = Target(plain["target"])
        fields["reasons"] = tuple(Reason(code, text) for code, text in plain["reasons"])
        return cls(**fields)


def blend(shares: Mapping[str, float], parts: Mapping[str, float]) -> float:
    """The weighted mean of the parts that speak; the naive one where none of those that count does."""
    speaking = {name: share for name, share in shares.items() if share > 0 and name in parts}
    total = sum(speaking.values())
    if total <= 0:
        return parts[NAIVE]
    return sum(share / total * parts[name] for name, share in speaking.items())


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
    """Weights and bound from the holds that choose, the promise from those that score.

    subject: what is foretold, for the reasons. failed: parts that have no forecast at all. plain: the plain forecasts
    that weights may go to (fusion.choose_weights).
    half_life_holds: holds follow each other in time, and one this much older weighs half for the bound; then a hold
        that has been scored helps to bound those that begin after its end. None: no order; what scores bounds nothing.
    """
    choosing = [horizon for horizon in windows if horizon.role == "choose"]
    scoring = [horizon for horizon in windows if horizon.role == "score"]
    weights = weights_of(target, choosing, settings, subject or target.value, failed=failed, plain=plain)

    def bound(basis: Sequence[ValidationWindow], newest: float) -> tuple[float, int, bool]:
        """The multiplier from these holds for one of age `newest`, how many they are, and whether they are too few."""
        aged = (
            None
            if half_life_windows is None
            else [0.5 ** ((horizon.age - newest) / half_life_windows) for horizon in basis]
        )
        point_forecasts = [blend(weights.shares, horizon.parts) for horizon in basis]
        needed = [horizon.needed for horizon in basis]
        found, used = conformal_multiplier(needed, point_forecasts, weights=aged, prior=prior_multiplier)
        return found, used, _is_infinite(used, aged)

    in_time = half_life_windows is not None
    multiplier, used, is_prior = bound([*choosing, *scoring] if in_time else choosing, 0.0)
    policy = PolicySettings()
    kept = 0
    for horizon in scoring:
        before = [other for other in windows if other.age >= horizon.age + 1.0 - 1e-9] if in_time else choosing
        own_multiplier = bound(before, horizon.age)[0]
        point_forecast = blend(weights.shares, horizon.parts)
        kept += request(
            target, point_forecast, point_forecast * own_multiplier, horizon.floor, policy
        ) >= horizon.needed * (1 - 1e-9)
    reasons = list(weights.reasons)
    if is_prior:
        reasons.append(
            Reason(
                "few-holds",
                f"{used} held-out stretches of {subject or target.value} are too few for a bound of their own: the "
                f"largest of theirs and of what other services needed ({prior_multiplier:.2f} times the centre) "
                "stands in",
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
    """The weights that these holds choose (fusion.choose_weights); with `plain`, and fewer than three holds, none does:
    a short history leans on the mean of the last hold.
    """
    names = [name for name in dict.fromkeys((*settings.weights, NAIVE, *plain)) if name not in failed]
    # A plain forecast that is mute on some of them (a week's median in the first days) is left out, not the holds.
    names = [name for name in names if name not in plain or all(name in horizon.parts for horizon in choosing)]
    complete = [horizon for horizon in choosing if all(name in horizon.parts for name in names)]
    if plain and len(complete) < MIN_WINDOWS_TO_JUDGE:
        text = (
            f"{len(complete)} held-out stretches are too few to weigh forecasts of {subject}: the mean of the last "
            "hold stands in"
        )
        return Weights({NAIVE: 1.0}, (Reason("few-holds-to-weigh", text),))
    errors = {name: [abs(horizon.parts[name] - horizon.truth) for horizon in complete] for name in names}
    values = {name: [horizon.parts[name] for horizon in complete] for name in names}
    return choose_weights(
        target,
        errors,
        default=settings.weights,
        subject=subject,
        learnt=settings.learn_weights and bool(complete),
        values=values,
        truth=[horizon.truth for horizon in complete],
        plain=plain,
    )
