"""Which samples are fresh: a Prometheus repeats the last one for five minutes after the scrapes ended.

Memory then stands still and rates fall slowly towards nothing, and neither looks like a gap. So the age of the newest
sample is asked for beside the values (promql.newest_sample_age), and what rests on old ones is blanked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window
from mora.quantities import format_duration, format_moment
from mora.sources.prometheus.frames import Answers, Series

# A scrape later than that is one that did not come.
_INTERVALS = 1.5
# cAdvisor looks at a container up to 15 s before it is scraped, the kubelet's longest housekeeping interval, and gives
# its samples that moment. What is scraped more often than every 10 s is no kubelet.
_LATENESS, _OFTEN = timedelta(seconds=15), timedelta(seconds=10)
# A rate over a span of which more than this share was not scraped is too low.
_MISSED_SHARE = 0.25
_LEVELS = ("mem_bytes_value", "mem_bytes_total")
_RATES = ("cpu_cores_value", "cpu_cores_total", "net_rx_bytes_value", "net_tx_bytes_value", "throttled_ratio")

Flags = NDArray[np.bool_]


def before(window: Window, span: timedelta) -> Window:
    """A window that begins a span earlier, on the same grid: rates reach back so far."""
    return replace(window, start=window.start - math.ceil(span / window.step) * window.step)


@dataclass(frozen=True, slots=True)
class Silence:
    """Where a workload was not scraped, row by row of its window.

    old: the newest sample of some container is too old. broken: so it was within the rate window.
    """

    old: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    broken: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    interval: timedelta = timedelta()

    @classmethod
    def of(cls, ages: Sequence[Series], window: Window, interval: timedelta, rate_window: timedelta) -> Silence:
        """The silence that the ages of the newest samples tell of.

        ages: in seconds, a series a container, on a window that begins a rate window earlier (before()).
        """
        ahead = math.ceil(rate_window / window.step)
        oldest = np.full(window.sample_count, np.nan)
        for series in ages:
            oldest = np.fmax(oldest, series.values)
        allowed = _INTERVALS * interval
        if interval >= _OFTEN:
            allowed = max(allowed, interval + _LATENESS)
        old = oldest > allowed.total_seconds()
        long = max(allowed, interval + _MISSED_SHARE * rate_window).total_seconds()
        return cls(old[ahead:], (old | _after(oldest, long, window, rate_window))[ahead:], interval)

    def blank(self, answers: Answers, window: Window) -> Answers:
        """The answers without what rests on old samples."""
        if not self.broken.any():
            return answers
        flags = {**dict.fromkeys(_LEVELS, self.old), **dict.fromkeys(_RATES, self.broken)}
        return {
            column: [
                replace(one, values=np.where(flags[column], np.nan, one.values)) if column in flags else one
                for one in found
            ]
            for column, found in answers.items()
        }

    def words(self, window: Window) -> tuple[str, ...]:
        """What was blanked and why, for the warnings; nothing where nothing was."""
        rows = np.flatnonzero(self.broken)
        if not len(rows):
            return ()
        first, last = (format_moment(window.start + int(row) * window.step, "seconds") for row in (rows[0], rows[-1]))
        return (
            f"{len(rows):,} of {window.sample_count:,} samples between {first} and {last} are blank: cAdvisor was not "
            f"scraped there, or shortly before (usually every {format_duration(self.interval)}).",
        )


def _after(ages: NDArray[np.float64], long: float, window: Window, rate_window: timedelta) -> Flags:
    """The rows whose rate window reaches back into a silence longer than `long`, in seconds."""
    moments = np.arange(len(ages)) * window.step.total_seconds()
    found = np.zeros(len(ages), dtype=np.bool_)
    ends = np.flatnonzero((ages[:-1] > long) & ~(ages[1:] > long)) + 1
    for row in ends.tolist():
        scraped_again = moments[row] - np.nan_to_num(ages[row])
        found |= (moments >= moments[row]) & (moments < scraped_again + rate_window.total_seconds())
    return found
