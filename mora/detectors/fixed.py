"""A threshold that a person gives; it is learnt from nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mora.detectors.levels import restored_numbers
from mora.domain.learning import Saved
from mora.errors import BadInput

DOCUMENT_LEVEL = 0.1998
"""The threshold of the document that the dense autoencoder comes from.

There it is the 95th percentile of mean absolute errors, and mean squared errors, none above 0.18, are compared with it:
its alarm never fires. Use it with the detector's error mae for what was measured, with mse for what was done.
"""


class Fixed:
    """The same level always: 0.1998 unless told another. For scores whose scale is known, such as an autoencoder's."""

    name = "fixed"

    def __init__(self, level: float = DOCUMENT_LEVEL) -> None:
        if not np.isfinite(level):
            raise BadInput(f"A threshold of {level} is not possible.", hint="Give a number.")
        self.level = float(level)

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Learn nothing."""

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same at each score."""
        return np.full(len(scores), self.level)

    def save(self) -> Saved:
        """The level."""
        return Saved({"level": self.level})

    def restore(self, saved: Saved) -> None:
        """Take it back."""
        (self.level,) = restored_numbers(saved, ("level",))
