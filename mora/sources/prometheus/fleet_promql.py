"""The PromQL for many workloads at once: no joins, little aggregation, each sample read once.

The owners of pods are found in Python (ownership.py), and doubled scrapes are merged there, too: a `max by` alone costs
the server as much again as the query (experiments/benchmarks/README.md has the figures), and a join costs more.

- CPU: `irate`, the rate between a step's last two scrapes. It samples use as it was scraped: a p95 of the means over
  five minutes reads low, by 14 % in the benchmark's fleet.
- Memory: `max_over_time` over the step, so that no scraped peak is lost.
- What hardly changes (limits, starts, throttling) is queried at a coarser step, over the span between two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from mora.domain import check_name
from mora.sources.prometheus.promql import duration, quoted

_REAL_CONTAINERS = 'container!="",container!="POD"'
_LONGEST_LIST_CHARACTERS = 2000
# Pods of one ReplicaSet differ in five characters; what shares more is of one kind.
_LONGEST_TAIL = 5
# The label that names what a metric is of, by how the metric's name begins; of any other it is the pod.
_NAMED_BY = {
    "kube_cronjob_": "cronjob",
    "kube_daemonset_": "daemonset",
    "kube_deployment_": "deployment",
    "kube_horizontalpodautoscaler_": "horizontalpodautoscaler",
    "kube_job_": "job_name",
    "kube_limitrange": "limitrange",
    "kube_replicaset_": "replicaset",
    "kube_resourcequota": "resourcequota",
    "kube_statefulset_": "statefulset",
}
_DOT = "\\."  # as a class, [.], it would keep Prometheus from looking the names up one by one


@dataclass(frozen=True, slots=True)
class Endings:
    """Names in Kubernetes by how they end: in one of some characters, and then in `tail`.

    or_alone: the tail alone is such a name, too.
    """

    characters: str = "abcdefghijklmnopqrstuvwxyz0123456789"
    tail: str = ""
    or_alone: bool = False

    @property
    def pattern(self) -> str:
        """The same as a regular expression; Prometheus anchors it."""
        before = f"(.*[{self.characters}]){'?' if self.or_alone else ''}" if self.characters else ""
        return f"{before}{self.tail.replace('.', _DOT)}"

    def halves(self) -> tuple[Endings, Endings] | None:
        """These names in two parts; None where they share their last characters."""
        if len(self.characters) > 1:
            middle = len(self.characters) // 2
            first, second = self.characters[:middle], self.characters[middle:]
            return Endings(first, self.tail, self.or_alone), Endings(second, self.tail)
        if not self.characters or len(self.tail) == _LONGEST_TAIL:
            return None
        if self.or_alone:
            return Endings("", self.tail), Endings(self.characters, self.tail)
        return Endings("-." + Endings().characters, self.characters + self.tail, or_alone=True).halves()


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of a query: namespaces (empty: all), pods (None: all), the cluster where there are several.

    endings: where a store answers for no more, how the names of pods (or of what a metric is of) end.
    """

    namespaces: tuple[str, ...] = ()
    pods: tuple[str, ...] | None = None
    cluster: str | None = None
    endings: Endings | None = None

    def broad(self) -> Scope:
        """Without pods, and without namespaces where they are many: for queries that must fit into an address."""
        is_short = sum(map(len, self.namespaces)) < _LONGEST_LIST_CHARACTERS
        return Scope(self.namespaces if is_short else (), cluster=self.cluster)

    def halves(self) -> tuple[Scope, Scope] | None:
        """The scope in two parts; None where it cannot be divided.

        >>> [part.namespaces for part in Scope(("shop", "web")).halves()]
        [('shop',), ('web',)]
        >>> print(Scope(("shop",)).halves()[1].select("kube_replicaset_owner"))
        kube_replicaset_owner{namespace="shop",replicaset=~"(.*[stuvwxyz0123456789])"}
        """
        if len(self.namespaces) > 1:
            middle = len(self.namespaces) // 2
            return replace(self, namespaces=self.namespaces[:middle]), replace(
                self, namespaces=self.namespaces[middle:]
            )
        if self.pods is not None and len(self.pods) > 1:
            middle = len(self.pods) // 2
            return replace(self, pods=self.pods[:middle]), replace(self, pods=self.pods[middle:])
        endings = None if self.pods is not None else (self.endings or Endings()).halves()
        return None if endings is None else (replace(self, endings=endings[0]), replace(self, endings=endings[1]))

    def select(self, metric: str, *matchers: str) -> str:
        r"""A selector of the metric's series within the scope.

        >>> print(Scope(("shop",), ("web-0", "web-1"), "eu").select("up", 'job="x"'))
        up{cluster="eu",namespace="shop",pod=~"web-0|web-1",job="x"}
        """
        for namespace in self.namespaces:
            check_name(namespace, "namespace")
        own = [
            *([] if self.cluster is None else [f"cluster={quoted(self.cluster)}"]),
            *_one_of("namespace", self.namespaces),
            *([] if self.pods is None else _one_of("pod", self.pods)),
            *([] if self.endings is None else [f"{_named_by(metric)}=~{quoted(self.endings.pattern)}"]),
        ]
        return f"{metric}{{{','.join((*own, *matchers))}}}"


