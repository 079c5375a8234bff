"""Node-pooled advice: what nodes must hold is read from their past, and CPU requests are scaled to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mora.domain import Recommendation, Window, WorkloadState
from mora.errors import BadInput
from mora.quantities import counted, readable_cores
from mora.seams import FleetSource, PoolSource

if TYPE_CHECKING:
    from mora.fleet.settings import FleetSettings


def with_node_pools(
    advice: Sequence[Recommendation],
    states: Sequence[WorkloadState],
    source: FleetSource,
    window: Window,
    settings: FleetSettings,
    *,
    say: Callable[[str], None] = lambda words: None,
) -> list[Recommendation]:
    """The same advice with CPU requests that add up to what each node must hold; advice: of whole namespaces.

    say: gets what the nodes need together. Raises BadInput where the source is no Prometheus.
    """
    from mora.fleet.pooling import pooled_nodes, with_pools

    if not isinstance(source, PoolSource):
        raise BadInput(
            "--pool node reads which pods ran on which node by PromQL, and this source is no Prometheus.",
            hint="Name one: --prometheus URL.",
        )
    namespaces = sorted({one.workload.namespace for one in advice})
    loads = source.node_loads(namespaces, window)
    nodes = pooled_nodes(advice, loads, window, settings.horizon)
    if nodes:
        together = sum(min(one.together, one.alone) for one in nodes.values())
        alone = sum(one.alone for one in nodes.values())
        say(
            f"Pooled by node: the pods on {counted(len(nodes), 'node')} need {readable_cores(together)}, where "
            f"each alone would add up to {readable_cores(alone)}. Memory is not pooled."
        )
    else:
        say("Nothing is pooled: no node has a past of three windows. Is kube_pod_info of kube-state-metrics scraped?")
    return with_pools(advice, states, loads, nodes, settings)
