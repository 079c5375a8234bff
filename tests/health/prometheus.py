"""A real Prometheus with the last hours of a shop whose frontend is sick at the end, and detectors of it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mora.domain import Workload
from mora.health.model import train
from mora.health.reading import read_prometheus
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.rig import Series, backfill, cluster, serve

HOURS = 4
SICK = timedelta(minutes=20)


def shop(end: float, *, ahead: float = 0.0) -> list[Series]:
    """Two services, scraped every 30 s; the frontend's memory waves, and is ten times as much in the last 20 minutes.

    ahead: for so many seconds there are samples after `end`.
    """
    start, sick_from = end - HOURS * 3600, end - SICK.total_seconds()

    def steady(at: float) -> float:
        # Calmer in the end than in what is trained on: no alarm without a fault.
        swing = 1.0 if at < end - 3600 else 0.7
        return 1e8 * (1 + swing * (0.1 * math.sin((at - end) / 300) + 0.02 * math.sin((at - end) * 12.9898)))

    def used(at: float) -> float:
        return steady(at) * 10 if at >= sick_from else steady(at)

    made = cluster({"frontend": ("server",), "cart": ("server",)}, start=start, end=end + ahead, every=30, replicas=1)
    return [
        Series(one.metric, one.labels, used if "frontend" in one.labels["pod"] else steady, one.start, one.end, 30)
        if one.metric == "container_memory_working_set_bytes"
        else one
        for one in made
    ]


@contextmanager
def served(folder: Path, *, end: float | None = None, ahead: float = 3600.0) -> Iterator[str]:
    """The address of that Prometheus."""
    tsdb = backfill(shop(time.time() // 30 * 30 if end is None else end, ahead=ahead), folder)
    with serve(tsdb) as url:
        yield url


def train_on(url: str, health: Path, *, until: datetime | None = None, detector: str = "robust-z") -> None:
    """Detectors of both services from the hours before the fault, in a folder."""
    end = (until or datetime.now(UTC)) - SICK - timedelta(minutes=5)
    source = PrometheusSource(url, retries=0)
    for name in ("frontend", "cart"):
        samples = read_prometheus(
            source, Workload("shop", name), span=timedelta(hours=3), step=timedelta(seconds=30), now=end
        )
        model = train(samples.frame, service=name, namespace="shop", detector=detector, threshold="quantile", now=end)
        model.save(health / "shop" / name)
