"""From the results of single series to a row a detector: means over a set with their intervals, events added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mora.health.contest import Result
from mora.health.measures import Events, pooled

_DRAWS = 2000
_SEED = 7


@dataclass(frozen=True, slots=True)
class Ranked:
    """One detector on one set.

    series, failed: series that were scored, and that the detector refused. vus_pr, auc_pr, range_f1: means over the
    scored ones. vus_low, vus_high: its 95 % bootstrap interval over series. events: added up over them. fit_seconds,
    score_seconds: of CPU, mean of a series. ahead: mean of its VUS-PR less the reference's on the same series, with
    its interval; None where it is the reference, or shares no series with it.
    """

    detector: str
    set_name: str
    series: int
    failed: int
    vus_pr: float
    vus_low: float
    vus_high: float
    auc_pr: float
    range_f1: float
    events: Events
    fit_seconds: float
    score_seconds: float
    ahead: tuple[float, float, float] | None = None


def ranking(results: Sequence[Result], threshold: str, *, reference: str = "") -> list[Ranked]:
    """A row for each detector and set, sets in their order, the best VUS-PR first. reference: a detector's text."""
    sets = list(dict.fromkeys(result.set_name for result in results))
    detectors = list(dict.fromkeys(result.detector for result in results))
    known = {(result.detector, result.set_name, result.series): result.vus_pr for result in results}
    found: list[Ranked] = []
    for set_name in sets:
        rows = []
        for detector in detectors:
            own = [one for one in results if (one.detector, one.set_name) == (detector, set_name)]
            ahead = [
                one.vus_pr - known.get((reference, set_name, one.series), np.nan)
                for one in own
                if detector != reference
            ]
            rows.append(_ranked(own, threshold, np.array(ahead)))
        found += sorted(rows, key=lambda row: -np.nan_to_num(row.vus_pr, nan=-1.0))
    return found


def _ranked(own: Sequence[Result], threshold: str, ahead: NDArray[np.float64]) -> Ranked:
    scored = [one for one in own if np.isfinite(one.vus_pr)]
    mean, low, high = interval(np.array([one.vus_pr for one in scored]))
    ahead = ahead[np.isfinite(ahead)]
    return Ranked(
        own[0].detector,
        own[0].set_name,
        len(scored),
        len(own) - len(scored),
        mean,
        low,
        high,
        _mean([one.auc_pr for one in scored]),
        _mean([one.range_f1[threshold] for one in scored if threshold in one.range_f1]),
        pooled(one.events[threshold] for one in scored if threshold in one.events),
        _mean([one.fit_seconds for one in scored]),
        _mean([one.score_seconds for one in scored]),
        interval(ahead) if len(ahead) else None,
    )


def interval(values: NDArray[np.float64], *, seed: int = _SEED) -> tuple[float, float, float]:
    """The mean, and where 95 % of the means of resampled series lie; NaN where there is no value.

    >>> interval(np.array([0.5, 0.5]))
    (0.5, 0.5, 0.5)
    """
    if not len(values):
        return np.nan, np.nan, np.nan
    draws = np.random.default_rng(seed).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
