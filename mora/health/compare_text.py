"""A comparison of detectors as tables for people, and as JSON and CSV for programs.

The JSON is stable: `schema_version` rises when a field changes its meaning or goes; new fields may come at any time.
A figure that is not known is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mora.columns import columns, printable
from mora.health.contest import Result
from mora.health.measures import Events
from mora.health.ranking import Comparison, Ranked
from mora.outputs.markdown import plain
from mora.quantities import format_duration

SCHEMA_VERSION = 1
HEADINGS = (
    "detector",
    "series",
    "VUS-PR",
    "95 % interval",
    "vs {reference}",
    "AUC-PR",
    "range F1",
    "precision",
    "recall",
    "event F1",
    "false/day",
    "delay",
    "flagged",
    "fit CPU s",
    "score CPU s",
)
FOOT = (
    "VUS-PR, AUC-PR and range F1: means over the series; events: added up over them. The interval is a bootstrap over",
    "series. vs: mean difference in VUS-PR on the series that both scored; * from five series on, where its interval",
    "leaves out 0. Events: alarms within 30 minutes of each other are one, right where it touches a labelled range. No",
    "point adjustment. false/day: wrong events for each series and day. delay: median, from the begin of a labelled",
    "range. flagged: share of samples with an alarm; whoever alarms always has an event F1 of 1. The threshold saw no",
    "label.",
)


def render_table(comparison: Comparison) -> str:
    """The mean of all sets, then a table for each set, for a terminal."""
    parts = []
    means = mean_rows(comparison)
    if means:
        parts.append("\n".join(["Mean VUS-PR of the sets", *columns([mean_headings(comparison), *means])]))
    for name in comparison.sets:
        table = [headings(comparison), *cells(comparison, name)]
        parts.append("\n".join([title(comparison, name), *columns(table)]))
    parts.append("\n".join(FOOT))
    failures = [f"{detector}: {why}" for detector, why in comparison.failures().items()]
    if failures:
        parts.append("\n".join(["Failed", *failures]))
    return printable("\n\n".join(parts)) + "\n"


def render_markdown(comparison: Comparison) -> str:
    """The same tables for a page of Markdown."""
    parts = []
    means = mean_rows(comparison)
    if means:
        parts.append(_markdown("Mean VUS-PR of the sets", mean_headings(comparison), means))
    for name in comparison.sets:
        parts.append(_markdown(title(comparison, name), headings(comparison), cells(comparison, name)))
    parts.append(plain(" ".join(FOOT)))
    failures = [f"- {plain(f'{detector}: {why}')}" for detector, why in comparison.failures().items()]
    if failures:
        parts.append("\n".join(["Failed:", "", *failures]))
    return "\n\n".join(parts) + "\n"


def render_json(comparison: Comparison) -> str:
    """Every threshold, every row, and every series behind them."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "reference": comparison.reference,
        "thresholds": list(comparison.thresholds),
        "sets": {name: comparison.series_of(name) for name in comparison.sets},
        "mean_vus_pr": comparison.means(),
        "rows": [
            {"threshold": threshold, **_row(row)}
            for threshold in comparison.thresholds
            for row in comparison.ranked(threshold)
        ],
        "series": [_series(one) for one in comparison.results],
    }
    return json.dumps(_known(document), indent=1, allow_nan=False) + "\n"


def render_csv(comparison: Comparison) -> str:
    """A line for each threshold, set and detector, under the names of the JSON; what is not known is empty."""
    rows = [
        {"threshold": threshold, **_row(row)}
        for threshold in comparison.thresholds
        for row in comparison.ranked(threshold)
    ]
    lines = [",".join(rows[0])] if rows else []
    for row in rows:
        lines.append(",".join(_field(value) for value in row.values()))
    return printable("\n".join(lines)) + "\n"


RENDERERS: Mapping[str, Callable[[Comparison], str]] = {
    "table": render_table,
    "markdown": render_markdown,
    "json": render_json,
    "csv": render_csv,
}


# --- cells -----------------------------------------------------------------------------------------------------------


def title(comparison: Comparison, set_name: str) -> str:
    """The heading of a set's table."""
    return f"{set_name}: {comparison.series_of(set_name)} series, threshold {comparison.thresholds[0]}"


