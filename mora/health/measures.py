"""How well scores and alarms meet labels. Pure; numpy alone.

Point adjustment is not used: under it a random score reaches the state of the art. An event can be "found" by alarming
all the time, so `flagged_share` stands beside every figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mora.health.events import SAME_EVENT

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Alarms no further apart than this are one event: one page to the person on call.
EVENT_SECONDS = SAME_EVENT.total_seconds()
_THRESHOLDS = 250
# Of a labelled range's recall, the share that is given for touching it at all; the rest is for how much of it is
# covered. As in TSB-AD.
_EXISTENCE = 0.2


@dataclass(frozen=True, slots=True)
class Events:
    """Counts of one series, to be added up over many.

    labelled: labelled ranges. found: those with an alarm inside. alarms: alarm events. true: those that touch a
    labelled range. delays: for each found range, seconds from its first sample to the first alarm in it. days: time
    that was judged. judged, flagged: samples, and those with an alarm.
    """

    labelled: int = 0
    found: int = 0
    alarms: int = 0
    true: int = 0
    delays: tuple[float, ...] = ()
    days: float = 0.0
    judged: int = 0
    flagged: int = 0

    @property
    def precision(self) -> float:
        """The share of alarm events that touch a labelled range; 0 where there is no alarm."""
        return self.true / self.alarms if self.alarms else 0.0

    @property
    def recall(self) -> float:
        """The share of labelled ranges with an alarm inside; NaN where nothing is labelled."""
        return self.found / self.labelled if self.labelled else np.nan

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        return harmonic(self.precision, self.recall)

    @property
    def false_alarms_per_day(self) -> float:
        """Alarm events that touch no labelled range, for each day that was judged."""
        return (self.alarms - self.true) / self.days if self.days else np.nan

    @property
    def flagged_share(self) -> float:
        """The share of samples with an alarm."""
        return self.flagged / self.judged if self.judged else np.nan

    @property
    def median_delay(self) -> float:
        """Seconds; NaN where nothing was found."""
        return float(np.median(self.delays)) if self.delays else np.nan


def pooled(events: Iterable[Events]) -> Events:
    """The counts of many series as those of one, days added up.

    >>> pooled([Events(labelled=2, found=1, alarms=1, true=1), Events(labelled=2, found=1, alarms=3, true=1)]).f1
    0.5
    """
    parts = list(events)
    return Events(
        labelled=sum(part.labelled for part in parts),
        found=sum(part.found for part in parts),
        alarms=sum(part.alarms for part in parts),
        true=sum(part.true for part in parts),
        delays=tuple(delay for part in parts for delay in part.delays),
        days=sum(part.days for part in parts),
        judged=sum(part.judged for part in parts),
        flagged=sum(part.flagged for part in parts),
    )


def harmonic(precision: float, recall: float) -> float:
    """F1.

    >>> harmonic(0.5, 0.5), harmonic(0.0, 0.0)
    (0.5, 0.0)
    """
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def ranges_of(flags: NDArray[np.generic]) -> NDArray[np.int64]:
    """The runs of true, a row each: first sample, sample after the last.

    >>> ranges_of(np.array([0, 1, 1, 0, 1])).tolist()
    [[1, 3], [4, 5]]
    """
    edges = np.flatnonzero(np.diff(np.r_[False, flags.astype(bool), False].astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def alarm_events(seconds: Floats, alarms: Flags, within: float = EVENT_SECONDS) -> NDArray[np.int64]:
    """The events of alarms, a row each: position of the first alarm, position after the last.

    seconds: when each sample was taken, rising. Alarms no more than `within` seconds apart belong to one event.

    >>> alarm_events(np.array([0.0, 60, 120, 4000]), np.array([True, False, True, True])).tolist()
    [[0, 3], [3, 4]]
    """
    at = np.flatnonzero(alarms)
    if not len(at):
        return np.empty((0, 2), dtype=np.int64)
    first = np.r_[True, np.diff(seconds[at]) > within]
    last = np.r_[first[1:], True]
    return np.stack([at[first], at[last] + 1], axis=1).astype(np.int64)


def count_events(seconds: Floats, labels: Flags, alarms: Flags, within: float = EVENT_SECONDS) -> Events:
    """Labelled ranges and alarm events of one series, and which of them meet: an alarm lies in the labelled range.

    >>> minutes = np.arange(0, 600, 60.0)
    >>> labels, alarms = np.isin(np.arange(10), [3, 4, 5]), np.isin(np.arange(10), [5, 6])
    >>> counted = count_events(minutes, labels, alarms)
    >>> counted.precision, counted.recall, counted.delays
    (1.0, 1.0, (120.0,))
    """
    labels, alarms = labels.astype(bool), alarms.astype(bool)
    hits = np.r_[0, np.cumsum(alarms & labels)]
    labelled, alarmed = ranges_of(labels), alarm_events(seconds, alarms, within)
    found = labelled[hits[labelled[:, 1]] > hits[labelled[:, 0]]]
    true = hits[alarmed[:, 1]] > hits[alarmed[:, 0]]
    delays = [float(seconds[start + np.argmax(alarms[start:end])] - seconds[start]) for start, end in found]
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    return Events(
        labelled=len(labelled),
        found=len(found),
        alarms=len(alarmed),
        true=int(true.sum()),
        delays=tuple(delays),
        # Only time that has samples: a gap of a week raises no alarm.
        days=step * len(seconds) / 86400,
        judged=len(seconds),
        flagged=int(alarms.sum()),
    )


def auc_pr(labels: Flags, scores: Floats) -> float:
    """Average precision: the area under precision over recall, in steps. NaN where nothing is labelled.

    A sample without a score counts as the least abnormal.

    >>> auc_pr(np.array([0, 1, 1, 0]) > 0, np.array([0.1, 0.9, 0.8, 0.2]))
    1.0
    """
    labels = labels.astype(bool)
    if not labels.any():
        return float("nan")
    scores = _ranked(scores)
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])
    # No threshold separates samples of one score.
    last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    gained = np.diff(np.r_[0, found[last]])
    return float((gained * found[last] / (last + 1)).sum() / found[-1])


def range_f1(labels: Flags, alarms: Flags) -> float:
    """The F1 of ranges: how much of each labelled range is covered, and of each alarm range is labelled.

    A range that others cut into pieces is worth as many times less. 0 where there is no alarm; NaN where nothing is
    labelled. Source: Tatbul et al. (2018), "Precision and Recall for Time Series"; weights as in TSB-AD.
    """
    labels, alarms = labels.astype(bool), alarms.astype(bool)
    if not labels.any():
        return float("nan")
    return harmonic(_range_recall(alarms, labels, 0.0), _range_recall(labels, alarms, _EXISTENCE))


def _range_recall(flags: Flags, others: Flags, existence: float) -> float:
    """How well the ranges of `flags` are covered by those of `others`, the mean over them."""
    ranges, covering = ranges_of(flags), ranges_of(others)
    if not len(ranges):
        return 0.0
    sums = np.r_[0, np.cumsum(others)]
    covered = sums[ranges[:, 1]] - sums[ranges[:, 0]]
    # Covering ranges that begin before this one ends, less those that ended before it began.
    pieces = np.searchsorted(covering[:, 0], ranges[:, 1], "left") - np.searchsorted(
        covering[:, 1], ranges[:, 0], "right"
    )
    overlap = covered / (ranges[:, 1] - ranges[:, 0]) / np.maximum(pieces, 1)
    return float((existence * (covered > 0) + (1 - existence) * overlap).mean())


def vus_pr(labels: Flags, scores: Floats, window: int) -> float:
    """The volume under the surface of precision, recall and tolerance: 1 is best. NaN where nothing is labelled.

    Labels are stretched by w / 2 samples to both sides, falling off as sqrt(1 - distance / w), for each w from 0 to
    `window`; for each, the area under precision over recall is taken at 250 thresholds. Recall is multiplied by the
    share of labelled ranges that are touched. A sample without a score counts as the least abnormal.
    Source: Paparrizos et al. (2022), "Volume Under the Surface", as computed by TSB-AD (`RangeAUC_volume_opt`).

    >>> labels = np.isin(np.arange(100), [40, 41, 42])
    >>> round(vus_pr(labels, labels * 1.0, 10), 2) > round(vus_pr(labels, np.arange(100.0), 10), 2)
    True
    """
    labels = labels.astype(bool)
    if not labels.any():
        return float("nan")
    scores = _ranked(scores)
    ranges, count = ranges_of(labels), len(scores)
    descending = -np.sort(-scores)
    thresholds = descending[np.linspace(0, count - 1, _THRESHOLDS).astype(np.int64)]
    predicted = np.searchsorted(-descending, -thresholds, "right")
    near = np.flatnonzero(_stretched(ranges, count, window) > 0)
    near = near[np.argsort(-scores[near], kind="stable")]
    # How many of the samples near a label each threshold flags.
    flagged = np.searchsorted(-scores[near], -thresholds, "right")
    labelled_near, total = labels[near], int(labels.sum())
    areas = np.empty(window + 1)
    for width in range(window + 1):
        weights = _stretched(ranges, count, width)[near]
        hit = np.r_[0.0, np.cumsum(weights)][flagged]
        # Labelled samples count in full whether flagged or not, stretched ones only where flagged.
        soft = np.r_[0.0, np.cumsum(np.where(labelled_near, 0.0, weights))][flagged]
        expected = (total + total + soft) / 2
        touched = _touched(ranges, scores, width, thresholds)
        recall = np.minimum(hit / expected, 1.0) * touched
        areas[width] = np.dot(np.diff(np.r_[0.0, recall]), hit / predicted)
    return float(areas.mean())


def _ranked(scores: Floats) -> Floats:
    known = np.where(np.isnan(scores), -np.inf, scores)
    # Infinite scores are far away, not beyond comparison.
    return np.nan_to_num(known, nan=0.0, posinf=np.finfo(np.float64).max, neginf=np.finfo(np.float64).min)


def _stretched(ranges: NDArray[np.int64], count: int, width: int) -> Floats:
    """Weights of all samples, 1 on labelled ones."""
    weights = np.zeros(count)
    half = width // 2
    fall = np.sqrt(1 - np.arange(1, half + 1) / width) if half else np.empty(0)
    for start, end in ranges:
        weights[start:end] = 1.0
        after, before = min(half, count - end), min(half, start)
        weights[end : end + after] += fall[:after]
        weights[start - before : start] += fall[:before][::-1]
    return np.minimum(weights, 1.0)


def _touched(ranges: NDArray[np.int64], scores: Floats, width: int, thresholds: Floats) -> Floats:
    """The share of stretched ranges in which a threshold flags a sample; ranges that grow together are one."""
    half = width // 2
    starts, ends = np.maximum(ranges[:, 0] - half, 0), np.minimum(ranges[:, 1] + half, len(scores))
    apart = np.r_[True, ends[:-1] - 1 < starts[1:]] if len(ranges) > 1 else np.array([True])
    first, last = np.flatnonzero(apart), np.r_[np.flatnonzero(apart)[1:], len(ranges)] - 1
    highest = np.sort([scores[starts[a] : ends[b]].max() for a, b in zip(first, last, strict=True)])
    return (len(highest) - np.searchsorted(highest, thresholds, "left")) / len(highest)
