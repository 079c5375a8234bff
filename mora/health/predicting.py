"""A verdict on each row of a table, as CloudSentinel's `predict` gives it; and how well labels are met.

Rows need no time and no order where the detector judges each for itself, as isolation-forest does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora import registry
from mora.detectors.frames import TIMESTAMP, metrics_of
from mora.detectors.quantile import Quantile
from mora.errors import BadDataset, BadInput
from mora.health.frames import FLAG, LABELS, NO_METRICS, SCORE
from mora.seams import Detector

Floats = NDArray[np.float64]

USUAL_DETECTOR = "isolation-forest"
CONTAMINATION = 0.05
_LEAST_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Quality:
    """How well flags meet labels; 0 where a share has nothing to be a share of."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule of one metric that meets the labels best, chosen by looking at them. is_above: flags what is above."""

    metric: str
    is_above: bool
    level: float
    quality: Quality

    def __str__(self) -> str:
        """As a person would write it: cpu_percent > 82.5."""
        return f"{self.metric} {'>' if self.is_above else '<'} {self.level:.4g}"


@dataclass(frozen=True, slots=True)
class Predictions:
    """The verdicts. table: the given one with `predicted_anomaly` (1, 0, or nothing where it is not known) and
    `anomaly_score`. known: rows with a verdict. reasons: what was left out, a sentence each. quality, rule: where the
    table has labels, named by `label`.
    """

    table: pd.DataFrame
    detector: Detector
    known: int
    flagged: int
    reasons: tuple[str, ...] = ()
    label: str | None = None
    quality: Quality | None = None
    rule: Rule | None = None


def predict(
    table: pd.DataFrame,
    history: pd.DataFrame | None = None,
    *,
    detector: str = USUAL_DETECTOR,
    metrics: Sequence[str] | None = None,
    contamination: float = CONTAMINATION,
) -> Predictions:
    """Fit a detector on a history (by default on the table itself) and flag the rows of the table.

    metrics: the columns to look at; by default all of numbers but labels and time. contamination: the share of the
    history that may be abnormal; level_of() makes the threshold of it. `anomaly_score` is the threshold less the score:
    lower is more abnormal, and below 0 is flagged, as in scikit-learn's decision_function. Raises BadInput for a metric
    that lacks, NotEnoughData for a history that is too short.
    """
    if not 0 < contamination < 0.5:
        raise BadInput(f"A contamination of {contamination:g} is not between 0 and 0.5.", hint="The usual one is 0.05.")
    if taken := [name for name in (FLAG, SCORE) if name in table]:
        raise BadInput(
            f"The table has a column {taken[0]} already: it was predicted before.", hint="Give the metrics alone."
        )
    history = table if history is None else history
    chosen = [
        *([TIMESTAMP] if {TIMESTAMP} <= set(_timed(history)) & set(_timed(table)) else []),
        *_chosen(history, metrics),
    ]
    _check_columns(table, chosen)
    made: Detector = registry.make("detectors", *registry.named("detectors", detector))
    learnt = _timed(history)[chosen]
    made.fit(learnt)
    level = level_of(made.score(learnt), contamination)
    scores = made.score(_timed(table)[chosen])
    known = np.isfinite(scores)
    flags = known & (scores > level)
    predicted = table.copy()
    predicted[FLAG] = pd.array(np.where(known, flags.astype(float), np.nan), dtype="Int64")
    predicted[SCORE] = level - scores
    reasons = (*(_not_numbers(history) if metrics is None else ()), *made.reasons)
    label = next((name for name in LABELS if name in table), None)
    if label is None:
        return Predictions(predicted, made, int(known.sum()), int(flags.sum()), reasons)
    labels = _labels(table[label])
    rule = best_rule(table[list(made.columns)], labels)
    return Predictions(
        predicted,
        made,
        int(known.sum()),
        int(flags.sum()),
        reasons,
        label,
        quality_of(flags[known], labels[known]),
        rule,
    )


def level_of(scores: Floats, contamination: float) -> float:
    """The threshold above which about such a share of the scores is: in the widest gap between two of them.

    It is looked for among the shares from four fifths of the contamination to all of it. Where abnormal rows stand
    apart, no ordinary one is flagged to make up the number; elsewhere it hardly matters. Raises NotEnoughData where too
    few scores are known.

    >>> level_of(np.array([0.40 + n / 1000 for n in range(96)] + [0.9, 0.92, 0.94, 0.96]), 0.05)
    0.6975
    """
    quantile = Quantile(1 - contamination)
    quantile.fit(scores)
    ordered = np.sort(scores[np.isfinite(scores)])
    first = int((1 - contamination) * (len(ordered) - 1))
    last = int(np.ceil((1 - _LEAST_SHARE * contamination) * (len(ordered) - 1)))
    gaps = np.diff(ordered[first : last + 1])
    if not len(gaps) or gaps.max() <= 0:
        return quantile.level
    widest = first + int(gaps.argmax())
    return float(ordered[widest] + ordered[widest + 1]) / 2


