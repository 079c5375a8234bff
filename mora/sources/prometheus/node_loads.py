"""What the pods of some namespaces used on each node, sample by sample, and which of them run there now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import timedelta

import numpy as np

from mora.domain import NodeLoad, Window, Workload
from mora.sources.prometheus import fleet_promql
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.frames import joined
from mora.sources.prometheus.grid import cut
from mora.sources.prometheus.others import ENDED
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.wire import Wire

# Of one question: a day at a sample every five minutes. The server joins the series of all pods to build it.
_PIECE = 288


def homes(scope: Scope) -> str:
    """One series for each pod that has not ended, with its node: one that moved under its name is on either of two.

    Pods of finished Jobs, and those that were evicted, stay known for long: what they request is free again.
    """
    known = scope.select("kube_pod_info", 'node!=""')
    ended = scope.select("kube_pod_status_phase", ENDED)
    one_each = f"topk by (namespace,pod) (1,max by (namespace,pod,node) ({known}))"
    return f"({one_each} unless on (namespace,pod) ({ended} > 0))"


def cores(scope: Scope, rate_window: timedelta) -> str:
    """The cores that all pods of the scope used on each node."""
    used = f"max by (namespace,pod,container) (sum without (cpu) ({fleet_promql.cpu(scope, rate_window)}))"
    return f"sum by (node) ({used} * on (namespace,pod) group_left(node) {homes(scope)})"


def counts(scope: Scope) -> str:
    """How many pods of the scope each node had."""
    return f"count by (node) ({homes(scope)})"


def read_node_loads(
    wire: Wire, scope: Scope, window: Window, rate_window: timedelta, owners: Mapping[Pod, Workload]
) -> list[NodeLoad]:
    """Every node that a pod of the scope runs on now, by name. owners: pod -> workload."""
    now: defaultdict[str, Counter[Workload]] = defaultdict(Counter)
    for row in wire.instant(homes(scope), window.end):
        labels = row["metric"]
        workload = owners.get((labels.get("namespace", ""), labels.get("pod", "")))
        if workload is not None:
            now[labels.get("node", "")][workload] += 1
    queries = {"cores": cores(scope, rate_window), "pods": counts(scope)}
    questions = [(name, text, piece) for piece in cut(window, _PIECE) for name, text in queries.items()]
    answers = joined(wire.ranges(questions, in_time=True), queries, window)
    of_node = {
        name: {one.labels.get("node", ""): np.asarray(one.values, dtype=np.float64) for one in series}
        for name, series in answers.items()
    }
    unknown = np.full(window.sample_count, np.nan)
    return [
        NodeLoad(
            node,
            of_node["cores"].get(node, unknown),
            of_node["pods"].get(node, unknown),
            dict(pods),
        )
        for node, pods in sorted(now.items())
    ]
