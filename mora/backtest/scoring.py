"""How a rule's reservations fared: what they cost, how often and how far use went above them.

The definitions are fixed: figures of different versions compare. A window is scored where at least one of its samples
is known and one was known before it began. That does not depend on the rule, so all rules are scored on the same
samples. Gaps are not scored. A series whose scored use sums to zero is skipped, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mora.backtest.policy import Floats, Indices, Resource, Series

# Use above the reservation costs this many times what reserving it would have: it is throttled or evicted.
UNMET_PRICE = 20.0


@dataclass(frozen=True, slots=True)
class SeriesScore:
    """One series under one rule: sums over the scored samples, in the resource's unit times samples.

    samples: how many were scored; exceeded_samples: how many of them are above the reservation. windows and
    exceeded_windows likewise: a window is exceeded with any such sample. changes: how often the reservation became
    another one, in so many hours.
    """

    used: float
    reserved: float
    unmet: float
    samples: int
    exceeded_samples: int
    windows: int
    exceeded_windows: int
    changes: int = 0
    hours: float = 0.0

    @property
    def reserved_per_used(self) -> float:
        """How many times the use is reserved."""
        return self.reserved / self.used

    @property
    def cost(self) -> float:
        """(reserved + 20 x unmet) / used: 1 is what an oracle that moves with every sample would pay."""
        return (self.reserved + UNMET_PRICE * self.unmet) / self.used

    @property
    def changes_per_day(self) -> float:
        """How often the reservation became another one in 24 hours."""
        return 24.0 * self.changes / self.hours if self.hours else 0.0

    def cost_with_changes(self, change_price_hours: float) -> float:
        """The cost, where every change costs as much as so many hours of the series' mean use."""
        return self.cost + change_price_hours * self.changes_per_day / 24.0


@dataclass(frozen=True, slots=True)
class Score:
    """One rule over all series of one resource.

    series: how many were scored. reserved_per_used and cost: geometric means over them (and the former's median);
    samples_exceeded, windows_exceeded, unmet: means over them, of the share of samples and of windows in which use
    exceeds the reservation, and of use above it per use. changes_per_day: mean over them. cost_with_changes: as cost,
    with the price of a change.
    """

    series: int
    reserved_per_used: float
    reserved_per_used_median: float
    samples_exceeded: float
    windows_exceeded: float
    unmet: float
    cost: float
    changes_per_day: float = 0.0
    cost_with_changes: float = 0.0


@dataclass(frozen=True, slots=True)
class Scored:
    """The samples of one series and resource that are scored.

    values: known samples within scored windows. window: for each, the number of its window among all decisions.
    """

    values: Floats
    window: NDArray[np.int64]


def scored_samples(one: Series, resource: Resource, at: Indices, until: Indices) -> Scored:
    """What is scored of a series; empty where it has no such resource."""
    use = one.use(resource)
    if use is None or not len(at):
        return Scored(np.empty(0), np.empty(0, dtype=np.int64))
    is_known = ~np.isnan(use)
    first = int(np.argmax(is_known)) if is_known.any() else len(use)
    number = np.searchsorted(at, np.arange(len(use)), side="right") - 1
    inside = (number >= 0) & (np.arange(len(use)) < until[number]) & (at[number] > first)
    chosen = np.flatnonzero(inside & is_known)
    return Scored(use[chosen], number[chosen].astype(np.int64))


def score_series(scored: Scored, reservations: Floats, *, changes: int = 0, renew_seconds: float = 0.0) -> SeriesScore:
    """One rule's reservations (one per decision) against the samples of their windows.

    changes: how many decisions changed the reservation; renew_seconds: from one decision to the next.
    """
    reserved = reservations[scored.window]
    over = scored.values > reserved
    return SeriesScore(
        used=float(scored.values.sum()),
        reserved=float(reserved.sum()),
        unmet=float((scored.values - reserved)[over].sum()),
        samples=len(scored.values),
        exceeded_samples=int(over.sum()),
        windows=len(np.unique(scored.window)),
        exceeded_windows=len(np.unique(scored.window[over])),
        changes=changes,
        hours=len(reservations) * renew_seconds / 3600.0,
    )


def series_scores(
    samples: Sequence[Scored], reservations: Sequence[Floats], changes: Sequence[int], renew_seconds: int
) -> list[SeriesScore]:
    """The scores of the series that used anything. samples, reservations, changes: one per series."""
    return [
        score_series(scored, reserved, changes=count, renew_seconds=renew_seconds)
        for scored, reserved, count in zip(samples, reservations, changes, strict=True)
        if len(scored.values) and float(scored.values.sum()) > 0
    ]


def score(series: Sequence[SeriesScore], *, change_price_hours: float = 0.0) -> Score | None:
    """All series' scores as one; None where none of them used anything.

    change_price_hours: what a change costs, in hours of the mean use of the series that is changed.
    """
    busy = [one for one in series if one.used > 0]
    if not busy:
        return None
    ratios = np.array([one.reserved_per_used for one in busy])
    return Score(
        series=len(busy),
        reserved_per_used=_geometric_mean(ratios),
        reserved_per_used_median=float(np.median(ratios)),
        samples_exceeded=float(np.mean([one.exceeded_samples / one.samples for one in busy])),
        windows_exceeded=float(np.mean([one.exceeded_windows / one.windows for one in busy])),
        unmet=float(np.mean([one.unmet / one.used for one in busy])),
        cost=_geometric_mean(np.array([one.cost for one in busy])),
        changes_per_day=float(np.mean([one.changes_per_day for one in busy])),
        cost_with_changes=_geometric_mean(np.array([one.cost_with_changes(change_price_hours) for one in busy])),
    )


def _geometric_mean(values: Floats) -> float:
    with np.errstate(divide="ignore"):  # a rule that reserves nothing has a ratio of 0, and so has the mean
        return float(np.exp(np.log(values).mean()))


def oracle(scored: Scored, decisions: int) -> Floats:
    """The cheapest constant for each window, known only in hindsight; NaN where nothing is scored.

    cost(r) = n r + 20 sum (u - r)+ falls as long as more than n/20 samples lie above r: the minimum is at the sample
    with floor(n/20) above it. A day of 5-minute samples leaves 14 of 288 above; an hour none of 12.
    """
    found = np.full(decisions, np.nan)
    begins = np.flatnonzero(np.diff(scored.window, prepend=-1))
    for begin, end in pairwise(np.append(begins, len(scored.window))):
        values = np.sort(scored.values[begin:end])
        found[scored.window[begin]] = values[len(values) - 1 - int(len(values) / UNMET_PRICE)]
    return found
