"""One verdict on a model: what drifted, since when, and what could not be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mora.backtest.history import History
from mora.domain import Reason, Target, Workload
from mora.domain.learning import DAY_SECONDS
from mora.drift.inputs import (
    MIN_DAYS,
    STATISTICS,
    Blocks,
    Comparison,
    Statistic,
    blocks_of,
    by_hour,
    compare,
    corrected,
    log_ratio,
    swing,
    turned,
)
from mora.extras import missing
from mora.metrics import SCALE_FREE_COLUMNS
from mora.quantities import format_duration, format_moment

if TYPE_CHECKING:
    from mora.drift.coverage import Coverage
    from mora.drift.residuals import Errors
    from mora.model import ServiceModel

Kind = Literal["inputs", "errors", "coverage"]
TITLES: Mapping[str, str] = dict(
    zip(SCALE_FREE_COLUMNS, ("CPU", "memory", "received traffic", "sent traffic"), strict=True)
)
# How finely, and how far back, the begin of a drift is looked for.
_APART_SECONDS, _MOST_BACK_DAYS = 6 * 3600.0, 28
_MOST_TIMES = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that drifted. feature: a column or a target. since: about when it began."""

    kind: Kind
    feature: str
    text: str
    since: datetime

    def sentence(self) -> str:
        """What drifted, and since when."""
        return f"{self.text} (since {format_moment(self.since)})"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"kind": self.kind, "feature": self.feature, "text": self.text, "since": self.since.isoformat()}


