"""Asks kube-state-metrics for the state at one moment, and reads its amounts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mora.quantities import bytes_up, cores_to_millicores
from mora.sources.prometheus.fleet_promql import Scope
from mora.sources.prometheus.ownership import Labels
from mora.sources.prometheus.parts import in_parts
from mora.sources.prometheus.promql import duration
from mora.sources.prometheus.wire import Wire

# A workload without pods (scaled to zero, between two runs) is described by its newest pod of this time range.
LOOKED_BACK = timedelta(days=7)

RESOURCE_FIELDS = {
    ("requests", "cpu"): "cpu_request_millicores",
    ("limits", "cpu"): "cpu_limit_millicores",
    ("requests", "memory"): "memory_request_bytes",
    ("limits", "memory"): "memory_limit_bytes",
}


@dataclass(frozen=True, slots=True)
class Asking:
    """Instant questions to one Prometheus about one scope at one moment.

    silent: matchers of what says nothing now, and the time within which it last did; that stands in.
    """

    wire: Wire
    scope: Scope
    at: datetime
    silent: tuple[tuple[str, ...], timedelta] | None = None

    def values(self, metric: str, *matchers: str, over: timedelta | None = None) -> list[tuple[Labels, float]]:
        """The series with their values, without those that are not known."""
        return [(labels, value) for labels, value in self.all(metric, *matchers, over=over) if is_known(value)]

    def all(self, metric: str, *matchers: str, over: timedelta | None = None) -> list[tuple[Labels, float]]:
        """The series with their values, whatever these are; those of what is silent first, so that others prevail."""
        if over is None and self.silent is not None:
            more, over_silent = self.silent
            alone = replace(self, silent=None)
            return [*alone.all(metric, *matchers, *more, over=over_silent), *alone.all(metric, *matchers)]

        def ask(scope: Scope) -> list[dict[str, Any]]:
            selector = scope.select(metric, *matchers)
            return self.wire.instant(
                selector if over is None else f"last_over_time({selector}[{duration(over)}])", self.at
            )

        return [(row["metric"], float(row["value"][1])) for row in in_parts(ask, self.scope)]

    def labels(self, metric: str) -> list[Labels]:
        """The labels of the series."""
        return [labels for labels, _ in self.all(metric)]

    def exposes(self, metric: str) -> bool:
        """Whether the metric has any series in the last days, in whichever namespace."""
        anywhere = Scope(cluster=self.scope.cluster).select("", f'__name__="{metric}"')
        return metric in self.wire.label_values("__name__", anywhere, self.at - LOOKED_BACK, self.at)

    def earlier_labels(self, metric: str, *matchers: str) -> list[dict[str, str]]:
        """The labels of the series of the last days, up to now."""
        return in_parts(
            lambda scope: self.wire.series(scope.select(metric, *matchers), self.at - LOOKED_BACK, self.at), self.scope
        )


def is_known(value: float) -> bool:
    """Whether a value of kube-state-metrics can be meant; recording rules of 0/0 bring NaN, sums bring Inf."""
    return math.isfinite(value) and value >= 0


def amount_of(resource: str, value: float) -> int:
    """Millicores or bytes of a metric's cores or bytes."""
    return cores_to_millicores(value) if resource.endswith("cpu") else bytes_up(value)
