"""A made-up run: two services every second, with faults that are plain to see, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mora.chaos.folder import RunPart
from mora.chaos.labels import Label
from mora.chaos.scenario import Scenario

BEGAN = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LEARN, LENGTH = 300, 700
TOML = """
seed = 3
learn = "5m"
recover = "30s"
alarm_after = "10s"
[load]
users = 4
[[faults]]
fault = "latency"
target = "cartservice"
start = "6m"
duration = "40s"
expect.within = "20s"
expect.metrics = ["latency_p95_seconds"]
[[faults]]
fault = "errors"
target = "frontend"
start = "8m"
duration = "40s"
[expect]
detected = "50%"
median_delay = "30s"
false_alarms_per_hour = 40
"""


def scenario(tmp_path: Path, text: str = TOML) -> Scenario:
    path = tmp_path / "made.toml"
    path.write_text(text)
    return Scenario.load_from(path)


def frame(seed: int) -> pd.DataFrame:
    """CPU, memory, latency and requests of a service that is itself, with its usual noise."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range(BEGAN, periods=LENGTH, freq="1s", unit="us"),
            "cpu_cores_value": rng.normal(0.05, 0.004, LENGTH),
            "mem_bytes_value": rng.normal(3e7, 3e5, LENGTH),
            "latency_p95_seconds": rng.normal(0.02, 0.001, LENGTH),
            "requests_per_second": rng.normal(9, 0.5, LENGTH),
        }
    )


def run_part(of: Scenario, *, is_seen: bool = True, stray: bool = False) -> RunPart:
    """A part in which the first fault is seen in the latency of the cart service, or not; the second is not.

    stray: the frontend is odd for ten seconds though there is no fault.
    """
    frames = {"cartservice": frame(1), "frontend": frame(2)}
    if is_seen:
        frames["cartservice"].loc[361:400, "latency_p95_seconds"] *= 12
    if stray:
        frames["frontend"].loc[600:620, "cpu_cores_value"] *= 6
    labels = tuple(
        Label(
            one.id,
            one.kind,
            "default",
            one.target,
            BEGAN + one.start,
            BEGAN + one.end,
            one.strength,
            one.seed,
        )
        for one in of.injections
    )
    return RunPart(
        digest=of.digest,
        scenario=of.name,
        number=1,
        namespace="default",
        began=BEGAN,
        learnt_until=BEGAN + LEARN * SECOND,
        ended=BEGAN + (LENGTH - 1) * SECOND,
        step_seconds=1.0,
        labels=labels,
        frames=frames,
        requests=6300,
        failures=12,
    )
