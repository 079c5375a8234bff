"""What runtimes and caches say of themselves: how much memory they may take, by the metrics of their own exporters.

A program without flags that can be seen (its configuration is in a file or in its image) often has such metrics. One
query of the index and of one moment finds them all.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mora.domain import Container, Role, Workload, WorkloadState
from mora.domain.runtimes import GO, JAVA, MEMCACHED, NODE, REDIS, Runtime, largest
from mora.sources.prometheus.asked import Batch
from mora.sources.prometheus.parts import in_parts
from mora.sources.prometheus.tally import Tally
from mora.sources.prometheus.wire import Wire

# An unset maximum is the largest number that there is.
_MOST_BYTES = 64.0 * 2**40


@dataclass(frozen=True, slots=True)
class _Metric:
    """A metric with the bytes that a runtime may take.

    is_fixed: whether it is no share of the memory limit; of a heap this cannot be seen. of: what the name or the image
    of its container says, where an exporter beside it tells the metric.
    """

    runtime: str
    is_fixed: bool = True
    of: re.Pattern[str] | None = None


_REDIS_NAMES = re.compile("redis|valkey|keydb|dragonfly", re.IGNORECASE)
METRICS: Mapping[str, _Metric] = {
    "jvm_memory_max_bytes": _Metric(JAVA, is_fixed=False),
    "jvm_memory_bytes_max": _Metric(JAVA, is_fixed=False),
    "jvm_memory_limit_bytes": _Metric(JAVA, is_fixed=False),
    "v8js_memory_heap_limit_bytes": _Metric(NODE),
    "go_gc_gomemlimit_bytes": _Metric(GO),
    "redis_memory_max_bytes": _Metric(REDIS, of=_REDIS_NAMES),
    "redis_config_maxmemory": _Metric(REDIS, of=_REDIS_NAMES),
    "memcached_limit_bytes": _Metric(MEMCACHED, of=re.compile("memcache", re.IGNORECASE)),
}
_EXPORTER = re.compile("export", re.IGNORECASE)


def note_runtimes(wire: Wire, batch: Batch, tallies: Mapping[tuple[Workload, str], Tally], at: datetime) -> None:
    """Note in the tallies of a batch what the metrics of their runtimes say at a moment."""
    names = f'__name__=~"{"|".join(METRICS)}"'
    rows = in_parts(lambda part: wire.instant(part.select("", names), at), batch.scope.broad())
    of_batch = {state.workload: state for state in batch.states}
    for (workload, name), runtime in _told(rows, batch, of_batch).items():
        if (workload, name) in tallies:
            tallies[workload, name].runtime = runtime


def _told(
    rows: Iterable[Mapping[str, Any]], batch: Batch, states: Mapping[Workload, WorkloadState]
) -> dict[tuple[Workload, str], Runtime]:
    # The pools of a heap add up, within one process; the largest process counts.
    sums: defaultdict[tuple[Workload, str, str, str, str], float] = defaultdict(float)
    for row in rows:
        labels, value = row["metric"], float(row["value"][1])
        workload = batch.pods.get((labels.get("namespace", ""), labels.get("pod", "")))
        metric = METRICS.get(labels.get("__name__", ""))
        if workload is None or metric is None or workload not in states or not _is_heap(labels):
            continue
        container = _container(states[workload], labels.get("container", ""), metric)
        if container is not None:
            process = f"{labels.get('pod')} {labels.get('instance', '')} {labels.get('job', '')}"
            amount = value if math.isfinite(value) and 0 < value <= _MOST_BYTES else 0.0
            sums[workload, container, labels["__name__"], process, metric.runtime] += amount
    found: defaultdict[tuple[Workload, str], list[Runtime]] = defaultdict(list)
    for (workload, container, name, _, runtime), amount in sums.items():
        metric = METRICS[name]
        if amount and metric.is_fixed:
            found[workload, container].append(Runtime(runtime, math.ceil(amount), name))
        elif not metric.is_fixed:
            found[workload, container].append(Runtime(runtime, None, name))
    return {of: one for of, runtimes in found.items() if (one := largest(runtimes)) is not None}


def _is_heap(labels: Mapping[str, str]) -> bool:
    return "heap" in (labels.get("area", "heap"), labels.get("jvm_memory_type", ""))


def _container(state: WorkloadState, told: str, metric: _Metric) -> str | None:
    """The container that a metric is of; None where that is not known."""
    containers = state.allocation.containers
    if metric.of is not None:
        meant = [one.name for one in containers if _is_named(one, metric.of)]
        return meant[0] if len(meant) == 1 else None
    known = {one.name: one for one in containers}
    own = known.get(told)
    main = state.allocation.main
    if own is not None and (own.role is Role.APP or metric.runtime != JAVA):
        return own.name
    # A mesh that scrapes for its pod puts its own name on what it hands on; no mesh runs on Java.
    return None if main is None or metric.runtime != JAVA else main.name


def _is_named(container: Container, pattern: re.Pattern[str]) -> bool:
    texts = container.name, (container.image or "").rpartition("/")[2]
    is_exporter = any(_EXPORTER.search(text) for text in texts)
    return not is_exporter and any(pattern.search(text) for text in texts)
