"""A threshold at a quantile of the healthy scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData

_LEAST = 20


class Quantile:
    """The 99.5 % quantile of the healthy scores, unless told another; it does not move."""

    name = "quantile"

    def __init__(self, quantile: float = 0.995) -> None:
        self.quantile = quantile
        self.level = np.inf

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Take the quantile of those that are known."""
        known = scores[np.isfinite(scores)]
        if len(known) < _LEAST:
            raise NotEnoughData(
                f"A threshold needs {_LEAST} scores of healthy samples, and there are {len(known)}.",
                hint="Train on a longer history.",
            )
        self.level = float(np.quantile(known, self.quantile))

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same at each score."""
        return np.full(len(scores), self.level)

    def save(self) -> Saved:
        """The quantile and its level."""
        return Saved({"quantile": self.quantile, "level": self.level})

    def restore(self, saved: Saved) -> None:
        """Take them back."""
        try:
            quantile, level = float(saved.document["quantile"]), float(saved.document["level"])
        except (KeyError, TypeError, ValueError) as wrong:
            raise BadModel("This is no saved threshold.", hint="Train the detector again.") from wrong
        if not (0 < quantile < 1 and np.isfinite(level)):
            raise BadModel("The saved threshold cannot be.", hint="Train the detector again.")
        self.quantile, self.level = quantile, level
