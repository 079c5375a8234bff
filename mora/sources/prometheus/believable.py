"""Which samples can be: no use exceeds the node it ran on, and what is not finite is not known.

A counter that steps back by a tenth of a second (two collectors write one series) reads as a restart from nothing, so
its whole count becomes use; now and then cAdvisor itself writes one absurd value. One such sample is enough to make
thousands of cores of a service that uses a fifth of one. All use of the fleet passes here before pods are added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mora.domain import LeftOut, Resources, Target
from mora.quantities import readable_bytes, readable_cores
from mora.sources.prometheus.ownership import Pod
from mora.sources.prometheus.promql import STEP_BACK_CORES

Floats = NDArray[np.float64]

# Where nothing bounds use: the largest machines that clouds rent out have fewer cores and less memory.
_MOST_CORES, _MOST_BYTES = 2048.0, 64.0 * 2**40
# Rates between two scrapes are off by the moments of both: a node at full use reads a little above its cores.
_NODE_SLACK = 1.2
# A quota may burst by as much again, and the moments of scrapes are off by a little.
_OVER_QUOTA = 2.2
# The kernel lets no container above its memory limit; a limit that was changed is seen a scrape late.
_OVER_MEMORY_LIMIT = 1.05
# A limit that more samples than this exceed, by less than so many times, is not enforced: it bounds nothing.
_NOT_ENFORCED_SHARE, _NOT_ENFORCED_TIMES = 0.05, 5.0
# Without a node's size: what is above this many cores, and this many times the level below which nine of ten samples
# lie, is no use.
_ODD_CORES, _ODD_TIMES, _USUAL = 16.0, 20.0, 0.9


@dataclass(frozen=True, slots=True)
class Nodes:
    """The cores and the memory of the largest node; None where Prometheus does not have them.

    is_own: whether it is the node that the pod ran on.
    """

    cpu_cores: float | None = None
    mem_bytes: float | None = None
    is_own: bool = False

    def size(self, target: Target) -> float | None:
        """Cores or bytes."""
        return self.cpu_cores if target is Target.CPU else self.mem_bytes

    @property
    def words(self) -> str:
        """Whose size it is."""
        return "its own node's" if self.is_own else "the largest node's"

    @property
    def resources(self) -> Resources | None:
        """The same as amounts; None where nothing is known."""
        if self.cpu_cores is None and self.mem_bytes is None:
            return None
        return Resources(
            cpu_request_millicores=None if self.cpu_cores is None else int(self.cpu_cores * 1000),
            memory_request_bytes=None if self.mem_bytes is None else int(self.mem_bytes),
        )


@dataclass(slots=True)
class Hosts:
    """The nodes of a window, by name, and which of them each pod ran on.

    Where a pod ran is looked up only once use is above the smallest node: below it, no node tells anything.
    """

    by_name: Mapping[str, Nodes] = field(default_factory=dict)
    homes: dict[Pod, set[str]] = field(default_factory=dict)
    largest: Nodes = field(init=False)
    _smallest: dict[Target, float] = field(init=False)

    def __post_init__(self) -> None:
        self.largest, self._smallest = _largest(self.by_name.values()), {}
        for target in (Target.CPU, Target.MEMORY):
            sizes = [size for one in self.by_name.values() if (size := one.size(target)) is not None]
            if len(set(sizes)) > 1:
                self._smallest[target] = min(sizes)

    def may_tell(self, target: Target, values: Floats) -> bool:
        """Whether some use is above the smallest of nodes that are not all alike, so that its own node matters."""
        smallest = self._smallest.get(target)
        return smallest is not None and float(np.fmax.reduce(values, initial=0.0)) > smallest

    def note_homes(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Take in which nodes pods ran on (labels of kube_pod_info)."""
        for row in rows:
            self.homes.setdefault((row.get("namespace", ""), row.get("pod", "")), set()).add(row.get("node", ""))

    def of(self, pod: Pod) -> Nodes:
        """The largest of the pod's own nodes; of all where one of its nodes is not known."""
        names = self.homes.get(pod, set())
        if not names or not names <= self.by_name.keys():
            return self.largest
        own, largest = _largest(self.by_name[name] for name in names), self.largest
        cpu = largest.cpu_cores if own.cpu_cores is None else own.cpu_cores
        return Nodes(cpu, largest.mem_bytes if own.mem_bytes is None else own.mem_bytes, is_own=True)


def _largest(nodes: Iterable[Nodes]) -> Nodes:
    known = list(nodes)
    cpu = max((one.cpu_cores for one in known if one.cpu_cores is not None), default=None)
    return Nodes(cpu, max((one.mem_bytes for one in known if one.mem_bytes is not None), default=None))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that a container can use, and what sets it.

    otherwise: for a limit, what bounds use where the samples show that the limit is not enforced. slack: use above the
    amount by less than this factor is the amount, since two scrapes are not exactly as far apart as they say.
    """

    amount: float
    what: str
    otherwise: Ceiling | None = None
    slack: float = 1.0


def hosts_of(rows: Iterable[Mapping[str, Any]]) -> Hosts:
    """The nodes of instant answers (fleet_promql.nodes); one without a name counts for the largest alone."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        value = float(row["value"][1])
        resource = row["metric"].get("resource", "")
        if math.isfinite(value) and value > 0:
            of_node = found.setdefault(row["metric"].get("node", ""), {})
            of_node[resource] = max(of_node.get(resource, 0.0), value)
    return Hosts({name: Nodes(one.get("cpu"), one.get("memory")) for name, one in found.items()})


