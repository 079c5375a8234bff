"""How long it takes to read the twelve metrics of one service, beside the raw HTTP queries in the same run.

    python experiments/benchmarks/read_metrics.py

A real Prometheus on loopback, backfilled with 14 days of a shop as a cluster shows it: five Deployments of three pods
of two containers, all pods replaced every three and a half days, scraped every 30 s. `raw` sends the same texts over
the same pieces one after the other, with requests, and only parses the JSON. Each figure is the best of three.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parents[2]))

from mora.domain import Window, Workload
from mora.sources.prometheus.grid import LONGEST_PIECE_POINTS
from mora.sources.prometheus.observe import PrometheusSource
from tests.sources.rig import backfill, cluster, serve

SERVICES = ("frontend", "productcatalogservice", "cartservice", "checkoutservice", "paymentservice")
SPAN = timedelta(days=14)
FRONTEND = Workload("shop", "frontend")
CASES = ((timedelta(hours=1), timedelta(seconds=15), 0.2), (SPAN, timedelta(seconds=60), 3.0))


def fetch(url: str, texts: dict[str, str], window: Window) -> int:
    """The raw queries, one after the other; the number of samples that came back."""
    samples = 0
    with requests.Session() as session:
        for text in texts.values():
            for first in range(0, window.sample_count, LONGEST_PIECE_POINTS):
                last = min(first + LONGEST_PIECE_POINTS, window.sample_count) - 1
                params: dict[str, str | float] = {
                    "query": text,
                    "start": (window.start + first * window.step).timestamp(),
                    "end": (window.start + last * window.step).timestamp(),
                    "step": window.step.total_seconds(),
                }
                answer = session.get(f"{url}/api/v1/query_range", params=params, timeout=60)
                answer.raise_for_status()
                samples += sum(len(series["values"]) for series in answer.json()["data"]["result"])
    return samples


def best_seconds(act: Callable[[], object], times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        before = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - before)
    return min(seconds)


def compare(url: str, window: Window, bound_seconds: float) -> str:
    """One line: reading against the raw queries, over one window."""
    observation = PrometheusSource(url).observe(FRONTEND, window)
    assert observation.metrics.notna().to_numpy().mean() > 0.99, "the queries answer what they should"
    rows, columns = observation.metrics.shape
    # A new source each time: finding the scrape interval is part of the reading.
    read = best_seconds(lambda: PrometheusSource(url).observe(FRONTEND, window))
    raw = best_seconds(lambda: fetch(url, dict(observation.queries), window))
    return (
        f"{(window.end - window.start) / timedelta(hours=1):3.0f} h at {window.step.total_seconds():2.0f} s: "
        f"{rows:6} rows of {columns} columns, read {read:.3f} s (at most {bound_seconds} s), raw HTTP {raw:.3f} s, "
        f"ratio {read / raw:.2f}"
    )


def main() -> None:
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    start_seconds, end_seconds = (end - SPAN).timestamp(), end.timestamp()
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        series = cluster(
            dict.fromkeys(SERVICES, ("server", "istio-proxy")),
            start=start_seconds,
            end=end_seconds,
            every=30,
            replicas=3,
            rollout_every=timedelta(days=3.5).total_seconds(),
        )
        tsdb = backfill(series, Path(folder))
        print(f"backfilled {len(series)} series over 14 days in {time.perf_counter() - before:.0f} s", flush=True)
        with serve(tsdb) as url:
            for span, step, bound_seconds in CASES:
                print(compare(url, Window(end - span, end, step), bound_seconds), flush=True)


if __name__ == "__main__":
    main()
