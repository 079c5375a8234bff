"""The Protocols between rooms: what a source, a cluster, a forecaster, a policy and an output must be able to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mora.domain import (
    Allocation,
    BoundSeries,
    Demand,
    FailingCalls,
    ImageUse,
    KeptBound,
    NodeLoad,
    Observation,
    Reason,
    Recommendation,
    Target,
    TotalUse,
    Window,
    Workload,
    WorkloadHistory,
    WorkloadState,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from mora.domain.learning import Contributions, Experiments, HorizonGrid, Knob, Level, Past, Place, Saved


class Reporter(Protocol):
    """Where long work reports its progress; the command line draws bars, the API stays silent."""

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        """`task` has done `done` of `total` (any unit, same for both)."""


class Silent:
    """The reporter that reports nothing."""

    def advance(self, task: str, done: float, total: float, note: str = "") -> None:
        """Report nothing."""
        return None


class MetricSource(Protocol):
    """Where metrics come from: a Prometheus, files."""

    def services(self, namespace: str) -> list[str]:
        """Names of the workloads that the source knows in a namespace, sorted."""

    def observe(self, workload: Workload, window: Window) -> Observation:
        """All measured metrics of a workload over a window; SourceUnavailable where nothing answers."""

    def queries(self, workload: Workload, window: Window) -> Mapping[str, str]:
        """What observe() would send, name -> text, without sending it."""


@runtime_checkable
class FleetSource(Protocol):
    """A source that answers for many workloads at once; what discovery finds without a Kubernetes API."""

    def states(self, namespace: str | None = None) -> list[WorkloadState]:
        """Every workload of a namespace (None: of all), as far as kube-state-metrics knows it, sorted."""

    def histories(
        self, states: Sequence[WorkloadState], window: Window, *, reporter: Reporter | None = None
    ) -> Iterator[WorkloadHistory]:
        """What the containers of each used over the window, namespace by namespace; one per workload, in any order."""


@runtime_checkable
class CauseSource(Protocol):
    """A source that tells what may have caused an incident, asked only for workloads whose incidents are looked for."""

    def images(self, workload: Workload, window: Window) -> tuple[ImageUse, ...]:
        """Every image that each container of a workload ran in a window; empty where the source does not know."""

    def failing_calls(self, workload: Workload, window: Window) -> tuple[FailingCalls, ...]:
        """A workload's calls to each destination that failed for the most part at some time; empty where not known."""


@runtime_checkable
class DemandSource(Protocol):
    """A source that tells a workload's demand as one series, which autoscalers are chosen by."""

    def total_use(self, workload: Workload, window: Window, query: str | None = None) -> TotalUse:
        """The cores of all its pods together; or the answer of a query of one's own."""


@runtime_checkable
class PoolSource(Protocol):
    """A source that tells what the pods of some namespaces used on each node."""

    def node_loads(self, namespaces: Sequence[str], window: Window) -> list[NodeLoad]:
        """Every node that a pod of theirs runs on now, by name."""


class KeepsBounds(Protocol):
    """Where it is kept between runs what bounds go on from."""

    def bounds(
        self, workloads: Iterable[Workload], step: timedelta, horizon: timedelta
    ) -> Mapping[BoundSeries, KeptBound]:
        """What is kept of the containers of some workloads, for one step and horizon."""

    def keep_bounds(self, found: Mapping[BoundSeries, KeptBound], step: timedelta, horizon: timedelta) -> None:
        """Keep it in place of what was kept of these series."""

    def tell(self, words: str) -> None:
        """Tell a person what became of what was kept; the same words once."""


@runtime_checkable
class BoundsSource(Protocol):
    """A source that keeps between runs what was read, and what bounds go on from."""

    def keeper(self) -> KeepsBounds | None:
        """Where that is kept, while histories() gives histories; None at other times, and where nothing is kept."""


class Cluster(Protocol):
    """Where services run and are scaled: Kubernetes, the sandbox."""

    def allocation(self, workload: Workload) -> Allocation:
        """Replicas and containers as they are; ClusterError naming what exists where the workload does not."""

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        """Set replicas (where not None) and the containers' resources; returns before it is ready."""

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Replace every replica by a fresh one and wait until all are ready."""

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Return once every replica asked for is available; ClusterError after `timeout`."""


