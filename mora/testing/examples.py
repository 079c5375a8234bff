"""Small synthetic data for the suites: experiments, a history, recommendations; the same each time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from mora.domain import Allocation, Container, Demand, Recommendation, Resources, TargetDemand, Workload
from mora.domain.learning import DAY_SECONDS, HorizonGrid, Segment
from mora.features import DRIVEN_COLUMNS
from mora.metrics import METRIC_COLUMNS

WORKLOAD = Workload("shop", "frontend")
AS_OF = datetime(2026, 11, 21, 5, tzinfo=UTC)
MIB = 2**20


def experiments(samples: int = 62) -> list[Segment]:
    """Nine load experiments of one scenario, 1-3 replicas, 10-40 users; use follows the users of a pod, with noise."""
    found = []
    for number, (replicas, users) in enumerate((r, u) for r in (1, 2, 3) for u in (10, 20, 40)):
        rng = np.random.default_rng(number)
        share = users / replicas
        cpu = (0.02 + 0.006 * share) * rng.uniform(0.9, 1.1, samples)
        values = {name: rng.uniform(0.2, 0.3, samples) for name in METRIC_COLUMNS}
        values |= {
            "cpu_cores_value": cpu,
            "mem_bytes_value": (60 + 0.5 * share) * MIB * rng.uniform(0.99, 1.01, samples),
        }
        values |= {"replica_count_value": np.full(samples, float(replicas))}
        values |= dict(zip(DRIVEN_COLUMNS, (np.full(samples, float(n)) for n in (replicas, users)), strict=True))
        seconds = AS_OF.timestamp() + 120.0 * number + np.arange(samples, dtype=np.float64)
        found.append(Segment(f"frontend_browsing_replicas_{replicas}_users_{users}", "browsing", seconds, values))
    return found


def history(days: float = 16.0) -> HorizonGrid:
    """A history by the hour with a daily wave, on the grid of a day: CPU and memory."""
    hours = np.arange(round(days * 24))
    wave = (1 + 0.5 * np.sin(2 * np.pi * hours / 24)) * np.random.default_rng(3).uniform(0.8, 1.2, len(hours))
    columns = {"cpu_cores_value": 0.2 * wave, "mem_bytes_value": 200 * MIB * (1 + 0.1 * wave)}
    return HorizonGrid(DAY_SECONDS, 24, AS_OF.timestamp(), columns, columns)


def metrics_frame(rows: int = 600) -> pd.DataFrame:
    """An ordinary frame: one row every 15 s, all metrics, steady with noise."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({name: rng.uniform(0.2, 0.3, rows) for name in METRIC_COLUMNS})
    frame["mem_bytes_value"] *= 1000 * MIB
    return frame.assign(timestamp=pd.date_range(AS_OF, periods=rows, freq="15s").as_unit("us"))


def demand() -> Demand:
    """What a service needs: 100m and 191 MiB on average, two replicas."""

    def needs(point_forecast: float, bound: float, peak: float) -> TargetDemand:
        return TargetDemand(point_forecast=point_forecast, bound=bound, peak=peak, confidence=0.9, windows=10)

    return Demand(WORKLOAD, None, AS_OF, needs(0.1, 0.12, 0.13), needs(2e8, 2.1e8, 2.2e8), needs(2, 2, 2))


def current() -> Allocation:
    """What is set now: one replica, requests and a memory limit that are too large."""
    resources = Resources(cpu_request_millicores=500, memory_request_bytes=512 * MIB, memory_limit_bytes=512 * MIB)
    return Allocation(1, (Container("server", resources=resources, image="shop/frontend:1", is_main=True),))


def recommendations() -> list[Recommendation]:
    """Two recommendations of the default policy: one with numbers, one of a workload of which nothing is known."""
    from mora.domain import Reason
    from mora.policies import recommend

    nothing = Demand(
        Workload("shop", "cart"), None, AS_OF, None, None, None,
        reasons=(Reason("too-little-data", "12 samples, 60 are needed"),),
    )  # fmt: skip
    return [recommend(demand(), current()), recommend(nothing, current())]
