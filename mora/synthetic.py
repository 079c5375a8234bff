"""Made-up samples by known formulas, to try detectors on: a service with a daily pattern, and observations of nodes.

Both are those that two documents of the project train on. They are easier than anything that runs: a detector that does
well here is not thereby good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mora.errors import BadInput
from mora.quantities import format_duration

Floats = NDArray[np.float64]

SERVICE_COLUMNS = ("request_rate", "latency_p95", "memory_usage", "error_rate", "cpu_usage")
NODE_COLUMNS = ("cpu_percent", "memory_percent", "disk_percent", "network_rx_kbps", "network_tx_kbps")
SERVICE_LABEL, NODE_LABEL = "label", "is_anomaly"
_MOST_ROWS = 10_000_000

# Column: (mean, standard deviation, least, most) of ordinary nodes, and (least, most) of abnormal ones.
_NODES = {
    "cpu_percent": ((40, 10, 5, 75), (90, 100)),
    "memory_percent": ((50, 12, 10, 80), (88, 99)),
    "disk_percent": ((60, 8, 20, 85), (90, 99)),
    "network_rx_kbps": ((500, 150, 50, 2000), (2500, 8000)),
    "network_tx_kbps": ((400, 120, 50, 2000), (2500, 8000)),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in a made-up service, for how long, and by what each sample of a column is multiplied at its end.

    grows: whether it begins with nothing and grows, as a leak does.
    """

    name: str
    minutes: int
    factors: tuple[tuple[str, float], ...]
    grows: bool = False


FAULTS = (
    Fault("latency", 30, (("latency_p95", 3.0),)),
    Fault("outage", 15, (("request_rate", 0.1), ("cpu_usage", 0.3))),
    Fault("leak", 60, (("memory_usage", 1.4),), grows=True),
    Fault("errors", 20, (("error_rate", 3.0),)),
    Fault("cpu", 30, (("cpu_usage", 3.0),)),
)
"""They come in this order, one after the other and from the start again."""


def daily_factor(hours: Floats) -> Floats:
    """How busy a service is at an hour of the day: least at 2, most at 14.

    >>> daily_factor(np.array([2.0, 8.0, 14.0])).round(3).tolist()
    [0.1, 0.5, 0.9]
    """
    factor: Floats = 0.5 + 0.4 * np.sin(2 * np.pi * (hours - 8) / 24)
    return factor


def service(start: datetime, *, span: timedelta, step: timedelta, seed: int, faults: int = 0) -> pd.DataFrame:
    """Samples of a service: `timestamp` (UTC), the five metrics, `label` (1 where a fault is).

    Formulas: request_rate = 125 f + N(0, 3), latency_p95 = 0.22 f + 0.215 + N(0, 0.015) seconds, memory_usage = base +
    N(0, 3 % of base) bytes with a base between 0.5 and 1.5 GB, error_rate = 2.5 f + N(0, 0.05), cpu_usage = 0.125 f +
    N(0, 0.005) cores, f the daily factor of the whole hour; none below 0. faults: so many, spread over the
    second half. Raises BadInput where they do not fit in, or there would be no row or too many.
    """
    if step <= timedelta() or not 1 <= (rows := int(span / step)) <= _MOST_ROWS:
        raise BadInput(
            f"{format_duration(span)} in steps of {format_duration(step)} is not between 1 and {_MOST_ROWS:,} rows.",
            hint="Give another span or step.",
        )
    try:
        _ = start.astimezone(UTC) + span
    except OverflowError as wrong:
        raise BadInput(f"{format_duration(span)} from {start:%Y-%m-%d} on end after the year 9999.") from wrong
    rng = np.random.default_rng(seed)
    moments = pd.date_range(start.astimezone(UTC), periods=rows, freq=pd.Timedelta(step)).as_unit("us")
    factor = daily_factor(moments.hour.to_numpy(dtype=np.float64))
    base = rng.uniform(0.5e9, 1.5e9)
    middles = (125 * factor, 0.22 * factor + 0.215, np.full(rows, base), 2.5 * factor, 0.125 * factor)
    deviations = (3.0, 0.015, 0.03 * base, 0.05, 0.005)
    made = {
        name: middle + rng.normal(0, deviation, rows)
        for name, middle, deviation in zip(SERVICE_COLUMNS, middles, deviations, strict=True)
    }
    label = _break(made, faults, step)
    # Around 2 o'clock the noise of the CPU is as large as its use.
    return pd.DataFrame(
        {"timestamp": moments, **{name: np.maximum(values, 0.0) for name, values in made.items()}, SERVICE_LABEL: label}
    )


def _break(made: dict[str, Floats], faults: int, step: timedelta) -> NDArray[np.int64]:
    """Put the faults in, in place; 1 where one is."""
    rows = len(made[SERVICE_COLUMNS[0]])
    label = np.zeros(rows, dtype=np.int64)
    half = rows // 2
    for number in range(faults):
        fault = FAULTS[number % len(FAULTS)]
        length = max(1, round(timedelta(minutes=fault.minutes) / step))
        start = half + round((number + 0.5) * (rows - half) / faults) - length // 2
        inside = slice(start, start + length)
        if start < half or start + length > rows or label[max(start - 1, 0) : start + length + 1].any():
            raise BadInput(
                f"{faults} faults do not fit into half of {format_duration(rows * step)}.",
                hint="Give fewer faults, or more days.",
            )
        ramp = np.linspace(0, 1, length) if fault.grows else np.ones(length)
        for name, factor in fault.factors:
            made[name][inside] *= 1 + (factor - 1) * ramp
        label[inside] = 1
    return label


def nodes(*, ordinary: int = 5000, abnormal: int = 250, seed: int = 42) -> pd.DataFrame:
    """Observations of nodes without an order: five metrics, and `is_anomaly`. All five are off where one is.

    Ordinary: cut normal distributions; abnormal: uniform ones above them. The seed 42 gives the 5,250 observations that
    CloudSentinel's document reports its figures on.
    """
    if not 1 <= ordinary + abnormal <= _MOST_ROWS or min(ordinary, abnormal) < 0:
        raise BadInput(f"There must be between 1 and {_MOST_ROWS:,} observations.")
    rng = np.random.default_rng(seed)
    usual = {
        name: rng.normal(mean, deviation, ordinary).clip(least, most)
        for name, ((mean, deviation, least, most), _) in _NODES.items()
    }
    odd = {name: rng.uniform(least, most, abnormal) for name, (_, (least, most)) in _NODES.items()}
    made = {name: np.concatenate([usual[name], odd[name]]) for name in NODE_COLUMNS}
    made[NODE_LABEL] = np.repeat([0, 1], [ordinary, abnormal])
    return pd.DataFrame(made).sample(frac=1, random_state=seed).reset_index(drop=True)
