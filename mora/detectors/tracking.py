"""A threshold that follows slow change: peaks over threshold first, then conformal tracking.

It climbs while scores exceed it and sinks slowly while they do not, so that in the long run few do. What keeps it from
learning an incident as normal:

- What a score does to it comes an hour late.
- A score lifts it to nine tenths of itself at most: an incident that comes back on the next day is seen again.
- Only what lasts for a day is the new normal, and lifts it in full.

Source: Gibbs & Candès (2021), "Adaptive Conformal Inference Under Distribution Shift"; the three rules are MOrA's own.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from mora.detectors.levels import HOUR_SECONDS, known_scores, restored_numbers
from mora.detectors.options import number_between, whole_number
from mora.detectors.peaks import pareto_level
from mora.domain.learning import Saved
from mora.errors import BadModel

_LIFT = 0.9
_NEW_NORMAL_HOURS = 24
_MOST_CLIMB, _MOST_HOLD = 100.0, 1_000_000
_NUMBERS = ("risk", "climb", "hold", "base", "level", "age", "quiet")


class Tracking:
    """The default.

    risk: the share of healthy scores above it at the start, and about the share in the long run. climb: by which share
    of its first level it climbs for each score above it. hold: after how many scores what a score does to it takes
    effect; unless given, an hour's worth as pace() says, 60 without.
    """

    name = "tracking"

    def __init__(self, risk: float = 0.0015, *, climb: float = 0.2, hold: int | None = None) -> None:
        self.risk = number_between("risk", risk, 0, 1)
        self.climb = number_between("climb", climb, 0, _MOST_CLIMB)
        self.hold = 60 if hold is None else whole_number("hold", hold, 0, _MOST_HOLD)
        self._is_paced = hold is not None
        self.level = self.base = np.inf
        # How many scores the event has lasted that goes on, and how many have passed since its last one; -1: there is
        # no event.
        self._age, self._quiet = -1, 0
        self._waiting: deque[float] = deque()

    def pace(self, step_seconds: float) -> None:
        """Count an hour in steps of this length, unless `hold` was given; before fit()."""
        if not self._is_paced:
            self.hold = max(1, round(HOUR_SECONDS / step_seconds))

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Start at a level of `peaks`, a safe one where few scores tell it; nothing waits."""
        self.base = self.level = pareto_level(known_scores(scores), self.risk, errors=4.0)
        self._age, self._quiet = -1, 0
        self._waiting.clear()

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The level at each score, moved by the scores that are `hold` before it."""
        found = np.empty(len(scores))
        level, base, waiting, hold = self.level, self.base, self._waiting, self.hold
        age, quiet, inf = self._age, self._quiet, float("inf")
        # A base of 0, of a history in which nothing moved, is no unit to climb in.
        up = self.climb * (abs(base) or 1.0)
        down = up * self.risk
        # Alarms half an hour apart are one event, as everywhere.
        apart, new_normal = max(hold // 2, 1), _NEW_NORMAL_HOURS * hold
        for at, score in enumerate(scores.tolist()):
            found[at] = level
            if age >= 0:
                age += 1
                quiet += 1
            if score > level:
                age, quiet = max(age, 0), 0
                effect = score if age >= new_normal else _LIFT * score
            else:
                # Unknown scores, for which no comparison is true, do nothing to it.
                effect = -inf if score <= level else float("nan")
            if quiet > apart:
                age, quiet = -1, 0
            waiting.append(effect)
            if len(waiting) > hold:
                effect = waiting.popleft()
                if effect > level:
                    level = min(level + up, effect)
                elif effect == -inf:
                    level = max(level - down, base)
        self.level, self._age, self._quiet = level, age, quiet
        return found

    def save(self) -> Saved:
        """Where it stands, and what waits to take effect."""
        numbers = (self.risk, self.climb, self.hold, self.base, self.level, self._age, self._quiet)
        return Saved(dict(zip(_NUMBERS, numbers, strict=True)), {"waiting": np.array(self._waiting, dtype=np.float64)})

    def restore(self, saved: Saved) -> None:
        """Go on from there."""
        risk, climb, hold, base, level, age, quiet = restored_numbers(saved, _NUMBERS)
        waiting = np.asarray(saved.arrays.get("waiting", np.empty(0)), dtype=np.float64)
        if not (
            0 < risk < 1
            and climb >= 0
            and hold >= 0
            and level >= base
            and age >= -1
            and quiet >= 0
            and waiting.ndim == 1
            and len(waiting) <= hold
            and not (waiting == np.inf).any()
        ):
            raise BadModel("The saved threshold cannot be.", hint="Train the detector again.")
        self.risk, self.climb, self.hold, self.base, self.level = risk, climb, int(hold), base, level
        self._age, self._quiet, self._is_paced = int(age), int(quiet), True
        self._waiting = deque(waiting.tolist())
