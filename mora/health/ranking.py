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
# Resampling fewer series than this says little of others.
_LEAST_SURE = 5


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

    @property
    def is_surely_apart(self) -> bool:
        """Whether the interval of `ahead` leaves out 0, with enough series to say so."""
        if self.ahead is None or self.series < _LEAST_SURE:
            return False
        return self.ahead[1] > 0 or self.ahead[2] < 0


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
            if not own:
                continue
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
    """The mean, and where 95 % of the means of resampled series lie; NaN where there is none, or one value has no such.

    >>> interval(np.array([0.5, 0.5]))
    (0.5, 0.5, 0.5)
    """
    if len(values) < 2:
        return float(values.mean()) if len(values) else np.nan, np.nan, np.nan
    draws = np.random.default_rng(seed).integers(0, len(values), (_DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of a comparison. thresholds: their texts, the first one that of the tables. reference: a detector."""

    results: tuple[Result, ...]
    thresholds: tuple[str, ...]
    reference: str

    @property
    def sets(self) -> list[str]:
        """In the order they were asked for."""
        return list(dict.fromkeys(one.set_name for one in self.results))

    @property
    def detectors(self) -> list[str]:
        """In the order they were asked for."""
        return list(dict.fromkeys(one.detector for one in self.results))

    def ranked(self, threshold: str | None = None) -> list[Ranked]:
        """See ranking()."""
        return ranking(self.results, threshold or self.thresholds[0], reference=self.reference)

    def series_of(self, set_name: str) -> int:
        """How many series of a set any detector was asked about."""
        return len({one.series for one in self.results if one.set_name == set_name})

    def means(self) -> dict[str, float]:
        """Detector -> the mean of its VUS-PR on each set, the best first; those that lack a series are left out."""
        found = {}
        rows = self.ranked()
        for detector in self.detectors:
            own = [row for row in rows if row.detector == detector]
            if len(own) == len(self.sets) and all(row.series == self.series_of(row.set_name) for row in own):
                found[detector] = float(np.mean([row.vus_pr for row in own]))
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def failures(self) -> dict[str, str]:
        """Detector -> why it failed, the first of its series, and how many."""
        found: dict[str, str] = {}
        for detector in self.detectors:
            failed = [one for one in self.results if one.detector == detector and one.failure]
            if failed:
                own = sum(one.detector == detector for one in self.results)
                found[detector] = f"{len(failed)} of {own} series: {failed[0].failure}"
        return found
