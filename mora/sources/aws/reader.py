"""CloudWatch as a Reader: Container Insights of one EKS cluster, and the databases of RDS beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from mora.domain import Window, Workload
from mora.errors import BadInput, MoraError, SourceUnavailable
from mora.sources.aws import cloudwatch, databases
from mora.sources.aws.client import AwsClient
from mora.sources.aws.cloudwatch import Asked, Metric
from mora.sources.aws.insights import (
    BETTER,
    OF_DAEMON_SETS,
    SIGNALS,
    SPACE,
    USE,
    Gathered,
    Named,
    key_of,
    names_of,
    oom_series,
    owner_of,
    plain_series,
    use_series,
)
from mora.sources.cloud.reader import Tried
from mora.sources.cloud.signals import OF_DATABASES, Remark, Scope, Series, Signal

# Any metric that every cluster has, by which clusters are found.
_OF_CLUSTERS = "cluster_node_count"
_NODE_SIZES = {Signal.CPU: "node_cpu_limit", Signal.MEMORY: "node_memory_limit"}
_MOST_NAMED = 20


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AwsReader:
    """Reads one cluster of one region. cluster: None for the only one there is."""

    def __init__(
        self, client: AwsClient, cluster: str | None = None, *, now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._client = client
        self._named = cluster
        self._found: str | None = None
        self._units: tuple[Window | None, dict[Metric, tuple[str, ...]]] = (None, {})
        self._now = now

    @property
    def title(self) -> str:
        """CloudWatch, its region, and the cluster where one is named or was found."""
        cluster = self._found or self._named
        return f"CloudWatch in {self._client.region}" + (f" (cluster {cluster})" if cluster else "")

    @property
    def signals(self) -> frozenset[Signal]:
        """What Container Insights and RDS know; not on which node a pod runs, so nothing of nodes."""
        return SIGNALS | frozenset(OF_DATABASES)

    @property
    def finest(self) -> timedelta:
        """A minute."""
        return cloudwatch.FINEST

    def read(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Iterator[Series | Remark]:
        """The series of some signals over a window; a metric in several units is read in each."""
        cloudwatch.check_window(window, self._now())
        yield from databases.read(self._client, signals, scope.database, window)
        wanted = [signal for signal in signals if signal in SIGNALS]
        if not wanted:
            return
        cluster = self._cluster()
        asked = self._asked(wanted, scope, cluster, window)
        gathered = Gathered()
        for part in cloudwatch.points(self._client, list(asked), window):
            if len(part.values):
                gathered.add(asked[part.asked], part.asked.unit, key_of(part.asked.metric), part.seconds, part.values)
        daemon_sets = self._daemon_sets(scope, cluster)
        owners = self._owners(gathered, daemon_sets)
        sizes = self._node_sizes(gathered, wanted, cluster, window)
        for signal in wanted:
            if signal in USE:
                found = use_series(gathered, signal, daemon_sets, sizes)
            elif signal is Signal.OOM_KILLS:
                found = oom_series(gathered, daemon_sets)
            else:
                found = plain_series(gathered, signal, owners, daemon_sets)
            yield from (
                one for one in found if one.of.workload is not None and scope.workload in (None, one.of.workload.name)
            )

    def queries(self, signals: Sequence[Signal], scope: Scope, window: Window) -> Mapping[str, str]:
        """The metrics that read() lists and asks for, by name; which series each has, CloudWatch knows."""
        cluster = self._found or self._named or "the only one"
        of = {"ClusterName": cluster, "Namespace": scope.namespace or "*", "PodName": scope.workload or "*"}
        seconds = round(window.step.total_seconds())
        return {
            one.name: f"{one.statistic} of {SPACE}/{one.name} every {seconds} s by {', '.join(one.dimensions)} {{"
            + ", ".join(f"{name}={value}" for name, value in of.items())
            + "}"
            for one in names_of([signal for signal in signals if signal in SIGNALS])
        } | databases.queries(signals, scope.database, seconds)

    def check(self, at: datetime) -> Iterator[Tried]:
        """Credentials, region, the rights to list and to read, Container Insights, RDS."""
        try:
            yield Tried("region", True, self._client.region)
            cluster = self._cluster()
        except MoraError as error:
            yield Tried("cloudwatch:ListMetrics", False, error.message, error.hint or "")
            return
        yield Tried("cloudwatch:ListMetrics", True, f"cluster {cluster} sends Container Insights")
        end = at.replace(second=0, microsecond=0)
        window = Window(end - timedelta(hours=1), end, timedelta(minutes=5))
        try:
            asked = self._asked([Signal.CPU], Scope(), cluster, window)
            found = sum(len(part.values) for part in cloudwatch.points(self._client, list(asked)[:10], window))
        except MoraError as error:
            yield Tried("cloudwatch:GetMetricData", False, error.message, error.hint or "")
        else:
            yield Tried("cloudwatch:GetMetricData", True, f"{found:,} points of the last hour of up to 10 series")
        yield from databases.check(self._client)

    # --- below ---

    def _cluster(self) -> str:
        if self._found is None:
            listed = cloudwatch.listed(self._client, SPACE, _OF_CLUSTERS, [("ClusterName", self._named)])
            there = sorted({name for one in listed if (name := one.of("ClusterName"))})
            if self._named is not None and there:
                self._found = self._named
            elif self._named is not None:
                raise self._no_cluster()
            elif len(there) == 1:
                self._found = there[0]
            elif there:
                raise BadInput(
                    f"{self.title} has Container Insights of several clusters: {_shown(there)}.",
                    hint=f"Name one: --source aws:{there[0]}",
                )
            else:
                raise self._no_cluster()
        return self._found

    def _no_cluster(self) -> SourceUnavailable:
        listed = cloudwatch.listed(self._client, SPACE, _OF_CLUSTERS, [("ClusterName", None)])
        there = sorted({name for one in listed if (name := one.of("ClusterName"))})
        if there:
            return SourceUnavailable(
                f"CloudWatch in {self._client.region} has no Container Insights of a cluster {self._named!r}.",
                hint=f"It has them of these: {_shown(there)}.",
            )
        return SourceUnavailable(
            f"CloudWatch in {self._client.region} has no Container Insights of any cluster.",
            hint="Is it the right region (AWS_REGION)? If so, install the add-on amazon-cloudwatch-observability with "
            "enhanced observability: docs/clouds.md",
        )

    def _asked(self, signals: Sequence[Signal], scope: Scope, cluster: str, window: Window) -> dict[Asked, Named]:
        """Every query for some signals, each with what it is of."""
        names = names_of(signals)
        listed: dict[Named, list[Metric]] = {}
        for one in names:
            # What older agents write of pods alone is only looked for where there is nothing of containers.
            is_told = any(listed.get(better) for better in BETTER.get(one, ()))
            listed[one] = [] if is_told else self._listed(one, scope, cluster, window)
        if not any(listed[USE[signal].of_container] for signal in signals if signal in USE):
            self._check_enhanced(scope, cluster)
        totals = {
            one: Metric(SPACE, one.name, (("ClusterName", cluster),)) for one in names if one.is_checked and listed[one]
        }
        written = self._units_of(list(totals.values()), window)
        return {
            query: one
            for one, metrics in listed.items()
            for metric in metrics
            for query in cloudwatch.in_units(
                Asked(metric, one.statistic), written.get(totals[one], ()) if one in totals else (), one.unit
            )
        }

    def _units_of(self, metrics: Sequence[Metric], window: Window) -> dict[Metric, tuple[str, ...]]:
        """The units of metrics of the whole cluster, asked for once a window: each namespace has the same."""
        known = self._units[1] if self._units[0] == window else {}
        missing = [metric for metric in metrics if metric not in known]
        if missing:
            found = cloudwatch.units(self._client, missing, window)
            known = {**known, **{metric: found.get(metric, ()) for metric in missing}}
            self._units = (window, known)
        return known

    def _listed(self, named: Named, scope: Scope, cluster: str, window: Window) -> list[Metric]:
        known = {"ClusterName": cluster, "Namespace": scope.namespace}
        found = cloudwatch.listed(
            self._client,
            SPACE,
            named.name,
            [(name, known.get(name)) for name in named.dimensions],
            recently=cloudwatch.is_recent(window, self._now()),
        )
        by_it = (one for one in found if tuple(name for name, _ in one.dimensions) == named.dimensions)
        if scope.workload is not None:
            # A StatefulSet's pods have their own names there, which begin with its.
            by_it = (one for one in by_it if one.of("PodName").startswith(scope.workload))
        return sorted(set(by_it), key=lambda one: one.dimensions)

    def _check_enhanced(self, scope: Scope, cluster: str) -> None:
        """Raise where a cluster sends metrics of pods and none of containers."""
        filters = [("ClusterName", cluster), ("Namespace", scope.namespace), ("PodName", None)]
        pods = cloudwatch.listed(self._client, SPACE, USE[Signal.CPU].of_pod.name, filters)
        if next(pods, None) is not None and scope.workload is None:
            raise SourceUnavailable(
                f"{self.title} has metrics of pods and none of their containers: Container Insights runs without "
                "enhanced observability.",
                hint="Turn it on (enhanced_container_insights of the add-on amazon-cloudwatch-observability).",
            )

    def _daemon_sets(self, scope: Scope, cluster: str) -> frozenset[tuple[str, str]]:
        filters = [("ClusterName", cluster), ("Namespace", scope.namespace), ("PodName", None)]
        listed = cloudwatch.listed(self._client, SPACE, OF_DAEMON_SETS.name, filters)
        return frozenset((one.of("Namespace"), one.of("PodName")) for one in listed)

    def _owners(self, gathered: Gathered, daemon_sets: frozenset[tuple[str, str]]) -> dict[tuple[str, str], Workload]:
        found: dict[tuple[str, str], Workload] = {}
        for signal in USE:
            for namespace, pod_name, full, _ in gathered.whose(USE[signal].of_container):
                owner = owner_of(namespace, pod_name, full, daemon_sets)
                if owner is not None:
                    found[namespace, owner.name] = owner
        return found

    def _node_sizes(
        self, gathered: Gathered, signals: Sequence[Signal], cluster: str, window: Window
    ) -> dict[Signal, float]:
        """The size of a node in millicores or bytes, where pods do not tell it and all nodes are alike."""
        sizes: dict[Signal, float] = {}
        for signal in signals:
            if signal not in USE or gathered.whose(USE[signal].amount_of_pod):
                continue
            if not gathered.whose(USE[signal].of_container):
                continue
            metric = Metric(SPACE, _NODE_SIZES[signal], (("ClusterName", cluster),))
            asked = [Asked(metric, statistic) for statistic in ("Minimum", "Maximum")]
            values = [float(value) for part in cloudwatch.points(self._client, asked, window) for value in part.values]
            if not values or min(values) < max(values):
                why = "and its nodes are of several sizes" if values else "and not how large it is"
                raise SourceUnavailable(
                    f"{self.title} tells the {signal} of containers as a share of their node alone, {why}.",
                    hint="A newer CloudWatch agent writes amounts (pod_cpu_usage_total, pod_memory_working_set): "
                    "update the add-on amazon-cloudwatch-observability.",
                )
            sizes[signal] = values[0]
        return sizes


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name)[1:-1] for name in names[:_MOST_NAMED])
    return shown + (", ..." if len(names) > _MOST_NAMED else "")