@dataclass(frozen=True, slots=True)
class Drift:
    """The verdict on one model.

    trained_until, seen_until: when the data ends that it was trained on, and that which is at hand; None, and an empty
    digest, of a model that cannot be read. unjudged: what could not be judged, and why. tests, errors, coverages: what
    the findings rest on. history: for pictures.
    """

    workload: Workload
    digest: str
    trained_until: datetime | None
    seen_until: datetime | None
    findings: tuple[Finding, ...] = ()
    unjudged: tuple[Reason, ...] = ()
    tests: tuple[Comparison, ...] = ()
    errors: tuple[Errors, ...] = ()
    coverages: tuple[Coverage, ...] = ()
    history: History | None = None

    @property
    def has_drifted(self) -> bool:
        """Whether anything did."""
        return bool(self.findings)

    @property
    def is_judged(self) -> bool:
        """Whether anything could be compared."""
        return bool(self.tests or self.errors or self.coverages)

    @property
    def since(self) -> datetime | None:
        """When the first of what drifted began."""
        return min((finding.since for finding in self.findings), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the verdict, the findings and every figure that was tested."""
        return {
            "namespace": self.workload.namespace,
            "service": self.workload.name,
            "model_digest": self.digest or None,
            "trained_until": None if self.trained_until is None else self.trained_until.isoformat(),
            "seen_until": None if self.seen_until is None else self.seen_until.isoformat(),
            "has_drifted": self.has_drifted,
            "is_judged": self.is_judged,
            "since": None if self.since is None else self.since.isoformat(),
            "findings": [finding.to_dict() for finding in self.findings],
            "unjudged": [[reason.code, reason.text] for reason in self.unjudged],
            "inputs": [test.to_dict() for test in self.tests if test.statistic in STATISTICS],
            "errors": [test.to_dict() for test in self.tests if test.statistic == "errors"],
            "coverage": [
                {
                    "target": one.target.value,
                    "horizon_seconds": one.horizon_seconds,
                    "windows": len(one.covered),
                    "covered": one.share,
                    "stated": float(one.stated.mean()),
                    "p": one.p,
                }
                for one in self.coverages
            ],
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """What a verdict says, of the inputs or of everything. tests: of the inputs, then those corrected with them."""

    tests: tuple[Comparison, ...]
    findings: tuple[Finding, ...]
    unjudged: tuple[Reason, ...]


def check_inputs(history: History, trained_until: float, others: Sequence[Comparison] = ()) -> Judged:
    """Every column that enters a forecast, its last day against the days of the training; numpy alone.

    trained_until: epoch seconds. others: what else is compared, corrected together with the columns; they come last.
    Nothing that is not known is compared: a column without samples is no drift.
    """
    series = history.series
    step, count = float(series.step_seconds), series.sample_count
    trained = min(max(round((trained_until - series.start) / step) + 1, 0), count)
    ahead = (count - trained) * step
    if ahead < DAY_SECONDS * (1 - 1 / 24):
        text = f"inputs: a day of samples since the training is needed, there are {format_duration(ahead, about=True)}"
        return Judged(tuple(corrected(others)), (), (Reason("too-early", text if ahead >= 60 else _NOTHING_NEW),))
    tests, unjudged = _test_all(history, trained, count)
    tests = corrected([*tests, *others])
    drifted = [test for test in tests[: len(tests) - len(others)] if test.has_drifted]
    findings = []
    for feature in dict.fromkeys(test.feature for test in drifted):
        worst = max((one for one in drifted if one.feature == feature), key=lambda one: abs(one.score))
        end = _first_end(history, feature, trained)
        moment, text = _describe(history, feature, worst, trained, end)
        findings.append(Finding("inputs", feature, text, datetime.fromtimestamp(moment, UTC)))
    return Judged(tuple(tests), tuple(findings), tuple(unjudged))


_NOTHING_NEW = "there are no samples since the training"


def _test_all(history: History, trained: int, end: int) -> tuple[list[Comparison], list[Reason]]:
    step = float(history.series.step_seconds)
    tests: list[Comparison] = []
    lacking = []
    for feature, values in history.columns.items():
        blocks = blocks_of(values, trained=trained, step_seconds=step, end=end)
        if blocks is None:
            if not bool(np.isnan(values).all()):
                lacking.append(TITLES.get(feature, feature))
            continue
        tests += compare(feature, blocks)
    reasons = []
    if lacking:
        text = (
            f"inputs, {', '.join(lacking)}: {MIN_DAYS} days of the training's data and the last day must be there, at "
            "least half of their samples"
        )
        reasons.append(Reason("too-few-days", text))
    return corrected(tests), reasons


def _first_end(history: History, feature: str, trained: int) -> int:
    """The end of the first of the days, one after the other, that drifted as the last one does."""
    step, count = float(history.series.step_seconds), history.series.sample_count
    apart = max(1, round(_APART_SECONDS / step))
    first = count
    oldest = max(trained, count - round(_MOST_BACK_DAYS * DAY_SECONDS / step))
    for end in range(count - apart, oldest, -apart):
        tests, _ = _test_all(history, trained, end)
        if not any(one.has_drifted for one in tests if one.feature == feature):
            break
        first = end
    return first


def _describe(history: History, feature: str, worst: Comparison, trained: int, first_end: int) -> tuple[float, str]:
    """When it began, epoch seconds, and what it is."""
    step, values = float(history.series.step_seconds), history.columns[feature]
    now = blocks_of(values, trained=trained, step_seconds=step)
    assert now is not None  # noqa: S101  # it has just been tested
    title = TITLES.get(feature, feature)
    base = max(float(np.nanmean(np.abs(now.days))), 1e-12)
    profile, hours = np.median(by_hour(now.days), axis=0), by_hour(now.last[None])[0]
    first = blocks_of(values, trained=trained, step_seconds=step, end=first_end)
    begin = history.series.start + first_end * step - DAY_SECONDS
    moment = begin + 3600.0 * _rise(first if first is not None else now, worst.statistic, base)
    if worst.statistic == "spread":
        return moment, f"{title} swings {float(np.exp(worst.value - worst.usual)):.1f} times as much within the hour"
    if worst.statistic == "season":
        found = int(np.argmax(turned(hours[None], profile[None])[0]))
        late = found if found <= 12 else found - 24
        return moment, f"the daily pattern of {title} comes {abs(late)} h {'later' if late > 0 else 'earlier'}"
    ratio = float(np.median(log_ratio(hours, profile, base)[-6:]))
    if worst.statistic in ("ks", "psi") and abs(ratio) < 0.1:
        return moment, f"{title} is distributed differently (KS, PSI)"
    use, usual = hours[-6:], profile[-6:]
    times = float(np.median(np.divide(use, usual, out=np.where(use > 0, np.inf, 1.0), where=usual > 0)))
    return moment, f"{title} is {_times(times, 2)} the usual for the time of day"


def _times(value: float, digits: int) -> str:
    """A ratio as a person says it; that to nothing, or next to it, is a large one.

    >>> _times(1.482, 2), _times(float("inf"), 1)
    ('1.48 times', 'more than 100 times')
    """
    return f"{value:.{digits}f} times" if value <= _MOST_TIMES else f"more than {_MOST_TIMES} times"


def _rise(blocks: Blocks, statistic: Statistic, base: float) -> int:
    """The hour of the last day at which its distance from the usual one begins: by least squares."""
    hours, last = by_hour(blocks.days), by_hour(blocks.last[None])[0]
    ratio = log_ratio(last, np.median(hours, axis=0), base)
    if statistic == "season":
        usual = np.abs(log_ratio(hours, np.median(hours, axis=0), base))
        ratio = np.abs(ratio) - np.median(usual, axis=0)
    elif statistic == "spread":
        away = swing(np.vstack([blocks.days, blocks.last[None]]))
        ratio = log_ratio(away[-1], np.median(away[:-1], axis=0), float(away[:-1].mean()))
    best, found = float(np.square(ratio - ratio.mean()).sum()), 0
    for hour in range(2, len(ratio) - 1):
        left = float(np.square(ratio[:hour]).sum() + np.square(ratio[hour:] - ratio[hour:].mean()).sum())
        if left < best:
            best, found = left, hour
    return found


def check(model: ServiceModel, history: History) -> Drift:
    """Inputs, errors and coverage of a model over a history that goes on after its training.

    history: with the training's days, which are what is compared with. Of a model that was trained on load experiments
    nothing can be judged: they are driven, and what runs now is not.
    """
    from mora.drift.coverage import coverage_of
    from mora.drift.residuals import errors_of

    series = history.series
    until = datetime.fromisoformat(model.card["last_sample"])
    seen = datetime.fromtimestamp(series.start + (series.sample_count - 1) * series.step_seconds, UTC)
    errors, coverages = [], []
    for target in history.targets:
        own = errors_of(model, history, target, until.timestamp())
        if own is not None and len(own.seconds) > own.before:
            errors.append(own)
        for seconds in sorted(model.horizons):
            covered = coverage_of(history, target, seconds, until.timestamp())
            if covered is not None:
                coverages.append(covered)
    found = judge(history, until.timestamp(), errors, coverages)
    return Drift(
        model.workload,
        model.digest,
        until,
        seen,
        found.findings,
        found.unjudged,
        found.tests,
        tuple(errors),
        tuple(coverages),
        history,
    )


def judge(history: History, trained_until: float, errors: Sequence[Errors], coverages: Sequence[Coverage]) -> Judged:
    """check() where the errors and the coverage are known already. trained_until: epoch seconds."""
    from mora.drift.residuals import change_of, compare_errors

    compared = [(one, test) for one in errors if (test := compare_errors(one)) is not None]
    others = [*(test for _, test in compared), *(one.comparison() for one in coverages)]
    inputs = check_inputs(history, trained_until, others)
    findings, unjudged = list(inputs.findings), list(inputs.unjudged)
    lacks_river = bool(missing("drift"))
    if lacks_river:
        unjudged.append(Reason("no-river", "errors: they need pip install 'mora-rightsizing[drift]'"))
    tested = inputs.tests[len(inputs.tests) - len(others) :]
    for (one, _), test in zip(compared, tested, strict=False):
        change = change_of(one) if test.has_drifted and not lacks_river else None
        if change is not None:
            text = (
                f"forecasts of {_name(one.target)} for {format_duration(one.horizon_seconds)} are off by "
                f"{_times(change.times, 1)} what they were in validation ({change.test})"
            )
            findings.append(Finding("errors", one.target.value, text, change.since))
    drifted = [test.has_drifted for test in tested[len(compared) :]]
    findings += [_uncovered(one) for one, has_drifted in zip(coverages, drifted, strict=True) if has_drifted]
    return Judged(inputs.tests, tuple(_one_of_each(findings)), tuple(unjudged))


def _uncovered(covered: Coverage) -> Finding:
    text = (
        f"bounds of {_name(covered.target)} for {format_duration(covered.horizon_seconds)} covered "
        f"{100 * covered.share:.0f} % of {len(covered.covered)} windows; {100 * float(covered.stated.mean()):.0f} % "
        "were expected"
    )
    return Finding("coverage", covered.target.value, text, covered.since)


def _one_of_each(findings: Sequence[Finding]) -> list[Finding]:
    """The first finding of every kind and feature, in the order of their begin."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        found.setdefault((finding.kind, finding.feature), finding)
    return sorted(found.values(), key=lambda finding: finding.since)


def _name(target: Target) -> str:
    return "CPU" if target is Target.CPU else target.value


def not_judged(model: ServiceModel, why: Reason) -> Drift:
    """The verdict on a model that nothing can be compared with."""
    until = datetime.fromisoformat(model.card["last_sample"])
    return Drift(model.workload, model.digest, until, until, unjudged=(why,))


def without_model(workload: Workload, why: Reason) -> Drift:
    """The verdict on a model that cannot be read."""
    return Drift(workload, "", None, None, unjudged=(why,))
