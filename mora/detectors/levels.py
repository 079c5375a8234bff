"""What every threshold needs: the scores that are known, and numbers read back from a saved document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mora.domain.learning import Saved
from mora.errors import BadModel, NotEnoughData
from mora.seams import Threshold

LEAST_SCORES = 20
HOUR_SECONDS = 3600.0


def paced(threshold: Threshold, step_seconds: float) -> Threshold:
    """The same threshold; one that counts time in scores is given how far apart they are. Before it is fitted."""
    pace = getattr(threshold, "pace", None)
    if pace is not None and step_seconds > 0:
        pace(step_seconds)
    return threshold


def known_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The finite ones. Raises NotEnoughData where they are fewer than LEAST_SCORES."""
    known: NDArray[np.float64] = scores[np.isfinite(scores)]
    if len(known) < LEAST_SCORES:
        raise NotEnoughData(
            f"A threshold needs {LEAST_SCORES} scores of healthy samples, and there are {len(known)}.",
            hint="Train on a longer history.",
        )
    return known


def restored_numbers(saved: Saved, names: Sequence[str]) -> tuple[float, ...]:
    """These numbers of a saved document. Raises BadModel where one lacks or is not finite."""
    try:
        found = tuple(float(saved.document[name]) for name in names)
    except (KeyError, TypeError, ValueError) as wrong:
        raise BadModel("This is no saved threshold.", hint="Train the detector again.") from wrong
    if not np.isfinite(found).all():
        raise BadModel("The saved threshold cannot be.", hint="Train the detector again.")
    return found
