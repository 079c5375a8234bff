"""Metrics as inputs of a network: short gaps filled, each metric brought to 0..1, what lies outside clipped.

One object does it for fitting and for scoring, so the two cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mora.domain.learning import Floats, Saved
from mora.errors import BadInput

DOCUMENT, LEARNT = "document", "learnt"
DOCUMENT_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "request_rate": (0.0, 150.0),
        "latency_p95": (0.0, 0.50),
        "memory_usage": (0.0, 2e9),
        "error_rate": (0.0, 3.0),
        "cpu_usage": (0.0, 0.15),
        # The same by MOrA's names. An error ratio is a share, so 1 is the most there is.
        "requests_per_second": (0.0, 150.0),
        "latency_p95_seconds": (0.0, 0.50),
        "mem_bytes_value": (0.0, 2e9),
        "error_ratio": (0.0, 1.0),
        "cpu_cores_value": (0.0, 0.15),
    }
)
"""The bounds of the document that the LSTM autoencoder comes from, in plain units."""

LEAST_KNOWN = 20
"""A metric with fewer known samples is left out."""
FILLED_ROWS = 5
"""A sample that is not known is the last known one, for at most so many rows; then the median of the training part."""
MOST_CLIPPED = 0.05
"""Above this share of a metric's samples outside its fixed bounds, they do not fit the service."""
# How far outside 0..1 a sample may lie where the bounds were learnt: enough to stand out, and no more.
_HEADROOM = 2.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """How metrics are brought to 0..1.

    columns: the metrics. low, high: their bounds, shape (columns,). is_fixed: whether a metric's bounds were given, not
    learnt. middle: the median of each over the training part, plain units.
    """

    columns: tuple[str, ...]
    low: Floats
    high: Floats
    is_fixed: NDArray[np.bool_]
    middle: Floats

    def scale(self, values: Floats) -> Floats:
        """Samples, shape (rows, columns), gaps included, to scaled ones without gaps.

        Outside fixed bounds a sample is clipped to them, outside learnt ones to two of their widths beyond.
        """
        filled = fill_forward(values)
        filled = np.where(np.isfinite(filled), filled, self.middle)
        return self.scale_known(filled)

    def scale_known(self, values: Floats) -> Floats:
        """The same for samples without gaps."""
        room = np.where(self.is_fixed, 0.0, _HEADROOM)
        scaled: Floats = np.clip((values - self.low) / (self.high - self.low), -room, 1.0 + room)
        return scaled

    def outside(self, values: Floats) -> NDArray[np.int64]:
        """How many known samples of each metric are clipped, shape (columns,)."""
        room = np.where(self.is_fixed, 0.0, _HEADROOM) * (self.high - self.low)
        with np.errstate(invalid="ignore"):
            found: NDArray[np.int64] = ((values < self.low - room) | (values > self.high + room)).sum(axis=0)
        return found

    def saved(self) -> Saved:
        """As a document and arrays."""
        document = {"columns": list(self.columns), "is_fixed": [bool(fixed) for fixed in self.is_fixed]}
        return Saved(document, {"low": self.low, "high": self.high, "middle": self.middle})

    @classmethod
    def restored(cls, saved: Saved) -> Scaling:
        """What `saved` gave. Raises KeyError, TypeError or ValueError for what it did not."""
        columns = saved.document["columns"]
        if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns) or not columns:
            raise ValueError("no metrics")
        arrays = [np.asarray(saved.arrays[name], dtype=np.float64) for name in ("low", "high", "middle")]
        fixed = saved.document["is_fixed"]
        if any(array.shape != (len(columns),) or not np.isfinite(array).all() for array in arrays):
            raise ValueError("bounds that do not fit the metrics")
        if not isinstance(fixed, list) or len(fixed) != len(columns) or not (arrays[0] < arrays[1]).all():
            raise ValueError("bounds that cannot be")
        return cls(tuple(columns), arrays[0], arrays[1], np.array([value is True for value in fixed]), arrays[2])