def quality_of(flags: NDArray[np.bool_], labels: NDArray[np.bool_]) -> Quality:
    """Precision, recall and F1 of each row for itself.

    >>> quality_of(np.array([True, True, False, False]), np.array([True, False, True, False]))
    Quality(precision=0.5, recall=0.5, f1=0.5)
    """
    hits = int((flags & labels).sum())
    flagged, abnormal = int(flags.sum()), int(labels.sum())
    return Quality(
        hits / flagged if flagged else 0.0,
        hits / abnormal if abnormal else 0.0,
        2 * hits / (flagged + abnormal) if flagged + abnormal else 0.0,
    )


def best_rule(metrics: pd.DataFrame, labels: NDArray[np.bool_]) -> Rule | None:
    """The one comparison of one metric with one level that has the largest F1; None where no two values differ."""
    best: Rule | None = None
    for name in metrics.columns:
        values = metrics[name].to_numpy(dtype=np.float64)
        known = np.isfinite(values)
        for is_above in (True, False):
            found = _best_level(values[known] if is_above else -values[known], labels[known], int(labels.sum()))
            if found is not None and (best is None or found[1] > best.quality.f1):
                level = found[0] if is_above else -found[0]
                flags = known & ((values > level) if is_above else (values < level))
                best = Rule(str(name), is_above, level, quality_of(flags, labels))
    return best


def _best_level(values: Floats, labels: NDArray[np.bool_], abnormal: int) -> tuple[float, float] | None:
    """The level between two values above which F1 is largest, and that F1."""
    order = np.argsort(-values, kind="stable")
    ordered, hits = values[order], np.cumsum(labels[order])
    cuts = np.flatnonzero(np.diff(ordered) < 0)
    if not len(cuts):
        return None
    f1 = 2 * hits[cuts] / (cuts + 1 + abnormal)
    at = cuts[int(f1.argmax())]
    return float(ordered[at + 1] / 2 + ordered[at] / 2), float(f1.max())


def _chosen(history: pd.DataFrame, metrics: Sequence[str] | None) -> list[str]:
    """The columns to look at."""
    if metrics is None:
        metrics = [name for name in metrics_of(history) if name not in NO_METRICS]
    if not metrics:
        raise BadDataset("The table has no column of numbers.", hint="A metric is a column of numbers.")
    _check_columns(history, metrics)
    if words := [name for name in metrics if not pd.api.types.is_numeric_dtype(history[name])]:
        raise BadDataset(f"The column {words[0]} is no column of numbers.", hint="Leave it out.")
    return list(metrics)


def _not_numbers(table: pd.DataFrame) -> list[str]:
    """A sentence on each column that is left out though most of it are numbers."""
    found = []
    for name in table.select_dtypes(["object", "string"]).columns.difference([TIMESTAMP, *NO_METRICS], sort=False):
        given = table[name].dropna()
        wrong = int(pd.to_numeric(given, errors="coerce").isna().sum())
        if wrong < len(given) / 2:
            found.append(
                f"{name} is left out, since not all of its cells are numbers: {wrong:,} of {len(given):,} are not."
            )
    return found


def _timed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its time as moments; without a time where it cannot be read: who needs one will miss it."""
    if TIMESTAMP not in table or pd.api.types.is_numeric_dtype(table[TIMESTAMP]):
        return table
    moments = pd.to_datetime(table[TIMESTAMP], utc=True, errors="coerce", format="ISO8601")
    without = table.drop(columns=TIMESTAMP)
    return without if moments.isna().any() else without.assign(**{TIMESTAMP: moments})


def _check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    lacking = [name for name in names if name not in table]
    if lacking:
        raise BadInput(
            f"The table lacks {'the metric' if len(lacking) == 1 else 'the metrics'} {', '.join(lacking)}.",
            hint=f"It has: {', '.join(metrics_of(table)) or 'no column of numbers'}.",
        )


def _labels(column: pd.Series) -> NDArray[np.bool_]:
    labels = pd.to_numeric(column, errors="coerce")
    if not labels.isin([0, 1]).all():
        raise BadDataset(
            f"A label of the column {column.name} is neither 0 nor 1.", hint="Write 1 where it is abnormal."
        )
    return np.asarray(labels.to_numpy() == 1)
