"""What a live watch costs: one new sample of one service, and a look at many services; in CPU seconds.

    python experiments/benchmarks/health_live.py [--services 1000] [--detector context-distance]

The services have five metrics at one sample a minute. Each has a threshold of its own and gets its
samples one at a time. The board and the text of /metrics are made as they are in `mora health watch`; reading from
Prometheus is not counted here, its queries are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mora.domain import Window
from mora.health.board import Board
from mora.health.model import HealthModel, train
from mora.health.stored import Key
from mora.health.watch import Asked, Watcher
from mora.web.health_metrics import HealthMetrics

METRICS = ("cpu_cores_value", "mem_bytes_value", "requests_per_second", "latency_p95_seconds", "error_ratio")
STEP = timedelta(minutes=1)
START = datetime(2026, 1, 5, tzinfo=UTC)


def samples(rows: int, seed: int) -> pd.DataFrame:
    """A service with a daily rhythm."""
    rng = np.random.default_rng(seed)
    day = 1 + 0.4 * np.sin(2 * np.pi * np.arange(rows) / 1440)
    values = {name: day * rng.normal(1, 0.05, rows) for name in METRICS}
    return pd.DataFrame({"timestamp": pd.date_range(START, periods=rows, freq=STEP), **values})


class Kept:
    """A model of each service, made from the same training."""

    def __init__(self, services: int, model: HealthModel) -> None:
        self._keys = {("shop", f"service-{number:05}"): "1" for number in range(services)}
        self._model = model

    def versions(self) -> Mapping[Key, str]:
        """All of them."""
        return self._keys

    def load(self, key: Key) -> HealthModel:
        """The same detector; each monitor has a threshold of its own."""
        return self._model


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--detector", default="context-distance")
    parser.add_argument("--looks", type=int, default=10)
    options = parser.parse_args()
    history = samples(5 * 1440, 1)
    model = train(history, service="service", namespace="shop", detector=options.detector)
    live = samples(3 * 1440, 2)

    def read(wanted: Mapping[Key, Asked], window: Window) -> Iterator[tuple[Key, pd.DataFrame]]:
        first = round((window.start - START) / STEP)
        frame = live.iloc[first : first + window.sample_count].reset_index(drop=True)
        for key in wanted:
            yield key, frame

    now = [START + 2000 * STEP + timedelta(seconds=30)]
    board = Board()
    metrics = HealthMetrics(board, now=lambda: now[0])
    watcher = Watcher(
        Kept(options.services, model), read, board, log=lambda level, message, **about: None, now=lambda: now[0]
    )
    began = time.process_time()
    watcher.tick()
    print(f"first look at {options.services} services: {time.process_time() - began:.2f} CPU-s")
    each = []
    for _ in range(options.looks):
        now[0] += STEP
        began = time.process_time()
        watcher.tick()
        each.append(time.process_time() - began)
    looks = float(np.median(each))
    print(f"a look with one new sample each: {looks:.2f} CPU-s, {looks / options.services * 1000:.2f} ms a sample")
    began = time.process_time()
    text = metrics.text()
    print(f"the text of /metrics: {time.process_time() - began:.2f} CPU-s, {len(text) / 1e6:.1f} MB")
    began = time.process_time()
    for _ in range(100):
        metrics.text()
    print(f"a scrape of it: {(time.process_time() - began) * 10:.3f} ms")


if __name__ == "__main__":
    main()