def cpu_ceiling(nodes: Nodes, limit: float | None, *, has_quota: bool) -> Ceiling:
    """The most cores that a container can use.

    limit: the highest CPU limit that it had. has_quota: whether CFS counters show that the limit is enforced; where no
    node is known, a limit counts without them.
    """
    ceilings = [Ceiling(_MOST_CORES, f"the {_MOST_CORES:,.0f} cores of the largest machines")]
    if nodes.cpu_cores is not None:
        what = f"{nodes.words} {_cores(nodes.cpu_cores)}"
        ceilings.append(Ceiling(nodes.cpu_cores, what, slack=_NODE_SLACK))
    if limit is not None and math.isfinite(limit) and limit > 0 and (has_quota or nodes.cpu_cores is None):
        hard = min(ceilings, key=lambda one: one.amount)
        ceilings.append(Ceiling(_OVER_QUOTA * limit, f"twice the CPU limit of {_cores(limit)}", otherwise=hard))
    return min(ceilings, key=lambda one: one.amount)


def memory_ceiling(nodes: Nodes, limit: float | None = None) -> Ceiling:
    """The most bytes that a container can use. limit: the highest memory limit that it had."""
    hard = Ceiling(_MOST_BYTES, f"the {readable_bytes(_MOST_BYTES)} of the largest machines")
    if nodes.mem_bytes is not None:
        hard = Ceiling(nodes.mem_bytes, f"{nodes.words} {readable_bytes(nodes.mem_bytes)}")
    if limit is None or not math.isfinite(limit) or not 0 < limit * _OVER_MEMORY_LIMIT < hard.amount:
        return hard
    return Ceiling(_OVER_MEMORY_LIMIT * limit, f"the memory limit of {readable_bytes(limit)}", otherwise=hard)


def _cores(amount: float) -> str:
    return f"{amount:g} core{'' if amount == 1 else 's'}"


@dataclass(slots=True)
class Sieve:
    """Lets through what can be, of one resource of one container, and counts what it left out."""

    target: Target
    samples: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    remark: str = ""

    def sift(self, values: Floats, ceiling: Ceiling) -> Floats:
        """The values, with what is above the ceiling not known."""
        known = int(np.count_nonzero(~np.isnan(values)))
        self.samples += known
        if ceiling.otherwise is not None:
            over = values[values > ceiling.amount * 1.01]
            is_often = len(over) > _NOT_ENFORCED_SHARE * known
            if is_often and float(np.median(over)) < _NOT_ENFORCED_TIMES * ceiling.amount:
                ceiling = ceiling.otherwise
        # Float noise on a node's whole cores is not above them.
        wrong = values > ceiling.amount * max(ceiling.slack, 1.01)
        values = self._without(values, wrong, f"exceed {ceiling.what}")
        return np.minimum(values, ceiling.amount) if ceiling.slack > 1 else values

    def sift_odd(self, values: Floats, nodes: Nodes) -> Floats:
        """The values of all pods, without those that the rest shows to be impossible where no node is known."""
        if self.target is not Target.CPU or nodes.cpu_cores is not None:
            return values
        highest = float(np.fmax.reduce(values, initial=0.0))
        if not highest > _ODD_CORES:
            return values
        usual = float(np.nanquantile(values, _USUAL))
        what = f"are above {_ODD_CORES:g} cores and more than {_ODD_TIMES:g} times the usual {readable_cores(usual)}"
        return self._without(values, values > max(_ODD_CORES, _ODD_TIMES * usual), what)

    def _without(self, values: Floats, wrong: NDArray[np.bool_], what: str) -> Floats:
        count = int(np.count_nonzero(wrong))
        if not count:
            return values
        self.dropped[what] = self.dropped.get(what, 0) + count
        return np.where(wrong, np.nan, values)

    @property
    def share(self) -> float:
        """The share of the samples that was left out."""
        return sum(self.dropped.values()) / self.samples if self.samples else 0.0

    def left_out(self) -> LeftOut | None:
        """What was left out, for the reasons; None where nothing was."""
        if not self.dropped and not self.remark:
            return None
        return LeftOut(sum(self.dropped.values()), self.samples, "; ".join(sorted(self.dropped)), remark=self.remark)


def rising(values: Floats) -> Floats:
    """Differences of a counter over a span: a step back of a moment is no use, a larger one is not known."""
    return np.where(values < -STEP_BACK_CORES, np.nan, np.fmax(values, 0.0) + 0.0 * values)
