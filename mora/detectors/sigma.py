"""A threshold a number of standard deviations above the mean of the healthy scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mora.detectors.levels import known_scores, restored_numbers
from mora.detectors.options import number_between
from mora.domain.learning import Saved
from mora.errors import BadModel


class Sigma:
    """Three standard deviations above the mean, unless told another number; it does not move."""

    name = "sigma"

    def __init__(self, sigmas: float = 3.0) -> None:
        self.sigmas = number_between("sigmas", sigmas, 0, math.inf)
        self.level = np.inf

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Take mean and deviation of those that are known."""
        known = known_scores(scores)
        self.level = float(known.mean() + self.sigmas * known.std())

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same at each score."""
        return np.full(len(scores), self.level)

    def save(self) -> Saved:
        """The number of deviations and the level."""
        return Saved({"sigmas": self.sigmas, "level": self.level})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        sigmas, level = restored_numbers(saved, ("sigmas", "level"))
        if sigmas <= 0:
            raise BadModel("The saved threshold cannot be.", hint="Train the detector again.")
        self.sigmas, self.level = sigmas, level
