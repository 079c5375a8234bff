"""POST /v1/score: a batch of samples of one service against its trained detector, without touching what is watched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mora import documents
from mora.domain import check_name
from mora.errors import BadInput
from mora.health.frames import REPLICAS, moment_of
from mora.health.model import HealthModel
from mora.health.stored import Key
from mora.health.watch import Models
from mora.quantities import format_duration, format_moment
from mora.web.body import NotThere

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 2 * 2**20
MOST_SAMPLES, MOST_METRICS = 5000, 500
_KEPT = 64
_TIMESTAMP = "timestamp"
_MOST_SHARES = 5
# Rows of the grid that the samples are laid on: gaps are rows, too.
_MOST_ROWS = 20_000
_NAMED = documents.fields(
    {"namespace": documents.text, "service": documents.text, "samples": documents.anything}, only=True
)


class Scoring:
    """Scores batches with the stored detectors; the last used ones are kept."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._kept: OrderedDict[tuple[Key, str], HealthModel] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> dict[str, Any]:
        """The document of an answer. BadInput for a question that cannot be answered."""
        try:
            asked = documents.parse(body)
            documents.check(asked, _NAMED)
        except documents.Misfit as misfit:
            raise BadInput(f"The question cannot be read: {misfit}.", hint=_EXAMPLE) from misfit
        key = check_name(asked["namespace"], "namespace"), check_name(asked["service"], "service name")
        frame, others = _frame(asked["samples"])
        # Scoring takes a processor: one question at a time, whoever else asks.
        with self._lock:
            model = self._model(key)
            return {"namespace": key[0], "service": key[1], **_scored(model, frame, others)}

    def _model(self, key: Key) -> HealthModel:
        versions = self._models.versions()
        if key not in versions:
            known = ", ".join(sorted({f"{namespace}/{service}" for namespace, service in versions})[:20])
            todo = f"There is: {known}." if known else f"Train it: mora health train {key[1]} -n {key[0]}"
            raise NotThere(f"There is no trained detector of {key[0]}/{key[1]}. {todo}")
        found = self._kept.get((key, versions[key]))
        if found is None:
            found = self._kept[key, versions[key]] = self._models.load(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end((key, versions[key]))
        return found


_EXAMPLE = (
    'Send {"namespace": "shop", "service": "frontend", "samples": [{"timestamp": "2026-11-01T10:00:00Z", '
    '"cpu_cores_value": 0.21}]}.'
)


def _frame(samples: object) -> tuple[pd.DataFrame, list[str]]:
    """The samples as a frame, and the names of its metrics."""
    import pandas as pd

    if not isinstance(samples, list) or not samples:
        raise BadInput("There are no samples: `samples` is a list of objects.", hint=_EXAMPLE)
    if len(samples) > MOST_SAMPLES:
        raise BadInput(
            f"There are {len(samples):,} samples, and a question may have {MOST_SAMPLES:,}.",
            hint="Ask in several pieces; each needs the samples before it that a score depends on.",
        )
    names: dict[str, None] = {}
    for number, sample in enumerate(samples):
        if not isinstance(sample, dict) or _TIMESTAMP not in sample:
            raise BadInput(f"Sample {number} is no object with a `timestamp`.", hint=_EXAMPLE)
        names |= dict.fromkeys(sample)
        if len(names) > MOST_METRICS + 1:
            raise BadInput(f"The samples have more than {MOST_METRICS} metrics.", hint="Send those of the detector.")
    metrics = [name for name in names if name != _TIMESTAMP]
    for name in metrics:
        try:
            documents.text(name, "the name of a metric")
        except documents.Misfit as misfit:
            raise BadInput(f"{str(misfit)[0].upper()}{str(misfit)[1:]}.", hint=_EXAMPLE) from misfit
    at = [_moment(sample[_TIMESTAMP], number) for number, sample in enumerate(samples)]
    if any(later <= earlier for earlier, later in pairwise(at)):
        raise BadInput("The samples are not in the order of time, or two have one moment.", hint="Sort them.")
    columns = {
        name: [_number(sample.get(name), name, number) for number, sample in enumerate(samples)] for name in metrics
    }
    return pd.DataFrame({_TIMESTAMP: pd.DatetimeIndex(at), **columns}), metrics


def _moment(value: object, number: int) -> datetime:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise BadInput(
        f"The timestamp of sample {number} is no moment.", hint="Write 2026-11-01T10:00:00Z, or Unix seconds."
    )


def _number(value: object, name: str, number: int) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"{name[:80]!r} of sample {number} is no number.", hint="Send a number, or null: not known.")
    return float(value)


def _scored(model: HealthModel, frame: pd.DataFrame, metrics: Sequence[str]) -> dict[str, Any]:
    span = frame[_TIMESTAMP].iloc[-1] - frame[_TIMESTAMP].iloc[0]
    if span / model.step > _MOST_ROWS:
        raise BadInput(
            f"The samples span {format_duration(span.to_pytimedelta())}, more than {_MOST_ROWS:,} steps of "
            f"{format_duration(model.step)}.",
            hint="Ask in several pieces.",
        )
    judged = model.judge(frame)
    shares = judged.shares.to_numpy()
    return {
        "detector": model.card["detector"],
        "threshold_rule": model.card["threshold"],
        "context": model.card["context"],
        "left_out": [name for name in metrics if name not in (*model.metrics, REPLICAS)],
        "remarks": list(judged.remarks),
        "results": [
            {
                "timestamp": format_moment(moment_of(at), "milliseconds"),
                "state": str(state),
                "score": _or_none(score),
                "threshold": _or_none(threshold),
                "weight": round(float(weight), 4),
                "contributions": _largest(judged.shares.columns.tolist(), share),
            }
            for (at, score, threshold, state, weight), share in zip(_rows(judged.frame), shares, strict=True)
        ],
        "events": [
            {
                "start": format_moment(event.start, "milliseconds"),
                "end": format_moment(event.end, "milliseconds"),
                "samples": event.samples,
                "peak_in_thresholds": _or_none(event.peak),
                "metrics": {name: round(share, 4) for name, share in list(event.metrics.items())[:_MOST_SHARES]},
            }
            for event in judged.events
        ],
    }


def _rows(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Timestamp, score, threshold, state and weight of each row."""
    names = (_TIMESTAMP, "score", "threshold", "state", "weight")
    return zip(*(frame[name] for name in names), strict=True)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _largest(names: Sequence[str], shares: NDArray[np.float64]) -> dict[str, float]:
    """The metrics that carry most of a score."""
    order = np.argsort(-shares)[:_MOST_SHARES]
    return {str(names[column]): round(float(shares[column]), 4) for column in order if shares[column] > 0}
