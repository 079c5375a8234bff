"""Google Cloud Monitoring as a Reader: series of GKE's containers, pods and nodes, and of Cloud SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mora.domain import Window, Workload
from mora.errors import BadInput, MoraError
from mora.sources.cloud.owners import owner_by_name, owner_named
from mora.sources.cloud.reader import Tried
from mora.sources.cloud.signals import OF_DATABASES, Of, Remark, Scope, Series, Signal
from mora.sources.gcp.client import MonitoringClient, TimeSeries
from mora.sources.gcp.metrics import FINEST, METRICS, Asked, filter_of

_RESOURCE, _SYSTEM = "resource.labels.", "metadata.system_labels."
_LATELY = timedelta(hours=1)
_MOST_NAMED = 20
_CHECKED = (Signal.CPU, Signal.MEMORY, Signal.CPU_REQUEST, Signal.MEMORY_REQUEST)


@dataclass(slots=True)
class GcpReader:
    """Reads one project, of it one GKE cluster where there are several. cluster: NAME, or LOCATION/NAME."""

    client: MonitoringClient
    cluster: str | None = None
    signals: frozenset[Signal] = field(default=frozenset(METRICS), init=False)
    finest: timedelta = field(default=FINEST, init=False)

    @property
    def title(self) -> str:
        """What is asked, for messages."""
        return self.client.where if self.cluster is None else f"{self.client.where}, cluster {self.cluster}"

    def read(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Iterator[Series | Remark]:
        """The series of some signals. BadInput where they are of several clusters: pods of both may be called alike.

        BadInput also where a database is named of which there are no points.
        """
        clusters: set[str] = set()
        of_databases = 0
        for signal in signals:
            asked = METRICS[signal]
            for one in self.client.series(asked, self._filter(signal, scope), window):
                if isinstance(one, str):
                    yield Remark(one)
                    continue
                if cluster := one.labels.get(f"{_RESOURCE}cluster_name"):
                    location = one.labels.get(f"{_RESOURCE}location")
                    clusters.add(f"{location}/{cluster}" if location else cluster)
                    self._check_clusters(clusters)
                of_databases += signal in OF_DATABASES
                yield Series(signal, _of(one), _unit(one, asked), one.seconds, one.values)
        if scope.database is not None and not of_databases and not {*OF_DATABASES}.isdisjoint(signals):
            raise self._no_database(scope.database, window)

    def queries(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Mapping[str, str]:
        """The filters and how their series are aligned."""
        return {
            str(signal): f"{self._filter(signal, scope)} | {METRICS[signal].aligner} {METRICS[signal].reducer}"
            for signal in signals
        }

    def check(self, at: datetime) -> Iterator[Tried]:
        """The credentials, the project, the rights, and whether GKE writes what is read."""
        try:
            account, project = self.client.account(), self.client.project_name()
        except MoraError as error:
            yield Tried("credentials", False, error.message, error.hint or "")
            return
        yield Tried("credentials", True, f"{account}, project {project}")
        end = at.replace(second=0, microsecond=0)
        window = Window(end - _LATELY, end, timedelta(minutes=5))
        for signal in _CHECKED:
            metric = METRICS[signal].metric
            try:
                count = len({one.of for one in self.read([signal], Scope(), window) if isinstance(one, Series)})
            except MoraError as error:
                yield Tried("rights", False, error.message, error.hint or "")
                return
            remedy = "" if count else "Is it a GKE cluster with system metrics on? gcloud container clusters describe"
            yield Tried(
                "metrics", count > 0, f"{metric} has {count:,} series in the last hour", remedy, signal in _CHECKED[:2]
            )
        try:
            databases = {one.of for one in self.read([Signal.DB_CPU], Scope(), window) if isinstance(one, Series)}
        except MoraError as error:
            yield Tried("databases", False, error.message, error.hint or "", is_needed=False)
        else:
            yield Tried("databases", True, f"Cloud SQL instances with samples in the last hour: {len(databases):,}")

    def _no_database(self, named: str, window: Window) -> BadInput:
        found = {one.of.node for one in self.read([Signal.DB_CPU], Scope(), window) if isinstance(one, Series)}
        return BadInput(
            f"{self.title} has no samples of a Cloud SQL instance {named!r} in this time range.",
            hint=f"It has them of these: {', '.join(sorted(found)[:_MOST_NAMED]) or 'none'}.",
        )

    def _filter(self, signal: Signal, scope: Scope) -> str:
        return filter_of(signal, scope, project=self.client.project_name(), cluster=self.cluster)

    def _check_clusters(self, clusters: set[str]) -> None:
        if len(clusters) > 1:
            raise BadInput(
                f"{self.title} has metrics of several clusters: {', '.join(sorted(clusters))}.",
                hint=f"Choose one: --source gcp:PROJECT/{min(clusters)}, or MORA_GCP_CLUSTER, or cluster under [gcp].",
            )


def _of(one: TimeSeries) -> Of:
    """Whose a series is: by the labels of its owner, else by the form of the pod's name."""
    namespace, pod = one.labels.get(f"{_RESOURCE}namespace_name", ""), one.labels.get(f"{_RESOURCE}pod_name", "")
    node = one.labels.get(f"{_SYSTEM}node_name", "") or one.labels.get(f"{_RESOURCE}node_name", "")
    if database := one.labels.get(f"{_RESOURCE}database_id", ""):
        node = database.rpartition(":")[2]  # PROJECT:INSTANCE
    return Of(_owner(one, namespace, pod), pod, one.labels.get(f"{_RESOURCE}container_name", ""), node)


def _owner(one: TimeSeries, namespace: str, pod: str) -> Workload | None:
    if not pod:
        return None
    name, kind = (one.labels.get(f"{_SYSTEM}top_level_controller_{part}", "") for part in ("name", "type"))
    return owner_named(namespace, name, kind) or owner_by_name(namespace, pod)


def _unit(one: TimeSeries, asked: Asked) -> str:
    """The unit of the aligned values: a rate's may be written as that of the counter, or not at all."""
    return asked.unit if one.unit in ("", asked.raw_unit) else one.unit
