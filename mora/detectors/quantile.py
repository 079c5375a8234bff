"""A threshold at a quantile of the healthy scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mora.detectors.levels import known_scores, restored_numbers
from mora.detectors.options import number_between
from mora.domain.learning import Saved
from mora.errors import BadModel


class Quantile:
    """The 99.5 % quantile of the healthy scores, unless told another; it does not move."""

    name = "quantile"

    def __init__(self, quantile: float = 0.995) -> None:
        self.quantile = number_between("quantile", quantile, 0, 1)
        self.level = np.inf

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Take the quantile of those that are known."""
        self.level = float(np.quantile(known_scores(scores), self.quantile))

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same at each score."""
        return np.full(len(scores), self.level)

    def save(self) -> Saved:
        """The quantile and its level."""
        return Saved({"quantile": self.quantile, "level": self.level})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        quantile, level = restored_numbers(saved, ("quantile", "level"))
        if not 0 < quantile < 1:
            raise BadModel("The saved threshold cannot be.", hint="Train the detector again.")
        self.quantile, self.level = quantile, level
