"""The PromQL of MOrA, as pure functions: one text a column, the same for the sandbox and for a cluster.

What the queries take care of, each checked by a promtool test:

- Pods belong to a workload by their owner chain, pod -> ReplicaSet -> Deployment, never by a regex on pod names, which
  would also match `frontend-canary` and the pod-level cgroups.
- Two scrapers of one target (two kube-state-metrics, kubelet and cadvisor jobs) double every sum: `max by` comes first.
- Counters are turned into rates a series at a time; sums come after, so a reset of one pod is no negative rate.
- Network counters are per pod sandbox and carry no container; a pod on the host's network reports the node's traffic
  and is left out.
- Node figures are of the nodes that run the service, and the fullest of them: an average hides a hot node.

Texts of BY_CONTAINER_COLUMNS answer one series a container (label `container`), so the main container and its sidecars
come from one question, and the main one can be chosen afterwards. All others answer one series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from mora.domain import Workload, check_name

# Grafana's own name for "at least four scrape intervals": the texts use it as long as the interval is not known.
UNKNOWN_RATE_WINDOW = "$__rate_window"

# The label that kube-state-metrics makes of the annotation kubectl.kubernetes.io/default-container.
DEFAULT_CONTAINER_LABEL = "annotation_kubectl_kubernetes_io_default_container"

BY_CONTAINER_COLUMNS: tuple[str, ...] = (
    "cpu_cores_value",
    "mem_bytes_value",
    "throttled_ratio",
    "oom_kills",
    "cpu_request_cores",
    "cpu_limit_cores",
    "mem_request_bytes",
    "mem_limit_bytes",
)

# kind -> the metric of its available replicas, and the label of that metric with the workload's name.
_REPLICAS_METRIC: Mapping[str, tuple[str, str]] = {
    "Deployment": ("kube_deployment_status_replicas_available", "deployment"),
    "StatefulSet": ("kube_statefulset_status_replicas_ready", "statefulset"),
    "DaemonSet": ("kube_daemonset_status_number_available", "daemonset"),
}

# A sum that is taken twice from one count differs by the moment at which each was read.
STEP_BACK_CORES = 0.05
# `container!=""` leaves out the pod-level cgroups, "POD" the pause container; `image!=""` says the same but is missing
# under some container runtimes.
_REAL_CONTAINERS = 'container!="",container!="POD"'
# Bridges and tunnels of the container network: their traffic is counted on the pod's own interface already.
_REAL_INTERFACES = 'interface!~"lo|cni.*|cbr.*|veth.*|cali.*|flannel.*|vxlan.*|docker.*|kube-.*"'


def duration(span: timedelta) -> str:
    """A span as PromQL writes it, in whole milliseconds at the finest.

    >>> duration(timedelta(minutes=2)), duration(timedelta(seconds=1.5)), duration(timedelta(hours=1))
    ('120s', '1500ms', '3600s')
    """
    milliseconds = round(span / timedelta(milliseconds=1))
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def quoted(value: str) -> str:
    r"""A label value as a PromQL string.

    >>> print(quoted('a"b\\c'))
    "a\"b\\c"
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def cpu_as_means(workload: Workload, span: timedelta) -> dict[str, str]:
    """The CPU columns of a workload whose counters step back, as means over the span; a larger step back is unknown."""
    counters = container_counters(workload.namespace)
    rises = f"delta({counters}[{duration(span)}]) / {span.total_seconds():g}"
    usage = f"sum without (cpu) (clamp_min({rises} > -{STEP_BACK_CORES:g},0))"
    return {
        "cpu_cores_value": _hottest(_of(usage, workload)),
        "cpu_cores_total": f"sum({_one_each(_of(usage, workload))})",
    }


def steps_back_of(workload: Workload, span: timedelta, window: timedelta, least: int) -> str:
    """A series where a counter of the workload stepped back at least so often within a span of the window."""
    resets = f"resets({container_counters(workload.namespace)}[{duration(span)}])"
    most = f"max_over_time({resets}[{duration(max(window, span))}:{duration(span)}])"
    return f"max({_of(most, workload)}) >= {least}"


