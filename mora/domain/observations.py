"""What was measured: time ranges, experiments, observations, histories and the evidence that numbers rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mora.domain.runtimes import Runtime
from mora.domain.workloads import Resources, Target, Workload
from mora.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


MOST_LEFT_OUT = 0.05
"""Where a larger share of the samples cannot be, there is no number."""


@dataclass(frozen=True, slots=True)
class BoundSeries:
    """A series that a bound is learnt of. place: which it is, of several pods of a container that each have one."""

    workload: Workload
    container: str
    target: Target
    place: int = 0


@dataclass(frozen=True, slots=True)
class KeptBound:
    """What a bound goes on from (mora/bounds/renewal.py); unix seconds. since: its first sample. at: the end of the
    history that it was last learnt of. until: from when on it is learnt anew."""

    since: float
    at: float
    until: float
    body: bytes


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Samples that cannot be, such as use above the whole node: how many of how many, and what is wrong with them.

    why: completes "14 of 8,640 CPU samples ..."; empty where none was left out. remark: what else a reader must know of
    how the samples were read.
    """

    count: int
    samples: int
    why: str = ""
    remark: str = ""

    @property
    def share(self) -> float:
        """Left out of all samples, 0..1."""
        return self.count / self.samples if self.samples else 0.0

    def words(self, of: str) -> str:
        """How many samples `of` something were left out of how many, and why."""
        return f"{self.count:,} of {self.samples:,} {of} samples {self.why}: left out"


@dataclass(frozen=True, slots=True)
class PodUse:
    """What one pod's container used, sample by sample, continued by that of the pods before it whose place it took.

    cpu_cores: shape (window.sample_count,), NaN where not known. throttled: share of CFS periods that were throttled,
    of the same shape; None where there is no such metric, or no limit.
    """

    cpu_cores: NDArray[np.float64]
    throttled: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class PodSpread:
    """How unevenly the pods that run now use a resource, in cores (p95) or bytes (peak).

    spare: what all of them together leave, where each is given what the largest needs.
    """

    pods: int
    largest_pod: str
    largest: float
    median: float
    spare: float


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """A container that keeps restarting, and not for want of memory: `restarts` of one pod's in the last `span`."""

    pod: str
    container: str
    restarts: int
    span: timedelta


