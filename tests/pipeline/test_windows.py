"""Time ranges are on a round grid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mora import pipeline


def test_a_history_is_read_on_a_round_grid_that_ends_in_the_past() -> None:
    now = datetime(2026, 11, 21, 12, 34, 56, tzinfo=UTC)
    window = pipeline.history_window(timedelta(days=60), now=now)
    assert window.step == timedelta(minutes=5)
    assert window.end <= now < window.end + window.step
    assert window.end.timestamp() % 300 == 0
    assert window.end - window.start == timedelta(days=60)
