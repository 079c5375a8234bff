"""The report as one HTML page: the checks, a row for each fault, and the timeline of every service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mora.chaos.judge import PartSeen
from mora.chaos.report import HEAD, Report, cells_of, summary
from mora.detectors.frames import seconds_of
from mora.pages.charts import Chart, Level, Line, Mark, Span
from mora.pages.page import render, section
from mora.pages.tables import Cell, Table
from mora.quantities import counted

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from mora.chaos.folder import RunPart

# More columns than a screen has; of the samples in one the highest is drawn, so that no alarm is lost.
_MOST_POINTS = 1200
# A score far above its threshold would hide all others.
_CLIP = 20.0


def chaos_page(report: Report, parts: Sequence[tuple[RunPart, PartSeen]]) -> str:
    """The whole page."""
    verdict = "PASS" if report.passed else "FAIL"
    rows = [[Cell(text, kind="bad" if text == "FAIL" else "") for text in cells_of(row)] for row in report.rows]
    checks = [f"{check.word}: {check.text}." for check in report.checks]
    sections = [
        section("Verdict", [*summary(report), *checks]),
        section("Faults", [], [], Table("Every fault, and what was made of it", HEAD, rows)),
        *(_part_section(part, seen, is_alone=len(parts) == 1) for part, seen in parts),
    ]
    lead = [report.description] if report.description else []
    return render("plain.html", title=f"Chaos: {report.scenario}, {verdict}", lead=lead, sections=sections)


def _part_section(part: RunPart, seen: PartSeen, *, is_alone: bool) -> Markup:
    name = "Timeline" if is_alone else f"Timeline of part {part.number}"
    text = (
        f"Shaded: what the detector learnt from, and the faults; red: at the service itself. Score over its threshold, "
        f"at most {_CLIP:g}; above 1 a sample is abnormal. {counted(part.requests, 'request')}, of which "
        f"{part.failures:,} failed."
    )
    return section(name, [text], [_chart(part, seen, service) for service in sorted(part.frames)])


def _chart(part: RunPart, seen: PartSeen, service: str) -> Chart:
    frame = seen.judgements[service].frame
    seconds = seconds_of(frame)
    score, threshold = (frame[name].to_numpy(dtype=np.float64) for name in ("score", "threshold"))
    ratio = np.divide(score, threshold, out=np.full(len(score), np.nan), where=threshold > 0)
    x, y = _thinned(seconds, np.minimum(ratio, _CLIP))
    spans = [Span(part.began.timestamp(), part.learnt_until.timestamp(), "learnt from", "dim")]
    spans += [
        Span(
            label.start.timestamp(),
            label.end.timestamp(),
            f"{label.fault} at {label.service}",
            "bad" if label.service == service else "warn",
        )
        for label in part.labels
    ]
    alarms = [one for one in seen.alarms if one.service == service]
    marks = [
        Mark(one.raised.timestamp(), f"false alarm: {one.metric}" if one in seen.false_alarms else one.metric, "bad")
        for one in alarms
    ]
    return Chart(
        title=service,
        x=x,
        lines=[Line("score over threshold", y, "c1")],
        levels=[Level("abnormal above", 1.0, "bad", is_dashed=True)],
        spans=spans,
        marks=marks,
        is_time=True,
        y_scale="sqrt",
        text=f"{service}: {counted(len(alarms), 'alarm')}.",
    )


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most so many points: of neighbours, the highest value."""
    width = -(-len(x) // _MOST_POINTS)
    if width <= 1:
        return x, y
    starts = np.arange(0, len(x), width)
    return x[starts], np.fmax.reduceat(y, starts)
