"""What is recommended, from demand to number: demands and recommendations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from mora.domain.observations import Evidence, Load, Past
from mora.domain.scaling import Scaling
from mora.domain.workloads import (
    Allocation,
    Autoscaler,
    Reason,
    Resources,
    Role,
    VerticalScaler,
    Workload,
)

# Codes of WorkloadState.problem.
_REFUSED = frozenset({"unreadable", "bad-annotation"})


@dataclass(frozen=True, slots=True)
class TargetDemand:
    """What one target needs, before any policy.

    point_forecast: the fused forecast of mean use (cores or bytes per pod; replicas), without a buffer.
    bound: the upper bound that the service's own past has calibrated; at least the point forecast. bound_label: what it
    is called in a summary.
    peak: the highest use that counts (of the last 7 days; on driven data of the runs at up to the asked load per pod).
    peak_label: what it is called in a reason, since the highest use of a whole time range is another. point_label: what
    the point forecast is called there.
    confidence: share of validation windows that the recommendation covered, shrunk towards the prior; 0..1.
    windows: how many windows the confidence rests on. is_limit_bound: demand above a limit could not be seen, so the
    need may be higher (mora/saturation.py).
    takes_buffer: whether the policy's factor on the point forecast counts; not where the bound alone was replayed and
    scored (mora/bounds), since what `mora backtest` scores is then what is recommended.
    """

    point_forecast: float
    bound: float
    peak: float
    confidence: float
    windows: int
    is_limit_bound: bool = False
    reasons: tuple[Reason, ...] = ()
    takes_buffer: bool = True
    bound_label: str = "upper bound"
    peak_label: str = "peak"
    point_label: str = "mean use"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a service needs at a load: input of the policies, output of ServiceModel.demand().

    cpu, memory, replicas: None where there is no number; then `reasons` says why.
    startup_cpu_cores, startup_memory_bytes: peaks of the first minutes of pods, kept apart; None where not seen.
    oom_kills: OOM kills seen in the runs that count; oom_peak_bytes: use when they happened (the limit,
    where it is known). memory_less_cache: what memory needs without the page cache that the kernel gives back when
    memory is short, with the reason that says so; None where that is not known, or there is no cache to speak of.
    """

    workload: Workload
    load: Load | None
    as_of: datetime
    cpu: TargetDemand | None
    memory: TargetDemand | None
    replicas: TargetDemand | None
    startup_cpu_cores: float | None = None
    startup_memory_bytes: float | None = None
    oom_kills: int = 0
    oom_peak_bytes: float | None = None
    reasons: tuple[Reason, ...] = ()
    memory_less_cache: TargetDemand | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """One number to set: what it is now, what it should be, how sure, and why.

    now, value: millicores, bytes or replicas. value None means "no number, see reasons" for a request or replicas,
    and "not set" for a limit where `is_unset` is true (the CPU limit, by default).
    confidence: 0..1, None without a number. summary: one line at most, what decides the number; the arithmetic is in
    the reasons. goal: what the last of several changes sets, where the step limit makes `value` only the first of them.
    """

    now: int | None
    value: int | None
    confidence: float | None = None
    windows: int = 0
    is_unset: bool = False
    reasons: tuple[Reason, ...] = ()
    summary: str = ""
    goal: int | None = None

    @property
    def change(self) -> float | None:
        """Relative change, -0.4 for 40 % less; None where either side is not known."""
        if self.now is None or self.value is None or self.now == 0:
            return None
        return self.value / self.now - 1.0

    @property
    def at_goal(self) -> Advice:
        """The same advice after its last change; itself where one change is enough."""
        # A number that was raised or withdrawn after the step has no lower goal any more.
        if self.goal is None or self.value is None or self.goal >= self.value:
            return replace(self, goal=None)
        return replace(self, value=self.goal, goal=None)


