"""A contest as tables for people, and as JSON for programs.

The JSON is stable: `schema_version` rises when a field changes its meaning or goes; new fields may come at any time.
A figure that is not known is null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mora.columns import columns, printable
from mora.contest.ranking import Interval, Ranked, Table
from mora.contest.scores import score
from mora.domain import Target
from mora.files import json_text
from mora.fusion import NAIVE
from mora.outputs.markdown import plain
from mora.quantities import counted, format_duration, format_moment, readable_bytes, readable_cores

SCHEMA_VERSION = 1
# A model that answers fewer windows is in the table, and is not called the best.
LEAST_ANSWERED = 0.95
HEADINGS = (
    "model",
    "skill",
    "95 % interval",
    "wins",
    "MAE",
    "RMSE",
    "MAPE",
    "MAE/use",
    "p95 loss",
    "below p95",
    "covered",
    "width",
    "request",
    "raised",
    "CPU s",
    "MB",
)
FOOT = (
    "A window is a horizon that begins at a rolling origin; its mean use is forecast. Each model is fitted anew for",
    "each fold, on what came a horizon or more before it, and is shown nothing that came after an origin. skill: 1 -",
    "MAE / the naive forecast's (the mean of the last horizon), geometric mean over series; * where its bootstrap",
    "interval leaves out 0. wins: how often it errs less than another model in a window. MAPE is the median of",
    "series; it misleads where use is near 0: an idle window counts as much as a busy one. p95 loss: pinball loss of",
    "the model's own p95 of the coming steps, over the mean use; below p95: steps at most that (95 % is right).",
    "covered, width: of the same 90 % interval around every model (split conformal, from its earlier windows), width",
    "over the mean use. request: what a request around this forecast would have cost (reserved + 20 x unmet, over",
    "used); raised: the same of MOrA's own bound, raised to the forecast. CPU s: to fit and ask, a series; MB: memory",
    "added at most.",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of a contest. skipped: what could not be compared, a line each. settings: what was asked.

    first, last: the first sample and the end of the last one, seconds since 1970. samples: of all series.
    """

    tables: tuple[Table, ...]
    models: tuple[str, ...]
    skipped: tuple[str, ...]
    folds: int
    window_seconds: float | None
    seed: int
    source: str
    first: float
    last: float
    samples: int

    @property
    def series(self) -> list[str]:
        """The series that were compared, in their order."""
        return list(dict.fromkeys(one.windows.series for table in self.tables for one in table.contests))

    def failures(self) -> dict[str, str]:
        """model -> why it has no forecast somewhere, and where."""
        found: dict[str, dict[str, str]] = {}
        for table in self.tables:
            for row in table.rows:
                for why in row.failures:
                    found.setdefault(row.entrant, {}).setdefault(why, format_duration(table.horizon_seconds))
        return {
            name: "; ".join(f"{where} ahead: {why}" for why, where in reasons.items())
            for name, reasons in found.items()
        }


def lead(comparison: Comparison) -> str:
    """What was compared on what, as a sentence."""
    cut = (
        "all that came before it"
        if comparison.window_seconds is None
        else f"the {format_duration(comparison.window_seconds)} before it"
    )
    at_most = f"up to {counted(comparison.folds, 'fold')}, each learnt from {cut} less a gap of one horizon"
    what = comparison.series[0] if len(comparison.series) == 1 else f"{len(comparison.series)} series"
    where = what if what == comparison.source else f"{what} of {comparison.source}"
    return (
        f"{len(comparison.models)} models on {where}, {format_moment(comparison.first)} to "
        f"{format_moment(comparison.last)}: {at_most}."
    )


def title(table: Table) -> str:
    """The heading of a table."""
    several = f", {len(table.contests)} series" if len(table.contests) > 1 else ""
    ahead = format_duration(table.horizon_seconds)
    return f"{table.target.value}, {ahead} ahead: {counted(table.windows, 'window')}{several}"


def verdict(table: Table) -> list[str]:
    """What a table says, as sentences: the best model, and whether smaller errors made cheaper requests."""
    # Who answers some windows only may have left out the hard ones.
    known = [row for row in table.rows if math.isfinite(row.skill.value) and row.answered >= LEAST_ANSWERED]
    if not known:
        return ["No model has a forecast."]
    best = known[0]
    if best.entrant == NAIVE:
        found = ["No model is better than the naive forecast."]
    else:
        sure = "" if best.is_surely_apart else ", not for sure: its interval includes 0"
        found = [f"The best is {best.entrant}: {best.skill.value:.0%} less error than naive{sure}."]
    if table.around.pairs:
        found.append(
            f"Of two models, the one that errs less makes the cheaper request around its forecast in "
            f"{table.around.share:.0%} of {table.around.pairs} pairs"
            + (
                f", and the cheaper one where MOrA's bound is raised to it in {table.raised.share:.0%} of "
                f"{table.raised.pairs} (the bound alone costs {_number(best.own, 2)})."
                if table.raised.pairs
                else f"; MOrA's bound, raised to it, costs the same with any ({_number(best.own, 2)})."
            )
        )
    return found


