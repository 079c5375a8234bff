"""The sandbox as a Cluster: the harness scales it, the demo applies recommendations to it, and its pods are resized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mora.clusters.conflicts import ChangedMeanwhile, GoneMeanwhile
from mora.clusters.pods import LOWERS_MEMORY
from mora.domain import Allocation, Container, Resources, Workload
from mora.domain.pods import ResizeState, RunningContainer, RunningPod
from mora.errors import BadInput, ClusterError
from mora.sandbox.handle import SandboxHandle, connect


class SandboxCluster:
    """Scales and resizes the services of a running sandbox."""

    def __init__(self, handle: SandboxHandle | None = None, *, name: str = "default") -> None:
        self._handle = handle or connect(name)

    @property
    def handle(self) -> SandboxHandle:
        """The connection to the sandbox."""
        return self._handle

    def services(self, namespace: str) -> list[str]:
        """Names of the services that can be sized; none outside the sandbox's namespace."""
        return self._handle.services if namespace == self._handle.namespace else []

    def allocation(self, workload: Workload) -> Allocation:
        """Replicas and the container of a service, as they are now."""
        services = self._handle.status()["services"]
        name = self._check(workload, services)
        service = services[name]
        container = Container(service["container"], Resources(**service["resources"]), service["image"], is_main=True)
        return Allocation(replicas=service["replicas"], containers=(container,))

    def apply(self, workload: Workload, allocation: Allocation) -> None:
        """Set replicas and resources; returns before the service is ready."""
        service = self._check(workload, self._handle.services)
        main = allocation.main
        if main is not None:
            status = self._handle.status()["services"][service]
            if main.name != status["container"]:
                raise BadInput(f"{service} has no container {main.name!r}, only {status['container']!r}.")
            self._handle.set_resources(service, main.resources)
        if allocation.replicas is not None:
            self._handle.scale({service: allocation.replicas})

    def restart(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Replace every replica by a fresh one, and wait until all are ready."""
        names = self._names(workloads)
        self._handle.restart(names)
        self._handle.wait_ready(names, timeout)

    def wait_ready(self, workloads: Sequence[Workload], timeout: timedelta) -> None:
        """Return once every replica is ready."""
        self._handle.wait_ready(self._names(workloads), timeout)

    def _names(self, workloads: Sequence[Workload]) -> list[str]:
        known = self._handle.services
        return [self._check(workload, known) for workload in workloads]

    def _check(self, workload: Workload, services: Sequence[str] | dict[str, object]) -> str:
        if workload.namespace != self._handle.namespace or workload.name not in services:
            raise ClusterError(
                f"The sandbox has no {workload.kind} {workload.name!r} in namespace {workload.namespace!r}.",
                hint=f"In namespace {self._handle.namespace!r} it has: {', '.join(sorted(services))}.",
            )
        return workload.name


class SandboxPods:
    """The running pods of a sandbox, for mora.inplace.loop.Pods: a resize changes the limits of live processes."""

    def __init__(self, handle: SandboxHandle) -> None:
        self._handle = handle
        self.namespace = handle.namespace

    def identity(self) -> str:
        """The sandbox, and the process that runs it."""
        return f"sandbox {self._handle.name}, process {self._handle.pid}"

    def version(self) -> tuple[int, int]:
        """The sandbox gives what Kubernetes 1.35 gives: memory limits fall without a restart."""
        return LOWERS_MEMORY

    def pods(self) -> list[RunningPod]:
        """Every pod whose container has started once; without those that end."""
        services = self._handle.status()["services"]
        return [
            self._pod(name, service["container"], pod)
            for name, service in sorted(services.items())
            for pod in service["pods"]
            if pod["phase"] != "terminating"
        ]

    def resize(self, pod: RunningPod, wanted: Mapping[str, Resources], *, dry_run: bool = False) -> RunningPod:
        """Ask for other resources of a pod's container. ChangedMeanwhile, GoneMeanwhile as in a cluster."""
        ((container, resources),) = wanted.items()
        if dry_run:
            return pod
        answer = self._handle.resize(pod.name, int(pod.version), resources)
        if answer["outcome"] == "changed":
            raise ChangedMeanwhile("The pod was changed since it was read.")
        if answer["outcome"] == "gone":
            raise GoneMeanwhile("The pod ended since it was read.")
        return self._pod(pod.workload.name, container, answer["pod"])

    def _pod(self, service: str, container: str, pod: Mapping[str, Any]) -> RunningPod:
        problem, resources, actual = pod["resize_problem"], Resources(**pod["resources"]), Resources(**pod["actual"])
        state = ResizeState.DONE if resources == actual else ResizeState.IN_PROGRESS
        return RunningPod(
            workload=Workload(self.namespace, service),
            name=pod["name"],
            uid=pod["uid"],
            version=str(pod["version"]),
            containers=(
                RunningContainer(
                    Container(container, resources, is_main=True),
                    actual,
                    pod["restarts"],
                    None if pod["oom_killed_at"] is None else datetime.fromtimestamp(pod["oom_killed_at"], UTC),
                ),
            ),
            revision=pod["replica_set"],
            is_ready=pod["phase"] == "ready",
            ready_since=datetime.fromtimestamp(pod["ready_since"], UTC),
            started_at=datetime.fromtimestamp(pod["created_at"], UTC),
            resize=ResizeState.ERROR if problem else state,
            resize_message=problem,
        )
