"""Outages of a dependency, which are a certain cause of what their callers used meanwhile.

Retries, waiting requests and their memory are no need of the caller's own, where as many requests came in as at other
times and the calls that failed succeed again. Whatever else came with an outage (more load than ever, a failure that
has not ended or comes often) may come again, and stays.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import FailingCalls, Window
from mora.fleet.evidence import Floats, moment
from mora.fleet.spans import Span
from mora.quantities import format_duration

# Half of the calls fail in an outage; what lies between two such moments less than this apart is of the same.
_OUT = 0.5
_NEAR = timedelta(minutes=15)
_LEAST = timedelta(minutes=10)
# Before and after it, for so long, so few fail.
_AROUND = timedelta(hours=1)
_WELL = 0.05
# As many requests as usual: no more than a tenth above the high level of the rest.
_USUAL, _AS_MANY = 0.95, 1.1
# What is out for longer than this share of the history is no incident.
_MOST = 0.05


def outages_of(calls: FailingCalls, window: Window) -> list[tuple[Span, str]]:
    """The outages of one destination that are certain, each with what shows it, in order. Pure.

    Every part has to be known: calls that failed, calls before and after that did not, and the requests that came in.
    """
    out = np.nan_to_num(calls.failed) >= _OUT
    if not out.any() or out.mean() > _MOST:
        return []
    rest = calls.requests[~out & ~np.isnan(calls.requests)]
    if len(rest) < 0.5 * len(out):
        return []
    usual = _AS_MANY * float(np.quantile(rest, _USUAL))
    around = max(round(_AROUND / window.step), 1)
    found = []
    for first, last in _runs(out, max(round(_NEAR / window.step), 1)):
        long = (last - first + 1) * window.step
        if first < around or last + around >= len(out):
            continue
        before, after = calls.failed[first - around : first], calls.failed[last + 1 : last + 1 + around]
        came = calls.requests[first : last + 1]
        is_usual = not np.isnan(came).any() and float(np.median(came)) > 0 and float(came.max()) <= usual
        # A rate looks back over a step: the first sample after an outage still has some of its failures.
        if long >= _LEAST and is_usual and _is_well(before[:-1], around) and _is_well(after[1:], around):
            share = float(np.nanmean(calls.failed[first : last + 1]))
            text = (
                f"{share:.0%} of the calls to {calls.destination} failed for {format_duration(long)}, and none or few "
                f"in the hour before and after; {float(came.mean()):.3g} requests/s came in meanwhile, as usual"
            )
            found.append((Span(moment(window, first - 1), moment(window, last + 1)), text))
    return found


def _is_well(failed: Floats, around: int) -> bool:
    """Whether calls are known for half of the time, and hardly any of them failed."""
    known = failed[~np.isnan(failed)]
    return len(known) >= max(0.5 * (around - 1), 1) and bool(np.mean(known) <= _WELL)


def _runs(out: NDArray[np.bool_], apart: int) -> list[tuple[int, int]]:
    """First and last row of each run, those that lie near each other joined."""
    runs: list[tuple[int, int]] = []
    for row in np.flatnonzero(out).tolist():
        if runs and row - runs[-1][1] <= apart:
            runs[-1] = (runs[-1][0], row)
        else:
            runs.append((row, row))
    return runs
