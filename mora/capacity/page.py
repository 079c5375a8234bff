"""What a pod carries, as text and as one HTML page: a picture of latency and one of throughput for every scenario."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mora.capacity.knee import Capacity, Trial, describe, rate_at
from mora.capacity.usl import Usl, describe_usl, fit_usl
from mora.columns import columns
from mora.domain import Slo
from mora.pages.charts import Band, Chart, Level, Line, Mark, Span
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table
from mora.quantities import format_duration, significant

if TYPE_CHECKING:
    from markupsafe import Markup

# Points of a curve; enough that a screen shows no corners.
_POINTS = 80
_HEAD = (
    "USERS A POD",
    "USERS",
    "REPLICAS",
    "RUNS",
    "REQUESTS/S",
    "P95",
    "95 % INTERVAL",
    "ERRORS",
    "CPU OF LIMIT",
    "SLO",
)


def capacity_text(found: Sequence[Capacity]) -> str:
    """The capacity of every scenario: what a pod carries, the law beside it, and the loads that were driven."""
    lines: list[str] = []
    for one in found:
        law = fit_usl(one.trials)
        lines += [*describe(one), *([describe_usl(law)] if law else []), ""]
        lines += [f"  {line}" for line in columns([_HEAD, *(_row(trial, one.slo) for trial in _all(one))])]
        lines.append("")
    return "\n".join(lines)


def capacity_page(found: Sequence[Capacity], *, source: str) -> str:
    """The whole page. source: where the runs are, such as a folder."""
    objectives = {(one.slo.p95_seconds, one.slo.error_ratio) for one in found}
    words = ", ".join(f"p95 {format_duration(p95)} and {errors:.2%} errors" for p95, errors in sorted(objectives))
    return render(
        "plain.html",
        title="Capacity of one pod",
        lead=[
            f"Load experiments of {source}, against {words}.",
            "Services that a plan scales together share one axis: users per pod.",
        ],
        sections=[_section(one) for one in found],
    )


def _section(one: Capacity) -> Markup:
    law = fit_usl(one.trials)
    rows = [
        [Cell(text, kind="bad" if text == "broken" else "") for text in _row(trial, one.slo)] for trial in _all(one)
    ]
    table = Table(f"Loads of {one.scenario} that were driven", _HEAD, rows)
    paragraphs = [*describe(one), *([describe_usl(law)] if law else [])]
    charts = [_latency(one), *([_throughput(one, law)] if any(t.rate_per_pod for t in one.trials) else [])]
    return section(one.scenario, paragraphs, charts, table)


def _all(one: Capacity) -> list[Trial]:
    return sorted([*one.trials, *one.several], key=lambda trial: (trial.users_per_pod, trial.replicas))


def _row(trial: Trial, slo: Slo) -> tuple[str, ...]:
    interval = trial.p95_interval
    fullest = max((use.utilisation for use in trial.uses.values() if use.utilisation is not None), default=None)
    return (
        significant(trial.users_per_pod, 4),
        str(trial.users),
        str(trial.replicas),
        str(trial.repeats),
        "" if trial.requests_per_second is None else significant(trial.requests_per_second),
        _milliseconds(trial.p95_seconds),
        "" if interval is None else f"{_milliseconds(interval[0])} to {_milliseconds(interval[1])}",
        f"{trial.error_ratio:.2%}",
        "" if fullest is None else f"{fullest:.0%}",
        "kept" if trial.keeps(slo) else "broken",
    )


# --- the pictures ----------------------------------------------------------------------------------------------------


def _axis(trials: Sequence[Trial]) -> list[float]:
    """The users per pod of a picture: those that were driven, and enough between them for a curve."""
    driven = [trial.users_per_pod for trial in trials]
    between = np.linspace(min(driven), max(driven), _POINTS)
    return sorted({*driven, *(float(users) for users in between)})


def _places(one: Capacity) -> tuple[list[Mark], list[Span]]:
    """Where the pod is full and where the SLO breaks."""
    marks = []
    if one.full is not None and one.full.users_per_pod <= max(t.users_per_pod for t in one.trials):
        text = f"{one.full.service} at {one.target_utilisation:.0%} of its CPU limit"
        marks.append(Mark(one.full.users_per_pod, text, "warn"))
    if one.users is not None and one.bracket.broken is not None:
        marks.append(Mark(one.users, f"knee: {math.floor(one.users)} users", "bad"))
    kept, broken = one.bracket.kept, one.bracket.broken
    spans = [Span(kept.users_per_pod, broken.users_per_pod, "the knee is in here", "bad")] if kept and broken else []
    return marks, spans


def _points(axis: Sequence[float], values: Mapping[float, float]) -> list[float | None]:
    return [values.get(users) for users in axis]


def _latency(one: Capacity) -> Chart:
    trials, everything = one.trials, _all(one)
    axis = _axis(everything)
    driven = [t.users_per_pod for t in trials]
    reach = [users if driven[0] <= users <= driven[-1] else math.nan for users in axis]
    marks, spans = _places(one)
    known = [t for t in trials if t.p95_interval is not None]
    bands = []
    if known:
        at = [t.users_per_pod for t in known]
        low, high = (np.interp(reach, at, [(t.p95_interval or (0, 0))[side] for t in known]) for side in (0, 1))
        bands.append(Band("95 % confidence interval of the p95", low.tolist(), high.tolist(), "c1"))
    lines = [
        Line("p95", np.interp(reach, driven, [t.p95_seconds for t in trials]).tolist(), "c1"),
        Line("driven", _points(axis, {t.users_per_pod: t.p95_seconds for t in trials}), "c1", "points"),
    ]
    if one.several:
        name = f"driven on {', '.join(str(n) for n in sorted({t.replicas for t in one.several}))} replicas"
        lines.append(Line(name, _points(axis, {t.users_per_pod: t.p95_seconds for t in one.several}), "c2", "points"))
    return Chart(
        title=f"{one.scenario}: response time against load",
        x=axis,
        lines=lines,
        bands=bands,
        levels=[Level("SLO", one.slo.p95_seconds, "bad", is_dashed=True)],
        marks=marks,
        spans=spans,
        unit="seconds",
        x_label="users per pod",
        y_label="p95 of the response time",
        y_scale="log",
        text=f"The p95 of {one.scenario} against users per pod, with the SLO and the knee.",
    )


def _throughput(one: Capacity, law: Usl | None) -> Chart:
    everything = _all(one)
    axis = _axis(everything)
    marks, spans = _places(one)
    rates = {t.users_per_pod: t.rate_per_pod for t in one.trials if t.rate_per_pod is not None}
    lines = [
        Line("requests/s of a pod", [rate_at(one.trials, users) for users in axis], "c1"),
        Line("driven", _points(axis, rates), "c1", "points"),
    ]
    if one.several:
        others = {t.users_per_pod: t.rate_per_pod for t in one.several if t.rate_per_pod is not None}
        lines.append(Line("driven on more replicas, for each", _points(axis, others), "c2", "points"))
    if law is not None:
        lines.append(Line("Universal Scalability Law", [law.rate(users) for users in axis], "dim", is_dashed=True))
    return Chart(
        title=f"{one.scenario}: throughput against load",
        x=axis,
        lines=lines,
        marks=marks,
        spans=spans,
        x_label="users per pod",
        y_label="requests per second of a pod",
        text="Requests per second of a pod against its users, and the law that is fitted to them.",
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"
