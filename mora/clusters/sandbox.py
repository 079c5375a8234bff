"""The sandbox as a Cluster: the harness scales it, and the demo applies recommendations to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mora.domain import Allocation, Container, Resources, Workload
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
