"""A judgement as text for a person, as JSON, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from mora.columns import columns
from mora.detectors.frames import TIMESTAMP
from mora.files import json_text
from mora.health.events import Event, State
from mora.health.frames import moment_of
from mora.health.model import HealthModel, Judgement
from mora.quantities import counted, format_duration, format_moment, significant

SCHEMA_VERSION = 1
# Of an event's metrics, those that carry at least so much are named in a table.
_LEAST_SHARE, _MOST_METRICS = 0.1, 3


def summary(model: HealthModel, judged: Judgement) -> list[str]:
    """Sentences: the verdict on the last sample, since when, by which metrics; then what was judged."""
    last, at = judged.frame.iloc[-1], moment_of(judged.frame[TIMESTAMP].iloc[-1])
    name = f"{model.namespace}/{model.service}"
    lines = [
        f"{name} is {judged.state} at {format_moment(at, 'seconds')}, since {format_moment(since(judged), 'seconds')}."
    ]
    if np.isfinite(last["score"]):
        known = f"Score {significant(last['score'])}, threshold {significant(last['threshold'])}"
        named = ", ".join(f"{metric} {share:.0%}" for metric, share in shares_at(judged, -1).items())
        lines.append(f"{known}; carried by {named}." if named else f"{known}.")
    if 0 < last["weight"] < 0.995:
        lines.append(f"The verdict weighs {last['weight']:.0%}: that much of what it rests on is known.")
    first = moment_of(judged.frame[TIMESTAMP].iloc[0])
    counts = ", ".join(f"{number:,} {state}" for state, number in state_counts(judged).items() if number)
    lines.append(
        f"{counted(len(judged.frame), 'sample')} since {format_moment(first, 'seconds')}, one every "
        f"{format_duration(model.step)}: {counts}; {judged.flagged_share:.2%} of those with a verdict are abnormal."
    )
    return [*lines, *judged.remarks]


def verdict_text(model: HealthModel, judged: Judgement) -> str:
    """The summary, then a table of the events."""
    lines = summary(model, judged)
    if not judged.events:
        return "\n".join([*lines, "No events."]) + "\n"
    rows: list[tuple[str, ...]] = [("EVENT", "FOR", "SAMPLES", "PEAK", "AT", "WEIGHT", "METRICS")]
    rows += [_row(event) for event in judged.events]
    right = (False, True, True, True, False, True, False)
    return "\n".join([*lines, "", *columns(rows, is_right=right)]) + "\n"


def _row(event: Event) -> tuple[str, ...]:
    return (
        format_moment(event.start, "seconds"),
        format_duration(event.duration),
        str(event.samples),
        peak_text(event),
        format_moment(event.peak_at, "seconds"),
        f"{event.weight:.0%}",
        ", ".join(f"{name} {share:.0%}" for name, share in main_metrics(event.metrics).items()),
    )


def peak_text(event: Event) -> str:
    """How many times its threshold the largest score of an event is; beyond a thousand, that is all it says.

    >>> from datetime import datetime
    >>> at = datetime(2026, 1, 1)
    >>> peak_text(Event(at, at, 1, 4.066, at)), peak_text(Event(at, at, 1, 5e5, at))
    ('4.07x', '>1000x')
    """
    return f"{significant(event.peak)}x" if event.peak <= 1000 else ">1000x"


def main_metrics(shares: Mapping[str, float]) -> dict[str, float]:
    """The metrics that carry most of a score, three at most, the largest first.

    >>> main_metrics({"cpu": 0.05, "latency": 0.7, "errors": 0.25})
    {'latency': 0.7, 'errors': 0.25}
    """
    found = sorted(shares.items(), key=lambda one: (-one[1], one[0]))
    return dict([one for one in found if one[1] >= _LEAST_SHARE][:_MOST_METRICS] or found[:1])


def since(judged: Judgement) -> datetime:
    """From which sample on the state has been that of the last one."""
    states = judged.frame["state"].to_numpy()
    other = np.flatnonzero(states != states[-1])
    return moment_of(judged.frame[TIMESTAMP].iloc[int(other[-1]) + 1 if len(other) else 0])


def shares_at(judged: Judgement, row: int) -> dict[str, float]:
    """Metric -> its share of a row's score, the largest first; nothing where there is no score."""
    shares = judged.shares.iloc[row]
    if not shares.sum():
        return {}
    return main_metrics({str(name): float(share) for name, share in shares.items()})


def state_counts(judged: Judgement) -> dict[str, int]:
    """State -> how many samples have it, for every state."""
    return {state.value: int((judged.frame["state"] == state).sum()) for state in State}


def verdict_document(model: HealthModel, judged: Judgement) -> dict[str, Any]:
    """The judgement as JSON has it: the verdict on the last sample, the events, and what was judged; no NaN."""
    last = judged.frame.iloc[-1]
    return {
        "schema_version": SCHEMA_VERSION,
        "namespace": model.namespace,
        "service": model.service,
        "detector": model.card["detector"],
        "threshold": model.card["threshold"],
        "trained_at": model.card["trained_at"],
        "metrics": list(model.metrics),
        "step_seconds": model.card["step_seconds"],
        "verdict": {
            "at": _moment(last[TIMESTAMP]),
            "state": str(last["state"]),
            "since": format_moment(since(judged), "shortest"),
            "score": _number(last["score"]),
            "threshold": _number(last["threshold"]),
            "weight": _number(last["weight"]),
            "contributions": {name: _number(share) for name, share in shares_at(judged, -1).items()},
        },
        "events": [event_document(event) for event in judged.events],
        "samples": len(judged.frame),
        "first_sample": _moment(judged.frame[TIMESTAMP].iloc[0]),
        "states": state_counts(judged),
        "flagged_share": _number(judged.flagged_share),
        "remarks": list(judged.remarks),
    }


def event_document(event: Event) -> dict[str, Any]:
    """An event as JSON has it."""
    return {
        "start": format_moment(event.start, "shortest"),
        "end": format_moment(event.end, "shortest"),
        "samples": event.samples,
        "peak": _number(event.peak),
        "peak_at": format_moment(event.peak_at, "shortest"),
        "weight": _number(event.weight),
        "metrics": {name: _number(share) for name, share in event.metrics.items()},
    }


def verdict_json(model: HealthModel, judged: Judgement) -> str:
    """verdict_document() as text."""
    return json_text(verdict_document(model, judged))


def verdict_csv(model: HealthModel, judged: Judgement) -> str:
    """A row a sample: timestamp, state, score, threshold, weight, and each metric's share of the score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([TIMESTAMP, "state", "score", "threshold", "weight", *(f"share_{name}" for name in model.metrics)])
    shares = judged.shares.to_numpy()
    for row, one in enumerate(judged.frame.itertuples(index=False)):
        amounts = (one.score, one.threshold, one.weight, *shares[row])
        writer.writerow([_moment(one.timestamp), str(one.state), *map(_cell, amounts)])
    return text.getvalue()


def _moment(at: object) -> str:
    return format_moment(moment_of(at), "shortest")


def _cell(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else ""


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
