"""Azure Monitor as a Reader: one AKS cluster, and the databases beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from mora.domain import Window, Workload
from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.quantities import format_duration
from mora.sources.azure import logs, metrics
from mora.sources.azure.client import ROLE, AzureClient, Table
from mora.sources.cloud.reader import Tried
from mora.sources.cloud.signals import OF_DATABASES, OF_NODES, Remark, Scope, Series, Signal

_FINEST = timedelta(minutes=1)
_CLUSTER_API = "2024-09-01"


class AzureReader:
    """Reads one cluster. cluster: its resource id; None where a database alone is read."""

    def __init__(self, client: AzureClient, cluster: str | None) -> None:
        self._client = client
        self._resource = cluster
        self._regions: dict[str, str] = {}

    @property
    def title(self) -> str:
        """Azure Monitor, and the name of the cluster."""
        return f"Azure Monitor of {self._resource.rpartition('/')[2]}" if self._resource else "Azure Monitor"

    @property
    def signals(self) -> frozenset[Signal]:
        """What Container insights and Azure's own metrics know; not the traffic of pods."""
        return logs.SIGNALS | frozenset((*OF_NODES, *OF_DATABASES))

    @property
    def finest(self) -> timedelta:
        """A minute."""
        return _FINEST

    def read(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Iterator[Series | Remark]:
        """The series of some signals over a window: containers from the logs, the rest from Azure's metrics."""
        if window.step % _FINEST:
            raise BadInput(
                f"Azure's points are whole minutes apart, and the step is {format_duration(window.step)}.",
                hint="Give a step of minutes, such as --step 5m.",
            )
        if scope.database is not None:
            region = self._region(scope.database, metrics.api_of(scope.database))
            yield from metrics.database_series(self._client, region, scope.database, signals, window)
        elif set(OF_DATABASES) & set(signals):
            yield Remark("No database is named: --database ID, or database under [azure] in mora.toml.")
        if not (logs.SIGNALS | set(OF_NODES)) & set(signals):
            return
        cluster = self._cluster()
        seen: set[Workload] = set()
        is_empty = True
        for one in logs.use_series(self._ask, signals, scope, window):
            is_empty = False
            if one.of.workload is not None and scope.workload in (None, one.of.workload.name):
                seen.add(one.of.workload)
                yield one
        if is_empty and scope.workload is None and logs.USE & set(signals):
            self._check_insights(window)
        for one in logs.event_series(self._ask, signals, scope, window):
            # The inventory lists pods that wait as well, which used nothing.
            if one.of.workload in seen:
                yield one
        if set(OF_NODES) & set(signals):
            yield from metrics.node_series(self._client, self._region(cluster, _CLUSTER_API), cluster, signals, window)

    def queries(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Mapping[str, str]:
        """The queries of the logs, and the metrics that are asked for."""
        names = [name for name, (signal, _) in logs.COUNTERS.items() if signal in signals]
        found = {"Perf": logs.perf(names, scope, window, window.step)} if names else {}
        if {Signal.RESTARTS, Signal.OOM_KILLS} & set(signals):
            found["KubePodInventory"] = logs.inventory(scope, window, window.step)
        of_nodes = {
            name: f"{aggregation} of {metrics.CLUSTERS}/{name} by node"
            for signal, (name, aggregation) in metrics.NODES.items()
            if signal in signals
        }
        return {**found, **of_nodes, **metrics.queries(scope.database, signals)}

    def check(self, at: datetime) -> Iterator[Tried]:
        """The cluster, its logs, Container insights in them, and its metrics."""
        try:
            cluster = self._cluster()
            region = self._region(cluster, _CLUSTER_API)
        except MoraError as error:
            yield Tried("Microsoft.ContainerService/managedClusters/read", False, error.message, error.hint or "")
            return
        yield Tried("Microsoft.ContainerService/managedClusters/read", True, f"the cluster is in {region}")
        end = at.replace(second=0, microsecond=0)
        window = Window(end - timedelta(hours=1), end, timedelta(minutes=5))
        try:
            found = list(logs.rows_of(self._ask(logs.counted(["cpuUsage"], Scope(), window)), "Series"))
            count = max((int(row[0] or 0) for row in found), default=0)
            if not count:
                raise _no_insights(self.title)
        except MoraError as error:
            yield Tried("Microsoft.Insights/logs/read", False, error.message, error.hint or "")
        else:
            yield Tried("Microsoft.Insights/logs/read", True, f"{count:,} containers in the last hour")
        try:
            list(metrics.node_series(self._client, region, cluster, [Signal.NODE_CPU], window))
        except MoraError as error:
            yield Tried("Microsoft.Insights/metrics/read", False, error.message, error.hint or "", is_needed=False)
        else:
            yield Tried("Microsoft.Insights/metrics/read", True, "the use of nodes", is_needed=False)

    # --- below ---

    def _cluster(self) -> str:
        if self._resource is None:
            raise BadInput(
                "Which AKS cluster?",
                hint="Give its resource id (az aks list --query '[].id'): --source azure:/subscriptions/..., or "
                "azure.cluster in mora.toml.",
            )
        return self._resource

    def _ask(self, query: str) -> Table:
        return self._client.logs(self._cluster(), query)

    def _region(self, resource: str, version: str) -> str:
        if resource not in self._regions:
            found = self._client.resource(resource, version).get("location")
            region = "".join(str(found or "").lower().split())
            if not region.isalnum():
                raise SourceUnavailable(f"Azure does not tell in which region {resource} is.")
            self._regions[resource] = region
        return self._regions[resource]

    def _check_insights(self, window: Window) -> None:
        """Raise where a cluster writes no metrics of containers into its logs at all."""
        found = list(logs.rows_of(self._ask(logs.counted(["cpuUsage"], Scope(), window)), "Series"))
        if not max((int(row[0] or 0) for row in found), default=0):
            raise _no_insights(self.title)


def _no_insights(title: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"{title} has no metrics of containers in its logs (table Perf).",
        hint="Container insights writes them where its data collection has performance (Standard). Where the cluster "
        f"has managed Prometheus instead, read that: --prometheus URL (docs/clouds.md). For both: the role {ROLE}.",
    )
