"""What Prometheus tells of pods while a change is watched: throttling, and whether their SLO is broken."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from string import Template
from typing import Any

from mora.domain import Workload, is_name
from mora.errors import BadInput
from mora.quantities import format_duration
from mora.sources.prometheus.observe import PrometheusSource
from mora.sources.prometheus.promql import quoted

_THROTTLED = Template(
    'sum by (pod, container) (increase(container_cpu_cfs_throttled_periods_total{namespace="$namespace"$cluster,'
    'container!="",container!="POD"}[$span])) / '
    'sum by (pod, container) (increase(container_cpu_cfs_periods_total{namespace="$namespace"$cluster,'
    'container!="",container!="POD"}[$span]) > 0)'
)


class PrometheusSignals:
    """Asks one Prometheus (mora.inplace.loop.Signals).

    span: what throttling is counted over; at least four scrapes. slo_query: PromQL that returns a sample where an SLO
    is broken, as the expression of an alert does; $namespace and $workload stand for the workload's. None: no SLO.
    cluster: its label `cluster`, where this Prometheus has several.
    """

    def __init__(
        self,
        source: PrometheusSource,
        namespace: str,
        *,
        span: timedelta = timedelta(minutes=2),
        slo_query: str | None = None,
        cluster: str | None = None,
    ) -> None:
        self._source, self._namespace, self._span = source, namespace, format_duration(span)
        self._cluster = "" if cluster is None else f",cluster={quoted(cluster)}"
        self._slo = None if slo_query is None else checked_query(slo_query)

    def throttled(self) -> Mapping[tuple[str, str], float]:
        """(pod, container) -> share of its periods that were throttled lately."""
        query = _THROTTLED.substitute(namespace=self._namespace, span=self._span, cluster=self._cluster)
        found = {}
        for row in self._ask(query):
            pod, container = row["metric"].get("pod", ""), row["metric"].get("container", "")
            if is_name(pod) and is_name(container):
                found[pod, container] = float(row["value"][1])
        return found

    def breach(self, workload: Workload) -> str | None:
        """What of its SLO is broken now; None where nothing is, or there is none."""
        if self._slo is None:
            return None
        rows = self._ask(self._slo.substitute(namespace=workload.namespace, workload=workload.name))
        return None if not rows else f"its SLO is broken: the query returns {float(rows[0]['value'][1]):.3g}"

    def _ask(self, query: str) -> list[dict[str, Any]]:
        with self._source.wire() as wire:
            return wire.instant(query, datetime.now(UTC))


def checked_query(text: str) -> Template:
    """The query of an SLO. BadInput where it has another placeholder than $namespace and $workload."""
    found = Template(text)
    try:
        found.substitute(namespace="a", workload="b")
    except (KeyError, ValueError) as error:
        raise BadInput(
            f"The SLO's query has a $ that stands for nothing: {error}.",
            hint="Write $namespace and $workload where the workload's belong, and $$ for a dollar sign.",
        ) from error
    return found
