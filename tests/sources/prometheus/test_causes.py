"""Warnings for what is missing name the metric and the probable cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mora.domain import Window
from mora.metrics import MEASURED_COLUMNS
from mora.sources.prometheus.causes import why_gaps
from mora.sources.prometheus.grid import index_of

END = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(END - timedelta(hours=10), END, timedelta(minutes=5))
ALLOCATED = ("cpu_request_cores", "cpu_limit_cores", "mem_request_bytes", "mem_limit_bytes")


def frame() -> pd.DataFrame:
    return pd.DataFrame(dict.fromkeys((*MEASURED_COLUMNS, *ALLOCATED), 1.0), index=index_of(WINDOW))


def test_a_whole_frame_has_no_warnings() -> None:
    assert why_gaps(frame(), WINDOW) == []


def test_an_empty_column_names_its_metric_and_its_exporter() -> None:
    (warning,) = why_gaps(frame().assign(cpu_cores_value=np.nan), WINDOW)
    assert "cpu_cores_value is empty: container_cpu_usage_seconds_total has no samples" in warning
    assert "cAdvisor" in warning


def test_requests_and_limits_that_are_not_set_are_one_warning() -> None:
    (warning,) = why_gaps(frame().assign(**dict.fromkeys(ALLOCATED, np.nan)), WINDOW)
    assert warning.startswith("cpu_request_cores, cpu_limit_cores, mem_request_bytes, mem_limit_bytes: empty")


def test_a_history_that_begins_late_or_ends_early_is_reported_with_its_moments() -> None:
    short = frame()
    short.loc[short.index[:60], "replica_count_value"] = np.nan
    short.loc[short.index[-12:], "replica_count_value"] = np.nan
    late, early = why_gaps(short, WINDOW)
    assert "is known from 2026-10-31 19:00 UTC on, not from 2026-10-31 14:00 UTC" in late
    assert "is last seen at 2026-10-31 23:00 UTC, before 2026-11-01 00:00 UTC" in early
