"""The Protocols between rooms: what a source, a cluster, a forecaster, a policy and an output must be able to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from mora.domain import (
    Allocation,
    Demand,
    Forecast,
    Observation,
    Recommendation,
    Target,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
)

if TYPE_CHECKING:
    import pandas as pd


class Reporter(Protocol):
    """Where long work tells how far it is; the command line draws bars, the API stays silent."""

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        """`task` has done `done` of `total` (any unit, same for both)."""


class Silent:
    """The reporter that says nothing."""

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        return None


class MetricSource(Protocol):
    """Where metrics come from: a Prometheus, files."""

    def services(self, namespace: str) -> list[str]:
        """Names of the workloads that the source knows in a namespace, sorted."""

    def observe(self, workload: Workload, window: Window) -> Observation:
        """All measured metrics of a workload over a window; SourceUnavailable where nothing answers."""

    def queries(self, workload: Workload, window: Window) -> Mapping[str, str]:
        """What observe() would send, name -> text, without sending it."""


class FleetSource(Protocol):
    """A source that answers for many workloads at once; what discovery finds without a Kubernetes API."""

    def states(self, namespace: str | None = None) -> list[WorkloadState]:
        """Every workload of a namespace (None: of all), as far as kube-state-metrics tells, sorted."""

    def histories(
        self, states: Sequence[WorkloadState], window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        """What the containers of each used over the window, namespace by namespace; one per standing, in any order."""


class Cluster(Protocol):
    """Where services run and are scaled: Kubernetes, the sandbox."""

    def allocation(self, workload: Workload) -> Allocation:
        """Replicas and containers as they stand; ClusterError naming what exists where it does not."""

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        """Set replicas (where not None) and the containers' resources; returns before it is ready."""

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Replace every replica by a fresh one and wait until all are ready."""

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Return once every replica asked for is available; ClusterError after `timeout`."""


class Forecaster(Protocol):
    """A model of one or several targets over time; registered under `forecasters`."""

    name: str

    def fit(self, history: Sequence[pd.DataFrame], *, driven: bool, seed: int) -> None:
        """Learn from segments (experiments, or one observed stretch) that windows never cross.

        Each frame: one row a step on a constant grid, columns of metrics.METRIC_COLUMNS plus, on driven data,
        replica_count and load_users, and `timestamp`.
        """

    def forecast(self, recent: pd.DataFrame, horizon: int, *, level: float = 0.9) -> Mapping[Target, Forecast]:
        """The next `horizon` steps after the rows of `recent`, in plain units; deterministic."""


class Policy(Protocol):
    """Demand and what is set now -> what should be set."""

    def __call__(self, demand: Demand, current: Allocation) -> Recommendation: ...


class Output(Protocol):
    """A recommendation as text that a person or a program takes."""

    def __call__(self, recommendations: Sequence[Recommendation]) -> str: ...
