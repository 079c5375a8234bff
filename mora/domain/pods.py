"""Pods as they run: what each container was given, how it fares, and what became of its last resize in place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mora.domain.workloads import Container, Resources, Target, Workload, quality_of


class ResizeState(StrEnum):
    """What the node makes of a pod's resources as its spec asks for them.

    https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/, "Pod resize status"
    """

    DONE = "done"  # the containers run with what the spec says
    IN_PROGRESS = "in-progress"
    DEFERRED = "deferred"  # the node has no room now; it tries again
    INFEASIBLE = "infeasible"  # the node can never give that
    ERROR = "error"  # the node tried and failed; it tries again


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A container of a pod.

    spec: with the resources that are asked for. actual: what it runs with, None where the node does not say.
    oom_killed_at: when it was last killed for want of memory, as far as the pod remembers. restarted_by: the resources
    whose resize restarts it (resizePolicy RestartContainer).
    """

    spec: Container
    actual: Resources | None = None
    restarts: int = 0
    oom_killed_at: datetime | None = None
    restarted_by: frozenset[Target] = frozenset()

    @property
    def name(self) -> str:
        """The container's name."""
        return self.spec.name

    @property
    def resources(self) -> Resources:
        """What is asked for."""
        return self.spec.resources


@dataclass(frozen=True, slots=True)
class RunningPod:
    """A pod of a workload that runs all the time.

    uid: tells it from another pod of its name. version: the resourceVersion that it was read at. revision: its pod
    template's, the same for all pods of one template. ready_since: since when it is ready, or (not is_ready) not ready.
    has_own_resources: whether the pod itself has requests or limits (spec.resources), which bound its containers.
    """

    workload: Workload
    name: str
    uid: str
    version: str
    containers: tuple[RunningContainer, ...]
    revision: str = ""
    is_ready: bool = True
    ready_since: datetime | None = None
    started_at: datetime | None = None
    resize: ResizeState = ResizeState.DONE
    resize_message: str = ""
    node: str = ""
    has_own_resources: bool = False

    def container(self, name: str) -> RunningContainer | None:
        """The container of that name; None where there is none."""
        return next((one for one in self.containers if one.name == name), None)

    @property
    def resources(self) -> dict[str, Resources]:
        """Container -> what is asked for."""
        return {one.name: one.resources for one in self.containers}

    @property
    def quality(self) -> str:
        """The QoS class of its containers as they are: Guaranteed, Burstable or BestEffort."""
        return quality_of([one.spec for one in self.containers])
