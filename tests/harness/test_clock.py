"""The machine's clock."""

from __future__ import annotations

from datetime import UTC

from mora.harness.clock import SystemClock


def test_the_system_clock_tells_utc_and_sleeps_at_least_as_long_as_asked() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.sleep(0.01)
    assert before.tzinfo is UTC
    assert (clock.now() - before).total_seconds() >= 0.01