def _named_by(metric: str) -> str:
    return next((label for begin, label in _NAMED_BY.items() if metric.startswith(begin)), "pod")


def _one_of(label: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    if len(names) == 1:
        return [f"{label}={quoted(names[0])}"]
    # Names have letters, digits, "-" and ".". Of these only the dot has a meaning in a regular expression.
    return [f"{label}=~{quoted('|'.join(name.replace('.', _DOT) for name in names))}"]


def cpu(scope: Scope, rate_window: timedelta) -> str:
    """Cores of each container, between the last two scrapes within the rate window."""
    counters = scope.select("container_cpu_usage_seconds_total", _REAL_CONTAINERS)
    return f"irate({counters}[{duration(rate_window)}])"


def cpu_of_jobs(scope: Scope, rate_window: timedelta, step: timedelta, interval: timedelta) -> str:
    """The highest of such rates within each step: a job may be over before the next step comes."""
    return f"max_over_time({cpu(scope, rate_window)}[{duration(step)}:{duration(interval)}])"


def cpu_over_span(scope: Scope, span: timedelta) -> str:
    """Mean cores within the span where a counter steps back by a little: `irate` would take each step for a restart."""
    counters = scope.select("container_cpu_usage_seconds_total", _REAL_CONTAINERS)
    return f"delta({counters}[{duration(span)}]) / {span.total_seconds():g}"


def unsteady(scope: Scope, span: timedelta, least: int) -> str:
    """How often a CPU counter stepped back within the span, where that is at least so often."""
    counters = scope.select("container_cpu_usage_seconds_total", _REAL_CONTAINERS)
    return f"resets({counters}[{duration(span)}]) >= {least}"


def nodes(scope: Scope, span: timedelta, every: timedelta) -> str:
    """Cores and bytes of each node that was there when looked at within the span, by resource."""
    everywhere = Scope(cluster=scope.cluster)
    known = f"max by (node, resource) ({everywhere.select('kube_node_status_capacity', _RESOURCES)})"
    more = (
        f'label_replace(max by (node) ({everywhere.select(metric)}), "resource", "{resource}", "", "")'
        for metric, resource in (("machine_cpu_cores", "cpu"), ("machine_memory_bytes", "memory"))
    )
    return f"max_over_time(({' or '.join((known, *more))})[{duration(span)}:{duration(every)}])"


def capacities(scope: Scope) -> str:
    """Selector of the sizes of nodes, as kube-state-metrics tells them."""
    return Scope(cluster=scope.cluster).select("kube_node_status_capacity", _RESOURCES)


def brief_nodes(scope: Scope, names: Sequence[str], span: timedelta) -> str:
    """Cores and bytes within the span of nodes that were gone before they were looked at."""
    named = Scope(cluster=scope.cluster).select(
        "kube_node_status_capacity", _RESOURCES, *_one_of("node", tuple(sorted(names)))
    )
    return f"max by (node, resource) (max_over_time({named}[{duration(span)}]))"


def homes(scope: Scope, pods: Sequence[str]) -> str:
    """Selector of what tells on which nodes some pods ran."""
    return Scope(scope.namespaces, tuple(sorted(pods)), scope.cluster).select("kube_pod_info", 'node!=""')


def steps_back(scope: Scope, span: timedelta, window: timedelta, least: int) -> str:
    """The same as `unsteady`, at any time of the window: for the few pods whose use shows that it may be so."""
    counters = scope.select("container_cpu_usage_seconds_total", _REAL_CONTAINERS)
    within = f"[{duration(window)}:{duration(span)}]"
    return f"max_over_time(resets({counters}[{duration(span)}]){within}) >= {least}"


def memory(scope: Scope, span: timedelta) -> str:
    """The largest working set of each container that was scraped within the span."""
    sets = scope.select("container_memory_working_set_bytes", _REAL_CONTAINERS)
    return f"max_over_time({sets}[{duration(span)}])"


SWAP, RSS = "container_memory_swap", "container_memory_rss"
ACTIVE_FILE = "container_memory_total_active_file_bytes"
# Less of it is noise: a few pages that were never used again.
_LEAST_SWAPPED_BYTES = 4 * 2**20
# Less cache than a tenth of the working set decides no number.
_LEAST_CACHED_SHARE = 0.1
# Of two jobs that scrape a container, one may drop some metrics: what the other tells counts.
_ELSE = "or on (namespace,pod,container)"


def memory_again(scope: Scope, span: timedelta, *, has_swap: bool, less: str | None = None) -> str:
    """Memory as the process needs it: has_swap adds what was swapped out; `less` leaves page cache out.

    less: ACTIVE_FILE, the active file pages of the working set, at the least of the span; or RSS, resident memory in
    place of the working set. Where a container has no such series, its working set stays.
    """
    over = f"[{duration(span)}]"
    plain = memory(scope, span)
    used = plain if less != RSS else f"(max_over_time({scope.select(RSS, _REAL_CONTAINERS)}{over}) {_ELSE} {plain})"
    if has_swap:
        used = f"(({used} + max_over_time({scope.select(SWAP, _REAL_CONTAINERS)}{over})) {_ELSE} {used})"
    if less == ACTIVE_FILE:
        used = f"(({used} - min_over_time({scope.select(ACTIVE_FILE, _REAL_CONTAINERS)}{over})) {_ELSE} {used})"
    return used


def swap_of_nodes(scope: Scope, span: timedelta, every: timedelta) -> str:
    """The most bytes of swap that a node had when looked at within the span."""
    known = Scope(cluster=scope.cluster).select("machine_swap_bytes")
    return f"max_over_time(max({known})[{duration(span)}:{duration(every)}])"


def swapped(scope: Scope, moments: Sequence[timedelta]) -> str:
    """Bytes that containers had swapped out at one of the moments (before the time of the query); silent without."""
    counted = (f"({_ago(scope, SWAP, moment)} > {_LEAST_SWAPPED_BYTES})" for moment in moments)
    return f"max by (namespace,pod,container) ({' or '.join(counted)})"


def cached(scope: Scope, moments: Sequence[timedelta], metric: str) -> str:
    """Containers whose working set was page cache to a good part at one of the moments, by ACTIVE_FILE or RSS."""
    total = "container_memory_working_set_bytes"
    over, share = (">", _LEAST_CACHED_SHARE) if metric == ACTIVE_FILE else ("<", 1 - _LEAST_CACHED_SHARE)
    counted = (f"({_ago(scope, metric, moment)} {over} {share:g} * {_ago(scope, total, moment)})" for moment in moments)
    return f"max by (namespace,pod,container) ({' or '.join(counted)})"


def _ago(scope: Scope, metric: str, moment: timedelta) -> str:
    offset = f" offset {duration(moment)}" if moment else ""
    return f"{scope.select(metric, _REAL_CONTAINERS)}{offset}"


def throttled(scope: Scope, span: timedelta) -> str:
    """Throttled share of the CFS periods within the span, for containers that were throttled at all."""
    some = scope.select("container_cpu_cfs_throttled_periods_total", _REAL_CONTAINERS)
    periods = scope.select("container_cpu_cfs_periods_total", _REAL_CONTAINERS)
    return f"(increase({some}[{duration(span)}]) > 0) / increase({periods}[{duration(span)}])"


def containers(scope: Scope, metric: str) -> str:
    """Selector of a metric of cAdvisor, only real containers."""
    return scope.select(metric, _REAL_CONTAINERS)


def limits(scope: Scope, span: timedelta) -> str:
    """CPU and memory limits, the last known within the span."""
    return f"last_over_time({scope.select('kube_pod_container_resource_limits', _RESOURCES)}[{duration(span)}])"


def starts(scope: Scope, span: timedelta) -> str:
    """When pods were started (Unix seconds), for pods that started within the span, or a little before."""
    started = scope.select("kube_pod_start_time")
    return f"last_over_time({started}[{duration(span)}]) > time() - {2 * span.total_seconds():g}"


def failed(scope: Scope, span: timedelta, every: timedelta) -> str:
    """1 for each pod that failed within the span, looked at every so often."""
    phases = scope.select("kube_pod_status_phase", 'phase="Failed"')
    return f"max_over_time(({phases} > 0)[{duration(span)}:{duration(every)}])"


def failed_jobs(scope: Scope, span: timedelta, every: timedelta) -> str:
    """1 for each Job of which a pod failed and none succeeded within the span, looked at every so often."""
    jobs = replace(scope, pods=None)
    some, none = (
        f"max_over_time(({jobs.select(f'kube_job_status_{end}')} > 0)[{duration(span)}:{duration(every)}])"
        for end in ("failed", "succeeded")
    )
    return f"max by (namespace,job_name) ({some}) unless on (namespace,job_name) {none}"


def restarts(scope: Scope) -> str:
    """Restarts so far of the containers, init containers too, that ever restarted."""
    return _of_both(scope, "status_restarts_total")


def oom_killed(scope: Scope) -> str:
    """1 for each container whose last termination was an OOM kill. It stays 1 until the next termination."""
    return _of_both(scope, "status_last_terminated_reason", _OOM)


def killed(scope: Scope) -> str:
    """137 for each container whose last termination was by SIGKILL, whoever sent it. It stays until the next one."""
    parts = (
        scope.select(f"kube_pod_{part}_status_last_terminated_exitcode") for part in ("container", "init_container")
    )
    return " or ".join(f"{part} == 137" for part in parts)


def oom_ended(scope: Scope) -> str:
    """1 for each container that an OOM kill ended and nothing has started again since, such as those of a job."""
    return _of_both(scope, "status_terminated_reason", _OOM)


def _of_both(scope: Scope, metric: str, *matchers: str) -> str:
    """Where a metric of containers or of init containers is above 0; of the two a pod's container has one."""
    parts = (scope.select(f"kube_pod_{part}_{metric}", *matchers) for part in ("container", "init_container"))
    return " or ".join(f"{part} > 0" for part in parts)


def oom_events(scope: Scope, days: int) -> str:
    """How many OOM kills each container's cgroup has counted, at moments a day apart; the label `days_ago` says which.

    A child process that is killed ends no container, so only this counter tells. Single moments cost the server next to
    nothing; the whole history of the counter would cost as much as that of memory.
    """
    counters = scope.select("container_oom_events_total", _REAL_CONTAINERS)
    moments = (
        f'label_replace({counters}{f" offset {ago}d" if ago else ""} > 0, "days_ago", "{ago}", "", "")'
        for ago in range(days + 1)
    )
    return " or ".join(moments)


def startup(
    pod: tuple[str, str], cluster: str | None, rate_window: timedelta, interval: timedelta, span: timedelta, ago: str
) -> str:
    """The highest CPU rate of each of a pod's containers in the `span` that ended `ago`."""
    one = cpu(Scope((pod[0],), (pod[1],), cluster), rate_window)
    return f"max_over_time({one}[{duration(span)}:{duration(interval)}] offset {ago})"


_RESOURCES = 'resource=~"cpu|memory"'
_OOM = 'reason="OOMKilled"'
