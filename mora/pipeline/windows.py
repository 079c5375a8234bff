"""Time ranges on a grid: how far back history is read, and at which step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mora.domain import Window
from mora.errors import BadInput
from mora.quantities import format_duration

# The most samples that a history is read with when no step is named: two weeks at one a minute.
_HISTORY_SAMPLES = 20_160
_LONGEST_HISTORY = timedelta(days=3653)
_HISTORY_STEPS_SECONDS = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def history_window(span: timedelta, *, step: timedelta | None = None, now: datetime | None = None) -> Window:
    """The last `span` on a grid; without a step the finest round one that gives at most two weeks of minutes.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 11, 21, 12, 0, 7, tzinfo=UTC)
    >>> history_window(timedelta(days=14), now=at).step, history_window(timedelta(hours=2), now=at).step
    (datetime.timedelta(seconds=60), datetime.timedelta(seconds=15))
    """
    if span > _LONGEST_HISTORY:
        raise BadInput(
            f"A history of {format_duration(span)} is asked for; 10 years are the most.",
            hint="Two weeks are usual: 14d.",
        )
    if step is None:
        # A finer grid than the usual scrape interval adds nothing.
        shortest = max(15.0, span.total_seconds() / _HISTORY_SAMPLES)
        step = timedelta(seconds=next((s for s in _HISTORY_STEPS_SECONDS if s >= shortest), _HISTORY_STEPS_SECONDS[-1]))
    moment = (now or datetime.now(UTC)).timestamp()
    end = datetime.fromtimestamp(moment - moment % step.total_seconds(), UTC)
    return Window(end - (span // step) * step, end, step)


# Longer histories are read on the grid that the rules were scored on (mora/bounds: five minutes); shorter ones have
# few samples, and cost little on a finer one.
_FLEET_STEP, _FINE_STEP = timedelta(minutes=5), timedelta(minutes=1)
_FINE_BELOW = timedelta(days=2)


def fleet_window(span: timedelta, *, now: datetime | None = None) -> Window:
    """The last `span` on the grid that many workloads are read on.

    >>> fleet_window(timedelta(days=14)).sample_count, fleet_window(timedelta(days=1)).sample_count
    (4033, 1441)
    """
    return history_window(span, step=_FLEET_STEP if span >= _FINE_BELOW else _FINE_STEP, now=now)
