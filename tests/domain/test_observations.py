"""Experiments and time ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mora.domain import (
    Experiment,
    Window,
)
from mora.errors import BadInput

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("repeat", "experiment_id"),
    [(1, "frontend_browsing_replicas_2_users_50"), (3, "frontend_browsing_replicas_2_users_50_run_3")],
)
def test_an_experiment_is_called_after_its_cell(repeat: int, experiment_id: str) -> None:
    assert Experiment("frontend", "browsing", 2, 50, repeat).id == experiment_id


def test_a_window_counts_both_its_ends() -> None:
    assert Window(NOON, NOON, timedelta(seconds=1)).sample_count == 1
    assert Window(NOON, NOON + timedelta(minutes=1), timedelta(seconds=15)).sample_count == 5


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        (NOON, NOON - timedelta(seconds=1), timedelta(seconds=1)),
        (NOON, NOON, timedelta(0)),
        (NOON.replace(tzinfo=None), NOON, timedelta(seconds=1)),
    ],
)
def test_a_window_that_cannot_be_is_refused(start: datetime, end: datetime, step: timedelta) -> None:
    with pytest.raises(BadInput):
        Window(start, end, step)
