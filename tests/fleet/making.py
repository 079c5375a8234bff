"""Current states and histories made by hand: two weeks of five-minute samples that end at a fixed moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mora.domain import (
    Advice,
    Allocation,
    Container,
    ContainerAdvice,
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
from mora.fleet.advise import advise
from mora.fleet.evidence import Floats, without
from mora.fleet.settings import FleetSettings
from mora.policies import PolicySettings
from mora.quantities import MIB

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STEP = timedelta(minutes=5)
DAY = 288
WINDOW = Window(NOW - timedelta(days=14), NOW, STEP)
SAMPLES = WINDOW.sample_count
FRONTEND = Workload("shop", "frontend")
# Numbers as the need has them: in one step, however small the change.
AT_ONCE = FleetSettings(policy=PolicySettings(allow_any_step=True, min_change=0.0))


def steady(cores: float = 0.2, *, seed: int = 1) -> Floats:
    """Use that stays within a tenth of a level."""
    noise: Floats = np.random.default_rng(seed).uniform(0.9, 1.1, SAMPLES)
    return cores * noise


def container_history(name: str = "server", **fields: Any) -> ContainerHistory:
    """0.2 cores and 200 MiB, steadily, in pods that were seen, unless given otherwise."""
    given: dict[str, Any] = {
        "cpu_cores": steady(),
        "mem_bytes": steady(200 * MIB, seed=2),
        "pods": 3,
        "peak_pods": {Target.CPU: "frontend-abc", Target.MEMORY: "frontend-def"},
    }
    return ContainerHistory(name, **(given | fields))


def history(*containers: ContainerHistory, workload: Workload = FRONTEND, **fields: Any) -> WorkloadHistory:
    known = containers or (container_history(),)
    given: dict[str, Any] = {"queries": {"cpu": "max by (pod) (rate(...))"}}
    return WorkloadHistory(workload, WINDOW, {one.container: one for one in known}, **(given | fields))


def container(name: str = "server", role: Role = Role.APP, **resources: int | None) -> Container:
    return Container(name, Resources(**resources), is_main=name == "server", role=role)


def state(*containers: Container, replicas: int | None = 2, **fields: Any) -> WorkloadState:
    """One container that requests 500m and 512Mi, unless given otherwise."""
    plain = container(cpu_request_millicores=500, memory_request_bytes=512 * MIB, memory_limit_bytes=512 * MIB)
    given: dict[str, Any] = {"workload": FRONTEND, "allocation": Allocation(replicas, containers or (plain,))}
    return WorkloadState(**(given | fields))


def advised(
    of: WorkloadState | None = None,
    seen: WorkloadHistory | None = None,
    settings: FleetSettings = AT_ONCE,
    **given: Any,
) -> Recommendation:
    of = of or state()
    seen = seen or history(workload=of.workload)
    return advise(of, without(seen, settings.excluded), settings, **given)


def codes(advice: Advice | ContainerAdvice | Recommendation) -> list[str]:
    return [reason.code for reason in advice.reasons]


def words(advice: Advice | ContainerAdvice | Recommendation) -> str:
    return " / ".join(reason.text for reason in advice.reasons)


def part(advice: Recommendation, name: str) -> ContainerAdvice:
    return next(one for one in advice.containers if one.container == name)


def annotated(**annotations: str) -> Mapping[str, str]:
    return {f"mora.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}


def workloads(*names: str) -> list[WorkloadState]:
    """Workloads of these names, as namespace/name."""
    return [state(workload=Workload(*name.split("/"))) for name in names]


def histories(states: list[WorkloadState]) -> Iterator[WorkloadHistory]:
    """A history of each, steady and none like another's."""
    for number, one in enumerate(states):
        yield history(container_history(cpu_cores=steady(0.1 + 0.01 * number)), workload=one.workload)
