"""A threshold that follows slow change: peaks over threshold first, then conformal tracking.

It climbs while scores exceed it, never above them, and sinks slowly while they do not, so that in the long run few do.
What a score does to it comes an hour late: the first hour of an incident is never learnt as normal.

Source: Gibbs & Candès (2021), "Adaptive Conformal Inference Under Distribution Shift".
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from mora.detectors.levels import known_scores, restored_numbers
from mora.detectors.peaks import pareto_level
from mora.domain.learning import Saved
from mora.errors import BadModel


class Tracking:
    """The default.

    risk: the share of healthy scores above it at the start, and about the share in the long run. climb: by which share
    of its first level it climbs for each score above it. hold: after how many scores what a score does to it takes
    effect; give an hour's worth of steps.
    """

    name = "tracking"

    def __init__(self, risk: float = 1e-4, *, climb: float = 0.02, hold: int = 60) -> None:
        self.risk, self.climb, self.hold = risk, climb, hold
        self.level = self.base = np.inf
        self._waiting: deque[float] = deque()

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Start at the level of `peaks`; nothing waits."""
        self.base = self.level = pareto_level(known_scores(scores), self.risk)
        self._waiting.clear()

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The level at each score, moved by the scores that are `hold` before it."""
        found = np.empty(len(scores))
        inf, nan = float("inf"), float("nan")
        level, base, waiting, hold = self.level, self.base, self._waiting, self.hold
        up, down = self.climb * abs(base), self.climb * abs(base) * self.risk
        for at, score in enumerate(scores.tolist()):
            found[at] = level
            waiting.append(score if score > level else -inf if score <= level else nan)
            if len(waiting) > hold:
                past = waiting.popleft()
                if past > level:
                    level = min(level + up, past)
                elif past == -inf:
                    level = max(level - down, base)
        self.level = level
        return found

    def save(self) -> Saved:
        """Where it stands, and what waits to take effect."""
        return Saved(
            {"risk": self.risk, "climb": self.climb, "hold": self.hold, "base": self.base, "level": self.level},
            {"waiting": np.array(self._waiting, dtype=np.float64)},
        )

    def restore(self, saved: Saved) -> None:
        """Go on from there."""
        risk, climb, hold, base, level = restored_numbers(saved, ("risk", "climb", "hold", "base", "level"))
        waiting = np.asarray(saved.arrays.get("waiting", np.empty(0)), dtype=np.float64)
        if not (
            0 < risk < 1
            and climb >= 0
            and hold >= 0
            and level >= base
            and waiting.ndim == 1
            and len(waiting) <= hold
            and not (waiting == np.inf).any()
        ):
            raise BadModel("The saved threshold cannot be.", hint="Train the detector again.")
        self.risk, self.climb, self.hold, self.base, self.level = risk, climb, int(hold), base, level
        self._waiting = deque(waiting.tolist())
