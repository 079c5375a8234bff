"""The metrics of many services at once, on a grid of a few moments: what a watch reads at each step.

The columns are those of promql.queries(), of every workload of some namespaces in one answer: a query a column, not a
query a column and service. Owners are joined by the server: at a single moment that costs little, over a history it
would cost half of all (fleet_promql.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from mora.domain import Window, check_name, choose_main_container
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.grid import cut, rows_ahead
from mora.sources.prometheus.promql import DEFAULT_CONTAINER_LABEL, duration
from mora.sources.prometheus.tally import moved
from mora.sources.prometheus.wire import Wire

Key = tuple[str, str]
"""Namespace and name of a service."""

_REAL_CONTAINERS = 'container!="",container!="POD"'
_REAL_INTERFACES = 'interface!~"lo|cni.*|cbr.*|veth.*|cali.*|flannel.*|vxlan.*|docker.*|kube-.*"'
_BY_SETS, _BY_OTHERS = 'owner_kind="ReplicaSet"', 'owner_kind=~"StatefulSet|DaemonSet"'
_OF_A_POD = 'pod!=""'
_EACH = "namespace,kind,workload"
# Where a namespace has several of one name, the first of these is meant.
_KINDS = ("Deployment", "StatefulSet", "DaemonSet")
_BY_CONTAINER = ("cpu_cores_value", "mem_bytes_value", "throttled_ratio")
COLUMNS = (
    *_BY_CONTAINER,
    "net_rx_bytes_value",
    "net_tx_bytes_value",
    "pod_restarts_value",
    "replica_count_value",
    "requests_per_second",
    "latency_p95_seconds",
    "error_ratio",
)
"""The columns that are known of many services at once."""

Floats = NDArray[np.float64]


def queries(namespaces: Sequence[str], rate_window: timedelta) -> dict[str, str]:
    """Column -> PromQL: a series a workload (labels namespace, kind, workload), and a container where it is known.

    The metrics of a mesh have the labels destination_workload_namespace and destination_workload in their place.
    """
    for namespace in namespaces:
        check_name(namespace, "namespace")
    scope, rate = Scope(tuple(namespaces)), f"[{duration(rate_window)}]"
    owned = _owned(scope)

    def of_each(vector: str) -> str:
        return f"({vector}) * on (namespace,pod) group_left (kind,workload) ({owned})"

    def containers(metric: str) -> str:
        return scope.select(metric, _REAL_CONTAINERS)

    def hottest(vector: str) -> str:
        return f"max by ({_EACH},container) ({of_each(vector)})"

    def one_each(vector: str) -> str:
        return f"max by (namespace,pod,container) ({vector})"

    used, swapped = containers("container_memory_working_set_bytes"), containers("container_memory_swap")
    throttled = one_each(f"increase({containers('container_cpu_cfs_throttled_periods_total')}{rate})")
    periods = one_each(f"increase({containers('container_cpu_cfs_periods_total')}{rate})")
    restarts = scope.select("kube_pod_container_status_restarts_total")
    limited = scope.select("kube_pod_container_resource_limits", 'resource="cpu"')
    unlimited = f"{restarts} unless on (namespace,pod,container) {limited}"
    on_host = scope.select("kube_pod_info", 'host_network="true"')

    def traffic(counter: str) -> str:
        rates = f"rate({scope.select(counter, _OF_A_POD, _REAL_INTERFACES)}{rate})"
        one = f"max by (namespace,pod,interface) ({rates} unless on (namespace,pod) {on_host})"
        return f"sum by ({_EACH}) ({of_each(one)})"

    return {
        "cpu_cores_value": hottest(
            f"sum without (cpu) (rate({containers('container_cpu_usage_seconds_total')}{rate}))"
        ),
        "mem_bytes_value": hottest(f"{used} + {swapped} or {used}"),
        "throttled_ratio": f"{hottest(f'{throttled} / clamp_min({periods},1)')} or 0 * {hottest(unlimited)}",
        "net_rx_bytes_value": traffic("container_network_receive_bytes_total"),
        "net_tx_bytes_value": traffic("container_network_transmit_bytes_total"),
        "pod_restarts_value": (
            f"sum by ({_EACH}) ({of_each(one_each(f'round(increase({restarts}[1h]))'))}) or 0 * ({_replicas(scope)})"
        ),
        "replica_count_value": _replicas(scope),
        **_mesh(namespaces, rate),
    }


def _owned(scope: Scope) -> str:
    """1 for each pod of a workload, with the labels kind and workload; by the owner chain, doubled scrapes merged."""
    sets = scope.select("kube_replicaset_owner", 'owner_kind="Deployment"')
    of_deployments = _renamed(f"max by (namespace,replicaset,owner_name) ({sets})", "workload", "owner_name")
    named = _renamed(of_deployments, "owner_name", "replicaset")
    of_sets = (
        f"max by (namespace,pod,owner_name) ({scope.select('kube_pod_owner', _BY_SETS)})"
        f" * on (namespace,owner_name) group_left (workload) max by (namespace,owner_name,workload) ({named})"
    )
    others = f"max by (namespace,pod,owner_kind,owner_name) ({scope.select('kube_pod_owner', _BY_OTHERS)})"
    renamed = _renamed(_renamed(others, "workload", "owner_name"), "kind", "owner_kind")
    return f'max by (namespace,pod,kind,workload) (label_replace({of_sets},"kind","Deployment","","") or {renamed})'


def _renamed(vector: str, new: str, old: str) -> str:
    """A vector with the value of one label also under another."""
    return f'label_replace({vector},"{new}","$1","{old}","(.+)")'


def _replicas(scope: Scope) -> str:
    """Replicas that are available of each workload."""
    parts = []
    for kind, metric, label in (
        ("Deployment", "kube_deployment_status_replicas_available", "deployment"),
        ("StatefulSet", "kube_statefulset_status_replicas_ready", "statefulset"),
        ("DaemonSet", "kube_daemonset_status_number_available", "daemonset"),
    ):
        of_each = f"max by (namespace,{label}) ({scope.select(metric)})"
        named = f'label_replace({_renamed(of_each, "workload", label)},"kind","{kind}","","")'
        parts.append(f"max by ({_EACH}) ({named})")
    return " or ".join(parts)


def _mesh(namespaces: Sequence[str], rate: str) -> dict[str, str]:
    """Requests, latency and errors of each service, as mesh.py has them of one."""
    one_of = "|".join(name.replace(".", "\\\\.") for name in namespaces)
    to = f'destination_workload_namespace=~"{one_of}",destination_workload!=""'
    each = "destination_workload_namespace,destination_workload"

    def summed(metric: str, by: str, more: str = "") -> str:
        return " or ".join(
            f'sum by ({by}) (rate({metric}{{reporter="{reporter}",{to}{more}}}{rate}))'
            for reporter in ("destination", "source")
        )

    requests = summed("istio_requests_total", each)
    failed = summed("istio_requests_total", each, ',response_code=~"5..|0"')
    buckets = [
        f'sum by ({each},le) (rate(istio_request_duration_milliseconds_bucket{{reporter="{reporter}",{to}}}{rate}))'
        for reporter in ("destination", "source")
    ]
    # What was received is taken of a service that counts it: `or` alone would mix the buckets of both.
    latency = " or ".join(f"histogram_quantile(0.95, {one})" for one in buckets)
    return {
        "requests_per_second": requests,
        "latency_p95_seconds": f"({latency}) / 1000",
        "error_ratio": f"(({failed}) or (0 * ({requests}))) / ({requests})",
    }


def default_containers(namespaces: Sequence[str]) -> str:
    """One series for each container that a workload's pods name as their default."""
    scope = Scope(tuple(namespaces))
    annotations = scope.select("kube_pod_annotations", f'{DEFAULT_CONTAINER_LABEL}!=""')
    joined = f"({annotations}) * on (namespace,pod) group_left (kind,workload) ({_owned(scope)})"
    return f"group by ({_EACH},{DEFAULT_CONTAINER_LABEL}) ({joined})"


