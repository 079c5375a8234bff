"""From the series of one workload to frames: its main container's metrics, and its other containers beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window
from mora.sources import containers
from mora.sources.prometheus import promql
from mora.sources.prometheus.grid import rows_ahead
from mora.sources.prometheus.matrix import Strip
from mora.sources.prometheus.tally import moved

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer over a whole window: its labels, and a value a row (NaN where there is none)."""

    labels: Mapping[str, str]
    values: Floats


Answers = Mapping[str, Sequence[Series]]
"""Column -> the series that its query answered."""


def joined(parts: Iterable[tuple[str, Window, Sequence[Strip]]], names: Iterable[str], window: Window) -> Answers:
    """The pieces of several answers as whole series on the window, by the name of their query."""
    found: dict[str, dict[tuple[tuple[str, str], ...], Series]] = {name: {} for name in names}
    for name, piece, strips in parts:
        ahead = rows_ahead(piece, window)
        for strip in strips:
            labels = tuple(sorted(strip.labels.items()))
            if labels not in found[name]:
                found[name][labels] = Series(strip.labels, np.full(window.sample_count, np.nan))
            found[name][labels].values[moved(strip, ahead).rows] = strip.values
    return {name: list(of_name.values()) for name, of_name in found.items()}


def container_names(answers: Answers) -> list[str]:
    """The containers of the pods, sorted; without init containers where kube-state-metrics names the containers."""
    for column in ("oom_kills", "cpu_cores_value", "mem_bytes_value"):
        names = {series.labels["container"] for series in answers[column] if series.labels.get("container")}
        if names:
            return sorted(names)
    return []


def annotated_container(series: Sequence[Series]) -> str | None:
    """The container that the pods' default-container annotation named last; None where it is not exposed."""
    named = [one for one in series if promql.DEFAULT_CONTAINER_LABEL in one.labels]
    latest = max(named, key=lambda one: int(np.flatnonzero(~np.isnan(one.values))[-1]), default=None)
    return None if latest is None else latest.labels[promql.DEFAULT_CONTAINER_LABEL]


def metrics_frame(answers: Answers, container: str | None, index: pd.DatetimeIndex) -> pd.DataFrame:
    """One column a query, one row a step; columns that are measured per container are those of `container`."""
    import pandas as pd

    return pd.DataFrame({column: _pick(answers, column, container, len(index)) for column in answers}, index=index)


def containers_frame(answers: Answers, names: Sequence[str], index: pd.DatetimeIndex) -> pd.DataFrame:
    """Rows of (timestamp, container) for the named containers, by time; without rows on which nothing is known."""
    return containers.containers_frame(names, lambda name, column: _pick(answers, column, name, len(index)), index)


def _pick(answers: Answers, column: str, container: str | None, count: int) -> Floats:
    for series in answers[column]:
        if column not in promql.BY_CONTAINER_COLUMNS or series.labels.get("container") == container:
            return series.values
    return np.full(count, np.nan)
