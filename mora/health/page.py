"""A judgement as one HTML page: score over threshold, and every metric, with the events shaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mora.detectors.frames import TIMESTAMP
from mora.health.events import Event, State
from mora.health.known import Known
from mora.health.model import HealthModel, Judgement
from mora.health.report import main_metrics, peak_text, summary
from mora.metrics import EXTRA_METRICS, METRICS
from mora.pages.charts import Chart, Line, Mark, Span, Unit
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table
from mora.quantities import counted, format_duration, format_moment

if TYPE_CHECKING:
    from markupsafe import Markup

# More points than a screen has columns; of each column, the highest and the lowest sample are drawn.
_COLUMNS = 1500
_UNITS: dict[str, Unit] = {"cores": "cores", "bytes": "bytes", "ratio": "ratio", "s": "seconds"}
_UNIT_OF = {metric.name: _UNITS.get(metric.unit, "number") for metric in METRICS + EXTRA_METRICS}
# Of load experiments these are Locust's, of a cluster its mesh's.
_SEEN = {
    "requests_per_second": "requests answered",
    "latency_p95_seconds": "95th percentile of the response time",
    "error_ratio": "share of the requests that failed",
}
_MEANING = {
    metric.name: f"{_SEEN.get(metric.name, metric.meaning)} ({metric.unit})" for metric in METRICS + EXTRA_METRICS
}
_STARTING_COLOUR, _UNKNOWN_COLOUR = "c2", "dim"
# So many runs without a verdict are shaded; more are no picture.
_MOST_SPANS = 200


def health_page(model: HealthModel, judged: Judgement, samples: pd.DataFrame, *, known: Sequence[Known] = ()) -> str:
    """The whole page. samples: what was judged, on the grid. known: faults that are known."""
    name = f"{model.namespace}/{model.service}"
    kept = thinned(judged.frame["score"].to_numpy(dtype=np.float64))
    spans = [*_event_spans(judged.events), *_silent_spans(judged), *_known_spans(known)]
    times = judged.frame[TIMESTAMP].astype("int64").to_numpy() / _per_second(judged.frame[TIMESTAMP])
    charts = [_score_chart(name, judged, times, kept, spans)]
    order = _by_share(model, judged)
    for metric in order:
        values = samples[metric].to_numpy(dtype=np.float64)
        charts.append(_metric_chart(metric, values, times, spans))
    return render(
        "plain.html",
        title=f"Health of {name}",
        lead=summary(model, judged),
        sections=[
            _events_section(judged.events),
            section("Score and metrics", [_legend(judged, known)], charts),
            _model_section(model),
        ],
    )


def thinned(values: np.ndarray, columns: int = _COLUMNS) -> np.ndarray:
    """The rows that are drawn of a series: of each column of the screen, the highest and the lowest; sorted.

    >>> thinned(np.array([0.0, 5, 1, 2, 9, 3]), columns=2).tolist()
    [0, 1, 3, 4, 5]
    """
    if len(values) <= 2 * columns:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for rows in np.array_split(np.arange(len(values)), columns):
        part = values[rows]
        if np.isfinite(part).any():
            kept |= {int(rows[np.nanargmax(part)]), int(rows[np.nanargmin(part)])}
        if np.isnan(part).any():  # a gap stays one
            kept.add(int(rows[np.argmax(np.isnan(part))]))
    return np.array(sorted(kept))


def _score_chart(name: str, judged: Judgement, times: np.ndarray, kept: np.ndarray, spans: Sequence[Span]) -> Chart:
    frame = judged.frame.iloc[kept]
    marks = [Mark(event.peak_at.timestamp(), f"{peak_text(event)} the threshold", "bad") for event in judged.events]
    return Chart(
        title=f"Score of {name} and its threshold",
        x=times[kept],
        lines=[
            Line("score", frame["score"].to_numpy(dtype=np.float64), "use"),
            Line("threshold", frame["threshold"].to_numpy(dtype=np.float64), "bad", "steps", is_dashed=True),
        ],
        spans=spans,
        marks=marks,
        is_time=True,
        y_scale="sqrt",
        text=f"{counted(len(judged.events), 'event')}. A score above the threshold is abnormal.",
    )


def _metric_chart(metric: str, values: np.ndarray, times: np.ndarray, spans: Sequence[Span]) -> Chart:
    kept = thinned(values)
    return Chart(
        title=metric,
        x=times[kept],
        lines=[Line(metric, values[kept], "use")],
        spans=spans,
        unit=_UNIT_OF.get(metric, "number"),
        is_time=True,
        text=_MEANING.get(metric, ""),
    )


def _event_spans(events: Sequence[Event]) -> list[Span]:
    return [
        Span(
            event.start.timestamp(), event.end.timestamp(), f"abnormal: {', '.join(main_metrics(event.metrics))}", "bad"
        )
        for event in events
    ]


def _known_spans(known: Sequence[Known]) -> list[Span]:
    return [Span(one.start.timestamp(), one.end.timestamp(), f"known: {one.name}", "warn") for one in known]


def _silent_spans(judged: Judgement) -> list[Span]:
    """Runs of samples without a verdict."""
    states = judged.frame["state"].to_numpy()
    spans = []
    edges = np.flatnonzero(states[1:] != states[:-1]) + 1
    for rows in np.split(np.arange(len(states)), edges):
        state = states[rows[0]]
        if state in (State.STARTING, State.UNKNOWN):
            start, end = (judged.frame[TIMESTAMP].iloc[row].timestamp() for row in (rows[0], rows[-1]))
            colour = _STARTING_COLOUR if state == State.STARTING else _UNKNOWN_COLOUR
            spans.append((end - start, Span(start, end, f"no verdict: {state}", colour)))  # type: ignore[arg-type]  # a colour
    longest = sorted(spans, key=lambda one: -one[0])[:_MOST_SPANS]
    return sorted((span for _, span in longest), key=lambda span: span.begin)


def _by_share(model: HealthModel, judged: Judgement) -> list[str]:
    """The metrics, those first that carried the events."""
    weight = dict.fromkeys(model.metrics, 0.0)
    for event in judged.events:
        for metric, share in event.metrics.items():
            weight[metric] += share * event.samples
    return sorted(model.metrics, key=lambda metric: -weight[metric])


def _events_section(events: Sequence[Event]) -> Markup:
    if not events:
        return section("Events", ["There are none: no sample is abnormal."])
    head = ("START", "FOR", "SAMPLES", "PEAK", "WEIGHT", "METRICS")
    rows = [
        [
            Cell(format_moment(event.start, "seconds"), event.start.timestamp()),
            Cell(format_duration(event.duration), event.duration.total_seconds()),
            Cell(str(event.samples), event.samples),
            Cell(peak_text(event), event.peak, "bad"),
            Cell(f"{event.weight:.0%}", event.weight),
            Cell(", ".join(f"{name} {share:.0%}" for name, share in main_metrics(event.metrics).items())),
        ]
        for event in events
    ]
    words = "Abnormal samples that are close together are one event. The peak is the largest score over its threshold."
    return section("Events", [words], table=Table("Events", head, rows))


def _legend(judged: Judgement, known: Sequence[Known]) -> str:
    words = ["Events are shaded."]
    if judged.frame["state"].isin([State.STARTING, State.UNKNOWN]).any():
        words.append("So are times without a verdict.")
    if known:
        words.append("Known faults are shaded in another colour.")
    return " ".join(words)


def _model_section(model: HealthModel) -> Markup:
    card = model.card
    words = [
        f"{card['detector']} with the threshold {card['threshold']}, trained at {card['trained_at']} on "
        f"{counted(card['rows'], 'sample')} from {card['first_sample']} to {card['last_sample']}, one every "
        f"{format_duration(model.step)}. It looks at {', '.join(model.metrics)}.",
        *card["reasons"],
    ]
    return section("The detector", words)


def _per_second(times: pd.Series) -> float:
    return {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[times.dt.unit]