def headings(comparison: Comparison) -> tuple[str, ...]:
    """The headings of a set's table."""
    return tuple(heading.format(reference=comparison.reference) for heading in HEADINGS)


def cells(comparison: Comparison, set_name: str) -> list[tuple[str, ...]]:
    """The rows of a set, the best VUS-PR first."""
    total = comparison.series_of(set_name)
    return [_cells(row, total) for row in comparison.ranked() if row.set_name == set_name]


def mean_headings(comparison: Comparison) -> tuple[str, ...]:
    """The headings of the table of means."""
    return ("detector", *comparison.sets, "mean")


def mean_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Detectors that scored every series of every set; empty where there is one set."""
    if len(comparison.sets) < 2:
        return []
    of = {(row.detector, row.set_name): row.vus_pr for row in comparison.ranked()}
    return [
        (detector, *(_number(of[detector, name]) for name in comparison.sets), _number(mean))
        for detector, mean in comparison.means().items()
    ]


def _cells(row: Ranked, total: int) -> tuple[str, ...]:
    events = row.events
    return (
        row.detector,
        f"{row.series}" if row.series == total else f"{row.series} of {total}",
        _number(row.vus_pr),
        "-" if math.isnan(row.vus_low) else f"{row.vus_low:.2f}-{row.vus_high:.2f}",
        "-" if row.ahead is None else f"{row.ahead[0]:+.3f}{'*' if row.is_surely_apart else ''}",
        _number(row.auc_pr),
        _number(row.range_f1),
        *((_number(events.precision, 2), _number(events.recall, 2), _number(events.f1, 2)) if events.judged else "---"),
        _number(events.false_alarms_per_day, 2),
        "-" if math.isnan(events.median_delay) else format_duration(events.median_delay, about=True),
        "-" if math.isnan(events.flagged_share) else f"{events.flagged_share:.1%}",
        _number(row.fit_seconds, 2),
        _number(row.score_seconds, 3),
    )


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _markdown(heading: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"**{plain(heading)}**", "", *(f"| {' | '.join(map(plain, row))} |" for row in [head, *rows])]
    lines.insert(3, f"|{'---|' * len(head)}")
    return "\n".join(lines)


def _row(row: Ranked) -> dict[str, Any]:
    return {
        "set": row.set_name,
        "detector": row.detector,
        "series": row.series,
        "failed": row.failed,
        "vus_pr": row.vus_pr,
        "vus_pr_low": row.vus_low,
        "vus_pr_high": row.vus_high,
        "vus_pr_vs_reference": None if row.ahead is None else row.ahead[0],
        "vus_pr_vs_reference_low": None if row.ahead is None else row.ahead[1],
        "vus_pr_vs_reference_high": None if row.ahead is None else row.ahead[2],
        "auc_pr": row.auc_pr,
        "range_f1": row.range_f1,
        **_events(row.events),
        "fit_cpu_seconds": row.fit_seconds,
        "score_cpu_seconds": row.score_seconds,
    }


def _events(events: Events) -> dict[str, Any]:
    return {
        "labelled_ranges": events.labelled,
        "found_ranges": events.found,
        "alarm_events": events.alarms,
        "true_alarm_events": events.true,
        "event_precision": events.precision,
        "event_recall": events.recall,
        "event_f1": events.f1,
        "false_alarms_per_day": events.false_alarms_per_day,
        "median_delay_seconds": events.median_delay,
        "flagged_share": events.flagged_share,
    }


def _series(one: Result) -> dict[str, Any]:
    return {
        "set": one.set_name,
        "series": one.series,
        "detector": one.detector,
        "vus_pr": one.vus_pr,
        "auc_pr": one.auc_pr,
        "thresholds": {
            name: {"range_f1": one.range_f1[name], **_events(events)} for name, events in one.events.items()
        },
        "fit_cpu_seconds": one.fit_seconds,
        "score_cpu_seconds": one.score_seconds,
        "failure": one.failure or None,
    }


def _known(value: Any) -> Any:
    """NaN as null, all the way down."""
    if isinstance(value, dict):
        return {key: _known(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_known(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _field(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    text = value if isinstance(value, str) else repr(value)
    # A spreadsheet would run what begins so.
    text = f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text
