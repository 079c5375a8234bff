"""The two JSON files that Helios' training pipeline leaves, of a contest: metrics_*.json and data_summary_*.json.

Helios (github.com/pyjeebz/helios, docs/ml-pipeline.md) forecasts one metric; here each target and horizon has a
metrics file of its own. All of its fields are there, under its names; those that it has not are MOrA's. Its document
and its code differ: the document has MAPE as a share and the figures under `models`, the code percents and a flat file,
and the code's data summary has other fields than the document's. The metrics follow the document; the summary has the
fields of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from mora import helios_features
from mora.backtest.history import History
from mora.contest.ranking import Ranked, Table
from mora.contest.text import Comparison, known
from mora.domain.learning import Floats
from mora.files import json_text
from mora.quantities import format_duration, format_moment

# What Helios calls the models that both have.
_HELIOS_NAMES = {"moving-average": "baseline"}


def artifacts(comparison: Comparison, histories: Sequence[History], *, at: datetime) -> dict[str, str]:
    """File name -> its text. at: when the contest was, UTC; part of the names."""
    at = at.replace(microsecond=0)
    stamp = at.strftime("%Y%m%d_%H%M%S")
    found = {f"data_summary_{stamp}.json": json_text(data_summary(histories, at=at))}
    columns = _columns(histories)
    for table in comparison.tables:
        what = f"{table.target.value}_{format_duration(table.horizon_seconds)}"
        found[f"metrics_{what}_{stamp}.json"] = json_text(metrics(comparison, table, columns, at=at))
    return found


def metrics(comparison: Comparison, table: Table, columns: Sequence[str], *, at: datetime) -> dict[str, Any]:
    """One table in the shape of Helios' metrics. columns: what was measured, for the count of Helios' features."""
    return {
        "timestamp": format_moment(at, "shortest"),
        "data_points": comparison.samples,
        "features": len(helios_features.names(columns)),
        "models": {_HELIOS_NAMES.get(row.entrant, row.entrant): _model(row) for row in table.rows},
        "target": table.target.value,
        "horizon_seconds": table.horizon_seconds,
        "windows": table.windows,
        "series": [contest.windows.series for contest in table.contests],
        "folds": comparison.folds,
        "source": comparison.source,
    }


def _model(row: Ranked) -> dict[str, Any]:
    found: dict[str, Any] = known(
        {
            "mae": row.mae,
            "rmse": row.rmse,
            "mape": row.mape,
            "skill_score": row.skill.value,
            "coverage": row.covered,
            "skill_score_low": row.skill.low,
            "skill_score_high": row.skill.high,
            "win_rate": row.wins.value,
            "mae_per_use": row.relative,
            "interval_width_per_use": row.width,
            "p95_loss": row.pinball,
            "steps_below_p95": row.steps_covered,
            "request_cost": row.cost,
            "fit_cpu_seconds": row.fit_seconds,
            "ask_cpu_seconds": row.ask_seconds,
            "memory_bytes": row.bytes,
            "windows_answered": row.answered,
        }
    )
    return found


def data_summary(histories: Sequence[History], *, at: datetime) -> dict[str, Any]:
    """What was compared on, in the shape of Helios' data summary; of several series, all together and each."""
    columns = ["timestamp", *_columns(histories)]
    rows = sum(history.series.sample_count for history in histories)
    start = min(history.series.start for history in histories)
    end = max(_end(history) for history in histories)
    found: dict[str, Any] = known(
        {
            "timestamp": format_moment(at, "shortest"),
            "shape": [rows, len(columns)],
            "time_range": _range(start, end),
            "columns": columns,
            "statistics": {
                name: _statistics([history.columns[name] for history in histories if name in history.columns])
                for name in columns[1:]
            },
            "n_records": rows,
            "n_columns": len(columns),
            "date_range": _range(start, end),
            "series": [
                {
                    "id": history.series.id,
                    "samples": history.series.sample_count,
                    "step_seconds": history.series.step_seconds,
                    "time_range": _range(history.series.start, _end(history)),
                    "missing": {name: _missing(values) for name, values in history.columns.items()},
                }
                for history in histories
            ],
        }
    )
    return found


def _columns(histories: Sequence[History]) -> list[str]:
    """The measured columns that any history knows, in their order."""
    return list(
        dict.fromkeys(
            name for history in histories for name, values in history.columns.items() if not np.isnan(values).all()
        )
    )


def _range(start: float, end: float) -> dict[str, str]:
    return {"start": format_moment(start, "shortest"), "end": format_moment(end, "shortest")}


def _end(history: History) -> float:
    return history.series.start + (history.series.sample_count - 1) * history.series.step_seconds


def _missing(values: Floats) -> float:
    return float(np.isnan(values).mean()) if len(values) else 1.0


def _statistics(several: Sequence[Floats]) -> dict[str, float]:
    values = np.concatenate(list(several))
    values = values[~np.isnan(values)]
    if not len(values):
        return dict.fromkeys(("mean", "std", "min", "max"), math.nan)
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "min": float(values.min()),
        "max": float(values.max()),
    }