def queries(
    workload: Workload, *, rate_window: str = UNKNOWN_RATE_WINDOW, node_rate_window: str = UNKNOWN_RATE_WINDOW
) -> dict[str, str]:
    """Column -> text, for the eight measured metrics and the extra columns that a Prometheus knows.

    rate_window, node_rate_window: PromQL durations of at least four scrape intervals of cAdvisor and node-exporter.
    """
    usage, memory = _cpu(workload, rate_window), _memory(workload)
    restarts = _one_each(_of(_restarts(workload), workload))
    return {
        "cpu_cores_value": _hottest(_of(usage, workload)),
        "mem_bytes_value": _hottest(_of(memory, workload)),
        "net_rx_bytes_value": _traffic("container_network_receive_bytes_total", workload, rate_window),
        "net_tx_bytes_value": _traffic("container_network_transmit_bytes_total", workload, rate_window),
        "pod_restarts_value": f"sum({restarts}) or 0 * {replicas(workload)}",  # none is 0, if the workload exists
        "replica_count_value": replicas(workload),
        "node_cpu_util_value": _fullest_node(_node_cpu(node_rate_window), workload),
        "node_mem_util_value": _fullest_node(_node_memory(), workload),
        "cpu_cores_total": f"sum({_one_each(_of(usage, workload))})",
        "mem_bytes_total": f"sum({_one_each(_of(memory, workload))})",
        "throttled_ratio": _throttled(workload, rate_window),
        "oom_kills": _oom_kills(workload),
        "cpu_request_cores": _hottest(_of(_resource("requests", "cpu", workload), workload)),
        "cpu_limit_cores": _hottest(_of(_resource("limits", "cpu", workload), workload)),
        "mem_request_bytes": _hottest(_of(_resource("requests", "memory", workload), workload)),
        "mem_limit_bytes": _hottest(_of(_resource("limits", "memory", workload), workload)),
    }


def replicas(workload: Workload) -> str:
    """Replicas that are available; the one series by which a workload is known to exist."""
    metric, label = _REPLICAS_METRIC[workload.kind]
    return f"max({metric}{{{_namespace(workload)},{label}={quoted(workload.name)}}})"


def default_container(workload: Workload) -> str:
    """One series for each container that the pods' annotation names as the default; empty where it is not exposed."""
    annotations = f'kube_pod_annotations{{{_namespace(workload)},{DEFAULT_CONTAINER_LABEL}!=""}}'
    return f"group by ({DEFAULT_CONTAINER_LABEL}) ({_of(annotations, workload)})"


def newest_sample_age(workload: Workload, interval: timedelta) -> str:
    """Seconds since each container was scraped last.

    Of the pods that kube-state-metrics told of within one and a half intervals, that of the one that is silent for the
    longest; of any others, which may be gone, that of the one that spoke last. An instant query shows a sample for five
    minutes, and nothing but its own moment tells that no other came since.
    """
    # A selector alone: of an expression, timestamp() gives the moment of the query.
    ages = _of(f"time() - timestamp({_working_set(workload)})", workload)
    told = f"timestamp(kube_pod_owner{{{_namespace(workload)}}}) > time() - {1.5 * interval.total_seconds():g}"
    return f"max by (container) (({ages} and on (namespace,pod) ({told})) or min by (container) ({ages}))"


def workload_selectors(namespace: str | None) -> dict[str, str]:
    """Label -> selector of the series that carry the workloads' names in it; of every namespace where it is None."""
    matcher = "" if namespace is None else f"namespace={quoted(check_name(namespace, 'namespace'))}"
    return {label: f"{metric}{{{matcher}}}" for metric, label in _REPLICAS_METRIC.values()}


def container_counters(namespace: str) -> str:
    """Selector of cAdvisor's CPU counters, by whose samples the scrape interval is found."""
    here = quoted(check_name(namespace, "namespace"))
    return f"container_cpu_usage_seconds_total{{namespace={here},{_REAL_CONTAINERS}}}"


