"""Driven runs of one service, and what is learnt from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mora.domain import Slo
from mora.metrics import ALL_COLUMNS
from mora.quantities import MIB
from mora.response import LoadResponse

SLO = Slo(p95_seconds=0.3, error_ratio=0.01)
SECONDS = pd.date_range("2026-11-21", periods=21, freq="s", tz="UTC", unit="us")


def run(
    users: int,
    replicas: int,
    *,
    cpu: float,
    memory_mib: float = 100.0,
    latency: float | None = 0.1,
    errors: float = 0.0,
    cpu_limit: float = np.nan,
    memory_limit_mib: float = np.nan,
    throttled: float = np.nan,
    oom_kills: float = 0.0,
    scenario: str = "browsing",
    repeat: int = 1,
    spread: float = 0.0,
    name: str | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The samples and the card of one run whose CPU and memory lie evenly within +- `spread` of their means."""
    name = name or f"frontend_{scenario}_replicas_{replicas}_users_{users}_run_{repeat}"
    swing = 1 + spread * np.linspace(-1, 1, 21)
    known = {
        "experiment_id": name,
        "service": "frontend",
        "scenario": scenario,
        "replica_count": float(replicas),
        "load_users": float(users),
        "timestamp": SECONDS,
        "cpu_cores_value": cpu * swing,
        "mem_bytes_value": memory_mib * MIB * swing,
        "cpu_limit_cores": cpu_limit,
        "mem_limit_bytes": memory_limit_mib * MIB,
        "throttled_ratio": throttled,
        "oom_kills": oom_kills,
    }
    frame = pd.DataFrame({column: known.get(column, np.nan) for column in ALL_COLUMNS})
    load_test = None if latency is None else {"latency_p95_seconds": latency, "error_ratio": errors}
    return frame, {"experiment_id": name, "load_test": load_test}


def fit(*runs: tuple[pd.DataFrame, dict[str, Any]]) -> LoadResponse:
    return LoadResponse.fit(pd.concat([frame for frame, _ in runs]), {card["experiment_id"]: card for _, card in runs})


def grid(**fields: Any) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """20 and 40 users on one to three replicas: 5m a user, 2 MiB a user, and a queue that grows at 20 users a pod."""
    return [
        run(
            users,
            replicas,
            cpu=0.02 + 0.005 * users / replicas,
            memory_mib=60 + 2 * users / replicas,
            latency=0.05 if users / replicas <= 14 else 0.2 if users / replicas <= 20 else 1.5,
            errors=0.0 if users / replicas <= 20 else 0.04,
            **fields,
        )
        for users in (20, 40)
        for replicas in (1, 2, 3)
    ]
