"""A quick look at the end of a history: whether it may be abnormal there, so that it is worth a detector.

A detector takes some 15 ms of CPU for a container's two weeks, half as much as reading and sizing them. Five in six are
plainly as ever: nothing of their last hour lies outside of what they were before, nor far from the same hour of the
days before. experiments/benchmarks/health_gate.py prints how many of the detector's verdicts that look keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window

Floats = NDArray[np.float64]

_LOOKED_AT = timedelta(hours=1)
_DAY = timedelta(hours=24)
# The share of samples on either side that a level is not compared with.
_TAIL = 0.005
# A sample alone is an outlier: passing over it spares a quarter of the detectors, and no verdict.
_ALONE = 1
# How many spreads of the same hour of other days the last hour's mean may lie from their median.
_FAR = 4.0
_NORMAL = 0.6745


def may_be_abnormal(metrics: Mapping[str, Floats], window: Window) -> bool:
    """Whether any metric's last hour stands out. metrics: name -> samples, shape (window.sample_count,)."""
    hour, day = (max(1, round(span / window.step)) for span in (_LOOKED_AT, _DAY))
    return any(_stands_out(values, hour, day) for values in metrics.values())


def _stands_out(values: Floats, hour: int, day: int) -> bool:
    last, before = values[-hour:], values[:-hour]
    last, known = np.sort(last[~np.isnan(last)]), before[~np.isnan(before)]
    if len(last) <= _ALONE or not len(known):
        return False
    rank = int(_TAIL * len(known))
    parted = np.partition(known, (rank, len(known) - 1 - rank))
    if last[-1 - _ALONE] > parted[len(known) - 1 - rank] or last[_ALONE] < parted[rank]:
        return True
    days = len(before) // day
    if days < 2:
        return False
    # The same hour of the days before ends a whole number of days before the end.
    starts = len(values) - hour - day * np.arange(1, days + 1)
    others = values[starts[starts >= 0, None] + np.arange(hour)]
    is_known = ~np.isnan(others)
    counts = is_known.sum(axis=1)
    means = np.where(is_known, others, 0.0).sum(axis=1)[counts > 0] / counts[counts > 0]
    if len(means) < 2:
        return False
    middle = float(np.median(means))
    spread = float(np.median(np.abs(means - middle))) / _NORMAL
    # Where every day is alike, what one day's samples stray by.
    spread = max(spread, float(last.std()), abs(middle) / 100)
    return abs(float(last.mean()) - middle) > _FAR * spread
