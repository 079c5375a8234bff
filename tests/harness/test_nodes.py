"""What a window says of a cluster's nodes, and that it says nothing where their metrics do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from mora.domain import Window
from mora.errors import MoraError
from mora.harness.host import HostUse
from mora.harness.nodes import NodeHost
from mora.sources.prometheus.node_use import NodeUse

START = datetime(2026, 11, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=2), timedelta(seconds=5))
FULL = NodeUse(
    node="node-1",
    cores=8,
    idle_cores=0.5,
    steal_cores=0.1,
    others_cores=3.0,
    target_cores=4.0,
    pressure_ratio=0.2,
    memory_bytes=6 * 2**30,
)


@dataclass
class Nodes:
    """The metrics of nodes: an answer, nothing, or an error; and what was asked."""

    answer: NodeUse | MoraError | None
    asked: list[tuple[str, Window]] = field(default_factory=list)

    def node_use(self, namespace: str, window: Window) -> NodeUse | None:
        self.asked.append((namespace, window))
        if isinstance(self.answer, MoraError):
            raise self.answer
        return self.answer


def used(nodes: Nodes) -> HostUse | None:
    watch = NodeHost(nodes, "shop").watch()
    watch.tick()
    watch.end()
    assert nodes.asked == [], "metrics are asked for once the window can be read, not while it runs"
    return watch.use(WINDOW)


def test_the_fullest_node_is_the_machine_of_the_window() -> None:
    nodes = Nodes(FULL)
    assert used(nodes) == HostUse(
        cores=8,
        others_cores=3.0,
        others_memory_bytes=6 * 2**30,
        idle_cores=0.5,
        steal_cores=0.1,
        pressure_ratio=0.2,
        target_cores=4.0,
    )
    assert nodes.asked == [("shop", WINDOW)]


@pytest.mark.parametrize("answer", [None, MoraError("Prometheus is away.", hint="Start it.")])
def test_without_an_answer_nothing_is_known_and_nothing_stops(answer: MoraError | None) -> None:
    assert used(Nodes(answer)) is None