def learn_scaling(
    columns: Sequence[str], values: Floats, bounds: Mapping[str, tuple[float, float]], *, by: str
) -> tuple[Scaling, tuple[str, ...]]:
    """The scaling of these metrics, and a sentence for each that was clipped, or whose bounds were not fixed.

    values: the training part, shape (rows, columns), plain units, NaN where not known; some of each column is known.
    bounds: fixed ones by metric; a metric without has its lowest and highest sample. by: the detector's name. Raises
    BadInput where more than a twentieth of a metric lies outside its fixed bounds.
    """
    names = tuple(columns)
    reasons = []
    low, high, middle = np.nanmin(values, axis=0), np.nanmax(values, axis=0), np.nanmedian(values, axis=0)
    # A metric that never moved: a thousandth of its level is a large change.
    flat = high - low <= 1e-9 * np.abs(middle)
    high = np.where(flat, low + np.maximum(np.abs(middle) / 1000, 1e-12), high)
    fixed = np.array([name in bounds for name in names])
    for number, name in enumerate(names):
        if name in bounds:
            low[number], high[number] = checked_bounds(name, bounds[name])
    scaling = Scaling(names, low, high, fixed, middle)
    if bounds and not fixed.all():
        learnt = [name for name, is_fixed in zip(names, fixed, strict=True) if not is_fixed]
        reasons.append(
            f"No bounds are fixed for {_listed(learnt)}: they are the lowest and highest samples of training."
        )
    shares = scaling.outside(values) / np.maximum(np.isfinite(values).sum(axis=0), 1)
    for number in np.flatnonzero(fixed & (shares > 0)).tolist():
        said = f"{shares[number]:.1%} of {names[number]} lies outside its bounds [{low[number]:g}, {high[number]:g}]"
        if shares[number] > MOST_CLIPPED:
            raise BadInput(
                f"{said}, and at most {MOST_CLIPPED:.0%} may: clipped to them, its samples would all look the same.",
                hint=f"Learn the bounds from the service ({by}:bounds={LEARNT}), or give others "
                f"({by}:bounds={names[number]}=LOW..HIGH).",
            )
        reasons.append(f"{said} and was clipped.")
    return scaling, tuple(reasons)


def read_bounds(bounds: Mapping[str, tuple[float, float]] | str) -> Mapping[str, tuple[float, float]]:
    """Fixed bounds by metric from what a person gave; none where they are to be learnt. A slash may stand for a comma.

    >>> read_bounds("cpu_cores_value=0..2,mem_bytes_value=0..4e9")
    {'cpu_cores_value': (0.0, 2.0), 'mem_bytes_value': (0.0, 4000000000.0)}
    """
    if bounds == DOCUMENT:
        return DOCUMENT_BOUNDS
    if bounds == LEARNT:
        return {}
    if not isinstance(bounds, str):
        return {name: checked_bounds(name, pair) for name, pair in bounds.items()}
    found = {}
    for part in bounds.replace("/", ",").split(","):
        name, _, pair = part.strip().partition("=")
        low, separator, high = pair.partition("..")
        try:
            if not (name and separator):
                raise ValueError(part)  # noqa: TRY301  (one answer for all)
            given = float(low), float(high)
        except ValueError as wrong:
            raise BadInput(
                f"The bounds {bounds!r} cannot be read.",
                hint=f"Write {DOCUMENT}, {LEARNT}, or METRIC=LOW..HIGH,METRIC=LOW..HIGH.",
            ) from wrong
        found[name] = checked_bounds(name, given)
    return found


def checked_bounds(name: str, bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds of a metric; BadInput where they are no two numbers, the lower one first."""
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadInput(f"The bounds of {name} are [{low:g}, {high:g}].", hint="Give two numbers, the lower one first.")
    return float(low), float(high)


def percentile_reason(threshold: float) -> str:
    """The 95th percentile of the errors on the validation part, and how to take it for the threshold."""
    return f"The 95th percentile of its validation errors is {threshold:.4g}: --threshold fixed:level={threshold:.4g}."


def fill_forward(values: Floats, most: int = FILLED_ROWS) -> Floats:
    """Each unknown sample as the last known one of its column, at most so many rows back.

    >>> fill_forward(np.array([[1.0], [np.nan], [np.nan]]), most=1)[:, 0]
    array([ 1.,  1., nan])
    """
    known = np.isfinite(values)
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(known, rows, -most - 1), axis=0)
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    found: Floats = np.where(rows - last <= most, filled, np.nan)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
