"""The counters of a pod's network traffic."""

from __future__ import annotations

from pathlib import Path

from mora.sandbox.shop.traffic import TrafficCounter, read_traffic


def test_the_counters_continue_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "pod"
    assert read_traffic(path) == (0, 0)
    first = TrafficCounter(path)
    first.add_received(10)
    first.add_sent(3)
    TrafficCounter(path).add_received(5)
    assert read_traffic(path) == (15, 3)
