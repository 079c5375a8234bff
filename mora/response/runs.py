"""One driven experiment in the figures that a response is made of, and the cells that repeats of it make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from mora.coverage import keeps
from mora.domain import Slo, Target
from mora.saturation import Floats, limit_bound

if TYPE_CHECKING:
    import pandas as pd

# Fields of a run as models of schema 1 name them.
_RENAMED = {"is_cpu_pinned": "is_cpu_limit_bound", "is_memory_pinned": "is_memory_limit_bound"}


@dataclass(frozen=True, slots=True)
class Run:
    """One driven experiment of one service, in the figures that the response is made of.

    CPU and memory are of the hottest pod's main container. A limit-bound level is "at least".
    latency_p95_seconds, error_ratio, requests_per_second: of the run's load test, None where it has none.
    latency_p95_interval: the 95 % confidence interval of its p95, where it was recorded.
    """

    experiment_id: str
    scenario: str
    users: int
    replicas: int
    cpu_mean_cores: float
    cpu_p95_cores: float
    cpu_limit_cores: float | None
    is_cpu_limit_bound: bool
    memory_mean_bytes: float
    memory_peak_bytes: float
    memory_limit_bytes: float | None
    is_memory_limit_bound: bool
    oom_kills: int
    latency_p95_seconds: float | None
    error_ratio: float | None
    requests_per_second: float | None = None
    latency_p95_interval: tuple[float, float] | None = None

    @property
    def users_per_pod(self) -> float:
        """A pod's share of the users."""
        return self.users / self.replicas


def run_of(experiment_id: str, rows: pd.DataFrame, card: Mapping[str, Any]) -> Run | None:
    """One experiment's figures; None where it has no CPU or no memory samples.

    rows: those of the experiment, of dataset.read_dataset. card: the JSON beside it.
    """
    cpu, memory = rows["cpu_cores_value"].dropna(), rows["mem_bytes_value"].dropna()
    if cpu.empty or memory.empty:
        return None
    cpu_mean, cpu_p95 = float(cpu.mean()), float(cpu.quantile(0.95))
    memory_peak = float(memory.max())
    cpu_limit, memory_limit = _lowest(rows, "cpu_limit_cores"), _lowest(rows, "mem_limit_bytes")
    oom_kills = math.ceil(_highest(rows, "oom_kills"))
    ordered = rows.sort_values("timestamp", kind="stable")
    # The card's figures are of the whole window; the entry service's own columns are taken where there is no card.
    load_test = card.get("load_test") or {
        column: _mean(rows, column) for column in ("latency_p95_seconds", "error_ratio", "requests_per_second")
    }
    interval = load_test.get("latency_p95_interval_seconds")
    return Run(
        experiment_id=experiment_id,
        scenario=str(rows["scenario"].iloc[0]),
        users=int(rows["load_users"].iloc[0]),
        replicas=int(rows["replica_count"].iloc[0]),
        cpu_mean_cores=cpu_mean,
        cpu_p95_cores=cpu_p95,
        cpu_limit_cores=cpu_limit,
        is_cpu_limit_bound=_is_limit_bound(Target.CPU, ordered, oom_kills),
        memory_mean_bytes=float(memory.mean()),
        memory_peak_bytes=memory_peak,
        memory_limit_bytes=memory_limit,
        is_memory_limit_bound=_is_limit_bound(Target.MEMORY, ordered, oom_kills),
        oom_kills=oom_kills,
        latency_p95_seconds=_known(load_test.get("latency_p95_seconds")),
        error_ratio=_known(load_test.get("error_ratio")),
        requests_per_second=_known(load_test.get("requests_per_second")),
        latency_p95_interval=(float(interval[0]), float(interval[1])) if interval else None,
    )


def run_from(plain: Mapping[str, Any]) -> Run:
    """A run of to_dict(); models of before have fewer figures."""
    fields = {_RENAMED.get(name, name): value for name, value in plain.items()}
    interval = fields.get("latency_p95_interval")
    return Run(**{**fields, "latency_p95_interval": None if interval is None else (interval[0], interval[1])})


def _is_limit_bound(target: Target, ordered: pd.DataFrame, oom_kills: int) -> bool:
    """Whether a run's use is limit-bound (mora/saturation.py). ordered: its rows, in time."""
    is_cpu = target is Target.CPU
    steps = np.diff(ordered["timestamp"].to_numpy(dtype="datetime64[us]").astype(np.int64))
    found = limit_bound(
        target,
        ordered["cpu_cores_value" if is_cpu else "mem_bytes_value"].to_numpy(dtype=np.float64),
        step=timedelta(microseconds=max(float(np.median(steps)), 1.0)) if len(steps) else timedelta(seconds=1),
        limit=_column(ordered, "cpu_limit_cores" if is_cpu else "mem_limit_bytes"),
        throttled=_column(ordered, "throttled_ratio"),
        oom_kills=oom_kills,
    )
    return found is not None


def _lowest(rows: pd.DataFrame, column: str) -> float | None:
    values = rows[column].dropna() if column in rows else ()
    return float(np.min(values)) if len(values) else None


def _column(rows: pd.DataFrame, column: str) -> Floats | None:
    return rows[column].to_numpy(dtype=np.float64) if column in rows else None


def _mean(rows: pd.DataFrame, column: str) -> float | None:
    values = rows[column].dropna() if column in rows else ()
    return float(np.mean(values)) if len(values) else None


def _highest(rows: pd.DataFrame, column: str) -> float:
    values = rows[column].dropna() if column in rows else ()
    return float(np.max(values)) if len(values) else 0.0


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


# --- cells -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """The repeats of one scenario, load and replica count: their mean answer."""

    scenario: str
    users: int
    replicas: int
    cpu_cores: float
    latency_p95_seconds: float
    error_ratio: float

    def keeps(self, slo: Slo) -> bool:
        """Whether the SLO was met."""
        return keeps(self.latency_p95_seconds, self.error_ratio, slo)


def cells_of(runs: Sequence[Run]) -> list[Cell]:
    """The cells whose runs all have a load test, in order of users and replicas."""
    cells: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        if run.latency_p95_seconds is not None and run.error_ratio is not None:
            cells.setdefault((run.users, run.replicas), []).append(run)
    return [
        Cell(
            scenario=of[0].scenario,
            users=users,
            replicas=replicas,
            cpu_cores=float(np.mean([run.cpu_mean_cores for run in of])),
            latency_p95_seconds=float(np.mean([run.latency_p95_seconds or 0.0 for run in of])),
            error_ratio=float(np.mean([run.error_ratio or 0.0 for run in of])),
        )
        for (users, replicas), of in sorted(cells.items())
    ]