@dataclass(slots=True)
class _Series:
    """What was answered of one workload: column -> container ("" where it is of all) -> values on the grid."""

    columns: dict[str, dict[str, Floats]] = field(default_factory=dict)


def read_services(
    wire: Wire,
    namespaces: Sequence[str],
    columns: Sequence[str],
    window: Window,
    rate_window: timedelta,
) -> Iterator[tuple[Key, dict[str, Floats]]]:
    """Each service of some namespaces with its columns on the window's grid; NaN where a sample is not known.

    columns: those that are asked for, of COLUMNS. What answers nothing of a service is not in its mapping.
    """
    texts = {name: text for name, text in queries(namespaces, rate_window).items() if name in columns}
    found: dict[tuple[str, str, str], _Series] = {}
    for name, piece, strips in wire.ranges(
        (name, text, piece) for piece in cut(window) for name, text in texts.items()
    ):
        ahead = rows_ahead(piece, window)
        for strip in strips:
            key = _key_of(strip.labels)
            if key is None or key[0] not in namespaces:
                continue
            of_column = found.setdefault(key, _Series()).columns.setdefault(name, {})
            container = strip.labels.get("container", "") if name in _BY_CONTAINER else ""
            values = of_column.setdefault(container, np.full(window.sample_count, np.nan))
            values[moved(strip, ahead).rows] = strip.values
    annotated = _annotated(wire, namespaces, window) if any(name in _BY_CONTAINER for name in texts) else {}
    for (namespace, service), kind in _kinds(found).items():
        parts = [found[key] for key in ((namespace, kind, service), (namespace, "", service)) if key in found]
        yield (namespace, service), _main(parts, service, annotated.get((namespace, kind, service)))