def render_table(comparison: Comparison) -> str:
    """A table for each target and horizon, for a terminal."""
    parts = [lead(comparison)]
    for table in comparison.tables:
        right = (False, *(True,) * (len(HEADINGS) - 1))
        rows = columns([HEADINGS, *cells(table)], is_right=right)
        parts.append("\n".join([title(table), *rows, *verdict(table)]))
    parts.append("\n".join(FOOT))
    parts += _remarks(comparison)
    return printable("\n\n".join(parts)) + "\n"


def render_markdown(comparison: Comparison) -> str:
    """The same for a page of Markdown."""
    parts = [plain(lead(comparison))]
    for table in comparison.tables:
        parts.append(_markdown(title(table), HEADINGS, cells(table)))
        parts.append(plain(" ".join(verdict(table))))
    parts.append(plain(" ".join(FOOT)))
    parts += [plain(remark) for remark in _remarks(comparison)]
    return "\n\n".join(parts) + "\n"


def render_json(comparison: Comparison) -> str:
    """Every row, and every series behind it."""
    return json_text(document(comparison))


def document(comparison: Comparison) -> dict[str, Any]:
    """What render_json() writes."""
    found: dict[str, Any] = known(
        {
            "schema_version": SCHEMA_VERSION,
            "source": comparison.source,
            "first_sample": moment(comparison.first),
            "last_sample": moment(comparison.last),
            "models": list(comparison.models),
            "series": comparison.series,
            "settings": {
                "folds": comparison.folds,
                "window_seconds": comparison.window_seconds,
                "seed": comparison.seed,
                "refit": "each model is fitted anew at the begin of each fold, one horizon before it",
            },
            "tables": [_table_document(table) for table in comparison.tables],
            "failures": comparison.failures(),
            "skipped": list(comparison.skipped),
        }
    )
    return found


def moment(seconds: float) -> str:
    """Seconds since 1970 as JSON has them."""
    return format_moment(seconds, "shortest")


def _table_document(table: Table) -> dict[str, Any]:
    return {
        "target": table.target.value,
        "horizon_seconds": table.horizon_seconds,
        "windows": table.windows,
        "rows": [_row_document(row) for row in table.rows],
        "smaller_error_is_cheaper_request": {"around": asdict(table.around), "raised": asdict(table.raised)},
        "series": [
            {
                "series": contest.windows.series,
                "group": contest.windows.group,
                "windows": len(contest.windows),
                "mean_use": contest.windows.scale,
                "scores": {name: asdict(score(contest, name)) for name in contest.answers},
            }
            for contest in table.contests
        ],
    }


def _row_document(row: Ranked) -> dict[str, Any]:
    plain_row = asdict(row)
    for name in ("horizon_seconds", "target"):
        del plain_row[name]
    return plain_row


def known(value: Any) -> Any:
    """NaN and infinity as null, all the way down; tuples as lists."""
    if isinstance(value, Mapping):
        return {key: known(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [known(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- cells -----------------------------------------------------------------------------------------------------------


def cells(table: Table) -> list[tuple[str, ...]]:
    """The rows of a table, the most skilled first."""
    return [_cells(row, len(table.contests)) for row in table.rows]


def _cells(row: Ranked, series: int) -> tuple[str, ...]:
    name = row.entrant
    if row.answered < 0.9995:
        name += f" ({row.answered:.0%} of windows)" if row.series else " (no forecast)"
    elif row.series < series:
        name += f" ({row.series} series)"
    return (
        name,
        f"{_signed(row.skill.value)}{'*' if row.is_surely_apart else ''}",
        _range(row.skill),
        _percent(row.wins.value),
        _amount(row.target, row.mae),
        _amount(row.target, row.rmse),
        _percent(row.mape),
        _number(row.relative, 3),
        _number(row.pinball, 3),
        _percent(row.steps_covered),
        _percent(row.covered),
        _number(row.width, 2),
        _number(row.cost, 2),
        _number(row.raised, 2),
        _number(row.fit_seconds + row.ask_seconds, 1),
        f"{row.bytes / 1e6:.0f}",
    )


def _amount(target: Target, value: float) -> str:
    if math.isnan(value):
        return "-"
    return readable_cores(value) if target is Target.CPU else readable_bytes(value)


def _signed(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.3f}" if value > -10 else f"{value:.0f}"


def _range(found: Interval) -> str:
    return "-" if math.isnan(found.low) else f"{_short(found.low)} to {_short(found.high)}"


def _short(value: float) -> str:
    return f"{value:+.2f}" if value > -10 else f"{value:.0f}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def _number(value: float, digits: int) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.{digits}f}" if value < 10_000 else ">10000"


def _remarks(comparison: Comparison) -> list[str]:
    found = []
    failures = comparison.failures()
    if failures:
        found.append("\n".join(["Without a forecast:", *(f"- {name}: {why}" for name, why in failures.items())]))
    if comparison.skipped:
        found.append("\n".join(["Skipped:", *(f"- {line}" for line in comparison.skipped)]))
    return found


def _markdown(heading: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"**{plain(heading)}**", "", *(f"| {' | '.join(map(plain, row))} |" for row in [head, *rows])]
    lines.insert(3, f"|{'---|' * len(head)}")
    return "\n".join(lines)
