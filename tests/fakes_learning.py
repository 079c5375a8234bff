"""Synthetic driven and observed data that look like the sandbox's, for the tests of what learns.

Noise is autocorrelated, since rates over a 10 s window sampled every second overlap; memory grows to a plateau; a cell
with more users per pod than the CPU limit carries is throttled at it and answers late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mora.domain import Experiment, Workload
from mora.metrics import (
    ALL_COLUMNS,
    OBSERVED_SCENARIO,
    network_activity_rate,
    processing_intensity,
    resource_pressure,
    service_stability,
)
from mora.quantities import MIB

WORKLOAD = Workload("default", "frontend")
CPU_LIMIT_CORES = 0.35
_CORES_PER_USER = {"browsing": 0.006, "checkout": 0.009}
_BYTES_PER_USER = {"browsing": 0.4 * MIB, "checkout": 0.9 * MIB}
_START = pd.Timestamp("2026-09-01T08:00:00Z")


def driven(
    *,
    scenarios: Sequence[str] = ("browsing", "checkout"),
    replicas: Sequence[int] = (1, 2, 3),
    users: Sequence[int] = (10, 20, 40),
    repeats: int = 2,
    samples: int = 62,
    seed: int = 0,
    noise: float = 0.05,
    scale: float = 1.0,
) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """Frame and cards of a plan; `scale` multiplies CPU and memory use (and their limits)."""
    cells = [
        Experiment("frontend", scenario, count, load, repeat)
        for repeat in range(1, repeats + 1)
        for scenario in scenarios
        for count in replicas
        for load in users
    ]
    rng = np.random.default_rng(seed)
    rng.shuffle(cells)
    frames, cards = [], {}
    for order, cell in enumerate(cells):
        frame, card = _run(cell, order, samples, np.random.default_rng([seed, order]), noise, scale)
        frames.append(frame)
        cards[cell.id] = card
    whole = pd.concat(frames, ignore_index=True)
    return whole.sort_values(["experiment_id", "timestamp"], ignore_index=True), cards


def _run(
    cell: Experiment, order: int, samples: int, rng: np.random.Generator, noise: float, scale: float
) -> tuple[pd.DataFrame, dict[str, Any]]:
    per_pod = cell.users / cell.replicas
    run_factor = 1 + 0.02 * rng.standard_normal()
    wanted = (0.02 + _CORES_PER_USER[cell.scenario] * per_pod) * run_factor
    raw = wanted * (1 + noise * 3 * smooth(rng.standard_normal(samples + 10), 10)[10:])
    cpu = np.minimum(np.maximum(raw, 0.001), CPU_LIMIT_CORES)
    is_pinned = wanted > 0.97 * CPU_LIMIT_CORES
    grown = 1 - np.exp(-(np.arange(samples) + 20) / 30)
    memory = (60 * MIB + _BYTES_PER_USER[cell.scenario] * per_pod * grown) * (1 + 0.003 * rng.standard_normal(samples))
    rps = cell.users * 1.5 * (1 + 0.05 * smooth(rng.standard_normal(samples + 10), 10)[10:])
    start = _START + pd.Timedelta(seconds=120 * order)
    stamps = pd.date_range(start, periods=samples, freq="1s").as_unit("us")
    node_cpu = np.clip(0.1 + 0.004 * cell.users + 0.01 * rng.standard_normal(samples), 0, 1)
    latency = 0.02 + 0.05 * min(wanted / CPU_LIMIT_CORES, 1.0) + (1.5 if is_pinned else 0.0)
    errors = 0.04 if is_pinned else 0.0
    frame = _frame(
        experiment_id=cell.id,
        scenario=cell.scenario,
        replica_count=float(cell.replicas),
        load_users=float(cell.users),
        timestamp=stamps,
        cpu_cores_value=cpu * scale,
        mem_bytes_value=np.round(memory * scale),
        net_rx_bytes_value=rps * 800,
        net_tx_bytes_value=rps * 6000,
        pod_restarts_value=np.zeros(samples),
        replica_count_value=np.full(samples, float(cell.replicas)),
        node_cpu_util_value=node_cpu,
        node_mem_util_value=np.full(samples, 0.2) + 0.001 * rng.standard_normal(samples),
        cpu_cores_total=cpu * cell.replicas * scale,
        mem_bytes_total=np.round(memory * cell.replicas * scale),
        throttled_ratio=np.full(samples, 0.6 if is_pinned else 0.0),
        oom_kills=np.zeros(samples),
        cpu_request_cores=0.5 * scale,
        cpu_limit_cores=CPU_LIMIT_CORES * scale,
        mem_request_bytes=256 * MIB * scale,
        mem_limit_bytes=256 * MIB * scale,
        requests_per_second=rps,
        latency_p50_seconds=latency / 2,
        latency_p95_seconds=latency,
        latency_p99_seconds=latency * 1.5,
        error_ratio=errors,
    )
    card: dict[str, Any] = {
        "schema_version": 1,
        "experiment_id": cell.id,
        "repeat": cell.repeat,
        "service": cell.service,
        "namespace": "default",
        "kind": "Deployment",
        "container": "server",
        "image": "shop/frontend:1",
        "scenario": cell.scenario,
        "replica_count": cell.replicas,
        "load_users": cell.users,
        "load_test": {
            "users": cell.users,
            "requests_per_second": 1.5 * cell.users,
            "latency_p95_seconds": latency,
            "error_ratio": errors,
        },
        "entry_service": "frontend",
        "startup": {"cpu_cores": 0.12 * scale, "mem_bytes": 55 * MIB * scale},
        "resources": {
            "cpu_request_millicores": 500,
            "cpu_limit_millicores": 350,
            "memory_request_bytes": 256 * MIB,
            "memory_limit_bytes": 256 * MIB,
        },
    }
    return frame, card


def observed(*, days: float = 10.0, step_seconds: int = 300, seed: int = 0, scale: float = 1.0) -> pd.DataFrame:
    """An observed history with a daily pattern, bursts, and no load columns."""
    rng = np.random.default_rng(seed)
    samples = int(days * 86_400 / step_seconds)
    hours = np.arange(samples) * step_seconds / 3600
    daily = 1 + 0.4 * np.sin(2 * np.pi * (hours - 8) / 24)
    cpu = 0.2 * daily * (1 + 0.2 * smooth(rng.standard_normal(samples), 6)) * np.where(rng.random(samples) < 0.01, 2, 1)
    memory = 200 * MIB * (1 + 0.05 * daily) * (1 + 0.005 * rng.standard_normal(samples))
    rps = 50 * daily
    return _frame(
        experiment_id="frontend_observed_20260901T080000Z",
        scenario=OBSERVED_SCENARIO,
        replica_count=np.nan,
        load_users=np.nan,
        timestamp=pd.date_range(_START, periods=samples, freq=f"{step_seconds}s").as_unit("us"),
        cpu_cores_value=np.maximum(cpu, 0.001) * scale,
        mem_bytes_value=np.round(memory * scale),
        net_rx_bytes_value=rps * 800,
        net_tx_bytes_value=rps * 6000,
        pod_restarts_value=np.zeros(samples),
        replica_count_value=np.full(samples, 2.0),
        node_cpu_util_value=0.3 * daily,
        node_mem_util_value=np.full(samples, 0.4),
        cpu_cores_total=2 * np.maximum(cpu, 0.001) * scale,
        mem_bytes_total=2 * memory * scale,
    )


def smooth(noise: np.ndarray[Any, Any], window: int) -> np.ndarray[Any, Any]:
    """A moving average over `window` samples: what a rate over overlapping windows does to independent noise."""
    return np.convolve(np.concatenate([np.zeros(window - 1), noise]), np.ones(window) / window, "valid")


def _frame(**columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"service": "frontend", **columns})
    traffic = zip(frame["net_rx_bytes_value"], frame["net_tx_bytes_value"], strict=True)
    rows: Any = frame
    frame["network_activity_rate_value"] = [
        network_activity_rate(rx, tx, r) for (rx, tx), r in zip(traffic, rows["replica_count_value"], strict=True)
    ]
    frame["processing_intensity_value"] = [
        processing_intensity(cpu, rx, tx)
        for cpu, rx, tx in zip(
            rows["cpu_cores_total"], rows["net_rx_bytes_value"], rows["net_tx_bytes_value"], strict=True
        )
    ]
    frame["service_stability_value"] = [
        service_stability(n, r) for n, r in zip(rows["pod_restarts_value"], rows["replica_count_value"], strict=True)
    ]
    frame["resource_pressure_value"] = [
        resource_pressure({"cpu": cpu, "memory": memory})
        for cpu, memory in zip(rows["node_cpu_util_value"], rows["node_mem_util_value"], strict=True)
    ]
    return frame.reindex(columns=list(ALL_COLUMNS))