def _key_of(labels: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Namespace, kind ("" where the metrics of a mesh do not say) and name."""
    if "destination_workload" in labels:
        return labels.get("destination_workload_namespace", ""), "", labels["destination_workload"]
    if "workload" not in labels or "namespace" not in labels:
        return None
    return labels["namespace"], labels.get("kind", ""), labels["workload"]


def _kinds(found: Mapping[tuple[str, str, str], _Series]) -> dict[Key, str]:
    """Each service with the kind that is meant."""
    kinds: dict[Key, str] = {}
    order = {kind: number for number, kind in enumerate((*_KINDS, ""))}
    for namespace, kind, service in found:
        known = kinds.get((namespace, service))
        if known is None or order.get(kind, len(order)) < order.get(known, len(order)):
            kinds[namespace, service] = kind
    return kinds


def _main(parts: Sequence[_Series], service: str, annotated: str | None) -> dict[str, Floats]:
    """The columns of a service, those of its main container where they are known by container."""
    merged = {name: series for part in parts for name, series in part.columns.items()}
    names = sorted({container for name in _BY_CONTAINER for container in merged.get(name, {})})
    main = choose_main_container(names, service, annotated=annotated, order="by name")[0] if names else ""
    chosen = {name: series.get(main if name in _BY_CONTAINER else "") for name, series in merged.items()}
    return {name: values for name, values in chosen.items() if values is not None}


def _annotated(wire: Wire, namespaces: Sequence[str], window: Window) -> dict[tuple[str, str, str], str]:
    rows = wire.instant(default_containers(namespaces), window.end)
    return {
        key: row["metric"][DEFAULT_CONTAINER_LABEL]
        for row in rows
        if (key := _key_of(row["metric"])) is not None and DEFAULT_CONTAINER_LABEL in row["metric"]
    }
