"""Ordinary workloads: what must stay as it is while odd ones are mended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.odd_clusters.answer import Check, cpu, exits, frees, memory, never_says
from experiments.odd_clusters.case import case
from experiments.odd_clusters.series import MIB, Box, Series


@case("own")
def ordinary_deployment(series: Series) -> Sequence[Check]:
    """Two pods with a daily rhythm, far below what they request."""
    series.deployment("web", Box("web", series.wave(0.2), series.steady(300 * MIB), (0.5, 512 * MIB)), replicas=2)
    peak = float(np.quantile(series.wave(0.2), 0.95)) * 1000
    return cpu("web", peak, peak * 1.35), memory("web", 310, 420), exits(0), never_says("left out")


@case("own")
def right_sized(series: Series) -> Sequence[Check]:
    """A StatefulSet whose requests fit its use within the deadband."""
    use = series.wave(0.4, swing=0.2)
    series.stateful_set("store", Box("store", use, series.steady(400 * MIB), (0.6, 470 * MIB), (None, 470 * MIB)))
    return cpu("store", 480, 700), memory("store", 420, 560)


@case("own")
def starved_deployment(series: Series) -> Sequence[Check]:
    """A service that needs four times what it requests, on nodes with room: the request must rise."""
    series.deployment(
        "hungry", Box("hungry", series.wave(0.8), series.steady(900 * MIB), (0.2, 1024 * MIB), (None, 2048 * MIB))
    )
    need = float(np.quantile(series.wave(0.8), 0.95)) * 1000
    return cpu("hungry", need, need * 1.4), frees(-(need * 1.17 / 1000 - 0.2), 0.2)


@case("own", days=14)
def weekly_peak_is_kept(series: Series) -> Sequence[Check]:
    """A report every Monday takes ten times the memory of the other days for an hour."""
    usage = series.steady(200 * MIB)
    week = 7 * 86_400 // series.every
    hour = 3_600 // series.every
    for monday in (series.count - week + 600, series.count - 2 * week + 600):
        usage[monday : monday + hour] = 2000 * MIB
    series.deployment("report", Box("report", series.wave(0.1), usage, (0.2, 2200 * MIB), (None, 2200 * MIB)))
    return (memory("report", 2000, 2700),)
