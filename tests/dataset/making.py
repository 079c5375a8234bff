"""Frames, cards and files of the dataset, for its tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from mora.dataset import (
    unify,
    write_experiment,
)
from mora.metrics import EXTRA_COLUMNS, METRIC_COLUMNS, MOST

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def numbers(column: str) -> st.SearchStrategy[float]:
    """What a column may have: a gap, or anything from 0 to its maximum."""
    return st.one_of(st.just(float("nan")), st.floats(min_value=0, max_value=MOST[column], allow_nan=False))


def make_frame(
    experiment_id: str = "frontend_browsing_replicas_2_users_40", *, rows: int = 20, service: str = "frontend"
) -> pd.DataFrame:
    index = pd.date_range(START, periods=rows, freq="1s", unit="us")
    columns = [*METRIC_COLUMNS, *EXTRA_COLUMNS]
    metrics = pd.DataFrame({name: 0.25 + n for n, name in enumerate(columns)}, index=index)
    metrics["mem_bytes_value"] = 52_428_800.0
    return unify(
        metrics, experiment_id=experiment_id, service=service, scenario="browsing", replica_count=2, load_users=40
    )


def make_card(frame: pd.DataFrame, **more: Any) -> dict[str, Any]:
    first = frame.iloc[0]
    return {"experiment_id": first["experiment_id"], "service": first["service"], **more}


def write(data_dir: Path, frame: pd.DataFrame, **more: Any) -> Path:
    return write_experiment(data_dir, frame, make_card(frame, **more))


def edit(path: Path, change: Callable[[list[str]], None]) -> None:
    """Change a file's lines; line n of a message is lines[n - 1]."""
    lines = path.read_text().split("\n")
    change(lines)
    path.write_text("\n".join(lines))


def set_field(line: int, column: str, value: str) -> Callable[[list[str]], None]:
    def change(lines: list[str]) -> None:
        fields = lines[line - 1].split(",")
        fields[lines[0].split(",").index(column)] = value
        lines[line - 1] = ",".join(fields)

    return change
