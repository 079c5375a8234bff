"""The quality report of an experiment: is it complete, is it steady?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mora.dataset.layout import Columns
from mora.domain import Quality, Window
from mora.metrics import (
    METRIC_COLUMNS,
    OBSERVED_SCENARIO,
)
from mora.quantities import GIB

# The quality thresholds of the data contract: enough samples, few gaps, and steady over the window.
_MIN_SAMPLES_RATIO = 0.9
_MAX_MISSING_RATIO = 0.05
_MAX_DRIFT_RATIO = 0.15
_MAX_DRIFT_CORES = 0.005
# In a load experiment nine of ten samples lie below the usual use; what is this many times above it, and above a core
# or a GiB, is no use of that load. Nor is what exceeds a CPU limit by more than a burst, where few samples do.
_OUTLIER_TIMES, _USUAL = 20.0, 0.9
_OUTLIER_FROM = {"cpu_cores_value": 1.0, "mem_bytes_value": float(GIB)}
# Of a history: the bound that samples from a Prometheus without known nodes have, and one for memory.
_IMPOSSIBLE_FROM = {"cpu_cores_value": 16.0, "mem_bytes_value": 64.0 * GIB}
JUDGED = tuple(_IMPOSSIBLE_FROM)
_OVER_LIMIT_TIMES, _FEW = 2.2, 0.05
_REQUIRED_METRICS = ("cpu_cores_value", "mem_bytes_value", "replica_count_value")


def assess_quality(frame: pd.DataFrame, window: Window) -> Quality:
    """How complete and how steady one experiment's samples are; each flag carries its figure.

    A sample counts where CPU, memory or replicas were answered. missing_ratio: metric -> share of the samples without
    it. Complete: at least 90 % of the window's samples, at most 5 % of them missing for CPU, memory and replicas, and
    in a load experiment no outlier (outliers()).
    Steady: the last third's mean CPU is within 15 % (or 5 millicores) of the middle third's; it marks, and excludes
    nothing: overload is telling.
    """
    inside = frame["timestamp"].between(pd.Timestamp(window.start), pd.Timestamp(window.end))
    answered = frame[inside & frame[list(_REQUIRED_METRICS)].notna().any(axis=1)]
    samples, expected = len(answered), window.sample_count
    missing = {name: round(float(answered[name].isna().mean()), 6) if samples else 1.0 for name in METRIC_COLUMNS}
    flags: list[str] = []
    if samples < _MIN_SAMPLES_RATIO * expected:
        flags.append(f"few_samples: {samples} of {expected} ({samples / expected:.0%}, at least 90% needed)")
    flags += [
        f"missing_{name}: {missing[name]:.1%} of the samples (at most 5%)"
        for name in _REQUIRED_METRICS
        if missing[name] > _MAX_MISSING_RATIO
    ]
    flags += outliers(answered)
    is_complete = not flags
    drift = _drift(answered["cpu_cores_value"].to_numpy(dtype=np.float64))
    if drift is not None:
        flags.append(drift)
    return Quality(expected, samples, missing, is_complete, is_steady=drift is None, flags=tuple(flags))


def outliers(frame: Columns | pd.DataFrame) -> list[str]:
    """What among an experiment's CPU and memory cannot be use of its load, with the figures; none for a history."""
    if next(iter(frame["scenario"]), OBSERVED_SCENARIO) == OBSERVED_SCENARIO:
        return []
    return [f"outlier_{column}: {words}" for column, (_, words) in _impossible(frame, _OUTLIER_FROM).items()]


def without_impossible(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A history without the samples of CPU and memory that cannot be use, and what was left out, with the figures.

    A history has bursts, so more is believed than in a load experiment. What came from a Prometheus was sifted there,
    by the sizes of its nodes; this is for cells that were changed since, and files of other tools.
    """
    found = _impossible(frame, _IMPOSSIBLE_FROM)
    blanked = {column: frame[column].mask(pd.Series(wrong, index=frame.index)) for column, (wrong, _) in found.items()}
    return frame.assign(**blanked), [f"{column}: {words}" for column, (_, words) in found.items()]


def _impossible(
    frame: Columns | pd.DataFrame, least_of: Mapping[str, float]
) -> dict[str, tuple[np.ndarray[Any, np.dtype[np.bool_]], str]]:
    """Column -> which samples cannot be use, and why, with the figures.

    least_of: column -> up to where everything can be.
    """
    found = {}
    for column, least in least_of.items():
        values = np.asarray(frame[column], dtype=np.float64)
        highest = float(np.fmax.reduce(values, initial=0.0))
        few = max(_FEW * len(values), 1)
        if column == "cpu_cores_value" and "cpu_limit_cores" in frame:
            limit = float(np.fmax.reduce(np.asarray(frame["cpu_limit_cores"], dtype=np.float64), initial=0.0))
            over = values > _OVER_LIMIT_TIMES * limit
            if limit and 0 < (count := int(np.count_nonzero(over))) <= few:
                found[column] = (over, f"{count} of {len(values)} samples are above twice the limit, {limit:g}")
                continue
        if highest <= least:
            continue
        usual = float(np.nanquantile(values, _USUAL))
        over = values > max(least, _OUTLIER_TIMES * usual)
        if count := int(np.count_nonzero(over)):
            words = (
                f"{count} of {len(values)} samples, up to {highest:.4g}, are above {_OUTLIER_TIMES:g} times the usual"
            )
            found[column] = (over, f"{words} {usual:.4g}")
    return found


def _drift(cpu_cores: np.ndarray[Any, np.dtype[np.float64]]) -> str | None:
    """What is wrong with the steadiness, or None."""
    third = len(cpu_cores) // 3
    middle, last = cpu_cores[third : 2 * third], cpu_cores[2 * third :]
    if np.isnan(middle).all() or np.isnan(last).all():
        return "unsteady: too few CPU samples to judge"
    before, after = float(np.nanmean(middle)), float(np.nanmean(last))
    if abs(after - before) <= max(_MAX_DRIFT_RATIO * before, _MAX_DRIFT_CORES):
        return None
    return f"unsteady: mean CPU went from {before:.4g} to {after:.4g} cores in the last third (15% or 0.005 allowed)"