def node_counters() -> str:
    """Selector of node-exporter's CPU counters, by whose samples its scrape interval is found."""
    return 'node_cpu_seconds_total{mode="idle"}'


def best_sampled(selector: str, span: timedelta) -> str:
    """The one series of a selector that has the most samples in the span."""
    return f"topk(1, count_over_time({selector}[{duration(span)}]))"


def samples_at(selector: str, span: timedelta, agos: Sequence[timedelta]) -> str:
    """How many samples the best sampled series has in the span that ended so long ago (label `ago`)."""
    texts = []
    for ago in map(duration, agos):
        offset = "" if ago == "0s" else f" offset {ago}"
        most = f"max(count_over_time({selector}[{duration(span)}]{offset}))"
        texts.append(f'label_replace({most}, "ago", "{ago}", "", "")')
    return " or ".join(texts)


def raw_samples(metric: str, labels: Mapping[str, str], span: timedelta) -> str:
    """The samples of one series as they were scraped."""
    matchers = ",".join(f"{label}={quoted(value)}" for label, value in sorted(labels.items()) if label != "__name__")
    return f"{metric}{{{matchers}}}[{duration(span)}]"


# --- the parts -------------------------------------------------------------------------------------------------------


def _namespace(workload: Workload) -> str:
    return f"namespace={quoted(check_name(workload.namespace, 'namespace'))}"


def pods(workload: Workload) -> str:
    """The series that say which pods (namespace, pod) the workload owns, by its owner chain.

    To be used with `and`: a set operation takes doubled scrapes as they are, and over 20,000 steps it costs half of a
    multiplication with group_left, which builds new labels for each series and step. It is the ReplicaSets that are
    renamed to match the pods for the same reason: a Deployment has few, where its namespace may have hundreds of pods.
    """
    here, name = _namespace(workload), quoted(check_name(workload.name, "workload name"))
    if workload.kind != "Deployment":
        return f'kube_pod_owner{{{here},owner_kind="{workload.kind}",owner_name={name}}}'
    replica_sets = f'kube_replicaset_owner{{{here},owner_kind="Deployment",owner_name={name}}}'
    return (
        f'(kube_pod_owner{{{here},owner_kind="ReplicaSet"}} and on (namespace,owner_name)'
        f' label_replace({replica_sets},"owner_name","$1","replicaset","(.+)"))'
    )


def _of(vector: str, workload: Workload) -> str:
    """What of a vector belongs to the workload's pods."""
    return f"{vector} and on (namespace,pod) {pods(workload)}"


def _hottest(vector: str) -> str:
    return f"max by (container) ({vector})"


def _one_each(vector: str) -> str:
    """Doubled scrapes of a container fall together."""
    return f"max by (namespace,pod,container) ({vector})"


def _cpu(workload: Workload, rate_window: str) -> str:
    # An older cAdvisor has a series for each core; doubled scrapes differ in other labels, and do not add up.
    return f"sum without (cpu) (rate({container_counters(workload.namespace)}[{rate_window}]))"


def _memory(workload: Workload) -> str:
    """The working set, and what of the container's memory was swapped out."""
    used = _working_set(workload)
    swapped = used.replace("container_memory_working_set_bytes", "container_memory_swap")
    return f"({used} + {swapped} or {used})"


def _working_set(workload: Workload) -> str:
    return f"container_memory_working_set_bytes{{{_namespace(workload)},{_REAL_CONTAINERS}}}"


def _resource(side: str, resource: str, workload: Workload) -> str:
    return f'kube_pod_container_resource_{side}{{{_namespace(workload)},resource="{resource}"}}'


def _restarts(workload: Workload) -> str:
    """Restarts of each container in the last hour; rounded, since increase() extrapolates 1 to 1.003."""
    return f"round(increase(kube_pod_container_status_restarts_total{{{_namespace(workload)}}}[1h]))"


