"""A made-up fleet, sized by the rules that `mora recommend` uses: for the page's tests, its benchmark and the pictures.

Two weeks of samples every five minutes, of workloads as clusters have them: most request several times what they use,
some lack memory or CPU, some are autoscaled, new or idle. The same count and seed give the same fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import (
    Allocation,
    Autoscaler,
    Container,
    ContainerHistory,
    Recommendation,
    Resources,
    Role,
    Target,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
)
from mora.fleet.settings import FleetSettings
from mora.fleet.stream import stream
from mora.quantities import MIB

END = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
WINDOW = Window(END - timedelta(days=14), END, timedelta(minutes=5))
SAMPLES = WINDOW.sample_count
DAY = 288
Floats = NDArray[np.float64]
_TEAMS = ("shop", "payments", "search", "identity", "media", "data", "platform", "mail")
_NAMES = ("frontend", "api", "worker", "cache", "gateway", "ledger", "indexer", "sessions", "thumbnails", "reports")


def recommended(count: int, *, seed: int = 1, keeps_past: bool = True) -> list[Recommendation]:
    """What MOrA recommends for the fleet, with the history that its page draws."""
    states, histories = fleet(count, seed=seed)
    settings = FleetSettings(keeps_past=keeps_past)
    return list(stream(states, histories, WINDOW, settings))


def fleet(count: int, *, seed: int = 1) -> tuple[list[WorkloadState], list[WorkloadHistory]]:
    """The workloads as they run, and what each used."""
    rng = np.random.default_rng(seed)
    pairs = [_FORMS[number % len(_FORMS)](_workload(number), rng) for number in range(count)]
    return [state for state, _ in pairs], [history for _, history in pairs]


def _workload(number: int) -> Workload:
    round_ = number // (len(_TEAMS) * len(_NAMES))
    name = _NAMES[number % len(_NAMES)] + (f"-{round_ + 1}" if round_ else "")
    return Workload(_TEAMS[(number // len(_NAMES)) % len(_TEAMS)], name)


# --- use over time ---------------------------------------------------------------------------------------------------


def _daily(rng: np.random.Generator, low: float, high: float) -> Floats:
    """A day's course with noise, quieter at weekends, and now and then a short burst."""
    moments = np.arange(SAMPLES)
    wave = (1 - np.cos(2 * np.pi * (moments % DAY) / DAY + rng.uniform(-0.4, 0.4))) / 2
    week = np.where(moments // DAY % 7 >= 5, 0.55, 1.0)
    use = low + (high - low) * wave * week * rng.uniform(0.85, 1.1, SAMPLES)
    bursts = rng.integers(0, SAMPLES, 14)
    use[bursts] *= rng.uniform(1.1, 1.6, 14)
    return np.asarray(use)


def _level(rng: np.random.Generator, mib: float) -> Floats:
    """Memory that rises a little within each day and falls back at night."""
    moments = np.arange(SAMPLES)
    return np.asarray(mib * MIB * (1 + 0.08 * (moments % DAY) / DAY) * rng.uniform(0.98, 1.02, SAMPLES))


def _made(
    workload: Workload,
    resources: Resources,
    history: ContainerHistory,
    *,
    replicas: int = 2,
    scaler: Autoscaler | None = None,
    others: Sequence[tuple[Container, ContainerHistory]] = (),
) -> tuple[WorkloadState, WorkloadHistory]:
    main = Container(history.container, resources, f"example.org/{workload.name}:1.8", is_main=True)
    containers = (main, *(one for one, _ in others))
    state = WorkloadState(
        workload=workload,
        allocation=Allocation(replicas, containers, scaler),
        autoscalers=() if scaler is None else (scaler,),
    )
    seen = {one.container: one for one in (history, *(history for _, history in others))}
    return state, WorkloadHistory(
        workload, WINDOW, seen, queries={"cpu": "rate(container_cpu_usage_seconds_total[5m])"}
    )


def _history(workload: Workload, cpu: Floats, memory: Floats, **fields: object) -> ContainerHistory:
    pod = f"{workload.name}-7d9c5b6f4-x2lq4"
    made = ContainerHistory("server", cpu, memory, pods=4, peak_pods={Target.CPU: pod, Target.MEMORY: pod})
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of a ContainerHistory


# --- the forms of workloads ------------------------------------------------------------------------------------------

_Form = Callable[[Workload, np.random.Generator], tuple[WorkloadState, WorkloadHistory]]


def _generous(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    peak = float(rng.uniform(0.1, 0.6))
    use = _history(workload, _daily(rng, peak / 5, peak), _level(rng, rng.uniform(150, 700)))
    wanted = Resources(int(rng.integers(8, 20)) * 100, 2000, 2048 * MIB, 2048 * MIB)
    return _made(workload, wanted, use, replicas=int(rng.integers(2, 8)))


def _killed(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    memory = np.minimum(_level(rng, 430) * np.linspace(0.8, 1.2, SAMPLES), 512.0 * MIB)
    rows = tuple(sorted({int(row) for row in rng.integers(SAMPLES - 5 * DAY, SAMPLES - DAY, 4)}))
    for row in rows:
        memory[row] = 512 * MIB
        memory[row + 1 : row + 40] *= 0.6
    use = _history(
        workload, _daily(rng, 0.05, 0.3), memory, oom_kills=len(rows), restarts=len(rows), oom_rows=rows,
        oom_limit_bytes=512.0 * MIB, mem_limit_bytes=np.full(SAMPLES, 512.0 * MIB),
    )  # fmt: skip
    return _made(workload, Resources(500, None, 384 * MIB, 512 * MIB), use, replicas=3)


def _throttled(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    cpu = np.minimum(_daily(rng, 0.1, 0.75), 0.5)
    throttled = np.where(cpu >= 0.49, rng.uniform(0.3, 0.7, SAMPLES), 0.0)
    use = _history(workload, cpu, _level(rng, 240), throttled=throttled, cpu_limit_cores=np.full(SAMPLES, 0.5))
    return _made(workload, Resources(300, 500, 384 * MIB, 384 * MIB), use, replicas=3)


def _autoscaled(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    scaler = Autoscaler(workload.name, Target.CPU, is_utilisation=True, target=70, min_replicas=2, max_replicas=10)
    use = _history(workload, _daily(rng, 0.1, 0.35), _level(rng, 300))
    return _made(workload, Resources(500, None, 1024 * MIB, 1024 * MIB), use, replicas=4, scaler=scaler)


def _right(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    use = _history(workload, np.full(SAMPLES, 0.2) * rng.uniform(0.97, 1.03, SAMPLES), _level(rng, 400))
    return _made(workload, Resources(215, None, 500 * MIB, 500 * MIB), use)


def _new(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    cpu, memory = _daily(rng, 0.02, 0.1), _level(rng, 120)
    cpu[:-60] = memory[:-60] = np.nan
    return _made(workload, Resources(250, 500, 256 * MIB, 256 * MIB), _history(workload, cpu, memory), replicas=1)


def _meshed(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    use = _history(workload, _daily(rng, 0.03, 0.2), _level(rng, 180))
    exporter = Container("exporter", Resources(100, None, 128 * MIB, 128 * MIB), "example.org/exporter:2")
    seen = replace(use, container="exporter", cpu_cores=use.cpu_cores / 20, mem_bytes=_level(rng, 30))
    proxy = Container(
        "istio-proxy", Resources(100, 2000, 128 * MIB, 1024 * MIB), "example.org/proxy:1", role=Role.SIDECAR
    )
    of_proxy = replace(use, container="istio-proxy", cpu_cores=use.cpu_cores / 8, mem_bytes=_level(rng, 60))
    wanted = Resources(400, 1000, 512 * MIB, 512 * MIB)
    return _made(workload, wanted, use, others=((exporter, seen), (proxy, of_proxy)))


def _unset(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    stateful = replace(workload, kind="StatefulSet")
    return _made(stateful, Resources(), _history(stateful, _daily(rng, 0.2, 0.9), _level(rng, 1500)), replicas=1)


def _idle(workload: Workload, rng: np.random.Generator) -> tuple[WorkloadState, WorkloadHistory]:
    daemon = replace(workload, kind="DaemonSet")
    use = _history(daemon, np.full(SAMPLES, 0.002) * rng.uniform(0.8, 1.2, SAMPLES), _level(rng, 25))
    return _made(daemon, Resources(100, 100, 200 * MIB, 200 * MIB), use, replicas=12)


_FORMS: tuple[_Form, ...] = (
    _generous, _killed, _autoscaled, _generous, _throttled, _right, _meshed, _generous, _unset, _new, _idle, _generous,
    _meshed,
)  # fmt: skip