@dataclass(frozen=True, slots=True)
class ContainerAdvice:
    """The four numbers of one container, and what they rest on.

    written, sections: what its template says now, where its pods run with more than that, and what it has of
    `resources` (as in Container). past: its history as a chart shows it, where that was asked for.
    """

    container: str
    cpu_request: Advice
    cpu_limit: Advice
    memory_request: Advice
    memory_limit: Advice
    role: Role = Role.APP
    evidence: Evidence | None = None
    reasons: tuple[Reason, ...] = ()
    is_main: bool = False
    written: Resources | None = None
    sections: frozenset[str] | None = None
    past: Past | None = field(default=None, compare=False)

    @property
    def template(self) -> Resources:
        """Requests and limits as the template has them now: what a patch starts from, and a rollback goes back to."""
        if self.written is not None:
            return self.written
        return Resources(self.cpu_request.now, self.cpu_limit.now, self.memory_request.now, self.memory_limit.now)

    @property
    def resources(self) -> Resources:
        """Requests and limits to set; where there is no advice, what is set now stays."""
        return Resources(
            cpu_request_millicores=_settled(self.cpu_request),
            cpu_limit_millicores=_settled(self.cpu_limit),
            memory_request_bytes=_settled(self.memory_request),
            memory_limit_bytes=_settled(self.memory_limit),
        )

    @property
    def least_memory_bytes(self) -> float:
        """The highest memory use that was seen: a request below it is raised at once. 0 where none is known."""
        peak = None if self.evidence is None else self.evidence.mem_peak_bytes
        return 0.0 if peak is None else float(peak)

    @property
    def at_goal(self) -> ContainerAdvice:
        """The same advice after the last change of each number."""
        return replace(
            self,
            cpu_request=self.cpu_request.at_goal,
            cpu_limit=self.cpu_limit.at_goal,
            memory_request=self.memory_request.at_goal,
            memory_limit=self.memory_limit.at_goal,
        )


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What MOrA advises for one workload: the numbers of every container of its pod, and its replicas.

    containers: the main one first, marked `is_main`, then the others in the order of the spec.
    `hpa_average_value_millicores`: the use per pod at which an HPA (averageValue) should add a replica. basis: what
    the numbers rest on, "model" (mora train), "history" (the rule of the backtest), "both", "experiments" (mora
    optimize), or "none" where there is no number. model_as_of: when the data ends that the model was trained on.
    autoscalers: every resource that an HPA scales on; current.autoscaler is the first of them. retargets: those of them
    that have to change together with the requests, as they must become. vpas: those that target the workload.
    template_in: as in WorkloadState. reasons: what concerns the workload as a whole.
    model_facts: label and text of what the model is based on; empty without one. cluster: the name of its cluster where
    several were asked, or one was named; else empty. context: the kubeconfig's context that leads there, if any.
    scaling: how an autoscaler is set by the past demand, where that was asked for (--replicas history).
    """

    workload: Workload
    current: Allocation
    load: Load | None
    as_of: datetime
    containers: tuple[ContainerAdvice, ...]
    replicas: Advice
    hpa_average_value_millicores: int | None = None
    hpa_min_replicas: int | None = None
    hpa_max_replicas: int | None = None
    reasons: tuple[Reason, ...] = ()
    model_digest: str | None = None
    basis: str = "model"
    model_as_of: datetime | None = None
    autoscalers: tuple[Autoscaler, ...] = ()
    vpas: tuple[VerticalScaler, ...] = ()
    template_in: Workload | None = None
    retargets: tuple[Autoscaler, ...] = ()
    model_facts: tuple[tuple[str, str], ...] = ()
    cluster: str = ""
    context: str = ""
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        """Refuse a recommendation whose main container is not the first and only one that is marked so."""
        if [container.is_main for container in self.containers] != [True, *(False for _ in self.containers[1:])]:
            raise ValueError(f"{self.workload.name}: the first container is the main one, and no other is")

    @property
    def manifest(self) -> Workload:
        """The workload whose manifest has the pod template: what a patch changes."""
        return self.template_in or self.workload

    @property
    def main(self) -> ContainerAdvice:
        """The advice on the main container."""
        return self.containers[0]

    @property
    def others(self) -> tuple[ContainerAdvice, ...]:
        """The advice on the pod's other containers."""
        return self.containers[1:]

    @property
    def is_refused(self) -> bool:
        """Whether there are no numbers since the workload itself cannot be read, or an annotation of it be used."""
        return any(reason.code in _REFUSED for reason in self.reasons)

    @property
    def target(self) -> Allocation:
        """The workload as it should be; injected containers as they are, since no manifest of it can size them."""
        replicas = self.current.replicas if self.replicas.value is None else self.replicas.value
        advised = {advice.container: advice.resources for advice in self.containers}
        containers = tuple(
            c if c.is_injected else replace(c, resources=advised.get(c.name, c.resources))
            for c in self.current.containers
        )
        return replace(self.current, replicas=replicas, containers=containers)

    @property
    def at_goal(self) -> Recommendation:
        """The same recommendation after the last change of each number; its `target` is the goal."""
        return replace(self, containers=tuple(container.at_goal for container in self.containers))


def _settled(advice: Advice) -> int | None:
    if advice.is_unset:
        return None
    return advice.now if advice.value is None else advice.value
