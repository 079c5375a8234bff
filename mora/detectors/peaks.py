"""Peaks over threshold: how high healthy scores can go, judged from the highest of them.

Source: Siffer et al. (2017), "Anomaly Detection in Streams with Extreme Value Theory"; Hosking & Wallis (1987) for the
estimate of the generalised Pareto distribution by probability-weighted moments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mora.detectors.levels import known_scores, restored_numbers
from mora.detectors.options import number_between
from mora.domain.learning import Saved
from mora.errors import BadModel

_LEAST_PEAKS = 10


def pareto_level(scores: NDArray[np.float64], risk: float, *, start: float = 0.98, errors: float = 0.0) -> float:
    """The level that a healthy score exceeds with the probability `risk`.

    scores: shape (n,), all known. start: the quantile from which on a score is a peak. errors: by so many standard
    errors of the mean of the peaks the level is raised above its estimate: the fewer the scores, the safer it is.

    >>> rng = np.random.default_rng(1)
    >>> bool(abs(pareto_level(rng.exponential(1.0, 100_000), 1e-3) / -np.log(0.001) - 1) < 0.02)
    True
    """
    start = min(start, max(0.5, 1 - _LEAST_PEAKS / len(scores)))
    foot = float(np.quantile(scores, start))
    peaks = np.sort(scores[scores > foot] - foot)
    if len(peaks) < 3:
        return max(foot, float(scores.max()))
    return foot + _excess(peaks, len(peaks) / len(scores), risk) * (1 + errors / float(np.sqrt(len(peaks))))


def _excess(peaks: NDArray[np.float64], share: float, risk: float) -> float:
    """How far above their foot: peaks, rising, are this share of all scores."""
    if risk >= share:
        return 0.0
    mean = float(peaks.mean())
    # The mean of peaks, each weighted with the share of peaks above it.
    weighted = float((peaks * (1 - (np.arange(len(peaks)) + 0.65) / len(peaks))).mean())
    between = mean - 2 * weighted
    # Few peaks estimate the tail badly: neither a hard end below twice the scale nor a mean that is infinite.
    shape = float(np.clip(2 - mean / between, -0.5, 0.5)) if between > 1e-12 * mean else -0.5
    scale = mean * (1 - shape)
    if abs(shape) < 1e-6:
        return scale * float(np.log(share / risk))
    return scale / shape * float((share / risk) ** shape - 1)


class Peaks:
    """The level that one healthy score in ten thousand exceeds, unless told another risk; it does not move."""

    name = "peaks"

    def __init__(self, risk: float = 1e-4) -> None:
        self.risk = number_between("risk", risk, 0, 1)
        self.level = np.inf

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Fit a generalised Pareto distribution to the highest of them."""
        self.level = pareto_level(known_scores(scores), self.risk)

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same at each score."""
        return np.full(len(scores), self.level)

    def save(self) -> Saved:
        """The risk and its level."""
        return Saved({"risk": self.risk, "level": self.level})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        risk, level = restored_numbers(saved, ("risk", "level"))
        if not 0 < risk < 1:
            raise BadModel("The saved threshold cannot be.", hint="Train the detector again.")
        self.risk, self.level = risk, level