def _traffic(counter: str, workload: Workload, rate_window: str) -> str:
    rates = f'rate({counter}{{{_namespace(workload)},pod!="",{_REAL_INTERFACES}}}[{rate_window}])'
    on_host = f'kube_pod_info{{{_namespace(workload)},host_network="true"}}'
    return f"sum(max by (namespace,pod,interface) ({_of(rates, workload)} unless on (namespace,pod) {on_host}))"


def _throttled(workload: Workload, rate_window: str) -> str:
    """Throttled share of the CFS periods, worst pod; 0 where there were no periods, or certainly no CPU limit.

    A container without a CPU limit has no CFS counters. A container that kube-state-metrics reports (its restarts)
    without a CPU limit has none; where it reports nothing at all, there is no answer.
    """
    selector = f"{{{_namespace(workload)},{_REAL_CONTAINERS}}}[{rate_window}]"
    throttled = _one_each(_of(f"increase(container_cpu_cfs_throttled_periods_total{selector})", workload))
    periods = _one_each(_of(f"increase(container_cpu_cfs_periods_total{selector})", workload))
    known = _of(f"kube_pod_container_status_restarts_total{{{_namespace(workload)}}}", workload)
    unlimited = f"({known} unless on (namespace,pod,container) {_resource('limits', 'cpu', workload)})"
    # A window without a single period is not throttled: 0 / 1, not 0 / 0.
    return f"{_hottest(f'{throttled} / clamp_min({periods},1)')} or 0 * {_hottest(unlimited)}"


def _oom_kills(workload: Workload) -> str:
    """OOM kills in the last hour, all pods: of each container the largest of three counts.

    last_terminated_reason is a gauge that stays 1 until the next termination: alone it would count one kill for ever,
    so it only tells which restarts of the last hour were OOM kills. cAdvisor's own counter sees kills that restart
    nothing (a worker process), but goes away with the container's cgroup on some nodes. What was killed and has not
    started again shows in terminated_reason alone.
    """
    here = _namespace(workload)
    reason = f'kube_pod_container_status_last_terminated_reason{{{here},reason="OOMKilled"}} == 1'
    restarted = f"({_restarts(workload)} and on (namespace,pod,container) {reason})"
    none = f"0 * kube_pod_container_status_restarts_total{{{here}}}"
    events = _of(f"round(increase(container_oom_events_total{{{here},{_REAL_CONTAINERS}}}[1h]))", workload)
    # `or` drops what has the labels of something before it: so `none` yields to `restarted`, and the events get a label
    # of their own so as not to yield, whatever labels the scraper gave them.
    kills = f'{_of(f"({restarted} or {none})", workload)} or label_replace({events},"counted_by","cadvisor","","")'
    ended = f'kube_pod_container_status_terminated_reason{{{here},reason="OOMKilled"}}'
    newly = _of(f"({ended} == 1 unless on (namespace,pod,container) {ended} offset 1h == 1)", workload)
    kills = f'{kills} or label_replace({newly},"counted_by","end","","")'
    return f"sum by (container) ({_one_each(kills)})"


def _node_cpu(rate_window: str) -> str:
    return f"1 - avg by (instance) (rate({node_counters()}[{rate_window}]))"


def _node_memory() -> str:
    # As gauges, doubled scrapes fall together by max.
    return "1 - max by (instance) (node_memory_MemAvailable_bytes) / max by (instance) (node_memory_MemTotal_bytes)"


def _fullest_node(used_ratio: str, workload: Workload) -> str:
    """The largest ratio over the nodes that run the workload's pods.

    node-exporter's `instance` is an address; node_uname_info says whose it is, kube_pod_info which nodes count.
    """
    nodes = _of(f'kube_pod_info{{{_namespace(workload)},node!=""}}', workload)
    names = f'label_replace(node_uname_info,"node","$1","nodename","(.+)") and on (node) ({nodes})'
    return f"clamp(max(({used_ratio}) and on (instance) ({names})),0,1)"
