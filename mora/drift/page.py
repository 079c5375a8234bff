"""Verdicts as one HTML page that works offline (mora/pages): use beside the usual day, errors, and what was tested."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from mora.domain import Target
from mora.domain.learning import Floats
from mora.drift.check import TITLES, Drift
from mora.drift.inputs import LITTLE, Comparison, blocks_of, by_hour
from mora.drift.residuals import Errors
from mora.drift.text import HEADINGS, row_of, verdict_of
from mora.features import TARGET_COLUMNS
from mora.pages.charts import Band, Chart, Colour, Line, Mark
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table
from mora.quantities import format_duration

# Days before the training that a picture shows, and how far apart its points are.
_SHOWN_DAYS, _POINT_SECONDS = 14, 1800.0


def render_page(drifts: Sequence[Drift]) -> str:
    """The complete page. drifts: at least one."""
    overview = Table("Services", HEADINGS, [[Cell(text) for text in row_of(drift)] for drift in drifts])
    sections = [section("Services", [], [], overview)]
    for drift in drifts:
        told = [finding.sentence() + "." for finding in drift.findings]
        told += [f"Not judged: {reason.text}." for reason in drift.unjudged]
        charts = [_use(drift, target) for target in (Target.CPU, Target.MEMORY)]
        charts += [_errors(drift, errors) for errors in drift.errors]
        heading = f"{drift.workload.name}: {verdict_of(drift)}"
        sections.append(section(heading, told, [chart for chart in charts if chart is not None], _tests(drift)))
    return render(
        "plain.html",
        title="MOrA: drift",
        lead=["Whether services still are what their models were trained on. Times are UTC."],
        sections=sections,
        foot=[
            "The last day is compared with the days of the training; a score is its distance in standard deviations. "
            "A drift has a chance of 0.003 at most, Holm's correction over all tests of a service included."
        ],
    )


def _use(drift: Drift, target: Target) -> Chart | None:
    history = drift.history
    if history is None or drift.trained_until is None or target not in history.targets:
        return None
    values, series = history.columns[TARGET_COLUMNS[target]], history.series
    step = float(series.step_seconds)
    trained = round((drift.trained_until.timestamp() - series.start) / step) + 1
    first = max(trained - round(_SHOWN_DAYS * 86_400 / step), 0)
    size = max(1, round(_POINT_SECONDS / step))
    shown = values[first : len(values) - (len(values) - first) % size].reshape(-1, size)
    seconds: Floats = series.start + (first + np.arange(len(shown), dtype=np.float64) * size) * step
    blocks = blocks_of(values, trained=trained, step_seconds=step)
    bands = [] if blocks is None else [_usual(blocks.days, seconds, series.start + len(values) * step)]
    title = "CPU" if target is Target.CPU else "memory"
    return Chart(
        f"{title} of {drift.workload.name}, and the usual day of the training",
        seconds,
        [Line("use", _means(shown), "use")],
        bands,
        marks=_marks(drift),
        unit="cores" if target is Target.CPU else "bytes",
        is_time=True,
        text=f"{title} of the training's last days and since then.",
    )


def _means(rows: Floats) -> Floats:
    counts = (~np.isnan(rows)).sum(axis=1)
    found: Floats = np.where(counts > 0, np.nansum(rows, axis=1) / np.maximum(counts, 1), np.nan)
    return found


def _usual(days: Floats, seconds: Floats, end: float) -> Band:
    """The tenth and the ninetieth percentile of the hours of the training's days, at each moment."""
    hours = by_hour(days)
    # A day of the blocks begins where the last one does: a whole number of days before the end.
    hour = ((seconds - end) % 86_400 // 3600).astype(int) % 24
    low, high = np.quantile(hours, (0.1, 0.9), axis=0)
    return Band("usual (p10 to p90)", low[hour], high[hour], "c1")


def _errors(drift: Drift, errors: Errors) -> Chart:
    title = "CPU" if errors.target is Target.CPU else "memory"
    ahead = format_duration(errors.horizon_seconds)
    return Chart(
        f"How far forecasts of {title} for {ahead} are off",
        errors.seconds,
        [
            Line("error", np.abs(errors.truth - errors.forecast), "bad", "points"),
            Line("in validation", np.full(len(errors.seconds), errors.scale), "dim", is_dashed=True),
        ],
        marks=_marks(drift),
        unit="cores" if errors.target is Target.CPU else "bytes",
        is_time=True,
        text="The error of each forecast, beside the mean error of the validation windows.",
    )


def _marks(drift: Drift) -> list[Mark]:
    moments: tuple[tuple[datetime | None, str, Colour], ...] = (
        (drift.trained_until, "trained", "ink"),
        (drift.since, "drift", "bad"),
    )
    return [Mark(at.timestamp(), text, colour) for at, text, colour in moments if at is not None]


def _tests(drift: Drift) -> Table | None:
    if not drift.tests:
        return None
    rows = [
        [
            Cell(f"{TITLES.get(test.feature, test.feature)}, {test.statistic}", kind="bad" if test.has_drifted else ""),
            Cell(_figure(test, test.value), test.value),
            Cell(_figure(test, test.usual), test.usual),
            Cell(f"{test.score:+.1f}", test.score),
            Cell(f"{test.adjusted:.2g}", test.adjusted),
        ]
        for test in drift.tests
    ]
    return Table(
        f"What was compared of {drift.workload.name}", ("feature", "last day", "usual", "score", "p (Holm)"), rows
    )


def _figure(test: Comparison, value: float) -> str:
    """A statistic for a person: ratios as such, KS and PSI as they are defined."""
    if test.statistic in ("season", "errors"):
        return f"{value:.2f}"
    if test.statistic == "coverage":
        return f"{100 * value:.0f} %"
    return f"{np.exp(value) - LITTLE:.3f}" if test.statistic in ("ks", "psi") else f"{np.exp(value):.2f} x"
