"""The yardstick: use stays what it was in the last window, or over the last horizon.

Over neighbouring steps nothing is easier to believe and hard to beat; a forecaster that does worse on validation data
does not earn its place in the blend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mora.domain import Reason, Target
from mora.domain.learning import AfterWindow, AtLoad, Experiments, Level, Past, Place, Saved
from mora.features import TARGET_COLUMNS, TARGETS, level_of
from mora.forecasters.horizon import plain_at
from mora.fusion import NAIVE
from mora.seams import Reporter


@dataclass(frozen=True, slots=True)
class FittedNaive:
    """The last window's own mean and p95, or the last horizon's; it knows nothing of a load."""

    reasons: tuple[Reason, ...] = ()

    def levels(self, places: Sequence[Place]) -> list[Mapping[Target, Level]]:
        """What the window, or the horizon, before each place was."""
        return [_before(place) for place in places]

    def save(self) -> Saved:
        """Nothing: nothing is learned."""
        return Saved()


def _before(place: Place) -> dict[Target, Level]:
    if isinstance(place, AtLoad):
        return {}
    if isinstance(place, AfterWindow):
        known = [target for target in TARGETS if TARGET_COLUMNS[target] in place.segment.values]
        return {target: level_of(place.segment.values[TARGET_COLUMNS[target]]) for target in known}
    if place.row < 1:
        return {}
    known = [target for target in TARGETS if TARGET_COLUMNS[target] in place.grid.means]
    return {target: plain_at(place.grid, TARGET_COLUMNS[target], place.row)[NAIVE] for target in known}


class NaiveForecaster:
    """The forecast that every other one is measured against."""

    name = NAIVE
    is_refitted = True

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedNaive:
        """Ready at once: all that counts is the window at hand."""
        return FittedNaive()

    def restore(self, saved: Saved) -> FittedNaive:
        """As fitted."""
        return FittedNaive()