class FittedForecaster(Protocol):
    """What a forecaster has learned of one service: pure, deterministic, and saved in plain formats."""

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What was left out or replaced in fitting, and why; shown with the model."""

    def levels(self, places: Sequence[Place]) -> Sequence[Mapping[Target, Level]]:
        """Mean and high level (p95) of use for each place, per target, in plain units and never below 0.

        A mapping without a target means that there is no forecast of it: other forecasters answer. The
        places are an `AtLoad`, an `AfterWindow` or an `AtRow` each, in any mix (mora/domain/learning.py). Raises
        NotEnoughData where a window lacks what it was fitted on.
        """

    def save(self) -> Saved:
        """What Forecaster.restore() needs to answer the same to the last bit."""


@runtime_checkable
class ExplainsItself(Protocol):
    """A fitted forecaster that can say what each of its inputs adds to a forecast of a horizon; optional."""

    def contributions(
        self, grid: HorizonGrid, rows: Sequence[int], background: Sequence[int], *, seed: int
    ) -> Mapping[Target, Contributions]:
        """SHAP values of the mean of the horizon that begins with each row, per target.

        They add up to what levels() gives, to a millionth. background: the rows whose average forecast is the base.
        """


class Forecaster(Protocol):
    """A way to forecast a service's use from its own past; registered under `forecasters`, made without arguments."""

    @property
    def name(self) -> str:
        """The registered name."""

    @property
    def is_refitted(self) -> bool:
        """Whether a fit is cheap enough (about 0.1 s) to be done again without each validation fold, or each week.

        Others are fitted once, on data that neither chooses weights nor is scored.
        """

    def fit(self, data: Experiments | Past, *, seed: int, reporter: Reporter) -> FittedForecaster:
        """Learn from experiments or from a history; the same data and seed give the same. Raises NotEnoughData."""

    def restore(self, saved: Saved) -> FittedForecaster:
        """What was saved, without the library that fitted it."""


@runtime_checkable
class Tunable(Protocol):
    """A forecaster whose settings `mora train --tune` searches.

    It is made with its settings, a frozen dataclass, as its one argument, and with the default ones without it.
    """

    @property
    def settings(self) -> Any:
        """What it was made with."""

    @property
    def knobs(self) -> Mapping[str, Knob]:
        """Field of the settings -> the values that are worth trying."""


class Detector(Protocol):
    """Finds samples that are not as usual; registered under `detectors`, made without arguments.

    A frame has one row a step in the order of time: the column `timestamp` (UTC), and any columns of numbers, each one
    metric; NaN where a sample is not known. What score is too high, a Threshold decides.
    """

    @property
    def name(self) -> str:
        """The registered name."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The metrics it was fitted on; empty before."""

    @property
    def context(self) -> int:
        """How many rows before a row its score depends on: as many must stand before the first row that is judged."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """What fitting left out or clipped, a sentence each."""

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn what is usual from a frame. Raises NotEnoughData, with how many rows it needs."""

    def score(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """One score for each row of a frame that has the fitted columns, shape (rows,); higher is more abnormal.

        NaN where nothing can be judged: no metric is known, or too little stands before the row. Rows that come later
        change no score. Raises BadInput for a column that is missing.
        """

    def contributions(self, frame: pd.DataFrame) -> pd.DataFrame:
        """How much of each row's score each metric carries: a row for each row, the fitted columns, the index of frame.

        Never negative; a row adds up to 1, or to 0 where the score is 0 or NaN.
        """

    def save(self) -> Saved:
        """What was learnt, in plain formats: no code, no pickle."""

    def restore(self, saved: Saved) -> None:
        """Be the detector that was saved: the same scores. Raises BadModel for contents that no `save` wrote."""


class Threshold(Protocol):
    """Decides from which score on a sample is abnormal; registered under `thresholds`, made without arguments."""

    @property
    def name(self) -> str:
        """The registered name."""

    @property
    def level(self) -> float:
        """The threshold that the next score is compared with."""

    def fit(self, scores: NDArray[np.float64]) -> None:
        """Learn it from the scores of healthy samples, in the order of time; NaN are passed over.

        Raises NotEnoughData where too few are known.
        """

    def follow(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The threshold in force at each score, shape (n,): from scores before it alone. Moves `level` on.

        Scores followed in two pieces have the thresholds they have in one.
        """

    def save(self) -> Saved:
        """What was learnt and where it stands now, in plain formats."""

    def restore(self, saved: Saved) -> None:
        """Be the threshold that was saved. Raises BadModel for contents that no `save` wrote."""


class Policy(Protocol):
    """Demand and what is set now -> what should be set; registered under `policies`."""

    def __call__(self, demand: Demand, current: Allocation, settings: Any = ...) -> Recommendation:
        """The numbers with their reasons; pure. No number without a reason, no number from a demand without one.

        settings: a mora.policies.PolicySettings; its defaults where none are given.
        """


class Output(Protocol):
    """Recommendations as text for a person or a program; registered under `outputs`."""

    def __call__(self, recommendations: Sequence[Recommendation], settings: Any = ...) -> str:
        """Text that ends its last line; the same each time. Raises MoraError for what it cannot express.

        settings: a mora.outputs.OutputSettings; its defaults where none are given.
        """
