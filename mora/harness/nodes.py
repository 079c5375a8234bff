"""The nodes of a cluster as the machines of a target: what they did is read from their metrics after a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mora.domain import Window
from mora.errors import MoraError
from mora.harness.host import HostUse, HostWatch

if TYPE_CHECKING:
    from mora.sources.prometheus.node_use import NodeUse


class NodeSource(Protocol):
    """A source of metrics that also knows nodes."""

    def node_use(self, namespace: str, window: Window) -> NodeUse | None:
        """What the fullest node of the namespace's pods did; None where it is not known."""


@dataclass(frozen=True, slots=True)
class NodeHost:
    """The nodes that run the pods of a namespace."""

    source: NodeSource
    namespace: str

    def watch(self) -> HostWatch:
        """A watch of the window that begins now."""
        return _NodeWatch(self)


@dataclass(frozen=True, slots=True)
class _NodeWatch:
    host: NodeHost

    def tick(self) -> None:
        return None

    def end(self) -> None:
        return None

    def use(self, window: Window) -> HostUse | None:
        try:
            found = self.host.source.node_use(self.host.namespace, window)
        except MoraError:
            return None  # the metrics of the window itself are asked for elsewhere, and that does not fail silently
        if found is None:
            return None
        return HostUse(
            cores=found.cores,
            others_cores=found.others_cores,
            others_memory_bytes=found.memory_bytes,
            idle_cores=found.idle_cores,
            steal_cores=found.steal_cores,
            pressure_ratio=found.pressure_ratio,
            target_cores=found.target_cores,
        )
