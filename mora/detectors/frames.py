"""What every detector needs of a frame: its metrics as a matrix, in the fitted order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.errors import BadInput

TIMESTAMP = "timestamp"


def metrics_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """The columns of numbers, `timestamp` left out, in the frame's order.

    >>> metrics_of(pd.DataFrame({"timestamp": [1.0], "cpu": [0.2], "pod": ["a"]}))
    ('cpu',)
    """
    return tuple(str(name) for name in frame.select_dtypes("number").columns if name != TIMESTAMP)


def matrix_of(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    """The columns side by side, shape (rows, columns); infinite samples as NaN. Raises BadInput for one that lacks."""
    lacking = [name for name in columns if name not in frame]
    if lacking:
        raise BadInput(
            f"The samples lack {'the metric' if len(lacking) == 1 else 'the metrics'} {', '.join(lacking)}.",
            hint="Give the metrics that the detector was trained on, or train it again on those that there are.",
        )
    values = frame[list(columns)].to_numpy(dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)
