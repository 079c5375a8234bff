"""Time ranges are on a round grid."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from mora import pipeline
from mora.domain import Window
from mora.errors import BadInput


def test_a_history_is_read_on_a_round_grid_that_ends_in_the_past() -> None:
    now = datetime(2026, 11, 21, 12, 34, 56, tzinfo=UTC)
    window = pipeline.history_window(timedelta(days=60), now=now)
    assert window.step == timedelta(minutes=5)
    assert window.end <= now < window.end + window.step
    assert window.end.timestamp() % 300 == 0
    assert window.end - window.start == timedelta(days=60)


@pytest.mark.parametrize("window_of", [pipeline.history_window, pipeline.fleet_window])
def test_a_history_longer_than_any_is_refused(window_of: Callable[[timedelta], Window]) -> None:
    with pytest.raises(BadInput, match=r"history of 3654d .*10 years are the most"):
        window_of(timedelta(days=3654))
    assert window_of(timedelta(days=3653)).end.year > 2000