@dataclass(frozen=True, slots=True)
class ContainerHistory:
    """What one container of a workload used, sample by sample on its hottest pod (pods that are gone included).

    cpu_cores, mem_bytes: shape (window.sample_count,), float, NaN where nothing ran or was scraped; start-up is left
    out of them. startup_*: the peaks of the first minutes of pods, None where none was seen. throttled: share of CFS
    periods throttled, hottest pod, of the same shape; None where the source has no such metric. cpu_limit_cores,
    mem_limit_bytes: what it was limited to, sample by sample, None where never. oom_kills: kills in the window (guarded
    by restarts, FIELD.md 5.4); oom_limit_bytes: the limit they happened at. peak_pods: cpu and memory peak -> pod.
    pod_p95_cores: the highest p95 that any one pod had; cpu_cores is of whichever pod was hottest at each moment, and
    so lies higher where several take turns. None where too little was seen of each. by_pod: CPU of the pods that need
    most, each alone: a request is sized on these; empty where only one runs at a time, or single pods are not known.
    spread: how unevenly the pods that run now use a resource. left_out: samples of a resource that cannot be.
    mem_less_cache_bytes: mem_bytes without the page cache that the kernel gives back when memory is short, where that
    may decide the number; None where it was not read, or there is no cache to speak of. cache_known_by: the metric that
    tells it; empty where none does, or memory has room. crash_loop: the pod
    that restarts most, where its use shows a service that starts and not one that works. runs: of a job,
    how many runs ended well or were OOM-killed (the parallel pods of one are one run), None where only its pods are
    known; failed_pods: tries that failed otherwise, and show nothing of what a run needs. runtime: what its own metrics
    tell of a runtime that may take more memory than it does; None where they tell nothing. killed: restarts after a
    SIGKILL (exit code 137) that nothing names an OOM kill. oom_rows: the samples at which OOM kills are known to have
    happened; fewer than the kills where only their number is known.
    """

    container: str
    cpu_cores: NDArray[np.float64]
    mem_bytes: NDArray[np.float64]
    startup_cpu_cores: float | None = None
    startup_mem_bytes: float | None = None
    throttled: NDArray[np.float64] | None = None
    cpu_limit_cores: NDArray[np.float64] | None = None
    mem_limit_bytes: NDArray[np.float64] | None = None
    oom_kills: int = 0
    oom_limit_bytes: float | None = None
    restarts: int = 0
    pods: int = 0
    peak_pods: Mapping[Target, str] = field(default_factory=dict)
    pod_p95_cores: float | None = None
    by_pod: tuple[PodUse, ...] = ()
    spread: Mapping[Target, PodSpread] = field(default_factory=dict)
    left_out: Mapping[Target, LeftOut] = field(default_factory=dict)
    mem_less_cache_bytes: NDArray[np.float64] | None = None
    cache_known_by: str = ""
    crash_loop: CrashLoop | None = None
    runs: int | None = None
    failed_pods: int = 0
    runtime: Runtime | None = None
    killed: int = 0
    oom_rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkloadHistory:
    """One workload's containers over a window, as one batch of queries answered.

    window: what was asked for; the effective one begins at the first known sample. replicas: available replicas, shape
    (window.sample_count,), None where not known. queries: what was sent, name -> text. largest_node: CPU and memory of
    the largest node, as requests; None where not known. rooms: what nodes can give one pod, as requests: allocatable,
    less what the pods of DaemonSets request there; empty where not known. refusal: why the source does not answer for
    this workload; empty where it does. late: why the samples begin later than asked for, where the source knows.
    lacks: of a resource, which metric the source lacks for every workload, and what to enable.
    """

    workload: Workload
    window: Window
    containers: Mapping[str, ContainerHistory]
    replicas: NDArray[np.float64] | None = None
    queries: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    largest_node: Resources | None = None
    rooms: tuple[Resources, ...] = ()
    refusal: str = ""
    late: str = ""
    lacks: Mapping[Target, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """What the pods of some workloads used together on one node.

    cpu_cores: of all of them, shape (window.sample_count,), NaN where not known. counts: how many pods there were, of
    the same shape. pods: workload -> its pods that run there now.
    """

    node: str
    cpu_cores: NDArray[np.float64]
    counts: NDArray[np.float64]
    pods: Mapping[Workload, int]

    def as_now(self) -> NDArray[np.float64]:
        """What would have been used with as many pods as now, where there were fewer; shape (window.sample_count,)."""
        import numpy as np

        running = float(sum(self.pods.values()))
        with np.errstate(divide="ignore", invalid="ignore"):
            more: NDArray[np.float64] = self.cpu_cores * np.fmax(running / self.counts, 1.0)
        return np.where(np.isfinite(more), more, np.nan)


@dataclass(frozen=True, slots=True)
class ImageUse:
    """An image that a workload's container ran: when it was seen first and last, in any of its pods."""

    container: str
    image: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class FailingCalls:
    """A workload's calls to one destination, most of which failed at some time of a window.

    destination: its name, and its namespace where that is another one. failed: the share of the calls that failed, at
    each sample, shape (n,); NaN where none was made. requests: what came in to the workload itself, requests/s, shape
    (n,); NaN where that is not known.
    """

    destination: str
    failed: NDArray[np.float64]
    requests: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AbnormalTime:
    """A time in which a container was abnormal: its first and last such sample, and the metric that shows it most."""

    start: datetime
    end: datetime
    metric: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a container's numbers rest on, for `mora explain`.

    start, end: the effective window (first and last sample). samples: known ones of `expected`, cpu_samples and
    mem_samples: of each resource, None where not counted apart. peaks with the moment
    and the pod they were seen on; level_cores: the p95 of CPU. left_out: spans that were excluded, and why.
    abnormal: when it was not itself, in the order of time; None where its whole history was not examined.
    """

    start: datetime
    end: datetime
    step: timedelta
    samples: int
    expected: int
    pods: int
    cpu_level_cores: float | None = None
    cpu_peak_cores: float | None = None
    cpu_peak_at: datetime | None = None
    cpu_peak_pod: str | None = None
    mem_peak_bytes: float | None = None
    mem_peak_at: datetime | None = None
    mem_peak_pod: str | None = None
    throttled_ratio: float | None = None
    oom_kills: int = 0
    restarts: int = 0
    cpu_samples: int | None = None
    mem_samples: int | None = None
    left_out: tuple[str, ...] = ()
    queries: Mapping[str, str] = field(default_factory=dict)
    abnormal: tuple[AbnormalTime, ...] | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What a container used, in columns of time that a chart has room for: only kept where it is asked for.

    start: of the first column. step: of a column. highest, mean: of the samples of each column, cores or bytes of the
    pod that needs most, NaN where there is none. throttled: the highest share of CFS periods, of the same shape; None
    where nothing was throttled, or it is not known. oom_kills: when. bounds: the upper bound that the request rests on.
    """

    start: datetime
    step: timedelta
    highest: Mapping[Target, NDArray[np.float32]]
    mean: Mapping[Target, NDArray[np.float32]]
    throttled: NDArray[np.float32] | None = None
    oom_kills: tuple[datetime, ...] = ()
    bounds: Mapping[Target, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """A load that is asked for or was driven: a scenario and its concurrent users."""

    scenario: str
    users: int


@dataclass(frozen=True, slots=True)
class Slo:
    """A service level objective: the 95th percentile of the response time and the share of failures."""

    p95_seconds: float = 0.3
    error_ratio: float = 0.01


@dataclass(frozen=True, slots=True)
class Experiment:
    """One cell of a plan for one service: what was asked for, and which repeat it is.

    >>> Experiment("frontend", "browsing", 2, 40).id
    'frontend_browsing_replicas_2_users_40'
    >>> Experiment("frontend", "browsing", 2, 40, repeat=3).id
    'frontend_browsing_replicas_2_users_40_run_3'
    >>> Experiment("frontend", "browsing", 2, 0, requests_per_second=40.0).id
    'frontend_browsing_replicas_2_rps_40'

    requests_per_second: the rate at which requests arrive, in place of users; 0 for a load in users.
    """

    service: str
    scenario: str
    replicas: int
    users: int
    repeat: int = 1
    requests_per_second: float = 0.0

    @property
    def id(self) -> str:
        """The name of the experiment, and of its file."""
        suffix = "" if self.repeat == 1 else f"_run_{self.repeat}"
        load = f"rps_{self.requests_per_second:g}" if self.requests_per_second else f"users_{self.users}"
        return f"{self.service}_{self.scenario}_replicas_{self.replicas}_{load}{suffix}"


@dataclass(frozen=True, slots=True)
class Window:
    """A time range of samples: from `start` to `end`, both included, every `step`."""

    start: datetime
    end: datetime
    step: timedelta

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise BadInput("A window's start and end must carry a time zone (UTC).")
        if self.end < self.start or self.step <= timedelta(0):
            raise BadInput(f"A window must not end before it starts, and its step must be positive: {self}.")

    @property
    def sample_count(self) -> int:
        """How many samples the window has, both ends included."""
        return int((self.end - self.start) / self.step) + 1


@dataclass(frozen=True, slots=True)
class Observation:
    """What a source saw of one workload over a window.

    metrics: one row a step, indexed by UTC timestamp; the measured columns of metrics.MEASURED_COLUMNS and whichever
        of the extra columns the source knows, NaN where nothing was answered.
    containers: rows of (timestamp, container, cpu_cores, mem_bytes, cpu_request_cores, cpu_limit_cores,
        mem_request_bytes, mem_limit_bytes) for the other containers, hottest pod each; may be empty.
    main_container: the container that the metrics are of, and how it was chosen.
    queries: what was sent, name -> text. warnings: what a reader must know.
    rate_window: what the CPU and network rates are taken over; None where the source does not know.
    """

    workload: Workload
    window: Window
    metrics: pd.DataFrame
    containers: pd.DataFrame
    main_container: str | None
    main_container_chosen_by: str
    queries: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    rate_window: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """How good one experiment's samples are; every flag has its figure (DESIGN.md, the unified CSV)."""

    expected_samples: int
    samples: int
    missing_ratio: Mapping[str, float]
    is_complete: bool
    is_steady: bool
    flags: tuple[str, ...] = field(default=())
